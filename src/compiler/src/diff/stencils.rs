//! What is compared of a file: groups of parts with bytes and holes, and facts about them, whether they came from a table
//! or from a C header.

use crate::c_header::{Header, HeaderGroup, HeaderPart};
use crate::disassemble::{disassemble, value_text};
use crate::format::{hex, version};
use mimeo::form::{Form as VariantForm, Register, RegisterField, RegisterHole};
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::{Part, Stencil, StencilGroup, UopInfo};
use mimeo::table::{StencilTable, Variant};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A stencil table.
    Table,
    /// A C header.
    Header,
}

/// Something that a file says, of the whole or of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fact {
    /// What it is about: `cpu`, `flags`.
    pub what: String,
    /// What is said.
    pub value: String,
}

/// The name of the facts that a set of stencils refers to a symbol.
pub(super) const SYMBOL: &str = "symbol";

/// The name of the facts that a variant has a register hole.
pub(super) const REGISTER_HOLE: &str = "register hole";

/// The name of the facts that a group may be left this way, other than to the next uop.
pub(super) const WAY_OUT: &str = "way out";

/// The name of the facts that a group has a hole for this value.
pub(super) const HOLE_VALUE: &str = "hole value";

impl Fact {
    fn new(what: impl Into<String>, value: impl ToString) -> Self {
        Self {
            what: what.into(),
            value: value.to_string(),
        }
    }
}

/// All stencils of a table or header, as they are compared.
#[derive(Clone, Debug)]
pub struct Stencils {
    pub(super) form: Form,
    /// Whether all groups are there, so that it can be compared what is said of the whole.
    pub(super) complete: bool,
    pub(super) facts: Vec<Fact>,
    pub(super) uops: BTreeMap<String, Group>,
    pub(super) variants: BTreeMap<String, Group>,
    pub(super) others: BTreeMap<String, Group>,
}

/// The stencils of one uop, variant or other group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Of a variant, the uop that it begins with.
    first_uop: String,
    pub(super) facts: Vec<Fact>,
    /// What the runtime and the rest of a trace see of it, whatever its code; of a header nothing is known.
    pub(super) interface: Vec<Fact>,
    pub(super) parts: Vec<PartBytes>,
}

/// Bytes with holes.
#[derive(Clone, Debug)]
pub(super) struct PartBytes {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// Ascending by offset.
    pub(super) holes: Vec<PlacedHole>,
}

impl PartBytes {
    /// The part where it has no bytes.
    pub(super) fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            bytes: Vec::new(),
            holes: Vec::new(),
        }
    }
}

/// A hole and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlacedHole {
    pub(super) offset: u32,
    pub(super) hole: HoleText,
}

/// A hole as text, without its offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HoleText {
    /// What it is filled with, without the addend: two holes with the same are one that changed.
    pub(super) value: String,
    /// All of it: how it is filled, value and addend.
    pub(super) text: String,
}

/// Whether a part holds data; all others hold code.
pub(super) fn is_data(part: &str) -> bool {
    part.contains("data")
}

impl Stencils {
    /// The names of uops and of groups that are no uops, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uops
            .keys()
            .chain(self.others.keys())
            .map(String::as_str)
    }

    /// Leaves only the groups with these names, and the variants that begin with one of them. What is said of the whole is
    /// not compared then.
    pub fn retain(&mut self, names: &BTreeSet<String>) {
        self.complete = false;
        self.uops.retain(|name, _| names.contains(name));
        self.others.retain(|name, _| names.contains(name));
        self.variants
            .retain(|_, group| names.contains(&group.first_uop));
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        let all = [&self.uops, &self.variants, &self.others];
        all.into_iter().flat_map(BTreeMap::values)
    }
}

// ---- Tables ----------------------------------------------------------------------------------------------------

impl From<&StencilTable> for Stencils {
    fn from(table: &StencilTable) -> Self {
        let symbols: Vec<&str> = table.symbols().collect();
        let mut facts = vec![
            Fact::new("set", table.set()),
            Fact::new("triple", table.triple()),
            Fact::new("cpu", table.cpu()),
            Fact::new("llvm_version", version(table)),
            Fact::new("digest", hex(table.digest())),
        ];
        facts.extend(
            table
                .sources()
                .map(|sources| Fact::new("sources", hex(sources))),
        );
        facts.extend(symbols.iter().map(|symbol| Fact::new(SYMBOL, symbol)));
        let uops = table.uops().map(|uop| {
            let info = table.uop(uop);
            (
                info.name.to_owned(),
                base_form(info, table.group(uop), &symbols),
            )
        });
        let variants = table.variants().map(|variant| {
            let variant = table.variant(variant);
            (variant.to_string(), variant_form(&variant, &symbols))
        });
        Self {
            form: Form::Table,
            complete: true,
            facts,
            uops: uops.collect(),
            variants: variants.collect(),
            others: BTreeMap::new(),
        }
    }
}

fn base_form(info: UopInfo<'_>, group: StencilGroup<'_>, symbols: &[&str]) -> Group {
    let flags: Vec<&str> = info.flags.iter_names().map(|(name, _)| name).collect();
    let mut facts = vec![
        Fact::new("stack effect", info.effect),
        Fact::new("leaving effect", info.leaving_effect),
        Fact::new("flags", flags.join(" ")),
        Fact::new("oparg_max", info.oparg_max),
        Fact::new("operand_max", info.operand_max),
        Fact::new("operand1_max", info.operand1_max),
        Fact::new("locals", info.locals),
    ];
    let interface = interface(&facts, group, symbols);
    facts.extend(alignments(group));
    Group {
        first_uop: String::new(),
        facts,
        interface,
        parts: parts(group, symbols),
    }
}

fn variant_form(variant: &Variant<'_>, symbols: &[&str]) -> Group {
    let mut facts = Vec::new();
    for (position, info) in variant.infos().enumerate() {
        let of = |limit| format!("{limit} of {} #{position}", info.name);
        facts.push(Fact::new(of("oparg_max"), info.oparg_max));
        facts.push(Fact::new(of("operand_max"), info.operand_max));
        facts.push(Fact::new(of("operand1_max"), info.operand1_max));
    }
    let interface = interface(&facts, variant.group, symbols);
    if let VariantForm::Operands(form) = variant.form {
        facts.push(Fact::new("intact", form.intact));
        let renameable = form.renameable.registers().map(Register::name);
        facts.push(Fact::new(
            "renameable",
            renameable.collect::<Vec<_>>().join(" "),
        ));
    }
    let register_holes = variant.register_holes.iter().map(register_hole);
    facts.extend(register_holes.map(|text| Fact::new(REGISTER_HOLE, text)));
    facts.extend(alignments(variant.group));
    Group {
        first_uop: variant
            .infos()
            .next()
            .map_or_else(String::new, |info| info.name.to_owned()),
        facts,
        interface,
        parts: parts(variant.group, symbols),
    }
}

/// What is said of a group whatever its code, and what its holes are filled with: which values, not how often, where, by which
/// relocation and with which addend, for all this is the compiler's choice. What stays inside the group is no part of it, nor
/// that it continues with the next uop: hot code may simply end.
fn interface(facts: &[Fact], group: StencilGroup<'_>, symbols: &[&str]) -> Vec<Fact> {
    let filled: BTreeSet<(&str, String)> = group
        .holes()
        .filter_map(|hole| {
            let what = match hole.value() {
                HoleValue::Zero
                | HoleValue::Continue
                | HoleValue::Code
                | HoleValue::Cold
                | HoleValue::Data => return None,
                HoleValue::JumpTarget
                | HoleValue::ErrorTarget
                | HoleValue::ExitIndex
                | HoleValue::Exit
                | HoleValue::Top
                | HoleValue::Leave => WAY_OUT,
                HoleValue::Symbol => SYMBOL,
                HoleValue::Oparg
                | HoleValue::Operand
                | HoleValue::Operand1
                | HoleValue::Target
                | HoleValue::Executor
                | HoleValue::Input
                | HoleValue::Pooled => HOLE_VALUE,
            };
            Some((what, value_text(hole, symbols)))
        })
        .collect();
    let filled = filled.into_iter();
    let filled = filled.map(|(what, value)| Fact::new(what, value));
    facts.iter().cloned().chain(filled).collect()
}

fn register_hole(hole: &RegisterHole) -> String {
    let part = if hole.cold { Part::Cold } else { Part::Hot };
    let field = match hole.field {
        RegisterField::Reg => "reg",
        RegisterField::Base => "base",
        RegisterField::Index => "index",
    };
    let rex = hole.rex.map_or(String::new(), |rex| format!(", {rex:#x}"));
    format!(
        "{} as {field} in {} at {:#x}{rex}",
        hole.register,
        part_name(part),
        hole.offset
    )
}

fn alignments(group: StencilGroup<'_>) -> impl Iterator<Item = Fact> {
    let parts = group.parts().into_iter();
    parts
        .filter(|(_, stencil)| !stencil.bytes.is_empty())
        .map(|(part, stencil)| {
            Fact::new(format!("alignment of {}", part_name(part)), stencil.align)
        })
}

/// What a part is called in headers.
fn part_name(part: Part) -> &'static str {
    match part {
        Part::Hot => "hot",
        Part::Cold => "cold",
        Part::Data => "data",
    }
}

fn parts(group: StencilGroup<'_>, symbols: &[&str]) -> Vec<PartBytes> {
    let parts = group.parts().into_iter();
    parts
        .filter(|(_, stencil)| !stencil.bytes.is_empty())
        .map(|(part, stencil)| PartBytes {
            name: part_name(part).to_owned(),
            bytes: stencil.bytes.to_vec(),
            holes: holes(stencil, part, symbols),
        })
        .collect()
}

/// A table's holes as they are listed: what is PC-relative counts from the end of its instruction.
fn holes(stencil: Stencil<'_>, part: Part, symbols: &[&str]) -> Vec<PlacedHole> {
    let lines = disassemble(stencil, part, symbols);
    let texts = lines.into_iter().flat_map(|line| line.holes);
    let mut holes = stencil.holes.to_vec();
    holes.sort_by_key(Hole::offset);
    let placed = holes.iter().zip(texts).map(|(hole, text)| PlacedHole {
        offset: hole.offset(),
        hole: HoleText {
            value: value_text(hole, symbols),
            text,
        },
    });
    placed.collect()
}

// ---- Headers ---------------------------------------------------------------------------------------------------

impl From<Header> for Stencils {
    fn from(header: Header) -> Self {
        let digest = header
            .digest
            .iter()
            .map(|digest| Fact::new("digest", digest));
        let comments = header.comments.iter();
        let comments = comments.map(|comment| Fact::new("comment", comment));
        Self {
            form: Form::Header,
            complete: true,
            facts: digest.chain(comments).collect(),
            uops: header.groups.into_iter().map(header_group).collect(),
            variants: BTreeMap::new(),
            others: header.others.into_iter().map(header_group).collect(),
        }
    }
}

fn header_group(group: HeaderGroup) -> (String, Group) {
    // In C, a zero at the end says as much as nothing.
    let mut extra = group.extra;
    while extra.pop_if(|value| value == "{0}").is_some() {}
    let extra = (!extra.is_empty()).then(|| Fact::new("initialiser", extra.join(", ")));
    let parts = group.parts.into_iter().map(header_part);
    let compared = Group {
        first_uop: String::new(),
        facts: extra.into_iter().collect(),
        interface: Vec::new(),
        parts: parts.collect(),
    };
    (group.name, compared)
}

fn header_part(part: HeaderPart) -> PartBytes {
    let holes = part.holes.into_iter().map(|hole| {
        let value = with_first_names(&hole.value);
        PlacedHole {
            offset: hole.offset,
            hole: HoleText {
                text: format!("{} {value}", hole.function),
                value: without_addend(&value).to_owned(),
            },
        }
    });
    PartBytes {
        name: part.name,
        bytes: part.bytes,
        holes: holes.collect(),
    }
}

/// An expression with the names of CPython 3.13 for what 3.14 calls otherwise: the operand, and where instructions start.
fn with_first_names(expression: &str) -> String {
    let expression = expression.replace("state->instruction_starts", "instruction_starts");
    let in_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = expression.split_inclusive(|char| !in_word(char));
    words
        .map(|word| match word.strip_prefix("operand0") {
            Some(rest) if !rest.starts_with(in_word) => format!("operand{rest}"),
            _ => word.to_owned(),
        })
        .collect()
}

/// An expression without the number that is added to it at its end: `(uintptr_t)data` of `(uintptr_t)data + -0x4`. Of
/// one in brackets, as arithmetic is written, what is left is no C, but the same for all addends.
fn without_addend(expression: &str) -> &str {
    let Some((value, addend)) = expression.rsplit_once(" + ") else {
        return expression;
    };
    let digits = addend.trim_end_matches(')');
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    let is_number = digits.starts_with(|char: char| char.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_number { value } else { expression }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addend_is_a_number_at_the_end() {
        for (expression, value) in [
            ("(uintptr_t)data + -0x4", "(uintptr_t)data"),
            ("(uintptr_t)data + 12", "(uintptr_t)data"),
            (
                "(uintptr_t)code + sizeof(code_body)",
                "(uintptr_t)code + sizeof(code_body)",
            ),
            ("table[index + 0x4]", "table[index + 0x4]"),
            ("instruction->oparg", "instruction->oparg"),
            ("a + -", "a + -"),
            (
                "(uint32_t)((uint64_t)instruction->oparg + -8)",
                "(uint32_t)((uint64_t)instruction->oparg",
            ),
        ] {
            assert_eq!(without_addend(expression), value);
        }
    }

    #[test]
    fn what_was_renamed_has_its_first_name() {
        for (expression, first) in [
            ("instruction->operand0", "instruction->operand"),
            (
                "((uint64_t)instruction->operand0 + 8)",
                "((uint64_t)instruction->operand + 8)",
            ),
            ("instruction->operand1", "instruction->operand1"),
            ("instruction->operand", "instruction->operand"),
            ("&operand0_of + 1", "&operand0_of + 1"),
            (
                "state->instruction_starts[instruction->jump_target] + -0x4",
                "instruction_starts[instruction->jump_target] + -0x4",
            ),
        ] {
            assert_eq!(with_first_names(expression), first);
        }
    }
}
