//! `mimeo diff`: two stencil tables or C headers of stencils, uop by uop. What is compared, and the JSON document, are
//! those of [`mimeo_compiler::diff`]; before them the document has the files' names, as `files`.
//!
//! The answer is yes where nothing of what is compared differs; with `--interface` where nothing differs that others see, and
//! the code and data together are about as large.

use crate::failure::{Answer, Failure};
use crate::inspect::similar;
use crate::tables;
use clap::Args;
use mimeo::table::MAGIC;
use mimeo_compiler::c_header::{Header, HeaderError, HeaderProblem, MAX_LENGTH};
use mimeo_compiler::diff::{
    About, Change, Comparison, Form, GroupDiff, ListingLine, Listings, PartDiff, Section, Side,
    Size, Status, Stencils, Totals, percent,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Compare two stencil tables or C headers of stencils, uop by uop: code and data bytes, holes, what changed
///
/// A header is one in the form of CPython's jit_stencils.h, or the guard that includes it. A table may be compared with a
/// header: then all code of a uop counts as one, and not what is filled into its holes, but where they are. The exit code is 1
/// if anything differs.
///
/// With --interface it is 1 only if something differs that the runtime and the rest of a trace see of a stencil: which uops and
/// variants there are, their stack effects, flags and limits, ways out, and which values and symbols their holes are filled with.
/// So what another version of LLVM gives is told from what does something else.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A stencil table or a C header
    #[arg(value_name = "A")]
    a: PathBuf,
    /// What it is compared with
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Compare only this uop, with the variants that begin with it, and show the code of both; may be given several times
    #[arg(long = "uop", value_name = "NAME")]
    uops: Vec<String>,
    /// Compare what others see of stencils, not how their code does it (tables only)
    #[arg(long)]
    interface: bool,
    /// With --interface, by how many percent code and data together may become larger or smaller
    #[arg(long, value_name = "PERCENT", requires = "interface", value_parser = margin)]
    margin: Option<f64>,
    /// Show the code of both, for all that changed
    #[arg(short, long, conflicts_with = "interface")]
    verbose: bool,
    /// Show also what is the same
    #[arg(long, conflicts_with = "interface")]
    all: bool,
    /// In which order the text shows uops
    #[arg(long, value_enum, default_value_t = Order::Name)]
    sort: Order,
    /// How to print; the JSON document has everything, and the code of what changed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// A table of one row, to be put below others (tables only)
    Markdown,
}

/// A number of percent.
fn margin(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match percent >= 0.0 && percent.is_finite() {
        true => Ok(percent),
        false => Err("not zero or more".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// By name
    Name,
    /// By how many bytes of code were added or removed, the most first
    Size,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    files: [String; 2],
    #[serde(flatten)]
    comparison: &'a Comparison,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let mut a = read(&arguments.a)?;
    let mut b = read(&arguments.b)?;
    if !arguments.uops.is_empty() {
        choose(arguments, &mut a, &mut b)?;
    }
    let comparison = Comparison::new(&a, &b, arguments.listings());
    let answer = arguments.answer(&comparison)?;
    match arguments.format {
        Format::Json => {
            let files = [&arguments.a, &arguments.b].map(|path| path.display().to_string());
            let comparison = &comparison;
            let document = Document { files, comparison };
            serde_json::to_writer(&mut *out, &document).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => Text { arguments, out }.print(&comparison)?,
        Format::Markdown => markdown(&comparison, answer, out)?,
    }
    Ok(answer)
}

impl Arguments {
    fn listings(&self) -> Listings {
        match (self.uops.is_empty(), self.format) {
            (false, _) => Listings::All,
            (true, Format::Json) => Listings::Changed,
            (true, Format::Text) if self.verbose => Listings::Changed,
            (true, Format::Text | Format::Markdown) => Listings::None,
        }
    }

    /// Whether both files are as much the same as is asked for.
    fn answer(&self, comparison: &Comparison) -> Result<Answer, Failure> {
        let same = match (self.interface, comparison.same_interface) {
            (true, Some(same)) => same && self.within_margin(comparison),
            (false, _) if self.format != Format::Markdown => comparison.same,
            (false, Some(_)) => comparison.same,
            (_, None) => {
                let option = match self.interface {
                    true => "--interface",
                    false => "--format markdown",
                };
                let problem = format!("{option} compares stencil tables, and not both are");
                return Err(Failure::Usage(problem));
            }
        };
        Ok(match same {
            true => Answer::Yes,
            false => Answer::No,
        })
    }

    fn within_margin(&self, comparison: &Comparison) -> bool {
        let [a, b] = code_and_data(comparison).map(|bytes| bytes as f64);
        let within = |margin: f64| (b - a).abs() <= a * margin / 100.0;
        self.margin.is_none_or(within)
    }
}

fn sections(comparison: &Comparison) -> [(&Section, Noun); 3] {
    [
        (&comparison.uops, UOPS),
        (&comparison.variants, VARIANTS),
        (&comparison.others, OTHERS),
    ]
}

/// Bytes of code and data of all groups together, of the first file and of the second.
fn code_and_data(comparison: &Comparison) -> [usize; 2] {
    let totals = sections(comparison).map(|(section, _)| section.totals);
    let bytes = |size: fn(&Totals) -> Size| {
        let sizes = totals.iter().map(size);
        sizes.map(|size| size.code_bytes + size.data_bytes).sum()
    };
    [bytes(|totals| totals.a), bytes(|totals| totals.b)]
}

/// Leaves of both what the command line names.
fn choose(arguments: &Arguments, a: &mut Stencils, b: &mut Stencils) -> Result<(), Failure> {
    let known: BTreeSet<&str> = a.names().chain(b.names()).collect();
    for name in &arguments.uops {
        if !known.contains(name.as_str()) {
            let problem = match similar(name, known.iter().copied()) {
                Some(other) => format!("there is no uop {name}, did you mean {other}?"),
                None => format!("there is no uop {name} in either"),
            };
            let Arguments { a, b, .. } = arguments;
            let files = format!("{}, {}", a.display(), b.display());
            return Err(Failure::input(files, problem));
        }
    }
    let names = arguments.uops.iter().cloned().collect();
    a.retain(&names);
    b.retain(&names);
    Ok(())
}

// ---- Reading ---------------------------------------------------------------------------------------------------

/// The stencils of a file, which is a table if it begins like one.
fn read(path: &Path) -> Result<Stencils, Failure> {
    if path.is_dir() {
        let expected = "a directory, expected a stencil table or a C header";
        return Err(Failure::input(path, expected));
    }
    let failed = |error| Failure::input(path, error);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut start = (&file).take(MAGIC.len() as u64);
    start.read_to_end(&mut bytes).map_err(failed)?;
    if bytes == MAGIC {
        return Ok(Stencils::from(&tables::read(path)?));
    }
    read_header(file, &mut bytes).map_err(failed)?;
    let bad = |error| bad_header(path, error);
    let Some((name, line)) = Header::guarded(&bytes).map_err(bad)? else {
        return Header::parse(&bytes).map(Stencils::from).map_err(bad);
    };
    let included = path.with_file_name(name);
    let failed = |error| {
        let place = format!("{}:{line}", path.display());
        Failure::input(place, format!("the included {name}: {error}"))
    };
    let mut bytes = Vec::new();
    read_header(File::open(&included).map_err(failed)?, &mut bytes).map_err(failed)?;
    let header = Header::parse(&bytes).map_err(|error| bad_header(&included, error))?;
    Ok(Stencils::from(header))
}

/// Reads what is left of a file. One byte too many is enough to be refused.
fn read_header(file: File, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    file.take(MAX_LENGTH + 1).read_to_end(bytes).map(drop)
}

fn bad_header(path: &Path, error: HeaderError) -> Failure {
    let HeaderError {
        line,
        column,
        problem,
    } = error;
    let place = format!("{}:{line}:{column}", path.display());
    match problem {
        // It was not meant to be a header.
        HeaderProblem::NotText(_) | HeaderProblem::NoStencils => Failure::input(
            place,
            format!("neither a stencil table nor a C header: {problem}"),
        ),
        problem => Failure::input(place, problem),
    }
}

/// A row for all of two tables, under the headings.
fn markdown(comparison: &Comparison, answer: Answer, out: &mut impl Write) -> Result<(), Failure> {
    let Comparison {
        a,
        b,
        uops,
        variants,
        ..
    } = comparison;
    let arrow = |a: &str, b: &str| match a == b {
        true => a.to_owned(),
        false => format!("{a} → {b}"),
    };
    let facts = |what: &str| {
        let [a, b] = [a, b].map(|about| fact(about, what).unwrap_or("?"));
        arrow(a, b)
    };
    let groups = |section: &Section| {
        let Totals {
            only_a,
            only_b,
            same,
            changed,
            ..
        } = section.totals;
        let both = same + changed;
        arrow(&(both + only_a).to_string(), &(both + only_b).to_string())
    };
    let all = || uops.groups.iter().chain(&variants.groups);
    let differ = all().filter(|group| group.status != Status::Same).count();
    let parts = all().flat_map(|group| &group.parts);
    let holes = parts.flat_map(|part| &part.holes).map(|hole| hole.count);
    let interfaces = all().filter(|group| !group.is_same_interface()).count();
    let [before, after] = code_and_data(comparison);
    let cells = [
        ("set", facts("set")),
        ("LLVM", facts("llvm_version")),
        ("uops", groups(uops)),
        ("variants", groups(variants)),
        (
            "code and data, bytes",
            arrow(&before.to_string(), &after.to_string()),
        ),
        (
            "difference",
            match percent_text(before, after).as_str() {
                "" => "none".to_owned(),
                text => text.to_owned(),
            },
        ),
        ("groups changed", differ.to_string()),
        ("holes changed", holes.sum::<usize>().to_string()),
        ("interfaces changed", interfaces.to_string()),
        (
            "result",
            match answer {
                Answer::Yes => "ok",
                Answer::No => "differs",
            }
            .to_owned(),
        ),
    ];
    let row = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
    let heading = row(cells.iter().map(|(heading, _)| *heading).collect());
    let line = row(vec!["---"; cells.len()]);
    let cells = row(cells.iter().map(|(_, cell)| cell.as_str()).collect());
    writeln!(out, "{heading}\n{line}\n{cells}")?;
    Ok(())
}

/// What a file says of itself.
fn fact<'a>(about: &'a About, what: &str) -> Option<&'a str> {
    let fact = about.facts.iter().find(|fact| fact.what == what);
    fact.map(|fact| fact.value.as_str())
}

// ---- Text ------------------------------------------------------------------------------------------------------

/// What a section is called, if there is one group and if there are several.
type Noun = (&'static str, &'static str);

const UOPS: Noun = ("uop", "uops");
const VARIANTS: Noun = ("variant", "variants");
const OTHERS: Noun = ("other group", "other groups");

/// How many holes that were added, removed or changed stand in a row.
const HOLES_IN_ROW: usize = 2;

struct Text<'a, W> {
    arguments: &'a Arguments,
    out: &'a mut W,
}

impl<W: Write> Text<'_, W> {
    fn print(&mut self, comparison: &Comparison) -> Result<(), Failure> {
        self.heading('A', &self.arguments.a, &comparison.a)?;
        self.heading('B', &self.arguments.b, &comparison.b)?;
        if !comparison.holes_compared {
            writeln!(
                self.out,
                "not compared: what is filled into holes, stack effects, variants"
            )?;
        }
        if comparison.parts_joined {
            writeln!(
                self.out,
                "compared as one part: all code of a uop, all its data"
            )?;
        }
        self.changes(&comparison.changes)?;
        if self.arguments.interface {
            return self.interfaces(comparison);
        }
        for (section, noun) in sections(comparison) {
            if !section.groups.is_empty() {
                self.section(section, noun)?;
            }
        }
        Ok(())
    }

    /// What differs between interfaces, a line for each group, and how large all is.
    fn interfaces(&mut self, comparison: &Comparison) -> Result<(), Failure> {
        for (section, noun) in sections(comparison) {
            let (same, differ): (Vec<_>, Vec<_>) = section
                .groups
                .iter()
                .partition(|group| group.is_same_interface());
            for group in &differ {
                writeln!(self.out, "{}: {}", group.name, interface_change(group))?;
            }
            if !section.groups.is_empty() {
                let [same, differ] = [same, differ].map(|groups| groups.len());
                let nouns = plural(same, noun);
                writeln!(
                    self.out,
                    "{same} {nouns} with the same interface, {differ} without"
                )?;
            }
        }
        let [a, b] = code_and_data(comparison);
        let percent = in_brackets(a, b);
        write!(self.out, "code and data {a} -> {b} bytes{percent}")?;
        match self.arguments.margin {
            Some(margin) if !self.arguments.within_margin(comparison) => {
                writeln!(self.out, ", more than {margin} %")?;
            }
            Some(margin) => writeln!(self.out, ", within {margin} %")?,
            None => writeln!(self.out)?,
        }
        Ok(())
    }

    /// What is said of the whole. What only one file has stands on one line: symbols are many.
    fn changes(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let one_sided =
            |change: &Change| (change.what.clone(), change.a.is_some(), change.b.is_some());
        for changes in changes.chunk_by(|a, b| one_sided(a) == one_sided(b)) {
            let Some((first, rest)) = changes.split_first() else {
                continue;
            };
            write!(self.out, "{first}")?;
            for value in rest
                .iter()
                .filter_map(|change| change.a.as_ref().or(change.b.as_ref()))
            {
                write!(self.out, ", {value}")?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn heading(&mut self, side: char, path: &Path, about: &About) -> Result<(), Failure> {
        let fact = |what: &str| fact(about, what);
        let form = match about.form {
            Form::Table => "table",
            Form::Header => "header",
        };
        let mut text = format!("{side}  {}: {form}", path.display());
        if let (Some(set), Some(cpu), Some(version)) =
            (fact("set"), fact("cpu"), fact("llvm_version"))
        {
            text += &format!(" {set} ({cpu}), LLVM {version}");
        }
        if let Some(digest) = fact("digest") {
            text += &format!(", digest {digest}");
        }
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    fn section(&mut self, section: &Section, noun: Noun) -> Result<(), Failure> {
        let shown = self.shown(section);
        if !shown.is_empty() {
            let names = shown.iter().map(|group| group.name.chars().count());
            let width = names.max().unwrap_or(0).max(IN_BOTH.len());
            writeln!(self.out)?;
            self.row(width, noun.0, &Cells::heading(), "what changed")?;
            for group in shown {
                self.group(width, group)?;
            }
            let totals = &section.totals;
            self.row(width, "all", &Cells::of(Some(totals.a), Some(totals.b)), "")?;
            if totals.same + totals.changed != 0 {
                let both = Cells::of(Some(totals.a_in_both), Some(totals.b_in_both));
                self.row(width, IN_BOTH, &both, "")?;
            }
        }
        self.totals(&section.totals, noun)
    }

    /// The groups that have a row, in their order.
    fn shown<'s>(&self, section: &'s Section) -> Vec<&'s GroupDiff> {
        let everything = self.arguments.all || !self.arguments.uops.is_empty();
        let groups = section.groups.iter();
        let mut shown: Vec<&GroupDiff> = groups
            .filter(|group| everything || group.status != Status::Same)
            .collect();
        if self.arguments.sort == Order::Size {
            // Those that changed as much stay in the order of the names.
            shown.sort_by_key(|group| std::cmp::Reverse(group.code_delta.abs()));
        }
        shown
    }

    fn row(&mut self, width: usize, name: &str, cells: &Cells, rest: &str) -> Result<(), Failure> {
        let Cells {
            code,
            delta,
            percent,
            data,
            holes,
        } = cells;
        let row = format!(
            "{name:<width$} {code:>18} {delta:>7} {percent:>9} {data:>16} {holes:>14}  {rest}"
        );
        writeln!(self.out, "{}", row.trim_end())?;
        Ok(())
    }

    fn group(&mut self, width: usize, group: &GroupDiff) -> Result<(), Failure> {
        let cells = Cells::of(group.a, group.b);
        self.row(width, &group.name, &cells, &what_changed(group))?;
        let listed = group.parts.iter().filter(|part| !part.lines.is_empty());
        let mut listed = listed.peekable();
        if listed.peek().is_none() {
            return Ok(());
        }
        for part in listed {
            self.part(part)?;
        }
        writeln!(self.out)?;
        Ok(())
    }

    fn part(&mut self, part: &PartDiff) -> Result<(), Failure> {
        let PartDiff {
            part: name,
            a_bytes,
            b_bytes,
            ..
        } = part;
        writeln!(self.out, "  {name}, {a_bytes} -> {b_bytes} bytes")?;
        for line in &part.lines {
            writeln!(self.out, "{}", listing_line(line))?;
        }
        Ok(())
    }

    fn totals(&mut self, totals: &Totals, noun: Noun) -> Result<(), Failure> {
        let Totals { same, changed, .. } = *totals;
        let mut text = Vec::new();
        if same + changed != 0 {
            let nouns = plural(same + changed, noun);
            text.push(format!(
                "{} {nouns} in both: {same} the same, {changed} changed",
                same + changed
            ));
        }
        if changed != 0 {
            text.push(format!(
                "{} with less code, {} with more, {} with as much",
                totals.smaller, totals.larger, totals.same_size
            ));
        }
        if same + changed != 0 {
            let [a, b] =
                [totals.a_in_both, totals.b_in_both].map(|size| size.code_bytes + size.data_bytes);
            text.push(format!(
                "code and data {a} -> {b} bytes{}",
                in_brackets(a, b)
            ));
        }
        if totals.only_a + totals.only_b != 0 {
            text.push(format!(
                "{} only in A: {}, only in B: {}",
                noun.1, totals.only_a, totals.only_b
            ));
        }
        writeln!(self.out, "\n{}", text.join("\n"))?;
        Ok(())
    }
}

/// The row of the sums over what both files have.
const IN_BOTH: &str = "in both";

fn plural(count: usize, (one, several): Noun) -> &'static str {
    if count == 1 { one } else { several }
}

/// The numbers of a row.
struct Cells {
    code: String,
    delta: String,
    percent: String,
    data: String,
    holes: String,
}

impl Cells {
    fn heading() -> Self {
        let cell = str::to_owned;
        Self {
            code: cell("code"),
            delta: String::new(),
            percent: String::new(),
            data: cell("data"),
            holes: cell("holes"),
        }
    }

    fn of(a: Option<Size>, b: Option<Size>) -> Self {
        let pair = |width: usize, number: fn(Size) -> usize| {
            let side = |size: Option<Size>| {
                size.map_or_else(|| "-".to_owned(), |size| number(size).to_string())
            };
            format!("{:>width$} -> {:>width$}", side(a), side(b))
        };
        let (delta, percent) = match (a, b) {
            (Some(a), Some(b)) => (
                signed(b.code_bytes as i64 - a.code_bytes as i64),
                percent_text(a.code_bytes, b.code_bytes),
            ),
            _ => (String::new(), String::new()),
        };
        Self {
            code: pair(7, |size| size.code_bytes),
            delta,
            percent,
            data: pair(6, |size| size.data_bytes),
            holes: pair(5, |size| size.holes),
        }
    }
}

/// `+6`, `-6`, and nothing for what did not change.
fn signed(number: i64) -> String {
    match number {
        0 => "0".to_owned(),
        _ => format!("{number:+}"),
    }
}

fn percent_text(a: usize, b: usize) -> String {
    match percent(a, b) {
        Some(percent) if a != b => format!("{percent:+.1} %"),
        _ => String::new(),
    }
}

fn in_brackets(a: usize, b: usize) -> String {
    match percent_text(a, b).as_str() {
        "" => String::new(),
        text => format!(" ({text})"),
    }
}

/// The last column of a row.
fn what_changed(group: &GroupDiff) -> String {
    match group.status {
        Status::OnlyA => return "only in A".to_owned(),
        Status::OnlyB => return "only in B".to_owned(),
        Status::Same => return "same".to_owned(),
        Status::Changed => {}
    }
    let parts = group.parts.iter().filter(|part| !part.same);
    let parts = parts.flat_map(part_changes);
    let changes = group.changes.iter().map(ToString::to_string);
    parts.chain(changes).collect::<Vec<_>>().join("; ")
}

/// How the interface of a group differs.
fn interface_change(group: &GroupDiff) -> String {
    match group.status {
        Status::OnlyA => "only in A".to_owned(),
        Status::OnlyB => "only in B".to_owned(),
        Status::Same | Status::Changed => {
            let changes = group.interface.iter().map(ToString::to_string);
            changes.collect::<Vec<_>>().join("; ")
        }
    }
}

/// What changed in a part: its bytes from where on, then its holes.
fn part_changes(part: &PartDiff) -> Vec<String> {
    let name = &part.part;
    let mut changes = Vec::new();
    if let Some(difference) = &part.first_difference {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "end".to_owned());
        let (a, b) = (side(&difference.a), side(&difference.b));
        changes.push(format!("{name} at {:#x}: {a} -> {b}", difference.offset));
    }
    let holes = part.holes.iter().take(HOLES_IN_ROW);
    changes.extend(holes.map(|hole| hole_change(hole.a.as_deref(), hole.b.as_deref())));
    if let Some(more @ 1..) = part.holes.len().checked_sub(HOLES_IN_ROW) {
        changes.push(format!("{more} more changes of holes in {name}"));
    }
    if part.holes_moved != 0 {
        let holes = plural(part.holes_moved, ("hole", "holes"));
        changes.push(format!("{} {holes} in {name} moved", part.holes_moved));
    }
    changes
}

fn hole_change(a: Option<&str>, b: Option<&str>) -> String {
    match (a, b) {
        (Some(a), Some(b)) => format!("hole {a} -> {b}"),
        (Some(a), None) => format!("no hole {a}"),
        (None, Some(b)) => format!("new hole {b}"),
        (None, None) => "hole".to_owned(),
    }
}

/// A line of both listings: whose it is, the offsets in A and B, and as `mimeo inspect` shows it.
fn listing_line(line: &ListingLine) -> String {
    let mark = match line.side {
        Side::A => '-',
        Side::B => '+',
        Side::Both => ' ',
    };
    let offset =
        |offset: Option<usize>| offset.map_or(String::new(), |offset| format!("{offset:x}"));
    let (a, b) = (offset(line.a_offset), offset(line.b_offset));
    let text = format!("  {mark} {a:>4} {b:>4}  {:<24} {}", line.bytes, line.text);
    match line.holes.is_empty() {
        true => text.trim_end().to_owned(),
        false => format!("{text:<74} ; {}", line.holes.join(", ")),
    }
}
