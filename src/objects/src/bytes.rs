//! `bytes`: immutable sequences of bytes, and iterators over them.

use crate::heap;
use crate::object::{Header, Kind, Ref};
use std::fmt::Write;

/// A `bytes` object.
#[repr(C)]
pub struct Bytes {
    header: Header,
    data: Box<[u8]>,
}

impl Bytes {
    /// A new object of these bytes.
    pub fn object(data: Vec<u8>) -> Ref {
        heap::allocate(Self {
            header: Header::new(Kind::Bytes, 0),
            data: data.into(),
        })
    }

    /// The bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The text of `repr(bytes)`.
    pub(crate) fn repr(&self) -> String {
        let has = |quote: u8| self.data.contains(&quote);
        let quote = if has(b'\'') && !has(b'"') { '"' } else { '\'' };
        let mut text = format!("b{quote}");
        for &byte in &self.data {
            match byte {
                b'\t' => text.push_str("\\t"),
                b'\n' => text.push_str("\\n"),
                b'\r' => text.push_str("\\r"),
                b'\\' => text.push_str("\\\\"),
                _ if char::from(byte) == quote => text.extend(['\\', quote]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
        }
        text.push(quote);
        text
    }
}
