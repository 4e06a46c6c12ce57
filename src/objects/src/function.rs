//! Functions of the program: a name and the number of a code object. Calling one is the business of uops.

use crate::heap;
use crate::object::{Header, Kind, Ref};

/// A function of the program.
#[repr(C)]
pub struct Function {
    header: Header,
    pub(crate) code: u32,
    name: Box<str>,
}

impl Function {
    /// The number of its code object.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// Its qualified name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Ref {
    /// A function with this name and code object.
    pub fn function(name: &str, code: u32) -> Self {
        heap::allocate(Function {
            header: Header::new(Kind::Function, 0),
            code,
            name: name.into(),
        })
    }
}
