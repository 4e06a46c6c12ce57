//! Text as bytes and back: UTF-8, Latin-1 and ASCII.

use crate::error::{ErrorKind, PyError, Result};
use crate::object::Ref;
use crate::str::{self, Str};

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Utf8,
    Latin1,
    Ascii,
}

/// What happens to what cannot be encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handler {
    Strict,
    Ignore,
    Replace,
    Backslash,
    CharacterReference,
}

impl Codec {
    fn named(name: &str) -> Result<Self> {
        let normal = name.to_ascii_lowercase().replace(['_', ' '], "-");
        match normal.as_str() {
            "utf-8" | "utf8" | "u8" | "cp65001" => Ok(Self::Utf8),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "l1" | "latin" => {
                Ok(Self::Latin1)
            }
            "ascii" | "us-ascii" | "646" => Ok(Self::Ascii),
            _ => Err(PyError::not_supported(format_args!("the encoding {name}"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Latin1 => "latin-1",
            Self::Ascii => "ascii",
        }
    }

    /// The first code point that cannot be encoded, but for surrogates.
    fn end(self) -> u32 {
        match self {
            Self::Utf8 => 0x11_0000,
            Self::Latin1 => 0x100,
            Self::Ascii => 0x80,
        }
    }

    fn can_encode(self, code_point: u32) -> bool {
        code_point < self.end() && char::from_u32(code_point).is_some()
    }

    /// Why a code point cannot be encoded.
    fn reason(self) -> &'static str {
        match self {
            Self::Utf8 => "surrogates not allowed",
            Self::Latin1 => "ordinal not in range(256)",
            Self::Ascii => "ordinal not in range(128)",
        }
    }
}

impl Handler {
    fn named(name: &str) -> Result<Self> {
        match name {
            "strict" => Ok(Self::Strict),
            "ignore" => Ok(Self::Ignore),
            "replace" => Ok(Self::Replace),
            "backslashreplace" => Ok(Self::Backslash),
            "xmlcharrefreplace" => Ok(Self::CharacterReference),
            _ => Err(PyError::not_supported(format_args!(
                "the error handler {name}"
            ))),
        }
    }
}

/// `text.encode(encoding, errors)`
///
/// # Errors
/// `UnicodeEncodeError`, or `NotSupported` for another encoding or error handler.
pub(crate) fn encode(text: &Str, encoding: &str, errors: &str) -> Result<Vec<u8>> {
    let codec = Codec::named(encoding)?;
    let code_points: Vec<u32> = text.code_points().collect();
    let mut bytes = Vec::with_capacity(code_points.len());
    let mut position = 0;
    while let Some(&code_point) = code_points.get(position) {
        if codec.can_encode(code_point) {
            push(&mut bytes, codec, code_point);
            position += 1;
            continue;
        }
        let rest = &code_points[position..];
        let count = rest.iter().take_while(|&&c| !codec.can_encode(c)).count();
        let bad = &rest[..count];
        if Handler::named(errors)? == Handler::Strict {
            return Err(encode_error(codec, bad, position));
        }
        let substitute: String = bad
            .iter()
            .map(|&c| substitute(Handler::named(errors).unwrap_or(Handler::Strict), c))
            .collect();
        bytes.extend(substitute.bytes());
        position += count;
    }
    Ok(bytes)
}

fn push(bytes: &mut Vec<u8>, codec: Codec, code_point: u32) {
    match (codec, char::from_u32(code_point)) {
        (Codec::Utf8, Some(c)) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        // The code point was checked to fit a byte.
        _ => bytes.push(code_point as u8),
    }
}

fn substitute(handler: Handler, code_point: u32) -> String {
    match handler {
        Handler::Strict | Handler::Ignore => String::new(),
        Handler::Replace => "?".to_owned(),
        Handler::Backslash => escape(code_point),
        Handler::CharacterReference => format!("&#{code_point};"),
    }
}

/// A code point as the shortest of `\xhh`, `\uhhhh` and `\Uhhhhhhhh`.
fn escape(code_point: u32) -> String {
    match code_point {
        ..0x100 => format!("\\x{code_point:02x}"),
        0x100..0x1_0000 => format!("\\u{code_point:04x}"),
        _ => format!("\\U{code_point:08x}"),
    }
}

fn encode_error(codec: Codec, bad: &[u32], position: usize) -> PyError {
    let what = match bad {
        [code_point] => format!("character '{}' in position {position}", escape(*code_point)),
        _ => format!(
            "characters in position {position}-{}",
            position + bad.len() - 1
        ),
    };
    PyError::new(
        ErrorKind::UnicodeEncodeError,
        format!(
            "'{}' codec can't encode {what}: {}",
            codec.name(),
            codec.reason()
        ),
    )
}

/// `bytes.decode(encoding, errors)`
///
/// # Errors
/// `UnicodeDecodeError`, or `NotSupported` for another encoding or error handler.
pub(crate) fn decode(bytes: &[u8], encoding: &str, errors: &str) -> Result<Ref> {
    let codec = Codec::named(encoding)?;
    if codec == Codec::Latin1 {
        return Ok(str::from_code_points(bytes.iter().map(|&byte| byte.into())));
    }
    let mut text = String::new();
    let mut position = 0;
    while position < bytes.len() {
        let (valid, bad, reason) = next_part(codec, &bytes[position..]);
        text.push_str(valid);
        position += valid.len();
        let bad = &bytes[position..position + bad];
        if !bad.is_empty() {
            match Handler::named(errors)? {
                Handler::Strict => return Err(decode_error(codec, bad, position, reason)),
                Handler::Ignore => {}
                Handler::Replace => text.push(char::REPLACEMENT_CHARACTER),
                Handler::Backslash => text.extend(bad.iter().map(|&byte| escape(byte.into()))),
                Handler::CharacterReference => {
                    let message = "don't know how to handle UnicodeDecodeError in error callback";
                    return Err(PyError::type_error(message));
                }
            }
        }
        position += bad.len();
    }
    Ok(Ref::str(&text))
}

/// The valid start of bytes that are not empty, how many bytes behind it are not valid, and why.
fn next_part(codec: Codec, bytes: &[u8]) -> (&str, usize, &'static str) {
    if codec == Codec::Ascii {
        let length = bytes.iter().take_while(|byte| byte.is_ascii()).count();
        let valid = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
        let bad = usize::from(length < bytes.len());
        return (valid, bad, "ordinal not in range(128)");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (text, 0, ""),
        Err(error) => {
            let start = error.valid_up_to();
            let valid = std::str::from_utf8(&bytes[..start]).unwrap_or_default();
            match error.error_len() {
                None => (valid, bytes.len() - start, "unexpected end of data"),
                Some(length) if matches!(bytes[start], 0xc2..=0xf4) => {
                    (valid, length, "invalid continuation byte")
                }
                Some(length) => (valid, length, "invalid start byte"),
            }
        }
    }
}

fn decode_error(codec: Codec, bad: &[u8], position: usize, reason: &str) -> PyError {
    let what = match bad {
        [byte] => format!("byte {byte:#04x} in position {position}"),
        _ => format!("bytes in position {position}-{}", position + bad.len() - 1),
    };
    PyError::new(
        ErrorKind::UnicodeDecodeError,
        format!("'{}' codec can't decode {what}: {reason}", codec.name()),
    )
}
