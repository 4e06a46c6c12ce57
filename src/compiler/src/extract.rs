//! An object file to stencil groups: code per function section, the constants each stencil refers to, and every
//! relocation as a hole. Then the branches are improved: see `branches`.
//!
//! Whatever is not understood is an error that names the uop, the section and what was found; nothing is skipped.

mod branches;
mod registers;

use crate::symbol::{HoleSymbol, Meaning, SymbolMeanings};
use iced_x86::{Decoder, DecoderOptions, OpKind};
use mimeo::form::{RegisterHole, RegisterSet};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Part, StencilBuf, StencilGroupBuf};
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget,
    SectionFlags, SectionIndex, SymbolKind, elf,
};
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// What an object file holds that a stencil cannot.
#[derive(Debug, thiserror::Error)]
#[error("uop {uop}, section {section}: {problem}")]
pub struct ExtractError {
    /// The uop whose code was being read; the object itself where no uop is to blame.
    pub uop: String,
    /// The section.
    pub section: String,
    /// What was found there.
    pub problem: Box<ExtractProblem>,
}

impl ExtractError {
    fn new(uop: &str, section: &str, problem: impl Into<ExtractProblem>) -> Self {
        Self {
            uop: uop.to_owned(),
            section: section.to_owned(),
            problem: Box::new(problem.into()),
        }
    }

    /// A problem with the object as a whole.
    fn of_object(section: &str, problem: impl Into<ExtractProblem>) -> Self {
        Self::new(OBJECT, section, problem)
    }

    /// Whether no uop is to blame, for all that the object says.
    #[cfg(llvm)]
    pub(crate) fn is_of_object(&self) -> bool {
        self.uop == OBJECT
    }
}

/// Instead of a uop's name.
const OBJECT: &str = "(object)";

/// The problem itself; see [`ExtractError`].
#[derive(Debug, thiserror::Error)]
pub enum ExtractProblem {
    /// The bytes are not an object file that the `object` crate reads.
    #[error("not a readable ELF object: {0}")]
    Unreadable(#[from] object::Error),
    /// The section of the uop's code is not there.
    #[error("the section does not exist")]
    Missing,
    /// Two sections hold the same uop's code.
    #[error("the section exists twice")]
    Duplicate,
    /// More code than the offsets in a stencil can say.
    #[error("{length} bytes of code are too many, the limit is {limit}", limit = MAX_CODE)]
    TooLong {
        /// Bytes of the section and those before it.
        length: usize,
    },
    /// A section that no rule says what to do with.
    #[error("a section of type {kind:#x}, flags {flags:#x} is not understood")]
    Section {
        /// `sh_type`.
        kind: u32,
        /// `sh_flags`.
        flags: u64,
    },
    /// A relocation kind that no rule says what to do with.
    #[error("relocation kind {kind} at {offset:#x} against {symbol:?} is not understood")]
    Relocation {
        /// Bytes from the start of the section.
        offset: u64,
        /// The ELF `r_type`.
        kind: u32,
        /// The symbol's name.
        symbol: String,
    },
    /// A symbol that no rule says what to do with.
    #[error("symbol {symbol:?} of the relocation at {offset:#x} is not understood: {reason}")]
    Symbol {
        /// Bytes from the start of the section.
        offset: u64,
        /// The symbol's name.
        symbol: String,
        /// Why.
        reason: String,
    },
    /// A field that cannot hold every value of its hole.
    #[error(
        "the relocation {kind} at {offset:#x} is narrower than its hole {symbol}: values lie in {values}, \
         the field holds {holds}",
        values = interval(.values),
        holds = interval(&wide(.kind.range()))
    )]
    Narrow {
        /// Bytes from the start of the section.
        offset: u64,
        /// The relocation kind.
        kind: RelocationKind,
        /// The symbol's name.
        symbol: String,
        /// What the hole may be filled with, shifted and with the addend.
        values: RangeInclusive<i128>,
    },
    /// A number where the distance to an address belongs.
    #[error(
        "the relocation {kind} at {offset:#x} is relative to the code, but its hole {symbol} is a number"
    )]
    Relative {
        /// Bytes from the start of the section.
        offset: u64,
        /// The relocation kind.
        kind: RelocationKind,
        /// The hole's symbol.
        symbol: String,
    },
    /// A relocation that does not lie inside its section.
    #[error(
        "the relocation {kind} at {offset:#x} is outside the section, which has {length} bytes"
    )]
    OutsideCode {
        /// Bytes from the start of the section.
        offset: u64,
        /// The relocation kind.
        kind: RelocationKind,
        /// The section's size.
        length: usize,
    },
    /// An addend beyond 32 bits.
    #[error("the addend {addend:#x} of the relocation at {offset:#x} does not fit 32 bits")]
    Addend {
        /// Bytes from the start of the section.
        offset: u64,
        /// The addend.
        addend: i64,
    },
    /// A reference to data that does not lie inside its section.
    #[error(
        "the relocation at {offset:#x} refers to byte {place:#x} of {section}, which has {length} bytes"
    )]
    OutsideData {
        /// Bytes from the start of the section.
        offset: u64,
        /// Where it points.
        place: i64,
        /// The section it points into.
        section: String,
        /// That section's size.
        length: usize,
    },
    /// Data that cannot be copied as bytes: it is patched itself, or wants an alignment that stencils cannot have.
    #[error("the relocation at {offset:#x} refers to {section}, {reason}")]
    Data {
        /// Bytes from the start of the section.
        offset: u64,
        /// The section it points into.
        section: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An instruction that uses a placeholder register so that it cannot be renamed.
    #[error(
        "the instruction `{instruction}` at {offset:#x} of the {part} uses a placeholder, {reason}"
    )]
    Placeholder {
        /// The part of the stencil group.
        part: Part,
        /// Bytes from its start.
        offset: u32,
        /// The instruction in Intel syntax.
        instruction: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The most bytes of code that a uop may have, hot or cold: offsets and addends of holes then cannot overflow.
const MAX_CODE: usize = 1 << 24;

/// The largest alignment of data: a cache line.
const MAX_ALIGN: u64 = 64;

fn wide(range: RangeInclusive<i64>) -> RangeInclusive<i128> {
    i128::from(*range.start())..=i128::from(*range.end())
}

/// Both ends as signed hexadecimal numbers.
fn interval(range: &RangeInclusive<i128>) -> String {
    let hex = |value: i128| match value < 0 {
        true => format!("-{:#x}", value.unsigned_abs()),
        false => format!("{value:#x}"),
    };
    format!("{}..={}", hex(*range.start()), hex(*range.end()))
}

/// The names of helpers and data that stencils refer to, in the order of their first use.
#[derive(Debug, Default)]
pub struct SymbolNames {
    names: Vec<String>,
    indices: HashMap<String, u32>,
}

impl SymbolNames {
    /// The index of a name, which is added when it is new.
    pub fn index(&mut self, name: &str) -> u32 {
        if let Some(&index) = self.indices.get(name) {
            return index;
        }
        let index = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.indices.insert(name.to_owned(), index);
        index
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// What was read of one uop.
#[derive(Debug, Default)]
pub struct Extracted {
    /// The stencils.
    pub group: StencilGroupBuf,
    /// The largest value declared for any oparg hole; `None` where there is none.
    pub oparg_max: Option<u64>,
    /// The largest value declared for any operand hole.
    pub operand_max: Option<u64>,
    /// The largest value declared for any hole for the second operand.
    pub operand1_max: Option<u64>,
    /// Where each cold function starts in the cold part. In front of the first stand blocks of the hot function.
    pub cold_starts: Vec<u32>,
    /// Where placeholder registers stand, hot before cold, ascending; empty where none were asked for.
    pub register_holes: Vec<RegisterHole>,
    /// The registers that the placeholders can be renamed to: those that the code uses in no other way. Empty where no
    /// placeholders were asked for.
    pub renameable: RegisterSet,
}

/// An object file whose uops can be extracted one by one.
pub struct ObjectReader<'data> {
    file: ElfFile64<'data, Endianness>,
    /// The sections of code.
    code: HashMap<String, SectionIndex>,
    /// Where in its section each function starts, if not where the section does.
    starts: HashMap<SectionIndex, u64>,
    meanings: SymbolMeanings,
}

impl<'data> ObjectReader<'data> {
    /// Reads the file's section table, and checks that every section has a meaning.
    ///
    /// # Errors
    /// The bytes are no ELF object, or it has a section that is not understood.
    pub fn new(bytes: &'data [u8]) -> Result<Self, ExtractError> {
        let unreadable = |error: object::Error| ExtractError::of_object("(header)", error);
        let file = ElfFile64::<Endianness>::parse(bytes).map_err(unreadable)?;
        let mut code = HashMap::new();
        for section in file.sections() {
            let name = section.name().map_err(unreadable)?;
            check_section(&section, name)
                .map_err(|problem| ExtractError::of_object(name, problem))?;
            let is_code = name.starts_with(CODE);
            if is_code && code.insert(name.to_owned(), section.index()).is_some() {
                return Err(ExtractError::of_object(name, ExtractProblem::Duplicate));
            }
        }
        // Data may stand in front of a function, which goes to the section's end.
        let mut starts: HashMap<SectionIndex, u64> = HashMap::new();
        for symbol in file.symbols() {
            let (SymbolKind::Text, Some(index)) = (symbol.kind(), symbol.section_index()) else {
                continue;
            };
            let section = file.section_by_index(index).map_err(unreadable)?;
            let (start, size) = (symbol.address(), symbol.size());
            if size > 0 && start.checked_add(size) == Some(section.size()) {
                let known = starts.entry(index).or_insert(start);
                *known = start.min(*known);
            }
        }
        let meanings = SymbolMeanings::default();
        Ok(Self {
            file,
            code,
            starts,
            meanings,
        })
    }

    /// The same object, whose undefined symbols mean what is declared here.
    #[must_use]
    pub fn with_meanings(mut self, meanings: SymbolMeanings) -> Self {
        self.meanings = meanings;
        self
    }

    /// Extracts one uop: its hot code, its cold functions as one part, and the data both refer to.
    ///
    /// `symbols` gains the names that the uop's symbol holes refer to. Every use of a register in `placeholders` becomes
    /// a register hole; the set is empty for code whose registers stay as they are.
    ///
    /// # Errors
    /// Something in its sections is not understood, a field is narrower than its hole, or a placeholder is used in a way
    /// that cannot be renamed.
    pub fn extract(
        &self,
        uop: &str,
        symbols: &mut SymbolNames,
        placeholders: RegisterSet,
    ) -> Result<Extracted, ExtractError> {
        Extraction::start(self, uop, symbols).run(placeholders)
    }

    /// Extracts one uop whose code is in one piece, with nothing that could be elsewhere.
    ///
    /// # Errors
    /// As [`extract`](Self::extract).
    pub fn extract_whole(
        &self,
        uop: &str,
        symbols: &mut SymbolNames,
    ) -> Result<Extracted, ExtractError> {
        Extraction::start(self, uop, symbols).run_whole()
    }

    fn code_section(&self, name: &str) -> Option<SectionIndex> {
        self.code.get(name).copied()
    }

    /// Where in its section a function starts.
    fn start(&self, section: SectionIndex) -> u64 {
        self.starts.get(&section).copied().unwrap_or_default()
    }
}

/// What the names of code sections begin with; the function's name follows.
const CODE: &str = ".text.";

/// Code sections are read per uop and constants when something refers to them; the rest must hold nothing.
fn check_section<'data>(
    section: &impl ObjectSection<'data>,
    name: &str,
) -> Result<(), ExtractProblem> {
    let (kind, flags) = match section.flags() {
        SectionFlags::Elf { sh_type, sh_flags } => (sh_type.0, sh_flags.0),
        _ => (0, 0),
    };
    let known = match name {
        "" | ".strtab" | ".shstrtab" | ".symtab" | ".comment" | ".note.GNU-stack"
        | ".note.gnu.property" | ".symtab_shndx" | ".llvm_addrsig" => true,
        ".text" => section.size() == 0,
        // Not loaded with the program.
        _ if flags & elf::SHF_ALLOC.0 == 0 && is_debug(name) => true,
        _ => {
            name.starts_with(CODE)
                || name.starts_with(".rela.text.")
                || (name.starts_with(CONSTANTS) && flags & (elf::SHF_WRITE.0 | elf::SHF_TLS.0) == 0)
        }
    };
    match known {
        true => Ok(()),
        false => Err(ExtractProblem::Section { kind, flags }),
    }
}

/// Whether a section is for debuggers: it says what the code is, and is no part of it.
fn is_debug(name: &str) -> bool {
    let name = name.strip_prefix(".rela").unwrap_or(name);
    name.starts_with(".debug_") || name.starts_with(".zdebug_") || name == ".gdb_index"
}

/// What the names of sections of constants begin with.
const CONSTANTS: &str = ".rodata";

/// What a relocation refers to.
enum Target {
    Hole(HoleSymbol),
    Symbol(String),
    /// A symbol that is a number in this range.
    Number(String, RangeInclusive<i64>),
    /// The cold function with this number.
    Cold(u32),
    Data {
        section: SectionIndex,
        value: u64,
        size: u64,
    },
}

/// The extraction of one uop.
struct Extraction<'a, 'data> {
    reader: &'a ObjectReader<'data>,
    uop: &'a str,
    symbols: &'a mut SymbolNames,
    /// The uop's cold functions.
    cold_numbers: HashMap<SectionIndex, u32>,
    /// Where data that was carved already starts in the data part.
    carved: HashMap<(SectionIndex, u64), u32>,
    /// Where the slots of symbols are in the data part.
    slots: HashMap<String, u32>,
    extracted: Extracted,
}

impl<'a, 'data> Extraction<'a, 'data> {
    fn start(reader: &'a ObjectReader<'data>, uop: &'a str, symbols: &'a mut SymbolNames) -> Self {
        Self {
            reader,
            uop,
            symbols,
            cold_numbers: HashMap::new(),
            carved: HashMap::new(),
            slots: HashMap::new(),
            extracted: Extracted::default(),
        }
    }

    fn run(mut self, placeholders: RegisterSet) -> Result<Extracted, ExtractError> {
        let (hot_name, hot) = self.hot_section()?;
        let cold = self.find_cold_sections();
        let sections = cold.iter().map(|(_, section)| *section);
        self.reserve_slots(&hot_name, std::iter::once(hot).chain(sections))?;
        let improved = branches::improve_hot(self.read_code(&hot_name, hot)?);
        self.extracted.group.hot = improved.code;
        // In front of the cold functions: what stands there belongs to the hot function.
        self.append_cold(&hot_name, improved.moved)?;
        for (name, section) in cold {
            let code = branches::improve_cold(self.read_code(&name, section)?);
            self.extracted
                .cold_starts
                .push(self.extracted.group.cold.bytes.len() as u32);
            self.append_cold(&name, code)?;
        }
        self.place_cold_targets();
        self.sort_data_holes();
        self.find_registers(&hot_name, placeholders)?;
        Ok(self.extracted)
    }

    fn run_whole(mut self) -> Result<Extracted, ExtractError> {
        let (name, section) = self.hot_section()?;
        self.reserve_slots(&name, [section])?;
        let code = self.read_code(&name, section)?;
        let range = |hole: &Hole| match hole.value() {
            HoleValue::Symbol => {
                let name = self.symbols.names().get(hole.symbol() as usize)?;
                match self.reader.meanings.meaning(name) {
                    Ok(Meaning::Number(range)) => Some(range),
                    _ => None,
                }
            }
            _ => None,
        };
        self.extracted.group.hot = branches::improve_whole(code, range);
        self.sort_data_holes();
        Ok(self.extracted)
    }

    fn hot_section(&self) -> Result<(String, SectionIndex), ExtractError> {
        let name = format!("{CODE}{}", self.uop);
        match self.reader.code_section(&name) {
            Some(section) => Ok((name, section)),
            None => Err(self.error(&name, ExtractProblem::Missing)),
        }
    }

    fn sort_data_holes(&mut self) {
        self.extracted.group.data.holes.sort_by_key(Hole::offset);
    }

    fn find_registers(
        &mut self,
        section: &str,
        placeholders: RegisterSet,
    ) -> Result<(), ExtractError> {
        if placeholders == RegisterSet::default() {
            return Ok(());
        }
        let (holes, used_otherwise) = registers::find(&self.extracted.group, placeholders)
            .map_err(|problem| {
                let problem = ExtractProblem::Placeholder {
                    part: problem.part,
                    offset: problem.offset,
                    instruction: problem.instruction,
                    reason: problem.reason,
                };
                self.error(section, problem)
            })?;
        self.extracted.register_holes = holes;
        self.extracted.renameable = RegisterSet(!used_otherwise.0);
        Ok(())
    }

    /// Finds the uop's cold functions, and numbers them.
    fn find_cold_sections(&mut self) -> Vec<(String, SectionIndex)> {
        let cold: Vec<_> = (0..)
            .map(|index| format!("{CODE}{}.cold{index}", self.uop))
            .map_while(|name| {
                let section = self.reader.code_section(&name)?;
                Some((name, section))
            })
            .collect();
        let sections = cold.iter().map(|(_, section)| *section);
        self.cold_numbers = sections.zip(0..).collect();
        cold
    }

    fn append_cold(&mut self, name: &str, code: StencilBuf) -> Result<(), ExtractError> {
        let part = &mut self.extracted.group.cold;
        let start = part.bytes.len() as u32;
        part.bytes.extend(code.bytes);
        let holes = code.holes.into_iter();
        part.holes
            .extend(holes.map(|hole| hole.at(start + hole.offset())));
        let length = part.bytes.len();
        self.check_length(name, length)
    }

    /// Holes for cold code hold the number of the function so far; now it is known where each starts.
    fn place_cold_targets(&mut self) {
        let starts = &self.extracted.cold_starts;
        let group = &mut self.extracted.group;
        for hole in group.hot.holes.iter_mut().chain(&mut group.cold.holes) {
            if hole.value() == HoleValue::Cold {
                let start = match hole.symbol() {
                    branches::MOVED => 0,
                    number => starts[number as usize] as i32,
                };
                let addend = hole.addend() + start;
                *hole = Hole::new(hole.offset(), hole.kind(), hole.value(), addend);
            }
        }
    }

    fn error(&self, section: &str, problem: impl Into<ExtractProblem>) -> ExtractError {
        ExtractError::new(self.uop, section, problem)
    }

    fn check_length(&self, section: &str, length: usize) -> Result<(), ExtractError> {
        match length <= MAX_CODE {
            true => Ok(()),
            false => Err(self.error(section, ExtractProblem::TooLong { length })),
        }
    }

    fn bytes(&self, name: &str, section: SectionIndex) -> Result<&'data [u8], ExtractError> {
        let data = self
            .reader
            .file
            .section_by_index(section)
            .and_then(|section| section.data());
        let data = data.map_err(|error| self.error(name, error))?;
        let start = usize::try_from(self.reader.start(section)).ok();
        let code = start.and_then(|start| data.get(start..));
        code.ok_or_else(|| self.error(name, ExtractProblem::Missing))
    }

    /// Makes room in the data for the slots of the code's symbols, in front of everything else, which is less aligned.
    fn reserve_slots(
        &mut self,
        name: &str,
        sections: impl IntoIterator<Item = SectionIndex>,
    ) -> Result<(), ExtractError> {
        let mut symbols = Vec::new();
        for section in sections {
            let read = self.reader.file.section_by_index(section);
            let read = read.map_err(|error| self.error(name, error))?;
            let start = self.reader.start(section);
            let relocations = read.relocations();
            for (_, relocation) in relocations.filter(|&(offset, _)| offset >= start) {
                if is_through_slot(&relocation) {
                    let symbol = self.symbol_name(&relocation);
                    symbols.push(symbol.map_err(|problem| self.error(name, problem))?);
                }
            }
        }
        symbols.sort();
        symbols.dedup();
        let data = &mut self.extracted.group.data;
        if !symbols.is_empty() {
            data.bytes.resize(symbols.len() * SLOT, 0);
            data.align = data.align.max(SLOT as u32);
        }
        Ok(())
    }

    /// One code section, as it is.
    fn read_code(&mut self, name: &str, section: SectionIndex) -> Result<StencilBuf, ExtractError> {
        let bytes = self.bytes(name, section)?;
        self.check_length(name, bytes.len())?;
        let mut code = StencilBuf {
            bytes: bytes.to_vec(),
            ..StencilBuf::default()
        };
        let file = &self.reader.file;
        let read = file
            .section_by_index(section)
            .map_err(|error| self.error(name, error))?;
        let start = self.reader.start(section);
        for (offset, relocation) in read.relocations() {
            let Some(offset) = offset.checked_sub(start) else {
                continue;
            };
            let hole = self
                .hole(offset, &relocation, bytes)
                .map_err(|problem| self.error(name, problem))?;
            code.bytes[hole.offset() as usize..hole.end() as usize].fill(0);
            code.holes.push(hole);
        }
        code.holes.sort_by_key(Hole::offset);
        Ok(code)
    }

    /// The hole for a relocation of a section with these bytes, with its offset in that section.
    fn hole(
        &mut self,
        offset: u64,
        relocation: &object::Relocation,
        code: &[u8],
    ) -> Result<Hole, ExtractProblem> {
        let symbol = self.symbol_name(relocation)?;
        let through_slot = is_through_slot(relocation);
        let kind = match through_slot {
            true => RelocationKind::Pc32,
            false => relocation_kind(offset, relocation, &symbol)?,
        };
        let end = offset.checked_add(kind.width() as u64);
        if end.is_none_or(|end| end > code.len() as u64) {
            return Err(ExtractProblem::OutsideCode {
                offset,
                kind,
                length: code.len(),
            });
        }
        let target = self.target(offset, relocation, &symbol)?;
        let addend = relocation.addend();
        let hole = |value, start: u32, kind| {
            let addend = i64::from(start).checked_add(addend).unwrap_or(addend);
            let small =
                i32::try_from(addend).map_err(|_| ExtractProblem::Addend { offset, addend })?;
            Ok(Hole::new(offset as u32, kind, value, small))
        };
        if through_slot {
            return hole(HoleValue::Data, self.slot(offset, &symbol, target)?, kind);
        }
        check_width(offset, kind, &target, &symbol, addend, code)?;
        let kind = kind_in_instruction(kind, &target);
        match target {
            Target::Hole(meaning) => {
                self.note_range(meaning);
                Ok(hole(meaning.value, 0, kind)?
                    .with_shift(meaning.shift)
                    .with_element(meaning.element))
            }
            Target::Symbol(name) | Target::Number(name, _) => {
                Ok(hole(HoleValue::Symbol, 0, kind)?.with_symbol(self.symbols.index(&name)))
            }
            Target::Cold(number) => Ok(hole(HoleValue::Cold, 0, kind)?.with_symbol(number)),
            Target::Data {
                section,
                value,
                size,
            } => {
                let start = self.carve(offset, section, value, size)?;
                hole(HoleValue::Data, start, kind)
            }
        }
    }

    /// Where in the data the word is that holds the symbol's address: its slot of what would be the global offset table.
    fn slot(&mut self, offset: u64, symbol: &str, target: Target) -> Result<u32, ExtractProblem> {
        if let Some(&start) = self.slots.get(symbol) {
            return Ok(start);
        }
        let word = |value, addend: u32| Hole::new(0, RelocationKind::Abs64, value, addend as i32);
        let hole = match target {
            Target::Hole(meaning) => word(meaning.value, 0)
                .with_shift(meaning.shift)
                .with_element(meaning.element),
            Target::Symbol(name) | Target::Number(name, _) => {
                word(HoleValue::Symbol, 0).with_symbol(self.symbols.index(&name))
            }
            Target::Data {
                section,
                value,
                size,
            } => word(HoleValue::Data, self.carve(offset, section, value, size)?),
            Target::Cold(_) => {
                return Err(ExtractProblem::Symbol {
                    offset,
                    symbol: symbol.to_owned(),
                    reason: "its address is taken, and it is code".to_owned(),
                });
            }
        };
        let start = (self.slots.len() * SLOT) as u32;
        self.extracted.group.data.holes.push(hole.at(start));
        self.slots.insert(symbol.to_owned(), start);
        Ok(start)
    }

    fn symbol_name(&self, relocation: &object::Relocation) -> Result<String, ExtractProblem> {
        match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = self.reader.file.symbol_by_index(index)?;
                match symbol.section_index() {
                    // It has no name of its own.
                    Some(section) if symbol.kind() == SymbolKind::Section => {
                        let section = self.reader.file.section_by_index(section)?;
                        Ok(section.name()?.to_owned())
                    }
                    _ => Ok(symbol.name()?.to_owned()),
                }
            }
            other => Ok(format!("{other:?}")),
        }
    }

    fn target(
        &self,
        offset: u64,
        relocation: &object::Relocation,
        name: &str,
    ) -> Result<Target, ExtractProblem> {
        let refuse = |reason: &str| ExtractProblem::Symbol {
            offset,
            symbol: name.to_owned(),
            reason: reason.to_owned(),
        };
        let RelocationTarget::Symbol(index) = relocation.target() else {
            return Err(refuse("the relocation has no symbol"));
        };
        let symbol = self.reader.file.symbol_by_index(index)?;
        if symbol.is_undefined() {
            let meaning = self.reader.meanings.meaning(name);
            return match meaning.map_err(|reason| refuse(&reason))? {
                Meaning::Hole(hole) => Ok(Target::Hole(hole)),
                Meaning::Number(range) => Ok(Target::Number(name.to_owned(), range)),
                Meaning::Address if name.is_empty() => Err(refuse("it has no name")),
                Meaning::Address => Ok(Target::Symbol(name.to_owned())),
            };
        }
        let Some(section) = symbol.section_index() else {
            return Err(refuse("it is neither undefined nor in a section"));
        };
        if let Some(&number) = self.cold_numbers.get(&section) {
            // Only branches to its start: what is inside moves.
            let is_start =
                symbol.address() == self.reader.start(section) && relocation.addend() == -4;
            return match is_start {
                true => Ok(Target::Cold(number)),
                false => Err(refuse("it is not the start of cold code")),
            };
        }
        let section_name = self
            .reader
            .file
            .section_by_index(section)?
            .name()?
            .to_owned();
        if !section_name.starts_with(CONSTANTS) {
            return Err(refuse(&format!("it is defined in {section_name}")));
        }
        if symbol.kind() == SymbolKind::Section {
            return Err(refuse(
                "a section's symbol does not say which constant is meant",
            ));
        }
        Ok(Target::Data {
            section,
            value: symbol.address(),
            size: symbol.size(),
        })
    }

    fn note_range(&mut self, hole: HoleSymbol) {
        let noted = match hole.value {
            HoleValue::Oparg => &mut self.extracted.oparg_max,
            HoleValue::Operand => &mut self.extracted.operand_max,
            HoleValue::Operand1 => &mut self.extracted.operand1_max,
            _ => return,
        };
        *noted = Some(noted.map_or(hole.max(), |max| max.min(hole.max())));
    }

    /// Copies the constant at `value` of a section into the uop's own data, once, and returns where it starts there.
    fn carve(
        &mut self,
        offset: u64,
        section: SectionIndex,
        value: u64,
        size: u64,
    ) -> Result<u32, ExtractProblem> {
        if let Some(&start) = self.carved.get(&(section, value)) {
            return Ok(start);
        }
        let read = self.reader.file.section_by_index(section)?;
        let bytes = read.data()?;
        let length = constant_length(bytes, value, size, entry_size(&read));
        let constant = usize::try_from(value)
            .ok()
            .zip(length)
            .and_then(|(start, length)| bytes.get(start..start.checked_add(length)?))
            .ok_or_else(|| ExtractProblem::OutsideData {
                offset,
                place: value as i64,
                section: read.name().unwrap_or("?").to_owned(),
                length: bytes.len(),
            })?;
        let refuse = |reason: String| ExtractProblem::Data {
            offset,
            section: read.name().unwrap_or("?").to_owned(),
            reason,
        };
        if read.relocations().next().is_some() {
            return Err(refuse("which has relocations of its own".to_owned()));
        }
        let align = read.align().max(1);
        if !align.is_power_of_two() || align > MAX_ALIGN {
            return Err(refuse(format!(
                "which is aligned to {align} bytes, expected a power of two up to {MAX_ALIGN}"
            )));
        }
        let data = &mut self.extracted.group.data;
        let start = data.bytes.len().next_multiple_of(align as usize);
        data.bytes.resize(start, 0);
        data.bytes.extend_from_slice(constant);
        data.align = data.align.max(align as u32);
        self.carved.insert((section, value), start as u32);
        Ok(start as u32)
    }
}

/// The size of one entry of a section of mergeable constants; 0 for others.
fn entry_size<'data>(section: &object::read::elf::ElfSection64<'data, '_, Endianness>) -> u64 {
    use object::read::elf::SectionHeader;
    section.elf_section_header().sh_entsize(Endianness::Little)
}

/// How long the constant at `value` is: the symbol says, or the section's entries do; a string ends with its NUL.
fn constant_length(bytes: &[u8], value: u64, size: u64, entry: u64) -> Option<usize> {
    match (size, entry) {
        (0, 0) => None,
        (0, 1) => {
            let rest = bytes.get(usize::try_from(value).ok()?..)?;
            Some(rest.iter().position(|&byte| byte == 0)? + 1)
        }
        (0, entry) => usize::try_from(entry).ok(),
        (size, _) => usize::try_from(size).ok(),
    }
}

fn relocation_kind(
    offset: u64,
    relocation: &object::Relocation,
    symbol: &str,
) -> Result<RelocationKind, ExtractProblem> {
    let RelocationFlags::Elf { r_type } = relocation.flags() else {
        return Err(ExtractProblem::Relocation {
            offset,
            kind: 0,
            symbol: symbol.to_owned(),
        });
    };
    match r_type {
        elf::R_X86_64_64 => Ok(RelocationKind::Abs64),
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => Ok(RelocationKind::Pc32),
        elf::R_X86_64_32 => Ok(RelocationKind::Abs32),
        elf::R_X86_64_32S => Ok(RelocationKind::Abs32S),
        elf::R_X86_64_16 => Ok(RelocationKind::Abs16),
        elf::R_X86_64_8 => Ok(RelocationKind::Abs8),
        kind => Err(ExtractProblem::Relocation {
            offset,
            kind: kind.0,
            symbol: symbol.to_owned(),
        }),
    }
}

/// The size of a slot: an address.
const SLOT: usize = 8;

/// Whether the relocation asks for a word that holds the symbol's address, and for the way there from the code.
fn is_through_slot(relocation: &object::Relocation) -> bool {
    matches!(
        relocation.flags(),
        RelocationFlags::Elf {
            r_type: elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX
        }
    )
}

/// The kind that the instruction means. For symbols below 128, LLVM 19 writes R_X86_64_32 also where the processor
/// sign-extends the field; it reads such values alike in either way. A number that only the unsigned field holds has
/// been seen to stand in an instruction that does not extend it.
fn kind_in_instruction(kind: RelocationKind, target: &Target) -> RelocationKind {
    match (kind, target) {
        (RelocationKind::Abs32, Target::Hole(hole)) if hole.bits <= 7 && hole.shift == 0 => {
            RelocationKind::Abs32S
        }
        (RelocationKind::Abs32S, Target::Number(_, range)) if *range.end() > i32::MAX.into() => {
            RelocationKind::Abs32
        }
        _ => kind,
    }
}

/// Whether every value that the target may have fits the field. A number stands in it as it is; an address needs 64 bits,
/// or is a distance, which the patcher checks when both ends are known.
fn check_width(
    offset: u64,
    kind: RelocationKind,
    target: &Target,
    symbol: &str,
    addend: i64,
    code: &[u8],
) -> Result<(), ExtractProblem> {
    let (is_number, low, high) = match target {
        Target::Hole(hole) => (
            is_number(hole.value),
            i128::from(hole.min()) << hole.shift,
            i128::from(hole.max()) << hole.shift,
        ),
        Target::Number(_, range) => (true, (*range.start()).into(), (*range.end()).into()),
        Target::Symbol(_) | Target::Cold(_) | Target::Data { .. } => (false, 0, u64::MAX.into()),
    };
    if kind.is_pc_relative() && is_number {
        return Err(ExtractProblem::Relative {
            offset,
            kind,
            symbol: symbol.to_owned(),
        });
    }
    if kind.is_pc_relative() || kind == RelocationKind::Abs64 {
        return Ok(());
    }
    let values = low + i128::from(addend)..=high + i128::from(addend);
    let fits = |kind: RelocationKind| {
        let holds = wide(kind.range());
        holds.contains(values.start()) && holds.contains(values.end())
    };
    let unextended = kind == RelocationKind::Abs32S
        && matches!(target, Target::Number(..))
        && fits(RelocationKind::Abs32)
        && is_unextended(code, offset);
    match fits(kind) || unextended {
        true => Ok(()),
        false => Err(ExtractProblem::Narrow {
            offset,
            kind,
            symbol: symbol.to_owned(),
            values,
        }),
    }
}

fn is_number(value: HoleValue) -> bool {
    matches!(
        value,
        HoleValue::Oparg
            | HoleValue::Operand
            | HoleValue::Operand1
            | HoleValue::Target
            | HoleValue::ExitIndex
            | HoleValue::Input
    )
}

/// Whether the four bytes here are an immediate of an instruction that works on 32 bits: LLVM names the signed relocation
/// for those as well, though nothing extends them.
fn is_unextended(code: &[u8], offset: u64) -> bool {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut instructions = std::iter::from_fn(|| {
        decoder.can_decode().then(|| {
            let instruction = decoder.decode();
            (instruction, decoder.get_constant_offsets(&instruction))
        })
    });
    let found = instructions.find(|(instruction, _)| instruction.next_ip() > offset);
    found.is_some_and(|(instruction, offsets)| {
        let immediate = instruction.ip() + offsets.immediate_offset() as u64;
        let is_wide = |kind| kind == OpKind::Immediate32;
        offsets.has_immediate() && immediate == offset && instruction.op_kinds().any(is_wide)
    })
}
