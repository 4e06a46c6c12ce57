//! The stencil table: all stencil groups of a uop set for one target, in one file.
//!
//! # Format, version 1
//! Every number is little-endian and nothing is aligned. A C program can map the file and use these structures as they
//! are, if it packs them (`#pragma pack(1)`):
//!
//! ```c
//! struct text    { uint32_t offset, length; };          // UTF-8 without a 0 at the end; from the start of the strings
//! struct section { uint32_t offset, count; };           // from the start of the file; elements, not bytes
//! struct header {                                       // 160 bytes, at offset 0
//!     uint8_t  magic[8];                                // "MIMEO\r\n\x1a"
//!     uint32_t format_version;                          // 1
//!     uint32_t header_length;                           // 160
//!     uint64_t file_length;
//!     uint32_t checksum;                                // CRC-32 (IEEE) of the file with this field as zero
//!     uint32_t calling_convention;                      // LLVM's number; 21 is preserve_none
//!     uint16_t llvm_version[4];                         // major, minor, patch, 0
//!     uint32_t value_registers;                         // 3: values passed in r15, rdi, rsi
//!     uint32_t reserved;                                // 0
//!     uint8_t  digest[32];                              // BLAKE3 of what the stencils were made from
//!     struct text set, triple, cpu;
//!     struct section uops, groups, holes, symbols;      // struct uop, group, hole, text
//!     struct section code, data, strings;               // bytes
//! };                                                    // sections follow in this order, without gaps
//! struct count  { uint8_t fixed, per_oparg, low_bit; }; // fixed + per_oparg * oparg + low_bit * (oparg & 1)
//! struct uop {                                          // 48 bytes, sorted by name
//!     struct text name;
//!     struct count popped, pushed;                      // on the way to the next uop
//!     struct count leaving_popped, leaving_pushed;      // on the way to the jump target or exit
//!     uint32_t flags, oparg_max;
//!     uint64_t operand_max;
//!     uint32_t first_group, group_count, locals;        // groups of a uop lie together, in the order of the uops
//! };
//! struct part { uint32_t offset, length, first_hole, hole_count, align; };
//! struct group {                                        // 68 bytes
//!     uint32_t uop;
//!     uint8_t  registers_in, registers_out;             // stack values in registers: 0
//!     uint16_t reserved;
//!     struct part hot, cold, data;                      // from the start of the code, code and data section
//! };
//! struct hole {                                         // 16 bytes, ascending by offset inside a part
//!     uint32_t offset;                                  // from the start of the part
//!     int32_t  addend;
//!     uint32_t symbol;                                  // index, where value is SYMBOL
//!     uint8_t  kind;                                    // ELF r_type: 1 2 10 11 12 14
//!     uint8_t  value;                                   // enum HoleValue, in order
//!     uint8_t  shift, reserved;
//! };
//! ```
//!
//! A hole is patched with `(S << shift) + addend`, less its own address where the kind is PC-relative (2). Flags are
//! those of [`UopFlags`], values those of [`HoleValue`](crate::hole::HoleValue); a uop has no hole whose value its flags
//! do not [announce](UopFlags::announcing). Code is entered with frame, stack pointer and thread state in r12, r13 and
//! r14 and with rsp at 0 mod 16; a uop's hot code falls through to the next uop's.
//!
//! Loading checks the whole file once; what is read afterwards is used in place and cannot fail.

use crate::form::{Form, RegisterHole};
use crate::hole::Hole;
use crate::stencil::{
    Count, StackEffect, Stencil, StencilBuf, StencilGroup, StencilGroupBuf, UopFlags, UopInfo,
};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first bytes of every table. As in PNG, a line ending and a control-Z show a file that was mangled as text.
pub const MAGIC: [u8; 8] = *b"MIMEO\r\n\x1a";

/// The format version that this library reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// The only target so far.
pub const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// LLVM's number of `preserve_none`.
pub const CALLING_CONVENTION: u32 = 21;

/// Stack values that a stencil can hand to the next in registers.
pub const VALUE_REGISTERS: u32 = 3;

/// The largest alignment a part may ask for, in bytes: a cache line.
pub const MAX_ALIGN: u32 = 64;

/// The largest size of a table, in bytes; offsets in it have 32 bits.
pub const MAX_LENGTH: u64 = 1 << 30;

const CHECKSUM_FIELD: Range<usize> = 24..28;

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TextRecord {
    offset: U32,
    length: U32,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SectionRecord {
    offset: U32,
    count: U32,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format_version: U32,
    header_length: U32,
    file_length: U64,
    checksum: U32,
    calling_convention: U32,
    llvm_version: [U16; 4],
    value_registers: U32,
    reserved: U32,
    digest: [u8; 32],
    set: TextRecord,
    triple: TextRecord,
    cpu: TextRecord,
    uops: SectionRecord,
    groups: SectionRecord,
    holes: SectionRecord,
    symbols: SectionRecord,
    code: SectionRecord,
    data: SectionRecord,
    strings: SectionRecord,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CountRecord {
    fixed: u8,
    per_oparg: u8,
    low_bit: u8,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct UopRecord {
    name: TextRecord,
    popped: CountRecord,
    pushed: CountRecord,
    leaving_popped: CountRecord,
    leaving_pushed: CountRecord,
    flags: U32,
    oparg_max: U32,
    operand_max: U64,
    first_group: U32,
    group_count: U32,
    locals: U32,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PartRecord {
    offset: U32,
    length: U32,
    first_hole: U32,
    hole_count: U32,
    align: U32,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct GroupRecord {
    uop: U32,
    registers_in: u8,
    registers_out: u8,
    reserved: U16,
    hot: PartRecord,
    cold: PartRecord,
    data: PartRecord,
}

const _: () = assert!(
    size_of::<Header>() == 160 && size_of::<UopRecord>() == 48 && size_of::<GroupRecord>() == 68
);

impl From<Count> for CountRecord {
    fn from(count: Count) -> Self {
        Self {
            fixed: count.fixed,
            per_oparg: count.per_oparg,
            low_bit: count.low_bit,
        }
    }
}

impl From<CountRecord> for Count {
    fn from(record: CountRecord) -> Self {
        Self {
            fixed: record.fixed,
            per_oparg: record.per_oparg,
            low_bit: record.low_bit,
        }
    }
}

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

/// A uop of one table: an index in the order of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UopId(u32);

impl UopId {
    /// The position among the table's uops.
    pub fn index(self) -> usize {
        self.0 as usize
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
    pub(crate) locals: u32,
    pub(crate) hot: PartEntry,
    pub(crate) cold: PartEntry,
    pub(crate) data: PartEntry,
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

/// A table that was checked and is used in place.
pub struct StencilTable {
    bytes: Bytes,
    header: Header,
    entries: Vec<UopEntry>,
}

impl fmt::Debug for StencilTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StencilTable({:?}, {} uops)",
            self.set(),
            self.uop_count()
        )
    }
}

impl StencilTable {
    /// Maps a file and checks it.
    ///
    /// The file must not be changed while it is mapped. mimeo itself never does: it replaces files as a whole.
    ///
    /// # Errors
    /// The file cannot be mapped, or is not a table that this library can use.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TableError> {
        let path = path.as_ref();
        let io = |source| TableError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length == 0 {
            return Err(TableError::Length {
                expected: size_of::<Header>() as u64,
                found: 0,
            });
        }
        Self::check(Bytes::Mapped(map(&file).map_err(io)?))
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
        };
        table.check_sections()?;
        table.check_strings()?;
        table.check_target()?;
        table.check_symbols()?;
        table.check_uops()?;
        table.check_groups()?;
        table.entries = table
            .uop_records()
            .iter()
            .map(|record| table.entry_of(record))
            .collect();
        Ok(table)
    }

    fn entry_of(&self, record: &UopRecord) -> UopEntry {
        let info = self.uop_info(record);
        let group = &self.group_records()[record.first_group.get() as usize];
        let part = |section: SectionRecord, part: PartRecord| PartEntry {
            start: section.offset.get() + part.offset.get(),
            len: part.length.get(),
            first_hole: part.first_hole.get(),
            hole_count: part.hole_count.get(),
            align: part.align.get(),
        };
        UopEntry {
            effect: info.effect,
            leaving_effect: info.leaving_effect,
            flags: info.flags,
            oparg_max: info.oparg_max,
            operand_max: info.operand_max,
            locals: info.locals,
            hot: part(self.header.code, group.hot),
            cold: part(self.header.code, group.cold),
            data: part(self.header.data, group.data),
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

    /// BLAKE3 of what the stencils were made from.
    pub fn digest(&self) -> &[u8; 32] {
        &self.header.digest
    }

    /// How many uops there are.
    pub fn uop_count(&self) -> usize {
        self.header.uops.count.get() as usize
    }

    /// Every uop, in the order of the names.
    pub fn uops(&self) -> impl ExactSizeIterator<Item = UopId> + use<> {
        (0..self.header.uops.count.get()).map(UopId)
    }

    /// The uop with this name.
    pub fn find(&self, name: &str) -> Option<UopId> {
        let index = self
            .uop_records()
            .binary_search_by(|record| self.text(record.name).cmp(name))
            .ok()?;
        Some(UopId(index as u32))
    }

    /// What is known of a uop.
    ///
    /// # Panics
    /// The id is another table's and out of range here.
    pub fn uop(&self, id: UopId) -> UopInfo<'_> {
        self.uop_info(&self.uop_records()[id.index()])
    }

    /// A uop's stencils.
    ///
    /// # Panics
    /// The id is another table's and out of range here.
    pub fn group(&self, id: UopId) -> StencilGroup<'_> {
        let entry = self.entry(id);
        StencilGroup {
            hot: self.stencil(&entry.hot),
            cold: self.stencil(&entry.cold),
            data: self.stencil(&entry.data),
        }
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

    fn group_records(&self) -> &[GroupRecord] {
        self.records(self.header.groups)
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
            oparg_max: record.oparg_max.get(),
            operand_max: record.operand_max.get(),
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

    // ---- The complete check ------------------------------------------------------------------------------------

    fn check_sections(&self) -> Result<(), TableError> {
        let header = &self.header;
        if header.header_length.get() as usize != size_of::<Header>() {
            return Err(invalid(
                "header",
                format!(
                    "its length is {}, expected {}",
                    header.header_length,
                    size_of::<Header>()
                ),
            ));
        }
        if header.reserved.get() != 0 || header.llvm_version[3].get() != 0 {
            return Err(invalid("header", "a reserved field is not 0"));
        }
        let ranges = [
            ("uops", section_range::<UopRecord>(header.uops)),
            ("groups", section_range::<GroupRecord>(header.groups)),
            ("holes", section_range::<Hole>(header.holes)),
            ("symbols", section_range::<TextRecord>(header.symbols)),
            ("code", section_range::<u8>(header.code)),
            ("data", section_range::<u8>(header.data)),
            ("strings", section_range::<u8>(header.strings)),
        ];
        let length = self.bytes.get().len();
        let mut end = size_of::<Header>();
        for (name, range) in ranges {
            // Sections follow one another without a gap, so that no byte of a file goes unchecked.
            match range {
                Some(range) if range.start == end && range.end <= length => end = range.end,
                range => {
                    let found = range.map_or("beyond any file".to_owned(), |range| {
                        format!("at {range:?}")
                    });
                    return Err(invalid(
                        format!("section {name}"),
                        format!(
                            "it lies {found}, expected to start at {end} inside the file's {length} bytes"
                        ),
                    ));
                }
            }
        }
        if end != length {
            return Err(invalid(
                "sections",
                format!("they end at {end}, the file at {length}"),
            ));
        }
        Ok(())
    }

    fn check_strings(&self) -> Result<(), TableError> {
        let header = &self.header;
        for (place, text) in [
            ("set name", header.set),
            ("target triple", header.triple),
            ("CPU", header.cpu),
        ] {
            self.checked_text(text)
                .ok_or_else(|| invalid(place, "it is not UTF-8 inside the strings"))?;
        }
        Ok(())
    }

    fn check_target(&self) -> Result<(), TableError> {
        let foreign = |what, found: &dyn fmt::Display, expected: &dyn fmt::Display| {
            Err(TableError::Foreign {
                what,
                found: found.to_string(),
                expected: expected.to_string(),
            })
        };
        if self.triple() != TRIPLE {
            return foreign("target", &self.triple(), &TRIPLE);
        }
        let convention = self.header.calling_convention.get();
        if convention != CALLING_CONVENTION {
            return foreign("calling convention", &convention, &CALLING_CONVENTION);
        }
        let registers = self.header.value_registers.get();
        if registers != VALUE_REGISTERS {
            return foreign(
                "a number of value registers of",
                &registers,
                &VALUE_REGISTERS,
            );
        }
        Ok(())
    }

    fn check_symbols(&self) -> Result<(), TableError> {
        for (index, &text) in self.symbol_records().iter().enumerate() {
            match self.checked_text(text) {
                Some(name) if !name.is_empty() => {}
                _ => {
                    return Err(invalid(
                        format!("symbol {index}"),
                        "its name is not UTF-8 inside the strings, or empty",
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_uops(&self) -> Result<(), TableError> {
        let groups = self.header.groups.count.get();
        let mut next_group = 0;
        let mut previous: Option<&str> = None;
        for (index, record) in self.uop_records().iter().enumerate() {
            let place = || format!("uop {index}");
            let name = self
                .checked_text(record.name)
                .filter(|name| !name.is_empty())
                .ok_or_else(|| {
                    invalid(
                        place(),
                        "its name is not UTF-8 inside the strings, or empty",
                    )
                })?;
            if previous.is_some_and(|previous| previous >= name) {
                return Err(invalid(
                    place(),
                    format!(
                        "{name} does not sort after {}",
                        previous.unwrap_or_default()
                    ),
                ));
            }
            previous = Some(name);
            if UopFlags::from_bits(record.flags.get()).is_none() {
                return Err(invalid(
                    format!("uop {name}"),
                    format!("flags {:#x} hold unknown bits", record.flags),
                ));
            }
            let count = record.group_count.get();
            if record.first_group.get() != next_group || count == 0 || count > groups - next_group {
                return Err(invalid(
                    format!("uop {name}"),
                    format!(
                        "groups {} and {count} on, expected at least one from {next_group} of {groups}",
                        record.first_group
                    ),
                ));
            }
            next_group += count;
        }
        if next_group != groups {
            return Err(invalid(
                "groups",
                format!("there are {groups}, but the uops use {next_group}"),
            ));
        }
        Ok(())
    }

    fn check_groups(&self) -> Result<(), TableError> {
        for (index, uop) in self.uop_records().iter().enumerate() {
            let name = self.text(uop.name);
            let first = uop.first_group.get() as usize;
            for group in &self.group_records()[first..first + uop.group_count.get() as usize] {
                let place = format!("uop {name}, group");
                if group.uop.get() as usize != index || group.reserved.get() != 0 {
                    return Err(invalid(
                        place,
                        format!("it belongs to uop {}, expected {index}", group.uop),
                    ));
                }
                if group.registers_in != 0 || group.registers_out != 0 {
                    return Err(invalid(
                        place,
                        "it keeps stack values in registers, which this version does not",
                    ));
                }
                self.check_part(uop, "hot code", self.header.code, group.hot, 1)?;
                self.check_part(uop, "cold code", self.header.code, group.cold, 1)?;
                self.check_part(uop, "data", self.header.data, group.data, MAX_ALIGN)?;
            }
        }
        Ok(())
    }

    fn check_part(
        &self,
        uop: &UopRecord,
        part: &str,
        section: SectionRecord,
        record: PartRecord,
        max_align: u32,
    ) -> Result<(), TableError> {
        let place = || format!("uop {}, {part}", self.text(uop.name));
        let stencil = self
            .part(section, record)
            .ok_or_else(|| invalid(place(), "its bytes or holes lie outside their section"))?;
        if !stencil.align.is_power_of_two() || stencil.align > max_align {
            return Err(invalid(
                place(),
                format!(
                    "its alignment is {}, expected a power of two up to {max_align}",
                    stencil.align
                ),
            ));
        }
        let symbols = self.header.symbols.count.get() as usize;
        let flags = UopFlags::from_bits_truncate(uop.flags.get());
        let mut end = 0;
        for hole in stencil.holes {
            let problem = |problem: String| {
                invalid(place(), format!("hole at {:#x}: {problem}", hole.offset()))
            };
            hole.check(symbols).map_err(problem)?;
            let announcing = UopFlags::announcing(hole.value());
            if !announcing.is_empty() && !flags.intersects(announcing) {
                // Traces prepare labels and exit records for those uops that announce them.
                let names: Vec<_> = announcing.iter_names().map(|(name, _)| name).collect();
                return Err(problem(format!(
                    "it is filled with {}, but the uop does not have the flag {}",
                    hole.value(),
                    names.join(" or ")
                )));
            }
            if hole.offset() < end {
                return Err(problem(format!(
                    "it overlaps the one before, which ends at {end:#x}"
                )));
            }
            end = hole.end();
            if end as usize > stencil.bytes.len() {
                return Err(problem(format!(
                    "it ends at {end:#x}, behind the {:#x} bytes",
                    stencil.bytes.len()
                )));
            }
        }
        Ok(())
    }
}

/// Maps a file for reading.
#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the mapping's bytes must not change while they are borrowed. `StencilTable::open` asks its caller to keep
    // the file unchanged, and every writer of tables in this project replaces the file instead of writing into it.
    unsafe { memmap2::Mmap::map(file) }
}

fn section_range<T>(section: SectionRecord) -> Option<Range<usize>> {
    let start = section.offset.get() as usize;
    let length = (section.count.get() as usize).checked_mul(size_of::<T>())?;
    Some(start..start.checked_add(length)?)
}

/// Magic, version, length and checksum: what must hold before anything else is looked at.
fn check_envelope(bytes: &[u8]) -> Result<Header, TableError> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start != &MAGIC[..start.len()] || start.is_empty() {
        return Err(TableError::Magic {
            found: start.to_owned(),
        });
    }
    let found = bytes.len() as u64;
    let version = bytes
        .get(8..12)
        .and_then(|version| U32::read_from_bytes(version).ok());
    match version.map(U32::get) {
        Some(FORMAT_VERSION) => {}
        Some(found) => return Err(TableError::Version { found }),
        None => {
            return Err(TableError::Length {
                expected: size_of::<Header>() as u64,
                found,
            });
        }
    }
    let Ok((header, _)) = Header::read_from_prefix(bytes) else {
        return Err(TableError::Length {
            expected: size_of::<Header>() as u64,
            found,
        });
    };
    if header.file_length.get() != found {
        return Err(TableError::Length {
            expected: header.file_length.get(),
            found,
        });
    }
    let (expected, found) = (header.checksum.get(), checksum(bytes));
    if expected != found {
        return Err(TableError::Checksum { expected, found });
    }
    Ok(header)
}

/// CRC-32 of a table whose checksum field counts as zero.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_FIELD.start]);
    hasher.update(&[0; 4]);
    hasher.update(&bytes[CHECKSUM_FIELD.end..]);
    hasher.finalize()
}

/// Recomputes a table's checksum in place: for tests and tools that change a table on purpose.
///
/// Does nothing where there is no whole header.
pub fn refresh_checksum(bytes: &mut [u8]) {
    if bytes.len() >= size_of::<Header>() {
        let checksum = checksum(bytes);
        bytes[CHECKSUM_FIELD].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// One uop of a table that is being made.
#[derive(Clone, Debug)]
pub struct UopContents {
    /// The name, unique in the table.
    pub name: String,
    /// See [`UopInfo::effect`].
    pub effect: StackEffect,
    /// See [`UopInfo::leaving_effect`].
    pub leaving_effect: StackEffect,
    /// See [`UopInfo::flags`].
    pub flags: UopFlags,
    /// See [`UopInfo::oparg_max`].
    pub oparg_max: u32,
    /// See [`UopInfo::operand_max`].
    pub operand_max: u64,
    /// See [`UopInfo::locals`].
    pub locals: u32,
    /// The stencils.
    pub group: StencilGroupBuf,
}

impl UopContents {
    /// What the runtime will know of it.
    pub fn info(&self) -> UopInfo<'_> {
        UopInfo {
            name: &self.name,
            effect: self.effect,
            leaving_effect: self.leaving_effect,
            flags: self.flags,
            oparg_max: self.oparg_max,
            operand_max: self.operand_max,
            locals: self.locals,
        }
    }
}

/// One variant of a table that is being made: another form of a uop, or of several fused into one stencil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantContents {
    /// The names of the uops, in the order in which they run; at most [`MAX_FUSED`](crate::form::MAX_FUSED).
    pub uops: Vec<String>,
    /// How values come and go.
    pub form: Form,
    /// The largest oparg that the code was compiled for, for each uop.
    pub oparg_max: Vec<u32>,
    /// The largest operand that the code was compiled for, for each uop.
    pub operand_max: Vec<u64>,
    /// The stencils.
    pub group: StencilGroupBuf,
    /// Where its placeholders stand, for [`Form::Operands`].
    pub register_holes: Vec<RegisterHole>,
}

/// Everything that goes into a table.
#[derive(Clone, Debug)]
pub struct TableContents {
    /// The name of the uop set.
    pub set: String,
    /// The CPU that the code needs.
    pub cpu: String,
    /// The LLVM that made the code: major, minor, patch.
    pub llvm_version: (u16, u16, u16),
    /// BLAKE3 of what the stencils were made from.
    pub digest: [u8; 32],
    /// The names of the symbols that holes refer to, by index.
    pub symbols: Vec<String>,
    /// The uops, in any order.
    pub uops: Vec<UopContents>,
    /// Further forms, in any order.
    pub variants: Vec<VariantContents>,
}

impl TableContents {
    /// The table's bytes: the same contents always give the same bytes.
    ///
    /// # Errors
    /// Something does not fit the format, or the contents are not a valid table.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TableError> {
        let bytes = Writer::default().write(self)?;
        // Whatever this library writes, it reads.
        StencilTable::check(Bytes::Owned(bytes)).map(|table| match table.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Static(_) | Bytes::Mapped(_) => Vec::new(),
        })
    }
}

#[derive(Default)]
struct Writer {
    strings: Vec<u8>,
    code: Vec<u8>,
    data: Vec<u8>,
    holes: Vec<Hole>,
}

impl Writer {
    fn write(mut self, contents: &TableContents) -> Result<Vec<u8>, TableError> {
        let mut uops: Vec<&UopContents> = contents.uops.iter().collect();
        uops.sort_by(|a, b| a.name.cmp(&b.name));
        let set = self.text(&contents.set);
        let triple = self.text(TRIPLE);
        let cpu = self.text(&contents.cpu);
        let symbols: Vec<TextRecord> = contents
            .symbols
            .iter()
            .map(|name| self.text(name))
            .collect();
        let mut uop_records = Vec::with_capacity(uops.len());
        let mut group_records = Vec::with_capacity(uops.len());
        for (index, uop) in uops.into_iter().enumerate() {
            uop_records.push(self.uop(uop, index));
            group_records.push(self.group(&uop.group, index));
        }
        let (major, minor, patch) = contents.llvm_version;
        let mut end = size_of::<Header>() as u64;
        let mut section = |count: usize, size: usize| {
            let record = SectionRecord {
                offset: U32::new(end as u32),
                count: U32::new(count as u32),
            };
            end += (count * size) as u64;
            record
        };
        let mut header = Header {
            magic: MAGIC,
            format_version: U32::new(FORMAT_VERSION),
            header_length: U32::new(size_of::<Header>() as u32),
            calling_convention: U32::new(CALLING_CONVENTION),
            llvm_version: [U16::new(major), U16::new(minor), U16::new(patch), U16::ZERO],
            value_registers: U32::new(VALUE_REGISTERS),
            digest: contents.digest,
            set,
            triple,
            cpu,
            uops: section(uop_records.len(), size_of::<UopRecord>()),
            groups: section(group_records.len(), size_of::<GroupRecord>()),
            holes: section(self.holes.len(), size_of::<Hole>()),
            symbols: section(symbols.len(), size_of::<TextRecord>()),
            code: section(self.code.len(), 1),
            data: section(self.data.len(), 1),
            strings: section(self.strings.len(), 1),
            ..Header::default()
        };
        if end > MAX_LENGTH {
            return Err(TableError::TooLarge {
                what: "bytes",
                found: end,
                limit: MAX_LENGTH,
            });
        }
        header.file_length = U64::new(end);
        let sections: [&[u8]; 8] = [
            header.as_bytes(),
            uop_records.as_bytes(),
            group_records.as_bytes(),
            self.holes.as_bytes(),
            symbols.as_bytes(),
            &self.code,
            &self.data,
            &self.strings,
        ];
        let mut bytes = sections.concat();
        refresh_checksum(&mut bytes);
        Ok(bytes)
    }

    fn text(&mut self, text: &str) -> TextRecord {
        let record = TextRecord {
            offset: U32::new(self.strings.len() as u32),
            length: U32::new(text.len() as u32),
        };
        self.strings.extend_from_slice(text.as_bytes());
        record
    }

    fn uop(&mut self, uop: &UopContents, index: usize) -> UopRecord {
        UopRecord {
            name: self.text(&uop.name),
            popped: uop.effect.popped.into(),
            pushed: uop.effect.pushed.into(),
            leaving_popped: uop.leaving_effect.popped.into(),
            leaving_pushed: uop.leaving_effect.pushed.into(),
            flags: U32::new(uop.flags.bits()),
            oparg_max: U32::new(uop.oparg_max),
            operand_max: U64::new(uop.operand_max),
            first_group: U32::new(index as u32),
            group_count: U32::new(1),
            locals: U32::new(uop.locals),
        }
    }

    fn group(&mut self, group: &StencilGroupBuf, uop: usize) -> GroupRecord {
        GroupRecord {
            uop: U32::new(uop as u32),
            hot: Self::part(&mut self.code, &mut self.holes, &group.hot),
            cold: Self::part(&mut self.code, &mut self.holes, &group.cold),
            data: Self::part(&mut self.data, &mut self.holes, &group.data),
            ..GroupRecord::default()
        }
    }

    fn part(bytes: &mut Vec<u8>, holes: &mut Vec<Hole>, part: &StencilBuf) -> PartRecord {
        let record = PartRecord {
            offset: U32::new(bytes.len() as u32),
            length: U32::new(part.bytes.len() as u32),
            first_hole: U32::new(holes.len() as u32),
            hole_count: U32::new(part.holes.len() as u32),
            align: U32::new(part.align),
        };
        bytes.extend_from_slice(&part.bytes);
        holes.extend_from_slice(&part.holes);
        record
    }
}

/// Replaces the file at `path` with `bytes` as a whole: whoever reads it sees the old contents or the new ones.
///
/// # Errors
/// The directory or the file cannot be written; the old file is then as it was.
pub fn replace_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), TableError> {
    let path = path.as_ref();
    let io = |source| TableError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Cow::Borrowed(parent),
        _ => Cow::Owned(PathBuf::from(".")),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".mimeo-")
        .tempfile_in(&directory)
        .map_err(io)?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(io)?;
    // A temporary file is private to its owner; a table is to be read by whoever may read the directory's other files.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(permissions).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}
