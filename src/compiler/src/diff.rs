//! Two sets of stencils compared, uop by uop: what another version of LLVM, other options or another template did to
//! the code.
//!
//! Either set is a stencil table or a [C header](crate::c_header). What is compared:
//!
//! | | two tables | two headers | a table and a header |
//! |---|---|---|---|
//! | names of uops, sizes, bytes | yes | yes | yes |
//! | how many holes, and where | yes | yes | yes |
//! | what is filled into holes | kind, value, addend | function, expression | no |
//! | of each uop | stack effects, flags, limits, locals, alignment | values beside the sizes | no |
//! | variants | yes | | no |
//! | other groups: the trampoline | | yes | yes |
//! | of the whole | set, triple, CPU, LLVM, digest, sources, symbols | digest, comments at the start | no |
//!
//! Parts are compared with the part of the same name: hot, cold and data of a table, code and data of CPython's headers.
//! Where neither file's parts are among those of the other, as with a table and such a header, all code of a uop is
//! compared as one part, hot before cold. A part is data if `data` is in its name. The order of symbols and of the groups in
//! a header is no difference. Code is shown as that of x86-64.
//!
//! # Interfaces
//! Another version of LLVM may choose other instructions, and still the stencils are the same to all others. Of two tables it is
//! therefore also compared what the runtime and the rest of a trace see of a group, its *interface*: stack effects, flags,
//! limits and locals; the ways out, which are the exit records, labels and the like that its holes name; which other values
//! its holes are filled with, the shift included; and which symbols it refers to. It is not compared how often,
//! where, by which kind of relocation and with which addend, nor whether control continues with the next uop by a hole or by
//! hot code's end: that it does where it must is [proven](crate::verify) of each table alone. Nor is what stays in the group, such
//! as the addresses of its data, or which registers it has where. Interfaces are the same where both tables
//! are of one set and one kind of CPU and have the same groups with the same interfaces.
//!
//! # JSON
//! [`Comparison`] serializes as it is declared, which `mimeo diff --format json` prints: the same files give the same text.
//! Groups are in the order of their names, parts in that of the file; of holes the changed ones
//! come first, then the removed, then the added, each in the order of their texts. What a file does not have is `null`.

mod listing;
mod stencils;

pub use listing::{ListingLine, Side};
pub use stencils::{Fact, Form, Stencils};

use crate::disassemble::Line;
use crate::format::hex;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use stencils::{
    Group, HOLE_VALUE, HoleText, PartBytes, PlacedHole, REGISTER_HOLE, SYMBOL, WAY_OUT, is_data,
};

/// Of which parts the listings are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listings {
    /// Of none.
    None,
    /// Of those that differ.
    Changed,
    /// Of all.
    All,
}

/// All that two sets of stencils have in common and not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether no difference was found.
    pub same: bool,
    /// Whether all have the same [interfaces](self#interfaces); `None` where one is no table.
    pub same_interface: Option<bool>,
    /// What the first set says of itself.
    pub a: About,
    /// What the second set says of itself.
    pub b: About,
    /// Whether it is compared what is filled into holes, and what is said of groups and of the whole: two files of one form.
    pub holes_compared: bool,
    /// Whether all code of a group is one part, and all its data: files whose parts have other names.
    pub parts_joined: bool,
    /// Differences between what they say of themselves.
    pub changes: Vec<Change>,
    /// The uops.
    pub uops: Section,
    /// The variants of uops and sequences.
    pub variants: Section,
    /// Groups that are no uops, such as a trampoline.
    pub others: Section,
}

/// What a set of stencils says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Where it comes from.
    pub form: Form,
    /// Digest, version of LLVM and the like; symbols are left out.
    pub facts: Vec<Fact>,
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is about: `flags`, `symbol`.
    pub what: String,
    /// What the first file says, if anything.
    pub a: Option<String>,
    /// What the second file says, if anything.
    pub b: Option<String>,
}

/// The groups of one sort.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Section {
    /// How many there are, and how large they are together.
    pub totals: Totals,
    /// Every group of either file, in the order of the names.
    pub groups: Vec<GroupDiff>,
}

/// Sizes together, and how many groups did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Groups in the first file only.
    pub only_a: usize,
    /// Groups in the second file only.
    pub only_b: usize,
    /// Groups in both without any difference.
    pub same: usize,
    /// Groups in both with one.
    pub changed: usize,
    /// Groups in both that have less code in the second file.
    pub smaller: usize,
    /// Groups in both that have more code in the second file.
    pub larger: usize,
    /// Groups in both that have as much code.
    pub same_size: usize,
    /// All of the first file together.
    pub a: Size,
    /// All of the second file together.
    pub b: Size,
    /// Those of the first file that the second has too.
    pub a_in_both: Size,
    /// Those of the second file that the first has too.
    pub b_in_both: Size,
}

/// Sizes of a group or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Bytes of code.
    pub code_bytes: usize,
    /// Bytes of data.
    pub data_bytes: usize,
    /// Holes in both.
    pub holes: usize,
}

/// Whether a group is in both files, and whether it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is in the first file only.
    OnlyA,
    /// It is in the second file only.
    OnlyB,
    /// It is in both, without a difference.
    Same,
    /// It is in both, with a difference.
    Changed,
}

/// A group of either file or both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupDiff {
    /// The uop, variant or other group.
    pub name: String,
    /// Whether it differs.
    pub status: Status,
    /// Its sizes in the first file, if it is there.
    pub a: Option<Size>,
    /// Its sizes in the second file, if it is there.
    pub b: Option<Size>,
    /// Bytes of code that it has more in the second file; of a group in one file, all of them.
    pub code_delta: i64,
    /// The same in percent of the first file's, to one decimal; `None` where that has none.
    pub code_percent: Option<f64>,
    /// Differences between what is said of it.
    pub changes: Vec<Change>,
    /// Differences between its [interfaces](self#interfaces), if both files have it.
    pub interface: Vec<Change>,
    /// Its parts.
    pub parts: Vec<PartDiff>,
}

/// A part of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartDiff {
    /// What it is called.
    pub part: String,
    /// Whether anything in it differs.
    pub same: bool,
    /// Bytes in the first file.
    pub a_bytes: usize,
    /// Bytes in the second file.
    pub b_bytes: usize,
    /// Holes in the first file.
    pub a_holes: usize,
    /// Holes in the second file.
    pub b_holes: usize,
    /// Where the bytes differ first.
    pub first_difference: Option<Difference>,
    /// Holes that only one file has, wherever they are, and holes that changed.
    pub holes: Vec<HoleChange>,
    /// How many of the holes that both have are at another offset.
    pub holes_moved: usize,
    /// The lines of both files, if they were asked for.
    pub lines: Vec<ListingLine>,
}

/// Where bytes differ first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Bytes from the start of the part.
    pub offset: usize,
    /// The instruction or data there in the first file, with its bytes if they alone differ; `None` behind its end.
    pub a: Option<String>,
    /// The same in the second file.
    pub b: Option<String>,
}

/// A hole that was removed, if only the first file has it, added, if only the second has, or changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HoleChange {
    /// How it is filled in the first file: kind or function, value, addend.
    pub a: Option<String>,
    /// How it is filled in the second file.
    pub b: Option<String>,
    /// How many such holes there are.
    pub count: usize,
}

impl Comparison {
    /// Compares two sets of stencils.
    pub fn new(a: &Stencils, b: &Stencils, listings: Listings) -> Self {
        let comparer = Comparer {
            holes: a.form == b.form,
            joined: parts_differ(a, b),
            listings,
        };
        let changes = match comparer.holes && a.complete && b.complete {
            true => changes(&a.facts, &b.facts),
            false => Vec::new(),
        };
        let (variants_a, variants_b) = match comparer.holes {
            true => (Cow::Borrowed(&a.variants), Cow::Borrowed(&b.variants)),
            false => Default::default(),
        };
        let uops = comparer.section(&a.uops, &b.uops);
        let variants = comparer.section(&variants_a, &variants_b);
        let others = comparer.section(&a.others, &b.others);
        let sections_same = [&uops, &variants, &others]
            .iter()
            .all(|section| section.is_same());
        let is_table = |stencils: &Stencils| stencils.form == Form::Table;
        let same_interface = (is_table(a) && is_table(b)).then(|| {
            let mut sections = [&uops, &variants, &others].into_iter();
            !changes.iter().any(Change::is_of_interface) && sections.all(Section::is_same_interface)
        });
        Self {
            same: changes.is_empty() && sections_same,
            same_interface,
            a: About::of(a),
            b: About::of(b),
            holes_compared: comparer.holes,
            parts_joined: comparer.joined,
            changes,
            uops,
            variants,
            others,
        }
    }
}

impl About {
    fn of(stencils: &Stencils) -> Self {
        let facts = stencils.facts.iter();
        Self {
            form: stencils.form,
            facts: facts.filter(|fact| fact.what != SYMBOL).cloned().collect(),
        }
    }
}

impl Section {
    /// Whether both files have the same groups.
    pub fn is_same(&self) -> bool {
        let mut groups = self.groups.iter();
        groups.all(|group| group.status == Status::Same)
    }

    /// Whether both files have groups with the same names and interfaces.
    pub fn is_same_interface(&self) -> bool {
        self.groups.iter().all(GroupDiff::is_same_interface)
    }
}

impl GroupDiff {
    /// Whether both files have it, with the same interface.
    pub fn is_same_interface(&self) -> bool {
        let in_both = matches!(self.status, Status::Same | Status::Changed);
        in_both && self.interface.is_empty()
    }
}

impl Change {
    /// Whether this, said of a whole table, matters to those who use it. A symbol does where a group refers to it.
    fn is_of_interface(&self) -> bool {
        matches!(self.what.as_str(), "set" | "triple" | "cpu")
    }
}

impl Totals {
    fn add(&mut self, group: &GroupDiff) {
        let count = match group.status {
            Status::OnlyA => &mut self.only_a,
            Status::OnlyB => &mut self.only_b,
            Status::Same => &mut self.same,
            Status::Changed => &mut self.changed,
        };
        *count += 1;
        self.a += group.a.unwrap_or_default();
        self.b += group.b.unwrap_or_default();
        if let (Some(a), Some(b)) = (group.a, group.b) {
            self.a_in_both += a;
            self.b_in_both += b;
            let count = match group.code_delta {
                ..0 => &mut self.smaller,
                0 => &mut self.same_size,
                1.. => &mut self.larger,
            };
            *count += 1;
        }
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.code_bytes += other.code_bytes;
        self.data_bytes += other.data_bytes;
        self.holes += other.holes;
    }
}

impl Size {
    fn of(group: &Group) -> Self {
        let mut size = Self::default();
        for part in &group.parts {
            let bytes = match is_data(&part.name) {
                true => &mut size.data_bytes,
                false => &mut size.code_bytes,
            };
            *bytes += part.bytes.len();
            size.holes += part.holes.len();
        }
        size
    }
}

/// What one number is more than another, in percent of that, to one decimal; `None` of nothing.
pub fn percent(from: usize, to: usize) -> Option<f64> {
    let tenths = (to as f64 - from as f64) * 1000.0 / from as f64;
    // Without the negative zero that a small decrease would round to.
    (from != 0).then(|| tenths.round() / 10.0 + 0.0)
}

/// As it is written beside a row: `flags: EXIT -> none`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, a, b } = self;
        match (a, b) {
            (Some(a), Some(b)) => write!(f, "{what}: {} -> {}", or_none(a), or_none(b)),
            (Some(a), None) => write!(f, "{what} only in A: {a}"),
            (None, Some(b)) => write!(f, "{what} only in B: {b}"),
            (None, None) => f.write_str(what),
        }
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Whether some parts have to be joined: neither file's are among those of the other.
fn parts_differ(a: &Stencils, b: &Stencils) -> bool {
    let names = |stencils: &Stencils| -> BTreeSet<String> {
        let parts = stencils.groups().flat_map(|group| &group.parts);
        parts.map(|part| part.name.clone()).collect()
    };
    let (a, b) = (names(a), names(b));
    !a.is_subset(&b) && !b.is_subset(&a)
}

/// How the groups of two files are compared.
struct Comparer {
    /// Whether it matters what is filled into holes, and what is said of groups.
    holes: bool,
    joined: bool,
    listings: Listings,
}

impl Comparer {
    fn section(&self, a: &BTreeMap<String, Group>, b: &BTreeMap<String, Group>) -> Section {
        let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let mut section = Section::default();
        for name in names {
            let group = self.group(name, a.get(name), b.get(name));
            section.totals.add(&group);
            section.groups.push(group);
        }
        section
    }

    fn group(&self, name: &str, a: Option<&Group>, b: Option<&Group>) -> GroupDiff {
        let none = Group::default();
        let (a_group, b_group) = (a.unwrap_or(&none), b.unwrap_or(&none));
        let parts = self.parts(a_group, b_group);
        let (changes, interface) = match (a, b) {
            (Some(a), Some(b)) if self.holes => (
                changes(&a.facts, &b.facts),
                changes(&a.interface, &b.interface),
            ),
            _ => Default::default(),
        };
        let same = changes.is_empty() && parts.iter().all(|part| part.same);
        let (a_code, b_code) = (Size::of(a_group).code_bytes, Size::of(b_group).code_bytes);
        GroupDiff {
            name: name.to_owned(),
            status: match (a, b) {
                (_, None) => Status::OnlyA,
                (None, _) => Status::OnlyB,
                _ if same => Status::Same,
                _ => Status::Changed,
            },
            a: a.map(Size::of),
            b: b.map(Size::of),
            code_delta: b_code as i64 - a_code as i64,
            code_percent: percent(a_code, b_code),
            changes,
            interface,
            parts,
        }
    }

    /// The parts of the first group, then those that only the second has.
    fn parts(&self, a: &Group, b: &Group) -> Vec<PartDiff> {
        let (a, b) = (self.compared_parts(a), self.compared_parts(b));
        let mut names: Vec<&str> = Vec::new();
        for part in a.iter().chain(b.iter()) {
            if !names.contains(&part.name.as_str()) {
                names.push(&part.name);
            }
        }
        let names = names.into_iter();
        let parts = names.map(|name| {
            let find = |parts: &[PartBytes]| {
                let found = parts.iter().find(|part| part.name == name).cloned();
                found.unwrap_or_else(|| PartBytes::empty(name))
            };
            self.part(&find(&a), &find(&b))
        });
        parts.collect()
    }

    fn compared_parts<'g>(&self, group: &'g Group) -> Cow<'g, [PartBytes]> {
        match self.joined {
            true => Cow::Owned(joined(&group.parts)),
            false => Cow::Borrowed(&group.parts),
        }
    }

    fn part(&self, a: &PartBytes, b: &PartBytes) -> PartDiff {
        let first_difference = first_difference(a, b);
        let (holes, holes_moved) = match self.holes {
            true => holes(&a.holes, &b.holes, |hole| &hole.hole),
            false => (Vec::new(), holes(&a.holes, &b.holes, |_| &ANY_HOLE).1),
        };
        let (a_holes, b_holes) = (a.holes.len(), b.holes.len());
        let same_holes = holes.is_empty() && holes_moved == 0 && a_holes == b_holes;
        let same = first_difference.is_none() && same_holes;
        let lines = match self.listings {
            Listings::All => listing::unified(&listing::lines(a), &listing::lines(b)),
            Listings::Changed if !same => listing::unified(&listing::lines(a), &listing::lines(b)),
            Listings::Changed | Listings::None => Vec::new(),
        };
        PartDiff {
            part: a.name.clone(),
            same,
            a_bytes: a.bytes.len(),
            b_bytes: b.bytes.len(),
            a_holes,
            b_holes,
            first_difference,
            holes,
            holes_moved,
            lines,
        }
    }
}

/// All code as one part and all data as another.
fn joined(parts: &[PartBytes]) -> Vec<PartBytes> {
    let of = |name: &str, data: bool| {
        let mut whole = PartBytes::empty(name);
        for part in parts.iter().filter(|part| is_data(&part.name) == data) {
            let start = whole.bytes.len() as u32;
            whole.bytes.extend(&part.bytes);
            whole.holes.extend(part.holes.iter().map(|hole| PlacedHole {
                offset: start + hole.offset,
                hole: hole.hole.clone(),
            }));
        }
        whole
    };
    let joined = [of("code", false), of("data", true)].into_iter();
    joined.filter(|part| !part.bytes.is_empty()).collect()
}

fn first_difference(a: &PartBytes, b: &PartBytes) -> Option<Difference> {
    let pairs = a.bytes.iter().zip(&b.bytes);
    let common = pairs.take_while(|(a, b)| a == b).count();
    if common == a.bytes.len() && common == b.bytes.len() {
        return None;
    }
    // Up to there both are decoded alike, so that the lines begin at one offset unless one file ends there.
    let (a, b) = (listing::line_at(a, common), listing::line_at(b, common));
    let offset = a.as_ref().or(b.as_ref()).map_or(common, |line| line.offset);
    let same_text = matches!((&a, &b), (Some(a), Some(b)) if a.text == b.text);
    let text = |line: Line<'_>| match same_text {
        true => format!("{} ({})", line.text, hex(line.bytes)),
        false => line.text,
    };
    Some(Difference {
        offset,
        a: a.map(text),
        b: b.map(text),
    })
}

/// What all holes are where it does not matter what they are.
static ANY_HOLE: HoleText = HoleText {
    value: String::new(),
    text: String::new(),
};

/// The holes that only one side has, and how many of the others are elsewhere.
fn holes<'h>(
    a: &'h [PlacedHole],
    b: &'h [PlacedHole],
    what: impl Fn(&'h PlacedHole) -> &'h HoleText,
) -> (Vec<HoleChange>, usize) {
    let list = |holes: &'h [PlacedHole]| {
        let mut list: Vec<_> = holes.iter().map(|hole| (what(hole), hole.offset)).collect();
        list.sort();
        list
    };
    let (a, b) = (list(a), list(b));
    let texts = |holes: &[(&'h HoleText, u32)]| holes.iter().map(|(text, _)| *text).collect();
    let (only_a, only_b) = leftovers::<&HoleText>(texts(&a), texts(&b));
    // Those that are not at the same place in both, less those that are nowhere in the other.
    let moved = leftovers(a, b).0.len() - only_a.len();
    (hole_changes(&only_a, &only_b), moved)
}

/// What only the one and only the other of two sorted lists has, as multisets.
fn leftovers<T: Ord + Copy>(a: Vec<T>, b: Vec<T>) -> (Vec<T>, Vec<T>) {
    let (mut only_a, mut only_b) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return (only_a, only_b),
        };
        match order {
            std::cmp::Ordering::Less => only_a.extend(a.next()),
            std::cmp::Ordering::Greater => only_b.extend(b.next()),
            std::cmp::Ordering::Equal => drop((a.next(), b.next())),
        }
    }
}

/// Pairs those that are filled with the same but for kind or addend: they changed. Both lists are sorted by the value.
fn hole_changes(only_a: &[&HoleText], only_b: &[&HoleText]) -> Vec<HoleChange> {
    let mut counts: BTreeMap<(Option<String>, Option<String>), usize> = BTreeMap::new();
    let mut count = |a: Option<&&HoleText>, b: Option<&&HoleText>| {
        let text = |hole: Option<&&HoleText>| hole.map(|hole| hole.text.clone());
        *counts.entry((text(a), text(b))).or_default() += 1;
    };
    let (mut a, mut b) = (only_a.iter().peekable(), only_b.iter().peekable());
    while let (Some(next_a), Some(next_b)) = (a.peek(), b.peek()) {
        match next_a.value.cmp(&next_b.value) {
            std::cmp::Ordering::Less => count(a.next(), None),
            std::cmp::Ordering::Greater => count(None, b.next()),
            std::cmp::Ordering::Equal => count(a.next(), b.next()),
        }
    }
    a.for_each(|hole| count(Some(hole), None));
    b.for_each(|hole| count(None, Some(hole)));
    let changes = counts.into_iter();
    let mut changes: Vec<HoleChange> = changes
        .map(|((a, b), count)| HoleChange { a, b, count })
        .collect();
    // Changed, removed, added.
    changes.sort_by_key(|change| (change.a.is_none(), change.b.is_none()));
    changes
}

/// The differences between two lists of facts: in the order of the first list, then what only the second is about.
fn changes(a: &[Fact], b: &[Fact]) -> Vec<Change> {
    let (mut a_values, mut b_values) = (by_subject(a), by_subject(b));
    let mut changes = Vec::new();
    for Fact { what, .. } in a.iter().chain(b) {
        // What was compared is gone.
        let values = |values: &mut BTreeMap<_, _>| values.remove(what.as_str()).unwrap_or_default();
        let (only_a, only_b) = leftovers(values(&mut a_values), values(&mut b_values));
        let change = |a: Option<&&str>, b: Option<&&str>| Change {
            what: what.clone(),
            a: a.map(|&value| value.to_owned()),
            b: b.map(|&value| value.to_owned()),
        };
        // One symbol does not become another.
        let is_list = matches!(what.as_str(), SYMBOL | REGISTER_HOLE | WAY_OUT | HOLE_VALUE);
        match (&only_a[..], &only_b[..]) {
            ([a], [b]) if !is_list => changes.push(change(Some(a), Some(b))),
            _ => {
                changes.extend(only_a.iter().map(|a| change(Some(a), None)));
                changes.extend(only_b.iter().map(|b| change(None, Some(b))));
            }
        }
    }
    changes
}

/// All that is said about each thing, sorted.
fn by_subject(facts: &[Fact]) -> BTreeMap<&str, Vec<&str>> {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Fact { what, value } in facts {
        values.entry(what).or_default().push(value);
    }
    values
        .values_mut()
        .for_each(|values| values.sort_unstable());
    values
}

#[cfg(test)]
mod tests;
