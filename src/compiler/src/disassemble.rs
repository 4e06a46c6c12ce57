//! The disassembler: a stencil as the lines that tools print, each hole named beside the bytes that it fills.
//!
//! It takes any bytes and any holes and shows what it cannot read as what it is; whether a stencil is sound is the
//! question of [`verify`](crate::verify).

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::{Part, Stencil};

/// How many bytes of data stand on one line: the size of what a hole in data holds.
const DATA_ROW: usize = 8;

/// One instruction, or one row of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Bytes from the start of the stencil.
    pub offset: usize,
    /// The bytes as they stand in the stencil; those under a hole are zero.
    pub bytes: &'a [u8],
    /// The instruction in Intel syntax, `(bad)` for a byte that begins none, `.quad` or `.byte` for data.
    ///
    /// Branches without a hole show their destination as an offset in the stencil. The bytes under a hole show as
    /// the zero that they are.
    pub text: String,
    /// The holes that begin in these bytes, as [`hole_text`] renders them.
    pub holes: Vec<String>,
}

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// As instructions.
    Code,
    /// In rows of eight bytes.
    Data,
}

impl From<Part> for Content {
    fn from(part: Part) -> Self {
        match part {
            Part::Hot | Part::Cold => Self::Code,
            Part::Data => Self::Data,
        }
    }
}

/// The lines of one part of a stencil group, in order; together they hold every byte and every hole once.
///
/// Holes that begin past the end stand on lines of their own, without bytes.
pub fn disassemble<'a>(stencil: Stencil<'a>, part: Part, symbols: &[&str]) -> Vec<Line<'a>> {
    let text = |hole: &Hole, end| hole_text(hole, end, symbols);
    let mut holes = stencil.holes.to_vec();
    holes.sort_by_key(Hole::offset);
    let offset = |hole: &Hole| hole.offset() as usize;
    disassemble_with(stencil.bytes, part.into(), &holes, offset, text)
}

/// As [`disassemble`], for holes of any kind, ascending by `hole_offset`. `text` renders a hole; it is also given the
/// offset of the first byte behind the line.
pub fn disassemble_with<'a, H>(
    bytes: &'a [u8],
    content: Content,
    holes: &[H],
    hole_offset: impl Fn(&H) -> usize,
    text: impl Fn(&H, usize) -> String,
) -> Vec<Line<'a>> {
    let mut holes = holes.iter().peekable();
    let mut take_holes = |end: usize| -> Vec<String> {
        let here = std::iter::from_fn(|| holes.next_if(|hole| hole_offset(hole) < end));
        here.map(|hole| text(hole, end)).collect()
    };
    let mut lines = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let (len, text) = match content {
            Content::Code => code_at(bytes, offset),
            Content::Data => data_at(bytes, offset),
        };
        let end = offset + len;
        lines.push(Line {
            offset,
            bytes: &bytes[offset..end],
            text,
            holes: take_holes(end),
        });
        offset = end;
    }
    while let Some(offset) = holes.peek().map(|hole| hole_offset(hole)) {
        let here = std::iter::from_fn(|| holes.next_if(|hole| hole_offset(hole) <= offset));
        lines.push(Line {
            offset,
            bytes: &[],
            text: "(past the end)".to_owned(),
            holes: here.map(|hole| text(hole, offset + 1)).collect(),
        });
    }
    lines
}

/// A hole as text: the psABI's name of the relocation kind, then what is filled in, such as
/// `R_X86_64_32S OPARG << 3 + 48`; the shift binds before the addend. What is of a fused uop behind the first says of
/// which, as in `OPARG#1`, and constants say which input they are: `INPUT#0`.
///
/// `end` is the offset of the first byte behind the instruction. A PC-relative value counts from there, so that
/// the text names the destination and not how far the field is from the end of the instruction.
pub fn hole_text(hole: &Hole, end: usize, symbols: &[&str]) -> String {
    if let Err(problem) = hole.check(symbols.len()) {
        return format!("(bad hole: {problem})");
    }
    let mut text = format!("{} {}", hole.kind(), value_text(hole, symbols));
    let mut addend = i64::from(hole.addend());
    if hole.kind().is_pc_relative() {
        addend += end as i64 - i64::from(hole.offset());
    }
    match addend {
        0 => {}
        1.. => text += &format!(" + {addend}"),
        _ => text += &format!(" - {}", addend.unsigned_abs()),
    }
    text
}

/// What a hole is filled with, before the addend: `OPARG << 3`, `INPUT#0`, a symbol's name.
pub(crate) fn value_text(hole: &Hole, symbols: &[&str]) -> String {
    let mut text = match hole.value() {
        HoleValue::Symbol => *symbols.get(hole.symbol() as usize).unwrap_or(&"SYMBOL"),
        value => value.name(),
    }
    .to_owned();
    let is_input = matches!(hole.value(), HoleValue::Input | HoleValue::Pooled);
    if is_input || hole.element() != 0 {
        text += &format!("#{}", hole.element());
    }
    if hole.shift() != 0 {
        text += &format!(" << {}", hole.shift());
    }
    text
}

/// An instruction in Intel syntax.
pub(crate) fn instruction_text(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_rip_relative_addresses(true);
    options.set_show_branch_size(false);
    options.set_signed_immediate_operands(true);
    options.set_space_after_operand_separator(true);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

/// The length and text of the instruction at `offset`, which lies inside `bytes`.
fn code_at(bytes: &[u8], offset: usize) -> (usize, String) {
    let rest = &bytes[offset..];
    let instruction = Decoder::with_ip(64, rest, offset as u64, DecoderOptions::NONE).decode();
    match instruction.is_invalid() {
        true => (1, "(bad)".to_owned()),
        false => (instruction.len(), instruction_text(&instruction)),
    }
}

/// The length and text of the row of data at `offset`, which lies inside `bytes`.
fn data_at(bytes: &[u8], offset: usize) -> (usize, String) {
    let rest = &bytes[offset..];
    match rest.first_chunk::<DATA_ROW>() {
        Some(&quad) => (
            DATA_ROW,
            format!(".quad {:#018x}", u64::from_le_bytes(quad)),
        ),
        None => {
            let bytes: Vec<String> = rest.iter().map(|byte| format!("{byte:#04x}")).collect();
            (rest.len(), format!(".byte {}", bytes.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mimeo::reloc::RelocationKind::{self, *};
    use mimeo::stencil::StencilBuf;

    const SYMBOLS: &[&str] = &["mimeo_int_add"];

    /// Offset, text and holes of each line.
    fn lines(bytes: &[u8], holes: &[Hole], part: Part) -> Vec<(usize, String, Vec<String>)> {
        let stencil = Stencil {
            bytes,
            holes,
            align: 1,
        };
        let lines = disassemble(stencil, part, SYMBOLS);
        let joined: Vec<u8> = lines
            .iter()
            .flat_map(|line| line.bytes.iter().copied())
            .collect();
        assert_eq!(joined, bytes, "a byte is lost or shown twice");
        lines
            .into_iter()
            .map(|line| (line.offset, line.text, line.holes))
            .collect()
    }

    fn row(offset: usize, text: &str, holes: &[&str]) -> (usize, String, Vec<String>) {
        (
            offset,
            text.to_owned(),
            holes.iter().map(|&hole| hole.to_owned()).collect(),
        )
    }

    #[test]
    fn code_shows_each_hole_beside_its_instruction() {
        let bytes = [
            &[0x49, 0x8b, 0x84, 0x24, 0, 0, 0, 0][..], // mov rax, [r12 + disp32]
            &[0xe8, 0, 0, 0, 0],                       // call rel32
            &[0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0],     // mov dword [rip + disp32], imm32
            &[0x75, 0x06],                             // jne +6
            &[0x0f, 0x84, 0, 0, 0, 0],                 // je rel32
            &[0x48, 0x83, 0xec, 0x18],                 // sub rsp, 24
            &[0x49, 0x83, 0xc5, 0xf8],                 // add r13, -8
        ]
        .concat();
        let holes = [
            Hole::new(4, Abs32S, HoleValue::Oparg, 48).with_shift(3),
            Hole::new(9, Pc32, HoleValue::Symbol, -4),
            Hole::new(15, Pc32, HoleValue::Exit, -8 + 16),
            Hole::new(19, Abs32, HoleValue::Zero, -7),
            Hole::new(27, Pc32, HoleValue::Cold, -4 + 32),
        ];
        let expected = [
            row(0, "mov rax, [r12]", &["R_X86_64_32S OPARG << 3 + 48"]),
            row(8, "call 0xd", &["R_X86_64_PC32 mimeo_int_add"]),
            row(
                13,
                "mov dword ptr [rip], 0",
                &["R_X86_64_PC32 EXIT + 16", "R_X86_64_32 ZERO - 7"],
            ),
            row(23, "jne 0x1f", &[]),
            row(25, "je 0x1f", &["R_X86_64_PC32 COLD + 32"]),
            row(31, "sub rsp, 0x18", &[]),
            row(35, "add r13, -8", &[]),
        ];
        assert_eq!(lines(&bytes, &holes, Part::Hot), expected);
    }

    #[test]
    fn holes_of_variants_say_which_uop_or_input_they_are_of() {
        let rows = [
            (
                Hole::new(0, Abs32, HoleValue::Oparg, 0),
                "R_X86_64_32 OPARG",
            ),
            (
                Hole::new(0, Abs32S, HoleValue::Oparg, 8)
                    .with_shift(3)
                    .with_element(1),
                "R_X86_64_32S OPARG#1 << 3 + 8",
            ),
            (
                Hole::new(0, Abs32S, HoleValue::Input, 0),
                "R_X86_64_32S INPUT#0",
            ),
            (
                Hole::new(0, Pc32, HoleValue::Pooled, -4).with_element(2),
                "R_X86_64_PC32 POOLED#2",
            ),
        ];
        for (hole, expected) in rows {
            assert_eq!(hole_text(&hole, 4, SYMBOLS), expected);
        }
    }

    #[test]
    fn data_stands_in_rows_of_eight() {
        let bytes = [
            1, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xbb,
        ];
        let holes = [Hole::new(8, Abs64, HoleValue::Data, 16)];
        let expected = [
            row(0, ".quad 0x8000000000000001", &[]),
            row(8, ".quad 0x0000000000000000", &["R_X86_64_64 DATA + 16"]),
            row(16, ".byte 0xaa, 0xbb", &[]),
        ];
        assert_eq!(lines(&bytes, &holes, Part::Data), expected);
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_such() {
        // No instruction begins with 06 in 64-bit mode; e8 lacks its destination.
        let holes = [
            Hole::new(u32::MAX, Pc32, HoleValue::Continue, i32::MIN),
            Hole::new(9, Abs8, HoleValue::Oparg, 0).with_shift(7),
            Hole::new(1, Abs8, HoleValue::Symbol, 0).with_symbol(5),
        ];
        let expected = [
            row(0, "(bad)", &[]),
            row(
                1,
                "nop",
                &["(bad hole: symbol 5 does not exist, there are 1)"],
            ),
            row(2, "(bad)", &[]),
            row(3, "(bad)", &[]),
            row(
                9,
                "(past the end)",
                &["(bad hole: shift 7 of OPARG is not allowed)"],
            ),
            row(
                0xffff_ffff,
                "(past the end)",
                &["R_X86_64_PC32 CONTINUE - 2147483647"],
            ),
        ];
        assert_eq!(
            lines(&[0x06, 0x90, 0xe8, 0x06], &holes, Part::Cold),
            expected
        );
    }

    #[test]
    fn any_bytes_give_lines() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2000 {
            let bytes = (0..next() % 40).map(|_| next() as u8).collect();
            let hole = Hole::new(
                next() as u32 % 48,
                RelocationKind::ALL[next() as usize % RelocationKind::ALL.len()],
                HoleValue::ALL[next() as usize % HoleValue::ALL.len()],
                next() as i32,
            );
            let stencil = StencilBuf {
                bytes,
                holes: vec![hole],
                align: 1,
            };
            for part in [Part::Hot, Part::Data] {
                let lines = disassemble(stencil.as_stencil(), part, SYMBOLS);
                assert_eq!(
                    lines.iter().map(|line| line.bytes.len()).sum::<usize>(),
                    stencil.bytes.len()
                );
                assert_eq!(lines.iter().map(|line| line.holes.len()).sum::<usize>(), 1);
            }
        }
    }
}
