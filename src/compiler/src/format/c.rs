//! A table as a C header: the contract of mimeo's own sets, for the general [writer](crate::c_source).

use super::{FormatError, hex, identifier, set_name, version};
use crate::c_source::{CFunction, CPart, CPatch, string_literal};
use crate::disassemble::disassemble;
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Count, Part, StackEffect, Stencil, StencilGroup, UopFlags, UopInfo};
use mimeo::table::StencilTable;
use std::fmt::Write;

/// What every set's header has, included once.
const COMMON: &str = include_str!("common.h");

/// What the header says of itself.
const PREFACE: &str = include_str!("preface.h");

/// The opcode of `call rel32`, right before its field.
const CALL_REL32: u8 = 0xe8;

/// The table as a C header, which says itself how it is used: a function for each uop that copies its base form and
/// patches it, the groups with their sizes and stack effects, and the names of the symbols. Variants are left out.
///
/// Names begin with `mimeo_SET_` and `MIMEO_SET_`, those that all sets share with `mimeo_` and `MIMEO_`. The header is
/// C11 and C++17 with the extensions of gcc and clang.
///
/// # Errors
/// The set, or a uop, has a name that cannot be in an identifier; there are no uops; a base form has a hole that only
/// variants can fill.
pub fn to_c(table: &StencilTable) -> Result<String, FormatError> {
    if table.uop_count() == 0 {
        return Err(FormatError::Empty);
    }
    let set = set_name(table)?.replace('-', "_");
    let header = Header {
        table,
        symbols: table.symbols().collect(),
        lower: format!("mimeo_{set}"),
        upper: format!("MIMEO_{}", set.to_uppercase()),
    };
    header.write()
}

struct Header<'a> {
    table: &'a StencilTable,
    symbols: Vec<&'a str>,
    /// What the set's names begin with.
    lower: String,
    upper: String,
}

impl Header<'_> {
    fn write(&self) -> Result<String, FormatError> {
        let mut out = String::new();
        let guard = format!("{}_STENCILS_H", self.upper);
        out.push_str(&preface(self.table));
        out.push_str(&format!("#ifndef {guard}\n#define {guard}\n\n"));
        out.push_str(&COMMON.replace("@FLAGS@", &flags()));
        out.push_str("\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
        self.constants(&mut out);
        self.uops(&mut out)?;
        self.symbol_names(&mut out);
        for uop in self.table.uops() {
            let function = self.function(&self.table.uop(uop), self.table.group(uop))?;
            function.write(&mut out);
        }
        self.groups(&mut out);
        out.push_str("#ifdef __cplusplus\n}\n#endif\n\n");
        out.push_str(&format!("#endif /* {guard} */\n"));
        Ok(out)
    }

    fn constants(&self, out: &mut String) {
        let (table, upper) = (self.table, &self.upper);
        let texts = [
            ("SET", table.set().to_owned()),
            ("TRIPLE", table.triple().to_owned()),
            ("CPU", table.cpu().to_owned()),
            ("LLVM_VERSION", version(table)),
            // BLAKE3 of what the stencils were made from.
            ("DIGEST", hex(table.digest())),
        ];
        for (name, text) in texts {
            line(
                format_args!("#define {upper}_{name} {}", string_literal(&text)),
                out,
            );
        }
        let numbers = [
            ("UOP_COUNT", table.uop_count()),
            ("SYMBOL_COUNT", self.symbols.len()),
        ];
        for (name, number) in numbers {
            line(format_args!("#define {upper}_{name} {number}"), out);
        }
        out.push('\n');
    }

    /// The enumeration of the uops, in the order of the groups.
    fn uops(&self, out: &mut String) -> Result<(), FormatError> {
        line(
            format_args!(
                "/* The uops, by their index in {0}_groups. */\nenum {0}_uop {{",
                self.lower
            ),
            out,
        );
        for uop in self.table.uops() {
            let name = identifier("the uop", self.table.uop(uop).name)?;
            line(
                format_args!("    {}_{name} = {},", self.lower, uop.index()),
                out,
            );
        }
        out.push_str("};\n\n");
        Ok(())
    }

    fn symbol_names(&self, out: &mut String) {
        let upper = &self.upper;
        line(
            format_args!(
                "/* The names of the symbols, by index, and a NULL. Their addresses go to struct mimeo_values in this \
                 order. */\nMIMEO_UNUSED static const char *const {}_symbols[{upper}_SYMBOL_COUNT + 1] = {{",
                self.lower
            ),
            out,
        );
        for symbol in &self.symbols {
            line(format_args!("    {},", string_literal(symbol)), out);
        }
        out.push_str("    NULL,\n};\n\n");
    }

    fn function(
        &self,
        info: &UopInfo<'_>,
        group: StencilGroup<'_>,
    ) -> Result<CFunction, FormatError> {
        let name = string_literal(info.name);
        let mut before = vec!["mimeo_begin(failure);".to_owned()];
        before.extend(argument_checks(info));
        let mut parts = Vec::new();
        for (part, stencil) in group.parts() {
            let (field, title) = (field(part), part.to_string());
            if stencil.bytes.is_empty() {
                continue;
            }
            before.push(format!(
                "const struct mimeo_part {field} = {{place->{field}, place->{field}_address, {name}, \
                 \"{title}\", failure}};"
            ));
            parts.push(CPart {
                name: field,
                comments: self.comments(part, stencil),
                bytes: stencil.bytes.to_vec(),
                place: format!("{field}.to"),
                patches: self.patches(info, group, part, stencil)?,
            });
        }
        // Not every uop has parts or holes, but all functions have one type.
        before.extend(["(void)place;".to_owned(), "(void)values;".to_owned()]);
        Ok(CFunction {
            result: "MIMEO_UNUSED static int",
            name: format!("{}_emit_{}", self.lower, info.name),
            parameters: vec![
                "const struct mimeo_place *place, const struct mimeo_values *values,".to_owned(),
                "struct mimeo_failure *failure".to_owned(),
            ],
            statements_before: before,
            parts,
            statements_after: vec!["return failure->uop == NULL;".to_owned()],
        })
    }

    /// The lines that `mimeo inspect` shows.
    fn comments(&self, part: Part, stencil: Stencil<'_>) -> Vec<String> {
        let lines = disassemble(stencil, part, &self.symbols).into_iter();
        let text = |line: crate::disassemble::Line<'_>| {
            let bytes: Vec<String> = line
                .bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let text = format!("{:x}: {:<30} {}", line.offset, bytes.join(" "), line.text);
            match line.holes.is_empty() {
                true => text,
                false => format!("{text:<68} ; {}", line.holes.join(", ")),
            }
        };
        let title = format!("{part}, alignment {}", stencil.align);
        std::iter::once(title).chain(lines.map(text)).collect()
    }

    fn patches(
        &self,
        info: &UopInfo<'_>,
        group: StencilGroup<'_>,
        part: Part,
        stencil: Stencil<'_>,
    ) -> Result<Vec<CPatch>, FormatError> {
        let patch = |hole: &Hole| {
            let code = match part {
                Part::Hot | Part::Cold => stencil.bytes,
                Part::Data => &[],
            };
            let (what, s) = self.value(info, group, hole, is_call(hole, code))?;
            let (shift, addend) = (hole.shift(), hole.addend());
            Ok(CPatch {
                function: function_of(hole.kind()).to_owned(),
                offset: hole.offset(),
                value: format!("&{}, {what}, {s}, {shift}, {addend}", field(part)),
            })
        };
        stencil.holes.iter().map(patch).collect()
    }

    /// What fills a hole: what it is called, and the C expression of S.
    fn value(
        &self,
        info: &UopInfo<'_>,
        group: StencilGroup<'_>,
        hole: &Hole,
        is_call: bool,
    ) -> Result<(String, String), FormatError> {
        let value = hole.value();
        let s = match value {
            HoleValue::Zero => "0",
            HoleValue::Oparg => "values->oparg",
            HoleValue::Operand => "values->operand",
            HoleValue::Operand1 => "values->operand1",
            HoleValue::Target => "values->target",
            HoleValue::Continue => {
                let s = format!("place->hot_address + {}", group.hot.bytes.len());
                return Ok((string_literal(value.name()), s));
            }
            HoleValue::JumpTarget => "values->jump_target",
            HoleValue::ErrorTarget => "values->error_target",
            HoleValue::ExitIndex => "values->exit_index",
            HoleValue::Exit => "values->exit",
            HoleValue::Executor => "values->executor",
            HoleValue::Code => "place->hot_address",
            HoleValue::Cold => "place->cold_address",
            HoleValue::Data => "place->data_address",
            HoleValue::Top => "values->top",
            HoleValue::Leave => "values->leave",
            HoleValue::Symbol => {
                let index = hole.symbol();
                let name = self.symbols.get(index as usize).unwrap_or(&"SYMBOL");
                let from = if is_call { "functions" } else { "symbols" };
                return Ok((string_literal(name), format!("values->{from}[{index}]")));
            }
            HoleValue::Input | HoleValue::Pooled => {
                return Err(FormatError::Value {
                    uop: info.name.to_owned(),
                    value,
                });
            }
        };
        Ok((string_literal(value.name()), s.to_owned()))
    }

    fn groups(&self, out: &mut String) {
        let (lower, upper) = (&self.lower, &self.upper);
        line(
            format_args!(
                "/* The uops, sorted by name. */\nMIMEO_UNUSED static const struct mimeo_group \
                 {lower}_groups[{upper}_UOP_COUNT] = {{"
            ),
            out,
        );
        for uop in self.table.uops() {
            let (info, group) = (self.table.uop(uop), self.table.group(uop));
            let name = string_literal(info.name);
            let sizes = [
                group.hot.bytes.len(),
                group.cold.bytes.len(),
                group.data.bytes.len(),
                group.data.align as usize,
            ];
            let [hot, cold, data, align] = sizes;
            line(
                format_args!(
                    "    {{{name}, {lower}_emit_{}, {hot}, {cold}, {data}, {align}, {}, {}u, UINT64_C({}), UINT64_C({}), {}, {}, {}}},",
                    info.name,
                    flag_names(info.flags),
                    info.oparg_max,
                    info.operand_max,
                    info.operand1_max,
                    info.locals,
                    effect(info.effect),
                    effect(info.leaving_effect)
                ),
                out,
            );
        }
        out.push_str("};\n\n");
    }
}

fn preface(table: &StencilTable) -> String {
    let count = match table.variant_count() {
        0 => "no".to_owned(),
        count => count.to_string(),
    };
    let values = [
        ("@SET@", table.set()),
        ("@TRIPLE@", table.triple()),
        ("@CPU@", table.cpu()),
        ("@LLVM_VERSION@", &version(table)),
        ("@VARIANTS@", &count),
    ];
    let fill = |text: String, (place, value): (&str, &str)| {
        // Whatever a table's texts are, the comment ends where it should.
        text.replace(place, &value.replace("*/", "* /"))
    };
    values.into_iter().fold(PREFACE.to_owned(), fill)
}

/// The enumerators of all flags.
fn flags() -> String {
    let flags: Vec<String> = UopFlags::all()
        .iter_names()
        .map(|(name, flag)| format!("    MIMEO_{name} = 1 << {},", flag.bits().trailing_zeros()))
        .collect();
    flags.join("\n")
}

fn flag_names(flags: UopFlags) -> String {
    let names: Vec<String> = flags
        .iter_names()
        .map(|(name, _)| format!("MIMEO_{name}"))
        .collect();
    match names.is_empty() {
        true => "0".to_owned(),
        false => names.join(" | "),
    }
}

fn effect(effect: StackEffect) -> String {
    let count = |count: Count| {
        let Count {
            fixed,
            per_oparg,
            low_bit,
        } = count;
        format!("{{{fixed}, {per_oparg}, {low_bit}}}")
    };
    format!("{{{}, {}}}", count(effect.popped), count(effect.pushed))
}

/// Statements that refuse arguments that the code was not compiled for. What has no limit is not asked about: compilers
/// warn of comparisons that always hold.
fn argument_checks(info: &UopInfo<'_>) -> Vec<String> {
    let limits = [
        (
            "oparg",
            UopFlags::OPARG,
            u64::from(info.oparg_max),
            u64::from(u32::MAX),
        ),
        ("operand", UopFlags::OPERAND, info.operand_max, u64::MAX),
        ("operand1", UopFlags::OPERAND1, info.operand1_max, u64::MAX),
        ("target", UopFlags::TARGET, i32::MAX as u64, u64::MAX),
    ];
    let name = string_literal(info.name);
    let limited = limits
        .into_iter()
        .filter(|&(_, flag, limit, unlimited)| info.flags.contains(flag) && limit != unlimited);
    limited
        .flat_map(|(what, _, limit, _)| {
            [
                format!(
                    "if (!mimeo_accepts(failure, {name}, \"{what}\", values->{what}, UINT64_C({limit})))"
                ),
                "    return 0;".to_owned(),
            ]
        })
        .collect()
}

/// The names of a part in C.
fn field(part: Part) -> &'static str {
    match part {
        Part::Hot => "hot",
        Part::Cold => "cold",
        Part::Data => "data",
    }
}

fn function_of(kind: RelocationKind) -> &'static str {
    match kind {
        RelocationKind::Abs64 => "mimeo_patch_64",
        RelocationKind::Pc32 => "mimeo_patch_pc32",
        RelocationKind::Abs32 => "mimeo_patch_32",
        RelocationKind::Abs32S => "mimeo_patch_32s",
        RelocationKind::Abs16 => "mimeo_patch_16",
        RelocationKind::Abs8 => "mimeo_patch_8",
    }
}

/// Whether a hole of this code is the field of a `call rel32`, which may go through a veneer.
fn is_call(hole: &Hole, code: &[u8]) -> bool {
    let before = (hole.offset() as usize)
        .checked_sub(1)
        .and_then(|before| code.get(before));
    before == Some(&CALL_REL32) && hole.kind().is_pc_relative()
}

fn line(text: std::fmt::Arguments<'_>, out: &mut String) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
