//! `None`, `False` and `True`: one object each per thread.

use crate::immortal;
use crate::object::{Header, Kind, Ref};

/// `None`.
#[repr(C)]
pub(crate) struct NoneObject {
    header: Header,
}

impl NoneObject {
    pub(crate) fn new() -> Self {
        Self {
            header: Header::new(Kind::None, 0),
        }
    }
}

/// `False` or `True`.
#[repr(C)]
pub(crate) struct Bool {
    header: Header,
    pub(crate) value: u64,
}

impl Bool {
    pub(crate) fn new(value: bool) -> Self {
        Self {
            header: Header::new(Kind::Bool, 0),
            value: u64::from(value),
        }
    }

    pub(crate) fn value(&self) -> bool {
        self.value != 0
    }
}

impl Ref {
    /// `None`.
    pub fn none() -> Self {
        immortal::none()
    }

    /// `False` or `True`.
    pub fn bool(value: bool) -> Self {
        immortal::bool(value)
    }
}
