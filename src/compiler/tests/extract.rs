//! Objects to stencils without LLVM: what is read of an object that LLVM wrote, what is refused, with the uop, the
//! section and the thing that was found, and that damaged objects are errors and never a panic.

use mimeo::form::{Class, Register, RegisterField, RegisterSet};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo_compiler::extract::{ExtractError, ExtractProblem, Extracted, ObjectReader, SymbolNames};
use object::elf::{self, RelocationType};
use object::write::{
    Object, Relocation, SectionId, StandardSegment, Symbol, SymbolId, SymbolSection,
};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionFlags, SectionKind,
    SymbolFlags, SymbolKind, SymbolScope,
};

/// What LLVM made of `data/uop.ll`.
const OBJECT: &[u8] = include_bytes!("data/uop.o");

fn extract(bytes: &[u8]) -> Result<(Extracted, SymbolNames), ExtractError> {
    let mut symbols = SymbolNames::default();
    let extracted =
        ObjectReader::new(bytes)?.extract("UOP", &mut symbols, RegisterSet::default())?;
    Ok((extracted, symbols))
}

/// An object under construction.
struct Writer {
    object: Object<'static>,
    code: SectionId,
}

impl Writer {
    /// With 32 bytes of code for `UOP`: 17 `nop`, 10 bytes to be relocated, 5 `nop`.
    fn new() -> Self {
        let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let code = object.add_section(Vec::new(), b".text.UOP".to_vec(), SectionKind::Text);
        object.append_section_data(code, &[0x90; 32], 1);
        Self { object, code }
    }

    fn section(&mut self, name: &str, kind: SectionKind, data: &[u8], align: u64) -> SectionId {
        let segment = self.object.segment_name(StandardSegment::Data).to_vec();
        let section = self
            .object
            .add_section(segment, name.as_bytes().to_vec(), kind);
        match kind {
            SectionKind::UninitializedData => {
                self.object
                    .append_section_bss(section, data.len() as u64, align)
            }
            _ => self.object.append_section_data(section, data, align),
        };
        section
    }

    fn symbol(&mut self, name: &str, section: SymbolSection, value: u64, size: u64) -> SymbolId {
        self.object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size,
            kind: SymbolKind::Data,
            scope: SymbolScope::Linkage,
            weak: false,
            section,
            flags: SymbolFlags::None,
        })
    }

    fn undefined(&mut self, name: &str) -> SymbolId {
        self.symbol(name, SymbolSection::Undefined, 0, 0)
    }

    fn relocate_in(
        &mut self,
        section: SectionId,
        offset: u64,
        symbol: SymbolId,
        r_type: RelocationType,
        addend: i64,
    ) {
        let flags = RelocationFlags::Elf { r_type };
        let relocation = Relocation {
            offset,
            symbol,
            addend,
            flags,
        };
        self.object.add_relocation(section, relocation).unwrap();
    }

    fn relocate(&mut self, symbol: SymbolId, r_type: RelocationType, addend: i64) {
        self.relocate_in(self.code, 17, symbol, r_type, addend);
    }

    fn extract(&self) -> Result<(Extracted, SymbolNames), ExtractError> {
        extract(&self.object.write().unwrap())
    }
}

/// What is read of a relocation against an undefined symbol.
fn relocated(
    symbol: &str,
    r_type: RelocationType,
    addend: i64,
) -> Result<(Extracted, SymbolNames), ExtractError> {
    let mut writer = Writer::new();
    let symbol = writer.undefined(symbol);
    writer.relocate(symbol, r_type, addend);
    writer.extract()
}

fn text(result: Result<(Extracted, SymbolNames), ExtractError>) -> String {
    match result {
        Ok((extracted, _)) => panic!("accepted: {extracted:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_object_of_llvm_is_read() {
    let (found, symbols) = extract(OBJECT).unwrap();
    let hole = |offset, kind, value, addend| Hole::new(offset, kind, value, addend);
    use RelocationKind::{Abs32S, Pc32};
    // The jump to the continuation is gone.
    assert_eq!(found.group.hot.bytes.len(), 0x27);
    assert_eq!(
        found.group.hot.holes,
        [
            hole(0x4, Pc32, HoleValue::Data, -4),
            hole(0xe, Abs32S, HoleValue::Oparg, 0).with_shift(3),
            hole(0x18, Abs32S, HoleValue::Oparg, 0).with_shift(3),
            hole(0x23, Pc32, HoleValue::Cold, -4),
        ]
    );
    assert_eq!(found.group.cold.bytes.len(), 0x24);
    assert_eq!(
        found.group.cold.holes,
        [
            hole(0x4, Pc32, HoleValue::Symbol, -4),
            hole(0xd, Pc32, HoleValue::JumpTarget, -4),
            hole(0x20, Pc32, HoleValue::Continue, -4),
        ]
    );
    assert_eq!(found.group.data.bytes, 2.5_f64.to_le_bytes());
    assert_eq!(found.group.data.align, 8);
    assert_eq!(symbols.names(), ["helper"]);
    assert_eq!(found.cold_starts, [0]);
    assert_eq!((found.oparg_max, found.operand_max), (Some(0xffff), None));
    assert_eq!(found.operand1_max, None);
}

/// A row per kind of relocation and hole that is understood: what stands in the table.
#[test]
fn relocations_become_holes() {
    use HoleValue::*;
    use RelocationKind::*;
    let rows = [
        ("_JIT_OPERAND", elf::R_X86_64_64, 7, Operand, Abs64, 0),
        ("_JIT_OPERAND.u31", elf::R_X86_64_32S, 0, Operand, Abs32S, 0),
        ("_JIT_OPERAND.u31", elf::R_X86_64_32, 0, Operand, Abs32, 0),
        ("_JIT_OPERAND1", elf::R_X86_64_64, 7, Operand1, Abs64, 0),
        (
            "_JIT_OPERAND1.u31",
            elf::R_X86_64_32S,
            0,
            Operand1,
            Abs32S,
            0,
        ),
        ("_JIT_OPERAND1.u31", elf::R_X86_64_32, 0, Operand1, Abs32, 0),
        ("_JIT_OPARG.u16", elf::R_X86_64_32, -0, Oparg, Abs32, 0),
        (
            "_JIT_OPARG.u16.shl3",
            elf::R_X86_64_32S,
            -8,
            Oparg,
            Abs32S,
            3,
        ),
        ("_JIT_OPARG.u15", elf::R_X86_64_16, 0, Oparg, Abs16, 0),
        ("_JIT_OPARG.u7", elf::R_X86_64_8, 0, Oparg, Abs8, 0),
        // LLVM's name for a field that is sign-extended, where the symbol is below 128.
        ("_JIT_OPARG.u7", elf::R_X86_64_32, 0, Oparg, Abs32S, 0),
        ("_JIT_TARGET.u31", elf::R_X86_64_32S, 0, Target, Abs32S, 0),
        (
            "_JIT_EXIT_INDEX.u31",
            elf::R_X86_64_32S,
            0,
            ExitIndex,
            Abs32S,
            0,
        ),
        (
            "_JIT_JUMP_TARGET",
            elf::R_X86_64_PLT32,
            -4,
            JumpTarget,
            Pc32,
            0,
        ),
        (
            "_JIT_ERROR_TARGET",
            elf::R_X86_64_PC32,
            -4,
            ErrorTarget,
            Pc32,
            0,
        ),
        ("_JIT_EXIT", elf::R_X86_64_PC32, -4, Exit, Pc32, 0),
        ("_JIT_EXECUTOR", elf::R_X86_64_PC32, 12, Executor, Pc32, 0),
        ("_JIT_TOP", elf::R_X86_64_PLT32, -4, Top, Pc32, 0),
        ("helper", elf::R_X86_64_PLT32, -4, Symbol, Pc32, 0),
        ("helper", elf::R_X86_64_64, 0, Symbol, Abs64, 0),
    ];
    for (symbol, r_type, addend, value, kind, shift) in rows {
        let (found, symbols) =
            relocated(symbol, r_type, addend).unwrap_or_else(|error| panic!("{symbol}: {error}"));
        let hole = Hole::new(17, kind, value, addend as i32).with_shift(shift);
        assert_eq!(found.group.hot.holes, [hole], "{symbol}");
        let (code, width) = (&found.group.hot.bytes, kind.width());
        assert!(
            code[17..17 + width].iter().all(|&byte| byte == 0),
            "{symbol}"
        );
        assert_eq!(code[17 + width], 0x90, "{symbol}");
        assert_eq!(symbols.names().len(), usize::from(value == Symbol));
    }
}

#[test]
fn relocations_that_are_not_understood_are_named() {
    let kinds = [
        elf::R_X86_64_NONE,
        elf::R_X86_64_GOT32,
        elf::R_X86_64_COPY,
        elf::R_X86_64_PC16,
        elf::R_X86_64_PC8,
        elf::R_X86_64_TPOFF64,
        elf::R_X86_64_PC64,
        RelocationType(0xffff_ffff),
    ];
    for kind in kinds {
        let error = relocated("_JIT_OPERAND", kind, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "uop UOP, section .text.UOP: relocation kind {} at 0x11 against \"_JIT_OPERAND\" is not understood",
                kind.0
            )
        );
    }
}

#[test]
fn what_goes_through_a_global_offset_table_goes_through_a_word_of_the_data() {
    use HoleValue::{Data, Operand, Operand1, Symbol};
    use RelocationKind::{Abs64, Pc32};
    for kind in [
        elf::R_X86_64_GOTPCREL,
        elf::R_X86_64_GOTPCRELX,
        elf::R_X86_64_REX_GOTPCRELX,
    ] {
        for (symbol, value) in [
            ("_JIT_OPERAND", Operand),
            ("_JIT_OPERAND1", Operand1),
            ("helper", Symbol),
        ] {
            let (extracted, _) = relocated(symbol, kind, -4).unwrap();
            let [code] = extracted.group.hot.holes[..] else {
                panic!("one hole in the code");
            };
            assert_eq!((code.value(), code.kind(), code.addend()), (Data, Pc32, -4));
            let data = &extracted.group.data;
            let [word] = data.holes[..] else {
                panic!("one hole in the data");
            };
            assert_eq!(
                (word.offset(), word.kind(), word.value()),
                (0, Abs64, value)
            );
            assert_eq!((&data.bytes[..], data.align), (&[0; 8][..], 8));
        }
    }
}

#[test]
fn symbols_that_are_not_understood_are_named() {
    for (symbol, reason) in [
        ("_JIT_", "\"\" is not the name of a hole"),
        ("_JIT_OPERANDS", "\"OPERANDS\" is not the name of a hole"),
        ("_JIT_SYMBOL", "\"SYMBOL\" is not the name of a hole"),
        (
            "_JIT_OPARG.x16",
            "\"x16\" is neither a width (u16, s32), a shift (shl3) nor an element (e1)",
        ),
        ("_JIT_OPARG.u99", "\"u99\" is not a width of 1 to 64 bits"),
        ("_JIT_OPARG.u8.shl9", "\"shl9\" is not a shift of 1 to 6"),
        (
            "_JIT_OPARG.shl3.u8",
            "it would be written _JIT_OPARG.u8.shl3",
        ),
        ("", "it has no name"),
    ] {
        assert_eq!(
            text(relocated(symbol, elf::R_X86_64_64, 0)),
            format!(
                "uop UOP, section .text.UOP: symbol {symbol:?} of the relocation at 0x11 is not understood: {reason}"
            )
        );
    }
}

#[test]
fn symbols_must_be_holes_helpers_constants_or_cold_code() {
    let row = |expected: &str, relocate: fn(&mut Writer) -> SymbolId| {
        let mut writer = Writer::new();
        let symbol = relocate(&mut writer);
        writer.relocate(symbol, elf::R_X86_64_PC32, -4);
        assert_eq!(
            text(writer.extract()),
            format!("uop UOP, section .text.UOP: symbol {expected}")
        );
    };
    row(
        "\".rodata.cst8\" of the relocation at 0x11 is not understood: \
         a section's symbol does not say which constant is meant",
        |writer| {
            let section = writer.section(".rodata.cst8", SectionKind::ReadOnlyData, &[1; 8], 8);
            writer.object.section_symbol(section)
        },
    );
    row(
        "\"other\" of the relocation at 0x11 is not understood: it is defined in .text.OTHER",
        |writer| {
            let section = writer.section(".text.OTHER", SectionKind::Text, &[0xc3], 1);
            writer.symbol("other", SymbolSection::Section(section), 0, 1)
        },
    );
    row(
        "\"inside\" of the relocation at 0x11 is not understood: it is not the start of cold code",
        |writer| {
            let section = writer.section(".text.UOP.cold0", SectionKind::Text, &[0x90, 0xc3], 1);
            writer.symbol("inside", SymbolSection::Section(section), 1, 1)
        },
    );
    row(
        "\"five\" of the relocation at 0x11 is not understood: \
         it is neither undefined nor in a section",
        |writer| writer.symbol("five", SymbolSection::Absolute, 5, 0),
    );
}

#[test]
fn fields_that_cannot_hold_their_holes_are_errors() {
    let place = "uop UOP, section .text.UOP: the relocation";
    let rows = [
        (
            "_JIT_OPARG.u16",
            elf::R_X86_64_8,
            0,
            "R_X86_64_8 at 0x11 is narrower than its hole _JIT_OPARG.u16: \
             values lie in 0x0..=0xffff, the field holds -0x80..=0x7f",
        ),
        (
            // 2^15 and more would be negative numbers.
            "_JIT_OPARG.u16",
            elf::R_X86_64_16,
            0,
            "R_X86_64_16 at 0x11 is narrower than its hole _JIT_OPARG.u16: \
             values lie in 0x0..=0xffff, the field holds -0x8000..=0x7fff",
        ),
        (
            "_JIT_OPERAND",
            elf::R_X86_64_32S,
            0,
            "R_X86_64_32S at 0x11 is narrower than its hole _JIT_OPERAND: \
             values lie in 0x0..=0xffffffffffffffff, the field holds -0x80000000..=0x7fffffff",
        ),
        (
            "_JIT_OPERAND",
            elf::R_X86_64_32,
            1,
            "R_X86_64_32 at 0x11 is narrower than its hole _JIT_OPERAND: \
             values lie in 0x1..=0x10000000000000000, the field holds 0x0..=0xffffffff",
        ),
        (
            "_JIT_OPERAND.u31",
            elf::R_X86_64_32S,
            1,
            "R_X86_64_32S at 0x11 is narrower than its hole _JIT_OPERAND.u31: \
             values lie in 0x1..=0x80000000, the field holds -0x80000000..=0x7fffffff",
        ),
        (
            "_JIT_OPERAND1",
            elf::R_X86_64_32,
            0,
            "R_X86_64_32 at 0x11 is narrower than its hole _JIT_OPERAND1: \
             values lie in 0x0..=0xffffffffffffffff, the field holds 0x0..=0xffffffff",
        ),
        (
            "_JIT_OPERAND1",
            elf::R_X86_64_PC32,
            -4,
            "R_X86_64_PC32 at 0x11 is relative to the code, but its hole _JIT_OPERAND1 is a number",
        ),
        (
            "_JIT_OPARG.u16",
            elf::R_X86_64_32,
            -1,
            "R_X86_64_32 at 0x11 is narrower than its hole _JIT_OPARG.u16: \
             values lie in -0x1..=0xfffe, the field holds 0x0..=0xffffffff",
        ),
        (
            "_JIT_OPARG.u7.shl1",
            elf::R_X86_64_8,
            0,
            "R_X86_64_8 at 0x11 is narrower than its hole _JIT_OPARG.u7.shl1: \
             values lie in 0x0..=0xfe, the field holds -0x80..=0x7f",
        ),
        (
            // Addresses are anywhere.
            "helper",
            elf::R_X86_64_32S,
            0,
            "R_X86_64_32S at 0x11 is narrower than its hole helper: \
             values lie in 0x0..=0xffffffffffffffff, the field holds -0x80000000..=0x7fffffff",
        ),
        (
            "_JIT_EXIT",
            elf::R_X86_64_32,
            0,
            "R_X86_64_32 at 0x11 is narrower than its hole _JIT_EXIT: \
             values lie in 0x0..=0xffffffffffffffff, the field holds 0x0..=0xffffffff",
        ),
        (
            "_JIT_OPARG.u16",
            elf::R_X86_64_PC32,
            -4,
            "R_X86_64_PC32 at 0x11 is relative to the code, but its hole _JIT_OPARG.u16 is a number",
        ),
        (
            "_JIT_OPERAND",
            elf::R_X86_64_PC32,
            -4,
            "R_X86_64_PC32 at 0x11 is relative to the code, but its hole _JIT_OPERAND is a number",
        ),
    ];
    for (symbol, r_type, addend, expected) in rows {
        let found = text(relocated(symbol, r_type, addend));
        assert_eq!(found, format!("{place} {expected}"));
    }
}

#[test]
fn addends_beyond_32_bits_are_errors() {
    for (addend, expected) in [
        (1 << 31, "0x80000000"),
        (-(1 << 31) - 1, "0xffffffff7fffffff"),
        (i64::MAX, "0x7fffffffffffffff"),
        (i64::MIN, "0x8000000000000000"),
    ] {
        assert_eq!(
            text(relocated("_JIT_OPERAND", elf::R_X86_64_64, addend)),
            format!(
                "uop UOP, section .text.UOP: the addend {expected} of the relocation at 0x11 does not fit 32 bits"
            )
        );
    }
    for addend in [i32::MIN, i32::MAX] {
        let (found, _) = relocated("_JIT_OPERAND", elf::R_X86_64_64, addend.into()).unwrap();
        assert_eq!(found.group.hot.holes[0].addend(), addend);
    }
    // Where a constant starts is added to it.
    let mut writer = Writer::new();
    let section = writer.section(".rodata", SectionKind::ReadOnlyData, &[0; 16], 8);
    for (offset, addend) in [(0, 0), (8, i32::MAX.into())] {
        let symbol = writer.symbol("constant", SymbolSection::Section(section), offset, 8);
        writer.relocate_in(writer.code, offset, symbol, elf::R_X86_64_64, addend);
    }
    assert!(text(writer.extract()).contains("the addend 0x80000007 of the relocation at 0x8"));
}

#[test]
fn relocations_lie_in_their_section() {
    for offset in [25, 31, 32, 1 << 32, u64::MAX - 7, u64::MAX] {
        let mut writer = Writer::new();
        let symbol = writer.undefined("_JIT_OPERAND");
        writer.relocate_in(writer.code, offset, symbol, elf::R_X86_64_64, 0);
        assert_eq!(
            text(writer.extract()),
            format!(
                "uop UOP, section .text.UOP: the relocation R_X86_64_64 at {offset:#x} is outside the section, \
                 which has 32 bytes"
            )
        );
    }
}

#[test]
fn constants_lie_in_their_section() {
    let constant = |value, size, align| {
        let mut writer = Writer::new();
        let section = writer.section(".rodata", SectionKind::ReadOnlyData, &[7; 24], align);
        let symbol = writer.symbol("constant", SymbolSection::Section(section), value, size);
        writer.relocate(symbol, elf::R_X86_64_PC32, -4);
        writer.extract()
    };
    let (found, _) = constant(8, 16, 8).unwrap();
    assert_eq!(found.group.data.bytes, [7; 16]);
    for (value, size) in [
        (16, 9),
        (24, 1),
        (25, 0),
        (0, 25),
        (8, u64::MAX),
        (u64::MAX, 8),
        (u64::MAX, u64::MAX),
        // Nothing says how long it is.
        (0, 0),
    ] {
        assert_eq!(
            text(constant(value, size, 8)),
            format!(
                "uop UOP, section .text.UOP: the relocation at 0x11 refers to byte {value:#x} of .rodata, \
                 which has 24 bytes"
            ),
            "{value} {size}"
        );
    }
    assert!(constant(8, 8, 64).is_ok());
    assert_eq!(
        text(constant(8, 8, 128)),
        "uop UOP, section .text.UOP: the relocation at 0x11 refers to .rodata, \
         which is aligned to 128 bytes, expected a power of two up to 64"
    );
}

/// Constants without a size are as long as their section's entries, strings up to their end.
#[test]
fn mergeable_constants_are_carved_by_entry() {
    for (entry, value, expected) in [
        (8, 8, &[8, 9, 10, 11, 12, 13, 14, 15][..]),
        (4, 4, &[4, 5, 6, 7]),
        (1, 13, &[13, 14, 15, 0]),
    ] {
        let data: Vec<u8> = (0..16).chain([0]).collect();
        let mut writer = Writer::new();
        let section = writer.section(".rodata.x", SectionKind::ReadOnlyString, &data, 1);
        let (sh_type, sh_flags) = (elf::SHT_PROGBITS, elf::SHF_ALLOC | elf::SHF_MERGE);
        writer.object.section_mut(section).flags = SectionFlags::Elf { sh_type, sh_flags };
        let symbol = writer.symbol("constant", SymbolSection::Section(section), value, 0);
        writer.relocate(symbol, elf::R_X86_64_PC32, -4);
        let mut bytes = writer.object.write().unwrap();
        let field = header_field(&bytes, ".rodata.x", SH_ENTSIZE);
        bytes[field..field + 8].copy_from_slice(&u64::to_le_bytes(entry));
        let (found, _) = extract(&bytes).unwrap_or_else(|error| panic!("{entry}: {error}"));
        assert_eq!(found.group.data.bytes, expected);
    }
}

/// Offsets of fields in a section header of ELF.
const SH_NAME: usize = 0;
const SH_ENTSIZE: usize = 56;

/// Where a field of a section's header is in an object: for what the writer does not set.
fn header_field(bytes: &[u8], section: &str, field: usize) -> usize {
    use object::read::elf::ElfFile64;
    use object::{Object as _, ObjectSection as _};
    let file = ElfFile64::<Endianness>::parse(bytes).unwrap();
    let index = file.section_by_name(section).unwrap().index().0;
    let headers = u64::from_le_bytes(bytes[0x28..0x30].try_into().unwrap()) as usize;
    headers + index * 64 + field
}

#[test]
fn data_that_is_patched_itself_is_an_error() {
    let mut writer = Writer::new();
    let section = writer.section(".rodata", SectionKind::ReadOnlyData, &[0; 8], 8);
    let helper = writer.undefined("helper");
    writer.relocate_in(section, 0, helper, elf::R_X86_64_64, 0);
    let symbol = writer.symbol("constant", SymbolSection::Section(section), 0, 8);
    writer.relocate(symbol, elf::R_X86_64_PC32, -4);
    let mut bytes = writer.object.write().unwrap();
    assert_eq!(
        text(extract(&bytes)),
        "uop (object), section .rela.rodata: a section of type 0x4, flags 0x40 is not understood"
    );
    // Even where the relocations go by a name that passes.
    let passes = bytes[header_field(&bytes, ".rela.text.UOP", SH_NAME)..][..4].to_vec();
    let name = header_field(&bytes, ".rela.rodata", SH_NAME);
    bytes[name..name + 4].copy_from_slice(&passes);
    assert_eq!(
        text(extract(&bytes)),
        "uop UOP, section .text.UOP: the relocation at 0x11 refers to .rodata, \
         which has relocations of its own"
    );
}

#[test]
fn sections_that_are_not_understood_are_named() {
    for (name, kind, expected) in [
        (".data", SectionKind::Data, "type 0x1, flags 0x3"),
        (
            ".bss",
            SectionKind::UninitializedData,
            "type 0x8, flags 0x3",
        ),
        (".tdata", SectionKind::Tls, "type 0x1, flags 0x403"),
        (".init_array", SectionKind::Data, "type 0x1, flags 0x3"),
        (
            ".eh_frame",
            SectionKind::ReadOnlyData,
            "type 0x1, flags 0x2",
        ),
        (".rodata", SectionKind::Data, "type 0x1, flags 0x3"),
        (".rodata.tls", SectionKind::Tls, "type 0x1, flags 0x403"),
        (".text", SectionKind::Text, "type 0x1, flags 0x6"),
        (".textual", SectionKind::Text, "type 0x1, flags 0x6"),
    ] {
        let mut writer = Writer::new();
        writer.section(name, kind, &[0; 8], 8);
        let error = writer.extract().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("uop (object), section {name}: a section of {expected} is not understood")
        );
        assert_eq!((&*error.uop, &*error.section), ("(object)", name));
        assert!(matches!(*error.problem, ExtractProblem::Section { .. }));
    }
}

#[test]
fn every_uop_has_one_section() {
    let reader = ObjectReader::new(OBJECT).unwrap();
    let error = reader
        .extract("OTHER", &mut SymbolNames::default(), RegisterSet::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "uop OTHER, section .text.OTHER: the section does not exist"
    );
    let mut writer = Writer::new();
    writer.section(".text.UOP", SectionKind::Text, &[0x90], 1);
    assert_eq!(
        text(writer.extract()),
        "uop (object), section .text.UOP: the section exists twice"
    );
}

#[test]
fn what_is_no_object_is_an_error() {
    for bytes in [
        &b""[..],
        b"\x7fELF",
        b"!<arch>\n",
        &[0; 4096],
        b"_JIT_CONTINUE",
    ] {
        let error = text(extract(bytes));
        let start = "uop (object), section (header): not a readable ELF object: ";
        assert!(error.starts_with(start), "{error}");
    }
}

/// Whatever is cut off, there is an error or, where only what no one needs is gone, the same stencils.
#[test]
fn truncated_objects_are_errors() {
    for length in 0..OBJECT.len() {
        if let Ok((found, _)) = extract(&OBJECT[..length]) {
            panic!("{length} of {} bytes give {found:?}", OBJECT.len());
        }
    }
}

/// Every bit of an object flipped, and every byte replaced by the values that break length computations: never a panic,
/// and never data or code beyond any bounds.
#[test]
fn damaged_objects_never_panic() {
    let mut bytes = OBJECT.to_vec();
    let mut read = 0;
    for place in 0..bytes.len() {
        let original = bytes[place];
        let flipped = (0..8).map(|bit| original ^ (1 << bit));
        for damaged in flipped.chain([0x00, 0x7f, 0x80, 0xff]) {
            bytes[place] = damaged;
            if let Ok((found, _)) = extract(&bytes) {
                read += 1;
                assert!(found.group.as_group().code_len() <= OBJECT.len());
                assert!(found.group.data.bytes.len() <= OBJECT.len());
            }
        }
        bytes[place] = original;
    }
    assert!(read > 0, "some bytes do not matter");
}

/// Two damaged fields at once, in the section headers, the symbols and the relocations: all words of 8 bytes replaced.
#[test]
fn damaged_words_never_panic() {
    let words = [0, 1, 3, 1 << 31, 1 << 32, 1 << 63, u64::MAX, u64::MAX - 7];
    let mut bytes = OBJECT.to_vec();
    for place in (0..bytes.len() - 8).step_by(4) {
        let original: [u8; 8] = bytes[place..place + 8].try_into().unwrap();
        for word in words {
            bytes[place..place + 8].copy_from_slice(&u64::to_le_bytes(word));
            let _ = extract(&bytes);
        }
        bytes[place..place + 8].copy_from_slice(&original);
    }
}

/// A section of code: the function's name, the bytes, and the offsets and symbols of its branches' relocations.
type Function<'a> = (&'a str, &'a [u8], &'a [(u64, &'a str)]);

/// An object with these functions.
fn object_of(sections: &[Function<'_>]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let ids: Vec<SectionId> = sections
        .iter()
        .map(|(name, bytes, _)| {
            let name = format!(".text.{name}").into_bytes();
            let id = object.add_section(Vec::new(), name, SectionKind::Text);
            object.append_section_data(id, bytes, 1);
            id
        })
        .collect();
    let code = ids[0];
    let mut writer = Writer { object, code };
    for (&id, (.., relocations)) in ids.iter().zip(sections) {
        for &(offset, name) in *relocations {
            let section = sections.iter().position(|(section, ..)| *section == name);
            let symbol = match section {
                Some(index) => writer.symbol(name, SymbolSection::Section(ids[index]), 0, 0),
                None => writer.undefined(name),
            };
            writer.relocate_in(id, offset, symbol, elf::R_X86_64_PLT32, -4);
        }
    }
    writer.object.write().unwrap()
}

#[test]
fn rare_blocks_stand_in_front_of_the_cold_functions() {
    // je UOP.cold0; jo 14; nop; jmp CONTINUE; 14: nop; jmp JUMP_TARGET
    let hot = [
        0x0f, 0x84, 0, 0, 0, 0, 0x70, 6, 0x90, 0xe9, 0, 0, 0, 0, 0x90, 0xe9, 0, 0, 0, 0,
    ];
    let ways: &[(u64, &str)] = &[
        (2, "UOP.cold0"),
        (10, "_JIT_CONTINUE"),
        (16, "_JIT_JUMP_TARGET"),
    ];
    let cold: Function<'_> = ("UOP.cold0", &[0xe9, 0, 0, 0, 0], &[(1, "_JIT_CONTINUE")]);
    let (found, _) = extract(&object_of(&[("UOP", &hot, ways), cold])).unwrap();
    let hole = |offset, value, addend| Hole::new(offset, RelocationKind::Pc32, value, addend);
    let group = &found.group;
    // je COLD + 6; jo COLD; nop
    let expected_hot = [0x0f, 0x84, 0, 0, 0, 0, 0x0f, 0x80, 0, 0, 0, 0, 0x90];
    assert_eq!(group.hot.bytes, expected_hot);
    let in_hot = [hole(2, HoleValue::Cold, 2), hole(8, HoleValue::Cold, -4)];
    assert_eq!(group.hot.holes, in_hot);
    // nop; jmp JUMP_TARGET, and the function
    let expected_cold = [0x90, 0xe9, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0];
    assert_eq!(group.cold.bytes, expected_cold);
    let in_cold = [
        hole(2, HoleValue::JumpTarget, -4),
        hole(7, HoleValue::Continue, -4),
    ];
    assert_eq!(group.cold.holes, in_cold);
    assert_eq!(found.cold_starts, [6]);
}

#[test]
fn placeholders_become_register_holes() {
    let register = |encoding| {
        Register::all()
            .find(|register| register.class() == Class::General && register.encoding() == encoding)
            .unwrap()
    };
    let (r8, r9, rcx) = (register(8), register(9), register(1));
    let placeholders = RegisterSet::default().with(r8).with(r9);
    let extract = |code: &[u8]| {
        let object = object_of(&[("UOP", code, &[])]);
        ObjectReader::new(&object).unwrap().extract(
            "UOP",
            &mut SymbolNames::default(),
            placeholders,
        )
    };
    // add r8, r9; shl r8, cl
    let found = extract(&[0x4d, 0x01, 0xc8, 0x49, 0xd3, 0xe0]).unwrap();
    let holes: Vec<_> = found
        .register_holes
        .iter()
        .map(|hole| (hole.offset, hole.rex, hole.field, hole.register))
        .collect();
    let expected = [
        (2, Some(0), RegisterField::Base, r8),
        (2, Some(0), RegisterField::Reg, r9),
        (5, Some(3), RegisterField::Base, r8),
    ];
    assert_eq!(holes, expected);
    assert_eq!(found.renameable, RegisterSet::ALL.without(rcx));
    // vaddsd and the like have their registers elsewhere: vmovq xmm0, r8
    assert_eq!(
        text(extract(&[0xc4, 0xc1, 0xf9, 0x6e, 0xc0]).map(|found| (found, SymbolNames::default()))),
        "uop UOP, section .text.UOP: the instruction `vmovq xmm0, r8` at 0x0 of the hot code uses a placeholder, which \
         holds r8 in no field of its own"
    );
}
