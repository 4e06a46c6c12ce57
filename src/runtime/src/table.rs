//! The stencil table: all stencil groups of a uop set for one target, in one file.
//!
//! # Format, version 3
//! Every number is little-endian and nothing is aligned. A C program can map the file and use these structures as they
//! are, if it packs them (`#pragma pack(1)`):
//!
//! ```c
//! struct text    { uint32_t offset, length; };          // UTF-8 without a 0 at the end; from the start of the strings
//! struct section { uint32_t offset, count; };           // from the start of the file; elements, not bytes
//! struct header {                                       // 208 bytes, at offset 0
//!     uint8_t  magic[8];                                // "MIMEO\r\n\x1a"
//!     uint32_t format_version;                          // 3
//!     uint32_t header_length;                           // 208
//!     uint64_t file_length;
//!     uint32_t checksum;                                // CRC-32 (IEEE) of the file with this field as zero
//!     uint32_t calling_convention;                      // LLVM's number; 21 is preserve_none
//!     uint16_t llvm_version[4];                         // major, minor, patch, 0
//!     uint32_t value_registers;                         // 3: stack values passed in r15, rdi, rsi
//!     uint32_t reserved;                                // 0
//!     uint8_t  digest[32];                              // BLAKE3 of what the stencils were made from
//!     uint8_t  sources[32];                             // BLAKE3 of the templates' source; 0 where nobody said
//!     struct text set, triple, cpu;
//!     struct section uops, variants, elements;          // struct uop, variant, element
//!     struct section holes, register_holes, symbols;    // struct hole, register_hole, text
//!     struct section code, data, strings;               // bytes
//! };                                                    // sections follow in this order, without gaps
//! struct count  { uint8_t fixed, per_oparg, low_bit; }; // fixed + per_oparg * oparg + low_bit * (oparg & 1)
//! struct part   { uint32_t offset, length, first_hole, hole_count, align; }; // in the code or data, and the holes
//! struct limits {                                       // the largest arguments that code was compiled for
//!     uint16_t oparg_max, operand1_zeros;               // operand1 is below 2^(64 - operand1_zeros); 0 to 64
//!     uint64_t operand_max;
//! };
//! struct uop {                                          // 100 bytes, sorted by name
//!     struct text name;
//!     struct count popped, pushed;                      // on the way to the next uop
//!     struct count leaving_popped, leaving_pushed;      // on the way to the jump target or exit
//!     uint32_t flags;
//!     struct limits limits;
//!     uint32_t locals;
//!     struct part hot, cold, data;                      // of the base form
//! };
//! struct form {                                         // 12 bytes
//!     uint8_t  kind;                                    // 0 slots, 1 operands; what the kind does not use is "none"
//!     uint8_t  registers_in, registers_out;             // slots: stack values in registers, 0 to 3; none: 0
//!     uint8_t  inputs[4];                               // operands: Input::as_u8, the lowest first; none: 0xff
//!     uint8_t  output;                                  // operands: Register::as_u8; none: 0xff
//!     uint8_t  intact, reserved;                        // operands: inputs that are there where it jumps; 0
//!     uint16_t renameable;                              // operands: bit n is register n; none: 0
//! };
//! struct element { uint32_t uop; struct limits limits; }; // a uop among those that a variant fuses
//! struct variant {                                      // 88 bytes, sorted by the uops' indices, then by the form's
//!     uint32_t first_element, element_count;            // bytes up to output; no two the same
//!     uint32_t first_register_hole, register_hole_count;
//!     struct form form;
//!     struct part hot, cold, data;
//! };                                                    // elements and register holes in the order of the variants
//! struct hole {                                         // 16 bytes, ascending by offset inside a part
//!     uint32_t offset;                                  // from the start of the part
//!     int32_t  addend;
//!     uint32_t symbol;                                  // index, where value is SYMBOL
//!     uint8_t  kind;                                    // ELF r_type: 1 2 10 11 12 14
//!     uint8_t  value;                                   // enum HoleValue, in order
//!     uint8_t  shift;
//!     uint8_t  element;                                 // of the variant, or its input where value is INPUT or POOLED
//! };
//! struct register_hole {                                // 12 bytes, ascending by part, offset and bits in the byte
//!     uint32_t offset;                                  // of the byte with the low three bits of the number
//!     uint32_t rex;                                     // of the byte with the fourth; 0xffffffff where there is none
//!     uint8_t  part;                                    // 0 hot, 1 cold code
//!     uint8_t  field;                                   // enum RegisterField
//!     uint8_t  reg, reserved;                           // Register::as_u8 of the placeholder; 0
//! };
//! ```
//!
//! A hole is patched with `(S << shift) + addend`, less its own address where the kind is PC-relative (2); the addend is
//! then at most [`MAX_LINK_ADDEND`] either way, so that who keeps the distance of S and the hole some way below 2^31 need
//! not check each sum. Flags are those of [`UopFlags`], values those of [`HoleValue`](crate::hole::HoleValue); a uop has
//! no hole whose value its flags do not [announce](UopFlags::announcing). Code is entered with frame, stack pointer and
//! thread state in r12, r13 and r14 and with rsp at 0 mod 16; a uop's hot code falls through to the next uop's. Only uops
//! that [switch frames](UopFlags::SWITCHES_FRAME) continue with another frame in r12, and its stack pointer in r13; they
//! have no variants, and tables with operand forms have no such uops.
//!
//! A variant takes and leaves stack values as its [form](crate::form) says, for one uop or several in sequence, of which
//! only the last may be terminal and only one may have an exit of each kind (jump, error, exit record). `INPUT` holes are
//! of kinds whose range has room for every number that the input can be.
//!
//! Loading checks the whole file once; what is read afterwards is used in place and cannot fail.

mod check;
mod contents;
mod identity;
mod output;
mod records;

pub use contents::{TableContents, UopContents, VariantContents};
pub use output::write_file;
pub use records::refresh_checksum;
pub(crate) use records::{CHECKSUM_FIELD, checksum};

use crate::form::{Form, RegisterHole};
use crate::hole::Hole;
use crate::stencil::{StackEffect, Stencil, StencilGroup, UopFlags, UopInfo};
use records::{
    Header, PartRecord, SectionRecord, TextRecord, UopRecord, VariantRecord, check_envelope,
    check_start, section_range,
};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zerocopy::byteorder::little_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// The first bytes of every table. As in PNG, a line ending and a control-Z show a file that was mangled as text.
pub const MAGIC: [u8; 8] = *b"MIMEO\r\n\x1a";

/// The format version that this library reads and writes.
pub const FORMAT_VERSION: u32 = 3;

/// The only target so far.
pub const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// LLVM's number of `preserve_none`.
pub const CALLING_CONVENTION: u32 = 21;

/// Stack values that a stencil can hand to the next in registers.
pub const VALUE_REGISTERS: u32 = 3;

/// The largest alignment a part may ask for, in bytes: a cache line.
pub const MAX_ALIGN: u32 = 64;

/// The largest addend of a PC-relative hole, in bytes either way. It is the place inside a part or a symbol's object; what
/// is added for the end of the instruction is below 16.
pub const MAX_LINK_ADDEND: u32 = 1 << 16;

/// The largest size of a table, in bytes; offsets in it have 32 bits.
pub const MAX_LENGTH: u64 = 1 << 30;

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file does not start as a table does.
    #[error("not a stencil table: it starts with {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },
    /// The file has another format version.
    #[error("stencil table of format version {found}, this library reads version {FORMAT_VERSION}")]
    Version {
        /// The file's version.
        found: u32,
    },
    /// The file's length is not what its header says.
    #[error(
        "the file has {found} bytes, expected {expected}: it is truncated or has something appended"
    )]
    Length {
        /// The length in the header; the header's own where the file is too short for one.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
    /// The bytes are not those that were written.
    #[error("the checksum is {found:#010x}, the header says {expected:#010x}: the file is damaged")]
    Checksum {
        /// The checksum in the header.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The table is for another machine or convention.
    #[error("the table is for {what} {found}, this library runs {expected}")]
    Foreign {
        /// What differs.
        what: &'static str,
        /// What the table holds.
        found: String,
        /// What is supported.
        expected: String,
    },
    /// The contents contradict themselves.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where: the section, and the uop where there is one.
        place: String,
        /// What is wrong there and what was expected.
        problem: String,
    },
    /// The contents do not fit the format.
    #[error("the table would have {found} {what}, the format holds {limit}")]
    TooLarge {
        /// Of what there is too much.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much fits.
        limit: u64,
    },
}

fn invalid(place: impl Into<String>, problem: impl Into<String>) -> TableError {
    TableError::Invalid {
        place: place.into(),
        problem: problem.into(),
    }
}

/// A uop of one table: an index in the order of the names. Of no use in another table, unless that has the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UopId {
    index: u32,
    /// The table's checksum.
    table: u32,
}

impl UopId {
    /// The position among the table's uops.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// A variant of one table: an index in the order of the uops' names. Of no use in another table, unless that has the same
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariantId {
    index: u32,
    /// The table's checksum.
    table: u32,
}

impl VariantId {
    /// The position among the table's variants.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// A variant: another form of a uop, or of several that are fused into one stencil.
#[derive(Clone, Copy)]
pub struct Variant<'a> {
    /// The uops, in the order in which they run.
    pub uops: &'a [UopId],
    /// How values come and go.
    pub form: &'a Form,
    /// The stencils.
    pub group: StencilGroup<'a>,
    /// Where its placeholders stand, in the [order](RegisterHole::order) of the code.
    pub register_holes: &'a [RegisterHole],
    limits: &'a [Limits],
    table: &'a StencilTable,
}

impl<'a> Variant<'a> {
    /// What is known of each of its uops, with the largest arguments that this code was compiled for.
    pub fn infos(&self) -> impl ExactSizeIterator<Item = UopInfo<'a>> + use<'a> {
        let table = self.table;
        let elements = self.uops.iter().zip(self.limits);
        elements.map(|(&uop, limits)| UopInfo {
            oparg_max: limits.oparg,
            operand_max: limits.operand,
            operand1_max: limits.operand1,
            ..table.uop(uop)
        })
    }

    /// The largest oparg that the code was compiled for, of the uop at a position in [`uops`](Self::uops); 0 beyond.
    pub fn oparg_max(&self, element: usize) -> u32 {
        self.limits(element).oparg
    }

    /// The largest operand that the code was compiled for, of the uop at a position in [`uops`](Self::uops); 0 beyond.
    pub fn operand_max(&self, element: usize) -> u64 {
        self.limits(element).operand
    }

    /// The largest second operand that the code was compiled for, of the uop at a position in [`uops`](Self::uops); 0
    /// beyond.
    pub fn operand1_max(&self, element: usize) -> u64 {
        self.limits(element).operand1
    }

    pub(crate) fn limits(&self, element: usize) -> Limits {
        self.limits.get(element).copied().unwrap_or_default()
    }

    /// The flags of all its uops together.
    pub fn flags(&self) -> UopFlags {
        let flags = self.uops.iter().map(|&uop| self.table.entry(uop).flags);
        flags.fold(UopFlags::empty(), UopFlags::union)
    }
}

/// The names of the uops with `+` between them, and the form.
impl fmt::Display for Variant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.uops.iter().map(|&uop| self.table.uop(uop).name);
        f.write_str(&sequence_name(names, self.form))
    }
}

impl fmt::Debug for Variant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variant({self})")
    }
}

/// How a variant is called: `_LOAD_FAST+_POP_TOP_r01`, `I64_ADD [r8, r9 -> r8]`.
fn sequence_name<'a>(uops: impl Iterator<Item = &'a str>, form: &Form) -> String {
    let names = uops.collect::<Vec<_>>().join("+");
    match form {
        Form::Slots { .. } => format!("{names}{form}"),
        Form::Operands(_) => format!("{names} {form}"),
    }
}

enum Bytes {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Mapped(memmap2::Mmap),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

/// What compiling a trace needs of a uop, read once from the records when the table is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UopEntry {
    pub(crate) effect: StackEffect,
    pub(crate) leaving_effect: StackEffect,
    pub(crate) flags: UopFlags,
    pub(crate) oparg_max: u32,
    pub(crate) operand_max: u64,
    pub(crate) operand1_max: u64,
    pub(crate) locals: u32,
    pub(crate) hot: PartEntry,
    pub(crate) cold: PartEntry,
    pub(crate) data: PartEntry,
}

/// What compiling a trace needs of a variant besides its uops and limits, read once as [`UopEntry`] is.
#[derive(Clone, Debug)]
pub(crate) struct VariantEntry {
    pub(crate) form: Form,
    pub(crate) hot: PartEntry,
    pub(crate) cold: PartEntry,
    pub(crate) data: PartEntry,
    first_element: u32,
    element_count: u32,
    first_register_hole: u32,
    register_hole_count: u32,
}

/// The largest arguments of one uop that code was compiled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) oparg: u32,
    pub(crate) operand: u64,
    pub(crate) operand1: u64,
}

impl Limits {
    /// Those of a uop's base form.
    pub(crate) fn of(info: &UopInfo<'_>) -> Self {
        Self {
            oparg: info.oparg_max,
            operand: info.operand_max,
            operand1: info.operand1_max,
        }
    }

    /// Whether no argument is larger.
    #[inline]
    pub(crate) fn cover(self, oparg: u32, operand: u64, operand1: u64) -> bool {
        oparg <= self.oparg && operand <= self.operand && operand1 <= self.operand1
    }
}

/// All variants, read once.
#[derive(Debug, Default)]
struct Variants {
    entries: Vec<VariantEntry>,
    /// The uops of one variant after the other.
    uops: Vec<UopId>,
    /// As many as there are uops.
    limits: Vec<Limits>,
    /// The register holes of one variant after the other.
    register_holes: Vec<RegisterHole>,
}

/// Where a part's bytes and holes are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartEntry {
    /// From the start of the file.
    start: u32,
    pub(crate) len: u32,
    first_hole: u32,
    hole_count: u32,
    pub(crate) align: u32,
}

impl PartEntry {
    fn of(section: SectionRecord, part: PartRecord) -> Self {
        Self {
            start: section.offset.get() + part.offset.get(),
            len: part.length.get(),
            first_hole: part.first_hole.get(),
            hole_count: part.hole_count.get(),
            align: part.align.get(),
        }
    }
}

/// A table that was checked and is used in place.
pub struct StencilTable {
    bytes: Bytes,
    header: Header,
    entries: Vec<UopEntry>,
    variants: Variants,
    /// Keeps the table's name known to errors about its uops.
    _name: Option<Arc<str>>,
}

impl fmt::Debug for StencilTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StencilTable({:?}, {} uops, {} variants)",
            self.set(),
            self.uop_count(),
            self.variant_count()
        )
    }
}

impl StencilTable {
    /// Reads a file and checks it. What happens to the file afterwards does not matter.
    ///
    /// # Errors
    /// The file cannot be read, or is not a table that this library can use.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TableError> {
        let path = path.as_ref();
        let io = |source| TableError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        let mut read = |bytes: &mut Vec<u8>, len: u64| {
            let len = len.saturating_sub(bytes.len() as u64);
            file.by_ref().take(len).read_to_end(bytes).map_err(io)
        };
        // What is no table is not read to its end, which it may not have; nor is what goes on behind a table.
        read(&mut bytes, size_of::<Header>() as u64)?;
        if bytes.is_empty() {
            return Err(empty());
        }
        let expected = check_start(&bytes)?.file_length.get();
        read(&mut bytes, expected.min(MAX_LENGTH).saturating_add(1))?;
        let read = bytes.len() as u64;
        if read > expected || read > MAX_LENGTH {
            let found = file.metadata().map_err(io)?.len().max(read);
            return Err(match expected > MAX_LENGTH {
                true => TableError::TooLarge {
                    what: "bytes",
                    found,
                    limit: MAX_LENGTH,
                },
                false => TableError::Length { expected, found },
            });
        }
        Self::check(Bytes::Owned(bytes))
    }

    /// Maps a file and checks it: of a large table, only what is used takes memory, and processes share it.
    ///
    /// # Errors
    /// The file cannot be mapped, or is not a table that this library can use.
    ///
    /// # Safety
    /// As long as the table lives, nobody makes the file shorter, which would end this process at the next access (SIGBUS),
    /// and nobody changes its bytes: what was checked when it was mapped is relied on. To replace the file by another of the
    /// same name, as [`write_file`] does, is no change of it.
    #[allow(unsafe_code)]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self, TableError> {
        let path = path.as_ref();
        let io = |source| TableError::Io {
            action: "map",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Err(empty());
        }
        // SAFETY: the bytes must not change while they are borrowed, and must stay there, as the caller promises.
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        Self::check(Bytes::Mapped(bytes))
    }

    /// Uses bytes that are part of the program.
    ///
    /// # Errors
    /// They are not a table that this library can use.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, TableError> {
        Self::check(Bytes::Static(bytes))
    }

    /// Uses bytes in memory.
    ///
    /// # Errors
    /// They are not a table that this library can use.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, TableError> {
        Self::check(Bytes::Owned(bytes))
    }

    fn check(bytes: Bytes) -> Result<Self, TableError> {
        let header = check_envelope(bytes.get())?;
        let mut table = Self {
            bytes,
            header,
            entries: Vec::new(),
            variants: Variants::default(),
            _name: None,
        };
        table.check_sections()?;
        table.check_strings()?;
        table.check_target()?;
        table.check_symbols()?;
        table.entries = table.read_uops()?;
        table.variants = table.read_variants()?;
        table._name = Some(identity::register(table.checksum(), table.set()));
        Ok(table)
    }

    fn entry_of(&self, record: &UopRecord) -> UopEntry {
        let info = self.uop_info(record);
        UopEntry {
            effect: info.effect,
            leaving_effect: info.leaving_effect,
            flags: info.flags,
            oparg_max: info.oparg_max,
            operand_max: info.operand_max,
            operand1_max: info.operand1_max,
            locals: info.locals,
            hot: PartEntry::of(self.header.code, record.hot),
            cold: PartEntry::of(self.header.code, record.cold),
            data: PartEntry::of(self.header.data, record.data),
        }
    }

    fn variant_entry_of(&self, record: &VariantRecord, form: Form) -> VariantEntry {
        VariantEntry {
            form,
            hot: PartEntry::of(self.header.code, record.hot),
            cold: PartEntry::of(self.header.code, record.cold),
            data: PartEntry::of(self.header.data, record.data),
            first_element: record.first_element.get(),
            element_count: record.element_count.get(),
            first_register_hole: record.first_register_hole.get(),
            register_hole_count: record.register_hole_count.get(),
        }
    }

    // ---- What the table says of itself -------------------------------------------------------------------------

    /// The whole file.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get()
    }

    /// The name of the uop set.
    pub fn set(&self) -> &str {
        self.text(self.header.set)
    }

    /// The target triple.
    pub fn triple(&self) -> &str {
        self.text(self.header.triple)
    }

    /// The CPU, with features, that the code needs.
    pub fn cpu(&self) -> &str {
        self.text(self.header.cpu)
    }

    /// The version of the LLVM that compiled the stencils: major, minor, patch.
    pub fn llvm_version(&self) -> (u16, u16, u16) {
        let [major, minor, patch, _] = self.header.llvm_version.map(U16::get);
        (major, minor, patch)
    }

    /// BLAKE3 of what the stencils were made from: the templates' LLVM IR, what they declare, and the LLVM.
    pub fn digest(&self) -> &[u8; 32] {
        &self.header.digest
    }

    /// BLAKE3 of the source of the templates, if whoever compiled them said it. Unlike the [digest](Self::digest), it can be
    /// computed again without LLVM: where it differs from that of the templates at hand, the table is stale.
    pub fn sources(&self) -> Option<&[u8; 32]> {
        Some(&self.header.sources).filter(|sources| **sources != [0; 32])
    }

    /// How many uops there are.
    pub fn uop_count(&self) -> usize {
        self.header.uops.count.get() as usize
    }

    /// Every uop, in the order of the names.
    pub fn uops(&self) -> impl ExactSizeIterator<Item = UopId> + use<> {
        let table = self.checksum();
        (0..self.header.uops.count.get()).map(move |index| UopId { index, table })
    }

    /// The uop with this name.
    pub fn find(&self, name: &str) -> Option<UopId> {
        let index = self
            .uop_records()
            .binary_search_by(|record| self.text(record.name).cmp(name))
            .ok()?;
        Some(self.uop_id(index as u32))
    }

    fn uop_id(&self, index: u32) -> UopId {
        UopId {
            index,
            table: self.checksum(),
        }
    }

    /// Whether an id is that of one of this table's uops.
    #[inline]
    pub(crate) fn has(&self, id: UopId) -> bool {
        id.table == self.checksum() && id.index() < self.entries.len()
    }

    /// What is known of a uop.
    ///
    /// # Panics
    /// The id is another table's.
    pub fn uop(&self, id: UopId) -> UopInfo<'_> {
        self.assert_own("uop", id.table);
        self.uop_info(&self.uop_records()[id.index()])
    }

    /// A uop's stencils.
    ///
    /// # Panics
    /// The id is another table's.
    pub fn group(&self, id: UopId) -> StencilGroup<'_> {
        self.assert_own("uop", id.table);
        let entry = self.entry(id);
        StencilGroup {
            hot: self.stencil(&entry.hot),
            cold: self.stencil(&entry.cold),
            data: self.stencil(&entry.data),
        }
    }

    /// How many variants there are.
    pub fn variant_count(&self) -> usize {
        self.variants.entries.len()
    }

    /// Every variant, in the order of the uops' names, one behind the other.
    pub fn variants(&self) -> impl ExactSizeIterator<Item = VariantId> + use<> {
        let table = self.checksum();
        (0..self.variants.entries.len() as u32).map(move |index| VariantId { index, table })
    }

    /// A variant.
    ///
    /// # Panics
    /// The id is another table's.
    pub fn variant(&self, id: VariantId) -> Variant<'_> {
        self.assert_own("variant", id.table);
        let Variants {
            uops,
            limits,
            register_holes,
            ..
        } = &self.variants;
        let entry = self.variant_entry(id);
        let first = entry.first_element as usize;
        let elements = first..first + entry.element_count as usize;
        let first = entry.first_register_hole as usize;
        Variant {
            uops: &uops[elements.clone()],
            form: &entry.form,
            group: StencilGroup {
                hot: self.stencil(&entry.hot),
                cold: self.stencil(&entry.cold),
                data: self.stencil(&entry.data),
            },
            register_holes: &register_holes[first..first + entry.register_hole_count as usize],
            limits: &limits[elements],
            table: self,
        }
    }

    /// What compiling a trace needs of a variant.
    pub(crate) fn variant_entry(&self, id: VariantId) -> &VariantEntry {
        &self.variants.entries[id.index()]
    }

    /// What compiling a trace needs of a uop.
    pub(crate) fn entry(&self, id: UopId) -> &UopEntry {
        &self.entries[id.index()]
    }

    /// One part of a uop.
    pub(crate) fn stencil(&self, part: &PartEntry) -> Stencil<'_> {
        let holes: &[Hole] = self.records(self.header.holes);
        let (start, first) = (part.start as usize, part.first_hole as usize);
        Stencil {
            bytes: &self.bytes.get()[start..start + part.len as usize],
            holes: &holes[first..first + part.hole_count as usize],
            align: part.align,
        }
    }

    /// The names of the symbols that holes refer to, by index.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = &str> {
        self.symbol_records().iter().map(|&text| self.text(text))
    }

    // ---- Sections ----------------------------------------------------------------------------------------------

    fn records<T: FromBytes + Immutable + KnownLayout + Unaligned>(
        &self,
        section: SectionRecord,
    ) -> &[T] {
        // Sections were found to lie inside the file; an empty slice is unreachable.
        section_range::<T>(section)
            .and_then(|range| self.bytes.get().get(range))
            .and_then(|bytes| <[T]>::ref_from_bytes(bytes).ok())
            .unwrap_or(&[])
    }

    fn uop_records(&self) -> &[UopRecord] {
        self.records(self.header.uops)
    }

    fn variant_records(&self) -> &[VariantRecord] {
        self.records(self.header.variants)
    }

    fn symbol_records(&self) -> &[TextRecord] {
        self.records(self.header.symbols)
    }

    fn text(&self, text: TextRecord) -> &str {
        self.checked_text(text).unwrap_or("")
    }

    fn checked_text(&self, text: TextRecord) -> Option<&str> {
        let start = text.offset.get() as usize;
        let bytes: &[u8] = self.records(self.header.strings);
        std::str::from_utf8(bytes.get(start..start.checked_add(text.length.get() as usize)?)?).ok()
    }

    fn uop_info(&self, record: &UopRecord) -> UopInfo<'_> {
        // They were found to be readable.
        let limits = record.limits.read().unwrap_or_default();
        UopInfo {
            name: self.text(record.name),
            effect: StackEffect {
                popped: record.popped.into(),
                pushed: record.pushed.into(),
            },
            leaving_effect: StackEffect {
                popped: record.leaving_popped.into(),
                pushed: record.leaving_pushed.into(),
            },
            flags: UopFlags::from_bits_truncate(record.flags.get()),
            oparg_max: limits.oparg,
            operand_max: limits.operand,
            operand1_max: limits.operand1,
            locals: record.locals.get(),
        }
    }

    fn part(&self, section: SectionRecord, part: PartRecord) -> Option<Stencil<'_>> {
        let bytes: &[u8] = self.records(section);
        let holes: &[Hole] = self.records(self.header.holes);
        let start = part.offset.get() as usize;
        let first = part.first_hole.get() as usize;
        Some(Stencil {
            bytes: bytes.get(start..start.checked_add(part.length.get() as usize)?)?,
            holes: holes.get(first..first.checked_add(part.hole_count.get() as usize)?)?,
            align: part.align.get(),
        })
    }
}

/// The error of a file without a byte.
fn empty() -> TableError {
    TableError::Length {
        expected: size_of::<Header>() as u64,
        found: 0,
    }
}
