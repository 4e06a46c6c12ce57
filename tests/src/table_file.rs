//! Where the fields of a table file are, as the documentation of `mimeo::table` gives them, for tests that change tables
//! on purpose. The numbers are written out here and not taken from the library, which may be wrong about its own format.

use mimeo::stencil::Part;
use mimeo::table::{StencilTable, TableError, refresh_checksum};

/// Offsets of fields in the header.
pub mod header {
    /// `uint32_t format_version`.
    pub const FORMAT_VERSION: usize = 8;
    /// `uint32_t header_length`.
    pub const HEADER_LENGTH: usize = 12;
    /// `uint64_t file_length`.
    pub const FILE_LENGTH: usize = 16;
    /// `uint32_t checksum`.
    pub const CHECKSUM: usize = 24;
    /// `uint32_t calling_convention`.
    pub const CALLING_CONVENTION: usize = 28;
    /// `uint16_t llvm_version[4]`.
    pub const LLVM_VERSION: usize = 32;
    /// `uint32_t value_registers`.
    pub const VALUE_REGISTERS: usize = 40;
    /// `uint32_t reserved`.
    pub const RESERVED: usize = 44;
    /// `struct text set`, then `triple` and `cpu`.
    pub const SET: usize = 112;
    /// `struct text triple`.
    pub const TRIPLE: usize = 120;
    /// The length of the header in bytes.
    pub const LENGTH: usize = 208;
}

/// The sections in their order: name, offset of its `struct section` in the header, bytes of an element.
pub const SECTIONS: [(&str, usize, usize); 9] = [
    ("uops", 136, 100),
    ("variants", 144, 88),
    ("elements", 152, 16),
    ("holes", 160, 16),
    ("register holes", 168, 12),
    ("symbols", 176, 8),
    ("code", 184, 1),
    ("data", 192, 1),
    ("strings", 200, 1),
];

/// A table's bytes that are being changed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl Draft {
    /// A draft of these bytes, which are a table.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_owned(),
        }
    }

    /// The number of 4 bytes at an offset.
    pub fn u32_at(&self, offset: usize) -> u32 {
        let bytes = self.bytes[offset..offset + 4].try_into();
        u32::from_le_bytes(bytes.expect("four bytes"))
    }

    /// Writes a byte.
    pub fn put_u8(&mut self, offset: usize, value: u8) {
        self.bytes[offset] = value;
    }

    /// Writes a number of 4 bytes.
    pub fn put_u32(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Adds to a number of 4 bytes, wrapping.
    pub fn add_u32(&mut self, offset: usize, number: u32) {
        self.put_u32(offset, self.u32_at(offset).wrapping_add(number));
    }

    /// Writes the length that the file has into its header.
    pub fn fix_length(&mut self) {
        let length = self.bytes.len() as u64;
        self.bytes[header::FILE_LENGTH..][..8].copy_from_slice(&length.to_le_bytes());
    }

    /// Where an element of a section starts.
    ///
    /// # Panics
    /// There is no section of this name.
    pub fn element(&self, section: &str, index: usize) -> usize {
        let &(_, field, size) = SECTIONS
            .iter()
            .find(|&&(name, ..)| name == section)
            .unwrap_or_else(|| panic!("there is no section {section}"));
        self.u32_at(field) as usize + index * size
    }

    /// The text of a `struct text`.
    ///
    /// # Panics
    /// It lies outside the file or is not UTF-8.
    pub fn text(&self, record: usize) -> &str {
        let start = self.element("strings", self.u32_at(record) as usize);
        let length = self.u32_at(record + 4) as usize;
        std::str::from_utf8(&self.bytes[start..start + length]).expect("UTF-8")
    }

    /// Where the record of a uop is.
    ///
    /// # Panics
    /// There is no uop of this name.
    pub fn uop(&self, name: &str) -> usize {
        let count = self.u32_at(SECTIONS[0].1 + 4) as usize;
        (0..count)
            .map(|index| self.element("uops", index))
            .find(|&record| self.text(record) == name)
            .unwrap_or_else(|| panic!("there is no uop {name}"))
    }

    /// Where the `struct part` of a uop's part is.
    ///
    /// # Panics
    /// There is no uop of this name.
    pub fn part(&self, name: &str, part: Part) -> usize {
        self.uop(name) + 40 + position(part)
    }

    /// Where a hole of a uop's hot code is.
    ///
    /// # Panics
    /// There is no uop of this name.
    pub fn hole(&self, name: &str, index: usize) -> usize {
        let first = self.u32_at(self.part(name, Part::Hot) + 8) as usize;
        self.element("holes", first + index)
    }

    /// Where the record of a variant is.
    pub fn variant(&self, index: usize) -> usize {
        self.element("variants", index)
    }

    /// Where the record of a variant's uop is: its `struct element`.
    pub fn variant_element(&self, variant: usize, index: usize) -> usize {
        let first = self.u32_at(self.variant(variant)) as usize;
        self.element("elements", first + index)
    }

    /// Where the `struct form` of a variant is.
    pub fn form(&self, variant: usize) -> usize {
        self.variant(variant) + 16
    }

    /// Where the `struct part` of a variant's part is.
    pub fn variant_part(&self, variant: usize, part: Part) -> usize {
        self.variant(variant) + 28 + position(part)
    }

    /// Where a hole of a variant's hot code is.
    pub fn variant_hole(&self, variant: usize, index: usize) -> usize {
        let first = self.u32_at(self.variant_part(variant, Part::Hot) + 8) as usize;
        self.element("holes", first + index)
    }

    /// Where a register hole of a variant is.
    pub fn register_hole(&self, variant: usize, index: usize) -> usize {
        let first = self.u32_at(self.variant(variant) + 8) as usize;
        self.element("register holes", first + index)
    }

    /// Makes the checksum right and loads the table.
    ///
    /// # Errors
    /// What the library has against it.
    pub fn load(mut self) -> Result<StencilTable, TableError> {
        refresh_checksum(&mut self.bytes);
        StencilTable::from_bytes(self.bytes)
    }
}

/// Where a part's record is behind that of the first.
fn position(part: Part) -> usize {
    match part {
        Part::Hot => 0,
        Part::Cold => 20,
        Part::Data => 40,
    }
}
