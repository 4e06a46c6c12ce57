//! The interpreter image: the machine code of a uop set's interpreter, one handler for each uop, in one file.
//!
//! # Format, version 1
//! Every number is little-endian. A C program can use these structures as they are, if it packs them:
//!
//! ```c
//! struct text    { uint32_t offset, length; };  // UTF-8 without a 0 at the end; from the start of the strings
//! struct section { uint32_t offset, count; };   // from the start of the file; elements, not bytes
//! struct header {                               // 128 bytes, at offset 0
//!     uint8_t  magic[8];                        // "MIMEOI\x1a\n"
//!     uint32_t format_version;                  // 1
//!     uint32_t header_length;                   // 128
//!     uint64_t file_length;
//!     uint32_t checksum;                        // CRC-32 (IEEE) of the file with this field as zero
//!     uint32_t calling_convention;              // LLVM's number; 21 is preserve_none
//!     uint32_t record_length;                   // 40: bytes of an instruction record
//!     uint32_t reserved;                        // 0
//!     uint8_t  digest[32];                      // that of the table whose uops these are
//!     struct text set;
//!     struct section code;                      // bytes
//!     struct section entries;                   // uint32_t: where each uop's handler is in the code, in the table's order
//!     struct section symbols;                   // struct text
//!     struct section strings;                   // bytes
//!     uint8_t  padding[16];                     // 0
//! };                                            // sections follow in this order, without gaps
//! ```
//!
//! The code refers to nothing outside itself, so it runs wherever it is mapped at a multiple of [`CODE_ALIGN`] bytes. It
//! starts at such a multiple in the file too: a file that is part of a program's text can be run where it is.

use crate::interpreter::Record;
use crate::table::{CALLING_CONVENTION, CHECKSUM_FIELD, checksum};
use std::ops::Range;
use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first bytes of every image. As in a table, a control-Z and a line ending show a file that was mangled as text.
pub const MAGIC: [u8; 8] = *b"MIMEOI\x1a\n";

/// The format version that this library reads and writes. It changes with the layout of the records, too.
pub const FORMAT_VERSION: u32 = 1;

/// What the code's address is a multiple of, in bytes: a cache line, the largest alignment that its constants ask for.
pub const CODE_ALIGN: usize = 64;

/// What the offset of a handler is a multiple of, in bytes: what processors fetch at once.
pub const HANDLER_ALIGN: usize = 16;

/// The largest image, in bytes; offsets in it have 32 bits.
const MAX_LENGTH: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Text {
    offset: U32,
    length: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Section {
    offset: U32,
    count: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format_version: U32,
    header_length: U32,
    file_length: U64,
    checksum: U32,
    calling_convention: U32,
    record_length: U32,
    reserved: U32,
    digest: [u8; 32],
    set: Text,
    code: Section,
    entries: Section,
    symbols: Section,
    strings: Section,
    padding: [u8; 16],
}

const _: () = assert!(size_of::<Header>() == 128 && size_of::<Header>().is_multiple_of(CODE_ALIGN));

/// Why an image cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The bytes do not start as an image does.
    #[error("not an interpreter image: it starts with {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },
    /// The image has another format version.
    #[error(
        "interpreter image of format version {found}, this library reads version {FORMAT_VERSION}"
    )]
    Version {
        /// The image's version.
        found: u32,
    },
    /// The length is not what the header says.
    #[error(
        "the image has {found} bytes, expected {expected}: it is truncated or has something appended"
    )]
    Length {
        /// The length in the header; the header's own where the image is too short for one.
        expected: u64,
        /// The length of the image.
        found: u64,
    },
    /// The bytes are not those that were written.
    #[error(
        "the checksum is {found:#010x}, the header says {expected:#010x}: the image is damaged"
    )]
    Checksum {
        /// The checksum in the header.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The image is for another convention.
    #[error("the image has {what} {found}, this library runs {expected}")]
    Foreign {
        /// What differs.
        what: &'static str,
        /// What the image holds.
        found: u32,
        /// What is supported.
        expected: u32,
    },
    /// The contents contradict themselves.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where.
        place: String,
        /// What is wrong there and what was expected.
        problem: String,
    },
    /// The contents do not fit the format.
    #[error("the image would have {found} bytes, the format holds {limit}")]
    TooLarge {
        /// How much there is.
        found: u64,
        /// How much fits.
        limit: u64,
    },
}

fn invalid(place: impl Into<String>, problem: impl Into<String>) -> ImageError {
    ImageError::Invalid {
        place: place.into(),
        problem: problem.into(),
    }
}

/// What an image is written from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageContents {
    /// The name of the uop set.
    pub set: String,
    /// The digest of the table whose uops these are.
    pub digest: [u8; 32],
    /// The names of the symbols whose addresses the code finds by index.
    pub symbols: Vec<String>,
    /// Where each uop's handler is in the code, in the table's order.
    pub entries: Vec<u32>,
    /// Code and its constants.
    pub code: Vec<u8>,
}

impl ImageContents {
    /// The bytes of the image.
    ///
    /// # Errors
    /// The contents do not fit the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ImageError> {
        let names = || std::iter::once(&self.set).chain(&self.symbols);
        let length = [
            size_of::<Header>(),
            self.code.len(),
            size_of_val(&self.entries[..]),
            self.symbols.len() * size_of::<Text>(),
            names().map(String::len).sum(),
        ]
        .iter()
        .map(|&part| part as u64)
        .sum();
        if length > MAX_LENGTH {
            return Err(ImageError::TooLarge {
                found: length,
                limit: MAX_LENGTH,
            });
        }
        let mut strings = Vec::new();
        let mut texts = names().map(|name| {
            let offset = U32::new(strings.len() as u32);
            strings.extend_from_slice(name.as_bytes());
            Text {
                offset,
                length: U32::new(name.len() as u32),
            }
        });
        let set = texts.next().unwrap_or(Text::new_zeroed());
        let symbols: Vec<Text> = texts.collect();
        let entries: Vec<U32> = self.entries.iter().copied().map(U32::new).collect();
        let parts = [&self.code, entries.as_bytes(), symbols.as_bytes(), &strings];
        let counts = [self.code.len(), entries.len(), symbols.len(), strings.len()];
        let mut bytes = vec![0; size_of::<Header>()];
        let [code, entries, symbols, strings] = std::array::from_fn(|index| {
            let offset = U32::new(bytes.len() as u32);
            bytes.extend_from_slice(parts[index]);
            Section {
                offset,
                count: U32::new(counts[index] as u32),
            }
        });
        let header = Header {
            magic: MAGIC,
            format_version: U32::new(FORMAT_VERSION),
            header_length: U32::new(size_of::<Header>() as u32),
            file_length: U64::new(length),
            checksum: U32::ZERO,
            calling_convention: U32::new(CALLING_CONVENTION),
            record_length: U32::new(size_of::<Record>() as u32),
            reserved: U32::ZERO,
            digest: self.digest,
            set,
            code,
            entries,
            symbols,
            strings,
            padding: [0; 16],
        };
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        let checksum = checksum(&bytes).to_le_bytes();
        bytes[CHECKSUM_FIELD].copy_from_slice(&checksum);
        Ok(bytes)
    }
}

/// An image whose bytes were checked. That its code is a compiler's, the bytes cannot say.
#[derive(Clone, Debug)]
pub struct InterpreterImage<'a> {
    bytes: &'a [u8],
    header: Header,
}

impl<'a> InterpreterImage<'a> {
    /// Reads an image.
    ///
    /// # Errors
    /// The bytes are not an image that this library can use.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let header = check_envelope(bytes)?;
        let image = Self { bytes, header };
        image.check_sections()?;
        image.check_contents()?;
        Ok(image)
    }

    /// The name of the uop set.
    pub fn set(&self) -> &'a str {
        self.text(self.header.set).unwrap_or("")
    }

    /// The digest of the table whose uops these are.
    pub fn digest(&self) -> &[u8; 32] {
        &self.header.digest
    }

    /// The names of the symbols whose addresses the code finds by index.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = &'a str> {
        let symbols: &'a [Text] = self.records(self.header.symbols);
        symbols.iter().map(|&text| self.text(text).unwrap_or(""))
    }

    /// Where each uop's handler is in the code.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let entries: &'a [U32] = self.records(self.header.entries);
        entries.iter().map(|entry| entry.get())
    }

    /// Code and its constants.
    pub fn code(&self) -> &'a [u8] {
        self.records(self.header.code)
    }

    fn records<T: FromBytes + Immutable + KnownLayout + Unaligned>(
        &self,
        section: Section,
    ) -> &'a [T] {
        // Sections were found to lie inside the image; an empty slice is unreachable.
        range::<T>(section)
            .and_then(|range| self.bytes.get(range))
            .and_then(|bytes| <[T]>::ref_from_bytes(bytes).ok())
            .unwrap_or(&[])
    }

    fn text(&self, text: Text) -> Option<&'a str> {
        let strings: &'a [u8] = self.records(self.header.strings);
        let start = text.offset.get() as usize;
        let end = start.checked_add(text.length.get() as usize)?;
        std::str::from_utf8(strings.get(start..end)?).ok()
    }

    /// Sections follow one another without a gap, so that no byte of an image goes unchecked.
    fn check_sections(&self) -> Result<(), ImageError> {
        let header = &self.header;
        let sections = [
            ("code", range::<u8>(header.code)),
            ("entries", range::<U32>(header.entries)),
            ("symbols", range::<Text>(header.symbols)),
            ("strings", range::<u8>(header.strings)),
        ];
        let mut end = size_of::<Header>();
        for (name, range) in sections {
            match range {
                Some(range) if range.start == end && range.end <= self.bytes.len() => {
                    end = range.end;
                }
                _ => {
                    return Err(invalid(
                        format!("section {name}"),
                        format!(
                            "it does not start at {end} and end inside the image's {} bytes",
                            self.bytes.len()
                        ),
                    ));
                }
            }
        }
        match end == self.bytes.len() {
            true => Ok(()),
            false => Err(invalid(
                "sections",
                format!("they end at {end}, the image at {}", self.bytes.len()),
            )),
        }
    }

    fn check_contents(&self) -> Result<(), ImageError> {
        self.text(self.header.set)
            .ok_or_else(|| invalid("set name", "it is not UTF-8 inside the strings"))?;
        let symbols: &[Text] = self.records(self.header.symbols);
        for (index, &text) in symbols.iter().enumerate() {
            self.text(text)
                .filter(|name| !name.is_empty())
                .ok_or_else(|| {
                    invalid(
                        format!("symbol {index}"),
                        "its name is not UTF-8 inside the strings, or empty",
                    )
                })?;
        }
        let len = self.code().len();
        let wrong =
            |entry: u32| entry as usize >= len || !(entry as usize).is_multiple_of(HANDLER_ALIGN);
        match self.entries().enumerate().find(|&(_, entry)| wrong(entry)) {
            None => Ok(()),
            Some((uop, entry)) => Err(invalid(
                format!("handler {uop}"),
                format!("it is at {entry}, expected a multiple of {HANDLER_ALIGN} below {len}"),
            )),
        }
    }
}

/// Where a section is in the image, in bytes.
fn range<T>(section: Section) -> Option<Range<usize>> {
    let start = section.offset.get() as usize;
    let len = (section.count.get() as usize).checked_mul(size_of::<T>())?;
    Some(start..start.checked_add(len)?)
}

/// The header of bytes that are a whole image of this version and convention.
fn check_envelope(bytes: &[u8]) -> Result<Header, ImageError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(ImageError::Magic {
            found: bytes.iter().take(MAGIC.len()).copied().collect(),
        });
    }
    let length = |expected| ImageError::Length {
        expected,
        found: bytes.len() as u64,
    };
    let (header, _) =
        Header::read_from_prefix(bytes).map_err(|_| length(size_of::<Header>() as u64))?;
    let version = header.format_version.get();
    if version != FORMAT_VERSION {
        return Err(ImageError::Version { found: version });
    }
    if header.file_length.get() != bytes.len() as u64 {
        return Err(length(header.file_length.get()));
    }
    let (expected, found) = (header.checksum.get(), checksum(bytes));
    if expected != found {
        return Err(ImageError::Checksum { expected, found });
    }
    let fields = [
        (
            "the calling convention",
            header.calling_convention,
            CALLING_CONVENTION,
        ),
        (
            "records of a length of",
            header.record_length,
            size_of::<Record>() as u32,
        ),
        (
            "a header of a length of",
            header.header_length,
            size_of::<Header>() as u32,
        ),
    ];
    for (what, found, expected) in fields {
        if found.get() != expected {
            return Err(ImageError::Foreign {
                what,
                found: found.get(),
                expected,
            });
        }
    }
    match header.reserved.get() == 0 && header.padding == [0; 16] {
        true => Ok(header),
        false => Err(invalid("header", "a reserved field is not 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> ImageContents {
        ImageContents {
            set: "toy".to_owned(),
            digest: [7; 32],
            symbols: vec!["one".to_owned(), "two".to_owned()],
            entries: vec![0, 32, 16],
            code: vec![0xcc; 50],
        }
    }

    /// With the checksum of what stands there now.
    fn refreshed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = checksum(&bytes).to_le_bytes();
        bytes[CHECKSUM_FIELD].copy_from_slice(&sum);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = contents().to_bytes().unwrap();
        let image = InterpreterImage::parse(&bytes).unwrap();
        let read = ImageContents {
            set: image.set().to_owned(),
            digest: *image.digest(),
            symbols: image.symbols().map(str::to_owned).collect(),
            entries: image.entries().collect(),
            code: image.code().to_owned(),
        };
        assert_eq!(read, contents());
        let start = image.code().as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(start.is_multiple_of(CODE_ALIGN));
    }

    #[test]
    fn every_damaged_bit_is_noticed() {
        let bytes = contents().to_bytes().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(InterpreterImage::parse(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(
                InterpreterImage::parse(&bytes[..len]).is_err(),
                "{len} bytes"
            );
        }
    }

    /// Whatever the header says, what is read lies inside the image.
    #[test]
    fn a_wrong_header_with_the_right_checksum_is_refused_or_harmless() {
        let bytes = contents().to_bytes().unwrap();
        let (mut refused, mut read) = (0, 0);
        for byte in 0..size_of::<Header>() {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[byte] = value;
                match InterpreterImage::parse(&refreshed(changed)) {
                    Ok(image) => {
                        assert!(
                            image
                                .entries()
                                .all(|entry| (entry as usize) < image.code().len())
                        );
                        assert!(image.symbols().all(|symbol| !symbol.is_empty()));
                        read += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 300 && read > 0, "{refused} refused, {read} read");
    }

    #[test]
    fn a_handler_outside_the_code_is_refused() {
        for (entry, expected) in [
            (48, None),
            (
                64,
                Some("handler 1: it is at 64, expected a multiple of 16 below 50"),
            ),
            (
                17,
                Some("handler 1: it is at 17, expected a multiple of 16 below 50"),
            ),
        ] {
            let mut contents = contents();
            contents.entries[1] = entry;
            let bytes = contents.to_bytes().unwrap();
            let error = InterpreterImage::parse(&bytes).err();
            assert_eq!(error.map(|error| error.to_string()).as_deref(), expected);
        }
    }
}
