//! Modules: a name and a dict.

use crate::heap;
use crate::object::{Header, Kind, Ref};

/// A module.
#[repr(C)]
pub struct Module {
    header: Header,
    pub(crate) dict: Ref,
    name: Box<str>,
}

impl Module {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dict of its attributes.
    pub fn dict(&self) -> &Ref {
        &self.dict
    }
}

impl Ref {
    /// A module without attributes.
    pub fn module(name: &str) -> Self {
        heap::allocate(Module {
            header: Header::new(Kind::Module, 0),
            dict: Ref::dict(),
            name: name.into(),
        })
    }
}
