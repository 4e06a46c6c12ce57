//! The interpreter images, embedded where their code can be run: among the program's own code.
//!
//! A linker puts what is in a section called `.text.something` into the program's text, which is mapped executable and
//! never writable. `tests/tests/interpreter.rs` looks whether that is so.
#![allow(unsafe_code)]

use mimeo::interpreter::{CODE_ALIGN, ImageError, InterpreterImage};

/// The bytes of an image, at an address that its code can be run at.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Image<const N: usize>([u8; N]);

const _: () = assert!(align_of::<Image<0>>() == CODE_ALIGN);

impl<const N: usize> Image<N> {
    /// The bytes.
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }
}

const STANDARD_LEN: usize = include_bytes!("../tables/python.interp").len();

/// The image of the standard set's interpreter, in the program's text.
// SAFETY: the section holds what is in this static and others like it; nothing jumps to it but the interpreter.
#[unsafe(link_section = ".text.mimeo_interpreter")]
pub static STANDARD_INTERPRETER: Image<STANDARD_LEN> =
    Image(*include_bytes!("../tables/python.interp"));

/// The standard set's interpreter, checked: its bytes are those of [`STANDARD_INTERPRETER`] and may be run where they
/// are.
///
/// # Errors
/// The embedded bytes are no image that this library reads: the image must be built again.
pub fn standard_interpreter() -> Result<InterpreterImage<'static>, ImageError> {
    InterpreterImage::parse(STANDARD_INTERPRETER.bytes())
}
