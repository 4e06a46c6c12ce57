//! Stencils to the C header.

use super::contract::Contract;
use super::{CPythonError, WITHOUT_INSTRUCTION};
use crate::c_source::{CFunction, CPart, CPatch};
use crate::contract::{CBytes, CStencil, Filling, Patch};
use crate::expression::{Expression, Operation, fits_unsigned};
use crate::listing::{ListedRelocation, listing, target_text};
use mimeo::hole::HoleValue;
use mimeo::reloc::RelocationKind;
use std::fmt::Write;

/// The alignment of data that x86-64 needs nowhere: data stands right behind the code.
const UNALIGNED: u32 = 8;

/// The header's text; `comments` are the lines at the top.
///
/// # Errors
/// A stencil refers to its instruction where there is none.
pub(super) fn header(
    contract: &Contract,
    stencils: &[CStencil],
    comments: &[&str],
) -> Result<String, CPythonError> {
    let entry = contract.entry.name();
    let mut text = String::new();
    for comment in comments {
        line(&mut text, &format!("// {comment}"));
    }
    line(&mut text, "");
    let mut sorted: Vec<&CStencil> = stencils.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for stencil in &sorted {
        if stencil.name == entry || stencil.name == WITHOUT_INSTRUCTION {
            needs_no_instruction(stencil)?;
        }
        function(contract, stencil).write(&mut text);
    }
    line(&mut text, "typedef struct {");
    line(&mut text, "    void (*emit)(");
    let [first, second] = contract.parameters();
    line(&mut text, &format!("        {first}"));
    line(&mut text, &format!("        {second});"));
    line(&mut text, "    size_t code_size;");
    line(&mut text, "    size_t data_size;");
    for (member, _) in contract.members() {
        line(&mut text, &format!("    {member};"));
    }
    line(&mut text, "} StencilGroup;");
    line(&mut text, "");
    for stencil in sorted.iter().filter(|stencil| stencil.name == entry) {
        let group = group(contract, stencil);
        line(
            &mut text,
            &format!("static const StencilGroup {entry} = {group};"),
        );
    }
    line(&mut text, "");
    line(
        &mut text,
        "static const StencilGroup stencil_groups[MAX_UOP_ID + 1] = {",
    );
    for stencil in sorted.iter().filter(|stencil| stencil.name != entry) {
        let group = group(contract, stencil);
        line(&mut text, &format!("    [{}] = {group},", stencil.name));
    }
    line(&mut text, "};");
    for part in contract.footer() {
        line(&mut text, part);
    }
    Ok(text)
}

fn line(text: &mut String, part: &str) {
    text.push_str(part);
    text.push('\n');
}

fn needs_no_instruction(stencil: &CStencil) -> Result<(), CPythonError> {
    let mut patches = stencil.code.patches.iter().chain(&stencil.data.patches);
    let needs = |patch: &Patch| match &patch.filling {
        Filling::Value(value) => Contract::is_of_instruction(*value),
        Filling::Number(number) => number.depends_on(&Contract::is_of_instruction),
        Filling::Address(_) => false,
    };
    match patches.any(needs) {
        true => Err(CPythonError::NoInstruction {
            stencil: stencil.name.clone(),
        }),
        false => Ok(()),
    }
}

/// How much data is asked for: what is aligned further than data is needs room to be moved.
fn data_size(data: &CBytes) -> usize {
    match data.align > UNALIGNED {
        true => data.bytes.len() + data.align as usize - 1,
        false => data.bytes.len(),
    }
}

fn group(contract: &Contract, stencil: &CStencil) -> String {
    let mut group = format!(
        "{{emit_{}, {}, {}",
        stencil.name,
        stencil.code.bytes.len(),
        data_size(&stencil.data)
    );
    for (_, initialiser) in contract.members() {
        group += &format!(", {initialiser}");
    }
    group + "}"
}

fn function(contract: &Contract, stencil: &CStencil) -> CFunction {
    let align = stencil.data.align;
    let is_aligned = align > UNALIGNED;
    let data = if is_aligned { "aligned" } else { "data" };
    let align_data = format!(
        "unsigned char *aligned = data + (-(uintptr_t)data & {});",
        align.saturating_sub(1)
    );
    let patches = |part: &CBytes, is_code| {
        let patches = part.patches.iter();
        patches
            .map(|one| patch(contract, one, data, is_code))
            .collect()
    };
    let [first, second] = contract.parameters();
    CFunction {
        result: "void",
        name: format!("emit_{}", stencil.name),
        parameters: vec![first.to_owned(), second.to_owned()],
        statements_before: is_aligned.then_some(align_data).into_iter().collect(),
        parts: vec![
            CPart {
                name: "code",
                comments: code_comments(stencil),
                bytes: stencil.code.bytes.clone(),
                place: "code".to_owned(),
                patches: patches(&stencil.code, true),
            },
            CPart {
                name: "data",
                comments: data_comments(&stencil.data),
                bytes: stencil.data.bytes.clone(),
                place: data.to_owned(),
                patches: patches(&stencil.data, false),
            },
        ],
        statements_after: Vec::new(),
    }
}

fn patch(contract: &Contract, patch: &Patch, data: &str, is_code: bool) -> CPatch {
    // The checker has seen that there are no others.
    let name = |value| contract.value(value, data).unwrap_or_default();
    let value = match &patch.filling {
        Filling::Number(number) => number_with(number, patch, &name),
        Filling::Value(value) => plus(&name(*value), patch.addend),
        Filling::Address(symbol) => plus(&format!("(uintptr_t)&{symbol}"), patch.addend),
    };
    let function = match patch.kind {
        RelocationKind::Abs64 => "patch_64",
        RelocationKind::Pc32 if patch.relaxable && is_code => "patch_x86_64_32rx",
        RelocationKind::Pc32 => "patch_32r",
        // Fields of one and two bytes were never asked for.
        RelocationKind::Abs32
        | RelocationKind::Abs32S
        | RelocationKind::Abs16
        | RelocationKind::Abs8 => "patch_32",
    };
    CPatch {
        function: function.to_owned(),
        offset: patch.offset,
        value,
    }
}

/// A number and the addend, as the patch takes it: 32 bits are given as an unsigned number.
fn number_with(number: &Expression, patch: &Patch, name: &impl Fn(HoleValue) -> String) -> String {
    let sum = match patch.addend {
        0 => number.clone(),
        addend => {
            let addend = Expression::Constant(addend);
            Expression::binary(Operation::Add, number.clone(), addend)
        }
    };
    let text = sum.to_c(name);
    match patch.kind == RelocationKind::Abs64 || fits_unsigned(&sum.range(), 32) {
        true => text,
        false => format!("(uint32_t){text}"),
    }
}

fn plus(value: &str, addend: i64) -> String {
    match addend {
        0 => value.to_owned(),
        1.. => format!("{value} + {addend:#x}"),
        _ => format!("{value} + -{:#x}", addend.unsigned_abs()),
    }
}

/// The disassembly with relocations, as CPython's own header has it.
fn code_comments(stencil: &CStencil) -> Vec<String> {
    let relocations: Vec<ListedRelocation<'_>> = stencil
        .code
        .patches
        .iter()
        .map(|patch| relocation(patch, &stencil.data))
        .collect();
    let mut lines = vec![
        String::new(),
        format!("{}.o: file format elf64-x86-64", stencil.name),
        String::new(),
        "Disassembly of section .text:".to_owned(),
        String::new(),
        "0000000000000000 <_JIT_ENTRY>:".to_owned(),
    ];
    lines.extend(listing(&stencil.code.bytes, "_JIT_ENTRY", &relocations));
    lines
}

fn relocation<'a>(patch: &Patch, data: &CBytes) -> ListedRelocation<'a> {
    let word = u32::try_from(patch.addend + 4).ok();
    let in_word = data.patches.iter().find(|other| Some(other.offset) == word);
    let is_data = patch.filling == Filling::Value(HoleValue::Data);
    let (kind, target) = match in_word {
        Some(other) if is_data && patch.relaxable => (
            "R_X86_64_GOTPCRELX",
            target_text(&described(&other.filling), -4),
        ),
        Some(other) if is_data => (
            "R_X86_64_GOTPCREL",
            target_text(&described(&other.filling), -4),
        ),
        _ => (
            patch.kind.name(),
            target_text(&described(&patch.filling), patch.addend),
        ),
    };
    ListedRelocation {
        offset: patch.offset,
        kind,
        target,
    }
}

/// What fills a place, by the names of `template.c`.
fn described(filling: &Filling) -> String {
    let name = |value: HoleValue| format!("_JIT_{}", value.name());
    match filling {
        Filling::Value(HoleValue::Data) => ".data".to_owned(),
        Filling::Value(value) => name(*value),
        Filling::Number(number) => number.to_c(&name),
        Filling::Address(symbol) => symbol.clone(),
    }
}

/// What is in the data: words by what fills them, and constants between them as bytes.
fn data_comments(data: &CBytes) -> Vec<String> {
    let mut lines = Vec::new();
    let mut place = 0;
    let constant = |from: usize, to: usize| {
        let bytes = data.bytes.get(from..to).filter(|bytes| !bytes.is_empty())?;
        Some(format!("{from:x}: {}", literal(bytes)))
    };
    for patch in &data.patches {
        let start = patch.offset as usize;
        lines.extend(constant(place, start));
        let what = match &patch.filling {
            Filling::Value(value) => plus(value.name(), patch.addend),
            Filling::Address(symbol) => format!("&{symbol}+{:#x}", patch.addend),
            Filling::Number(number) => number.to_c(&|value: HoleValue| value.name().to_owned()),
        };
        lines.push(format!("{start:x}: {what}"));
        place = start + patch.kind.width();
    }
    lines.extend(constant(place, data.bytes.len()));
    lines
}

/// Bytes as a literal of Python.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("b'");
    for &byte in bytes {
        // Writing to a string does not fail.
        let _ = match byte {
            b'\'' => write!(text, "\\x27"),
            b' '..=b'~' if byte != b'\\' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::contract::State;

    fn hole(value: HoleValue, bits: u8) -> Expression {
        Expression::Hole { value, bits }
    }

    fn with(operation: Operation, left: Expression, right: i64) -> Expression {
        Expression::binary(operation, left, Expression::Constant(right))
    }

    fn patched(kind: RelocationKind, filling: Filling, addend: i64, relaxable: bool) -> String {
        let contract = Contract::with_state(State::Starts);
        let one = Patch {
            offset: 4,
            kind,
            filling,
            addend,
            relaxable,
        };
        let CPatch {
            function, value, ..
        } = patch(&contract, &one, "data", true);
        format!("{function}({value})")
    }

    #[test]
    fn numbers_are_given_as_their_patches_take_them() {
        use RelocationKind::{Abs32, Abs32S, Abs64};
        let oparg = || hole(HoleValue::Oparg, 16);
        let operand = || hole(HoleValue::Operand, 64);
        let rows = [
            (Abs32, oparg(), 0, "patch_32(instruction->oparg)"),
            (Abs64, operand(), 0, "patch_64(instruction->operand)"),
            (
                Abs32S,
                oparg(),
                8,
                "patch_32(((uint64_t)instruction->oparg + 8))",
            ),
            // It may be negative, and patch_32 takes an unsigned number below 2^32.
            (
                Abs32S,
                oparg(),
                -8,
                "patch_32((uint32_t)((uint64_t)instruction->oparg + -8))",
            ),
            (
                Abs32S,
                Expression::binary(Operation::Subtract, Expression::Constant(0), oparg()),
                0,
                "patch_32((uint32_t)(0 - (uint64_t)instruction->oparg))",
            ),
            (
                Abs32,
                operand().low(32),
                0,
                "patch_32((uint32_t)instruction->operand)",
            ),
            (
                Abs32S,
                operand().signed_low(32),
                0,
                "patch_32((uint32_t)(int32_t)instruction->operand)",
            ),
            (
                Abs64,
                with(Operation::Add, hole(HoleValue::Executor, 64), 24),
                -8,
                "patch_64((((uint64_t)(uintptr_t)executor + 24) + -8))",
            ),
        ];
        for (kind, number, addend, expected) in rows {
            assert_eq!(
                patched(kind, Filling::Number(number), addend, false),
                expected
            );
        }
    }

    #[test]
    fn addresses_are_given_by_name() {
        use RelocationKind::{Abs64, Pc32};
        let rows = [
            (
                Pc32,
                Filling::Value(HoleValue::Continue),
                -4,
                false,
                "patch_32r((uintptr_t)code + sizeof(code_body) + -0x4)",
            ),
            (
                Pc32,
                Filling::Value(HoleValue::Data),
                4,
                false,
                "patch_32r((uintptr_t)data + 0x4)",
            ),
            (
                Pc32,
                Filling::Value(HoleValue::Data),
                -4,
                true,
                "patch_x86_64_32rx((uintptr_t)data + -0x4)",
            ),
            (
                Pc32,
                Filling::Value(HoleValue::JumpTarget),
                -4,
                false,
                "patch_32r(instruction_starts[instruction->jump_target] + -0x4)",
            ),
            (
                Pc32,
                Filling::Value(HoleValue::Top),
                -4,
                false,
                "patch_32r(instruction_starts[1] + -0x4)",
            ),
            (
                Abs64,
                Filling::Address("puts".to_owned()),
                0,
                false,
                "patch_64((uintptr_t)&puts)",
            ),
            (
                Abs64,
                Filling::Address("table".to_owned()),
                16,
                false,
                "patch_64((uintptr_t)&table + 0x10)",
            ),
        ];
        for (kind, filling, addend, relaxable, expected) in rows {
            assert_eq!(patched(kind, filling, addend, relaxable), expected);
        }
    }

    #[test]
    fn data_has_room_to_be_aligned() {
        let size = |len, align| {
            data_size(&CBytes {
                bytes: vec![0; len],
                align,
                patches: Vec::new(),
            })
        };
        let rows = [(0, 1, 0), (5, 1, 5), (24, 8, 24), (16, 16, 31), (1, 64, 64)];
        for (len, align, expected) in rows {
            assert_eq!(size(len, align), expected, "{len} bytes aligned to {align}");
        }
    }

    #[test]
    fn what_needs_an_instruction_is_refused_where_there_is_none() {
        let stencil = |name: &str, filling| CStencil {
            name: name.to_owned(),
            code: CBytes {
                bytes: vec![0; 8],
                align: 1,
                patches: vec![Patch {
                    offset: 0,
                    kind: RelocationKind::Abs32,
                    filling,
                    addend: 0,
                    relaxable: false,
                }],
            },
            data: CBytes::default(),
        };
        let contract = Contract::with_state(State::Starts);
        let header = |name, filling| header(&contract, &[stencil(name, filling)], &[]);
        let oparg = || Filling::Number(with(Operation::Add, hole(HoleValue::Oparg, 16), 1));
        let executor = || Filling::Number(hole(HoleValue::Executor, 64).low(32));
        assert!(header("_ADD", oparg()).is_ok());
        for name in ["trampoline", WITHOUT_INSTRUCTION] {
            assert!(header(name, executor()).is_ok());
            let error = header(name, oparg()).expect_err("it has no instruction");
            assert!(error.to_string().contains(name), "{error}");
            assert!(header(name, Filling::Value(HoleValue::JumpTarget)).is_err());
        }
    }

    #[test]
    fn literals_are_of_printable_characters() {
        assert_eq!(literal(b"it's\\ a\n\xff"), r"b'it\x27s\x5c a\x0a\xff'");
    }
}
