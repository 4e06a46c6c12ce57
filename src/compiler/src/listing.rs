//! Machine code as the lines that `llvm-objdump --disassemble --reloc` prints, in AT&T syntax, for the comments of
//! generated source. Tabs are expanded and each line begins with what is not a space.
//!
//! ```text
//! 0: 55                            pushq   %rbp
//! 1: 48 8b 05 00 00 00 00          movq    (%rip), %rax            # 0x8 <ENTRY+0x8>
//! 0000000000000004:  R_X86_64_GOTPCREL    counter-0x4
//! 8: 75 f6                         jne     0x0 <ENTRY>
//! ```
//!
//! Prefixes that have no effect, as in long no-ops, are not spelt out as LLVM does.
//!
//! [`disassemble`](mod@crate::disassemble) is what people read, with holes beside instructions.

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, OpKind};
use std::fmt::Write;

/// A relocation that a line is printed for, behind the instruction that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRelocation<'a> {
    /// Bytes from the start of the code.
    pub offset: u32,
    /// The name of its kind, such as `R_X86_64_PLT32`.
    pub kind: &'a str,
    /// What it refers to, with the addend: see [`target_text`].
    pub target: String,
}

/// A symbol and an addend as they are printed in a relocation's line: `counter-0x4`.
pub fn target_text(symbol: &str, addend: i64) -> String {
    let magnitude = addend.unsigned_abs();
    match addend {
        0 => symbol.to_owned(),
        1.. => format!("{symbol}+{magnitude:#x}"),
        _ => format!("{symbol}-{magnitude:#x}"),
    }
}

/// The columns in which the instruction and the comment behind it begin, and the distance of the tab stops.
const INSTRUCTION_COLUMN: usize = 40;
const COMMENT_COLUMN: usize = 72;
const TAB: usize = 8;

/// The lines of some code, which begins at `symbol`. Relocations come in the order of their offsets, whatever order they
/// are given in; those behind the code come last.
pub fn listing(code: &[u8], symbol: &str, relocations: &[ListedRelocation<'_>]) -> Vec<String> {
    let mut relocations: Vec<&ListedRelocation<'_>> = relocations.iter().collect();
    relocations.sort_by_key(|relocation| relocation.offset);
    let mut relocations = relocations.into_iter().peekable();
    let mut formatter = formatter();
    let mut lines = Vec::new();
    let mut offset = 0;
    while offset < code.len() {
        let (length, text, comment) = instruction_at(code, offset, symbol, &mut formatter);
        let end = offset + length;
        lines.push(code_line(
            offset,
            &code[offset..end],
            &text,
            comment.as_deref(),
        ));
        while let Some(here) = relocations.next_if(|next| (next.offset as usize) < end) {
            lines.push(relocation_line(here));
        }
        offset = end;
    }
    lines.extend(relocations.map(relocation_line));
    lines
}

/// What stands for bytes that are no instruction.
const UNKNOWN: &str = "<unknown>";

fn formatter() -> GasFormatter {
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_gas_show_mnemonic_size_suffix(true);
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_rip_relative_addresses(true);
    options.set_space_after_operand_separator(true);
    options.set_small_hex_numbers_in_decimal(false);
    formatter
}

/// The length, text and comment of the instruction at `offset`, which lies inside `code`.
fn instruction_at(
    code: &[u8],
    offset: usize,
    symbol: &str,
    formatter: &mut GasFormatter,
) -> (usize, String, Option<String>) {
    let rest = &code[offset..];
    let instruction = Decoder::with_ip(64, rest, offset as u64, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return (1, UNKNOWN.to_owned(), None);
    }
    let (text, comment) = instruction_text(&instruction, symbol, formatter);
    (instruction.len(), text, comment)
}

/// Where the bytes stand, the bytes and the instruction, whose tabs lead to columns of the whole line.
fn code_line(offset: usize, bytes: &[u8], text: &str, comment: Option<&str>) -> String {
    let mut line = format!("{offset:8x}:");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(line, " {byte:02x}");
    }
    if line.len() < INSTRUCTION_COLUMN - 1 {
        line += &" ".repeat(INSTRUCTION_COLUMN - 1 - line.len());
    }
    line.push('\t');
    line += text;
    let mut line = expanded(&line);
    if let Some(comment) = comment {
        let padding = COMMENT_COLUMN.saturating_sub(line.len()).max(1);
        line += &" ".repeat(padding);
        line += comment;
    }
    line.trim().to_owned()
}

fn relocation_line(relocation: &ListedRelocation<'_>) -> String {
    let ListedRelocation {
        offset,
        kind,
        target,
    } = relocation;
    let line = expanded(&format!("\t\t{offset:016x}:  {kind}\t{target}"));
    line.trim().to_owned()
}

/// The line with spaces for tabs.
fn expanded(line: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for character in line.chars() {
        let width = match character {
            '\t' => TAB - column % TAB,
            _ => 1,
        };
        match character {
            '\t' => out.extend(std::iter::repeat_n(' ', width)),
            _ => out.push(character),
        }
        column += width;
    }
    out
}

/// The instruction, with a tab between mnemonic and operands, and the comment behind it.
fn instruction_text(
    instruction: &Instruction,
    symbol: &str,
    formatter: &mut GasFormatter,
) -> (String, Option<String>) {
    let immediate = immediate(instruction);
    let signed = immediate.is_some_and(|number| number < 0);
    formatter
        .options_mut()
        .set_signed_immediate_operands(signed);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    let (mnemonic, operands) = text.split_once(' ').unwrap_or((&text, ""));
    let operands = operands.trim_start();
    // LLVM has no suffix for the size of what conditions set.
    let mut line = match mnemonic.starts_with("set") {
        true => mnemonic[..mnemonic.len() - 1].to_owned(),
        false => mnemonic.to_owned(),
    };
    if is_direct_branch(instruction) {
        let target = instruction.near_branch_target();
        return (format!("{line}\t{}", place(target, symbol)), None);
    }
    if !operands.is_empty() {
        line.push('\t');
        line += operands;
    }
    if instruction.is_ip_rel_memory_operand() {
        let target = instruction.ip_rel_memory_address();
        return (line, Some(format!("# {}", place(target, symbol))));
    }
    (line, immediate.and_then(immediate_comment))
}

/// A place in the code, or near it, as a number and relative to the symbol where the code begins.
fn place(target: u64, symbol: &str) -> String {
    match target.cast_signed() {
        0 => format!("0x0 <{symbol}>"),
        1.. => format!("{target:#x} <{symbol}+{target:#x}>"),
        // No symbol stands before it.
        _ => format!("{target:#x}"),
    }
}

fn is_direct_branch(instruction: &Instruction) -> bool {
    matches!(
        instruction.op0_kind(),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    )
}

/// The instruction's immediate as the number that LLVM prints: with a sign where the field is narrower than what the
/// instruction computes with, or as wide as a byte or a register.
fn immediate(instruction: &Instruction) -> Option<i64> {
    let byte = instruction.op0_register().size() == 1
        || instruction.op0_kind() == OpKind::Memory && instruction.memory_size().size() == 1;
    let mut kinds = instruction.op_kinds().enumerate();
    kinds.find_map(|(operand, kind)| {
        let number = instruction
            .try_immediate(operand as u32)
            .ok()?
            .cast_signed();
        Some(match kind {
            OpKind::Immediate8 if byte => i64::from(number as i8),
            _ => number,
        })
    })
}

/// What LLVM says of immediates that are long.
fn immediate_comment(number: i64) -> Option<String> {
    let digits = match number {
        -256..=255 => return None,
        _ if i64::from(number as i16) == number => format!("{:X}", number as u16),
        _ if i64::from(number as i32) == number => format!("{:X}", number as u32),
        _ => format!("{number:X}"),
    };
    Some(format!("# imm = 0x{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(code: &[u8], relocations: &[(u32, &'static str, &str, i64)]) -> Vec<String> {
        let relocations: Vec<_> = relocations
            .iter()
            .map(|&(offset, kind, symbol, addend)| ListedRelocation {
                offset,
                kind,
                target: target_text(symbol, addend),
            })
            .collect();
        listing(code, "START", &relocations)
    }

    /// The lines for code that is one instruction, without the offset.
    fn line(code: &[u8]) -> String {
        let lines = lines(code, &[]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].trim_start_matches("0: ").to_owned()
    }

    /// Each row is what llvm-objdump 19 prints for these bytes.
    #[test]
    fn instructions_are_those_of_llvm_objdump() {
        let rows: [(&[u8], &str); 16] = [
            (&[0x55], "55                            pushq   %rbp"),
            (&[0xc3], "c3                            retq"),
            (
                &[0x4c, 0x8b, 0x7d, 0xf0],
                "4c 8b 7d f0                   movq    -0x10(%rbp), %r15",
            ),
            (
                &[0x49, 0x8b, 0x7c, 0xcd, 0x48],
                "49 8b 7c cd 48                movq    0x48(%r13,%rcx,8), %rdi",
            ),
            (
                &[0x48, 0x83, 0xc5, 0xf8],
                "48 83 c5 f8                   addq    $-0x8, %rbp",
            ),
            (
                &[0x0f, 0xb7, 0x05, 0, 0, 0, 0],
                "0f b7 05 00 00 00 00          movzwl  (%rip), %eax            # 0x7 <START+0x7>",
            ),
            (
                &[0xff, 0x25, 0x10, 0, 0, 0],
                "ff 25 10 00 00 00             jmpq    *0x10(%rip)             # 0x16 <START+0x16>",
            ),
            (
                &[0xff, 0x15, 0, 0, 0, 0],
                "ff 15 00 00 00 00             callq   *(%rip)                 # 0x6 <START+0x6>",
            ),
            (
                &[0xe8, 0, 0, 0, 0],
                "e8 00 00 00 00                callq   0x5 <START+0x5>",
            ),
            (
                &[0xeb, 0xfe],
                "eb fe                         jmp     0x0 <START>",
            ),
            (
                &[0x0f, 0x85, 0x41, 0, 0, 0],
                "0f 85 41 00 00 00             jne     0x47 <START+0x47>",
            ),
            (
                &[0x40, 0x0f, 0x95, 0xc6],
                "40 0f 95 c6                   setne   %sil",
            ),
            (
                &[0xf6, 0x81, 0xab, 0, 0, 0, 0x80],
                "f6 81 ab 00 00 00 80          testb   $-0x80, 0xab(%rcx)",
            ),
            (
                &[0xb9, 0xfe, 0xff, 0xff, 0xff],
                "b9 fe ff ff ff                movl    $0xfffffffe, %ecx       # imm = 0xFFFFFFFE",
            ),
            (
                &[0x48, 0x0d, 0, 0, 0xf8, 0xff],
                "48 0d 00 00 f8 ff             orq     $-0x80000, %rax         # imm = 0xFFF80000",
            ),
            (
                &[0x48, 0xba, 0, 0, 0, 0, 0, 0, 0, 0x80],
                "48 ba 00 00 00 00 00 00 00 80 movabsq $-0x8000000000000000, %rdx # imm = 0x8000000000000000",
            ),
        ];
        for (code, expected) in rows {
            assert_eq!(line(code), expected);
        }
    }

    #[test]
    fn relocations_follow_the_instruction_that_they_are_in() {
        let code = [
            0x50, 0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0x75, 0xec,
        ];
        let relocations = [
            (14, "R_X86_64_32", "limit", 16),
            (4, "R_X86_64_GOTPCREL", "counter", -4),
            (10, "R_X86_64_PC32", "state", 0),
            (99, "R_X86_64_64", "beyond", 0),
        ];
        let expected = [
            "0: 50                            pushq   %rax",
            "1: 48 8b 05 00 00 00 00          movq    (%rip), %rax            # 0x8 <START+0x8>",
            "0000000000000004:  R_X86_64_GOTPCREL    counter-0x4",
            "8: c7 05 00 00 00 00 00 00 00 00 movl    $0x0, (%rip)            # 0x12 <START+0x12>",
            "000000000000000a:  R_X86_64_PC32        state",
            "000000000000000e:  R_X86_64_32  limit+0x10",
            "12: 75 ec                         jne     0x0 <START>",
            "0000000000000063:  R_X86_64_64  beyond",
        ];
        assert_eq!(lines(&code, &relocations), expected);
    }

    #[test]
    fn what_is_no_instruction_is_unknown() {
        let expected = [
            "0: 06                            <unknown>",
            "1: 90                            nop",
            "2: e8                            <unknown>",
            "3: 06                            <unknown>",
        ];
        assert_eq!(lines(&[0x06, 0x90, 0xe8, 0x06], &[]), expected);
        assert_eq!(lines(&[], &[]), [""; 0]);
    }
}
