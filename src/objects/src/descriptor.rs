//! Descriptors of classes of the program: `property`, `classmethod` and `staticmethod`.

use crate::heap;
use crate::object::{Header, Kind, Ref};

/// A `property`.
#[repr(C)]
pub struct Property {
    header: Header,
    getter: Option<Ref>,
    setter: Option<Ref>,
    deleter: Option<Ref>,
}

impl Property {
    /// What reading the attribute calls.
    pub fn getter(&self) -> Option<&Ref> {
        self.getter.as_ref()
    }

    /// What setting the attribute calls.
    pub fn setter(&self) -> Option<&Ref> {
        self.setter.as_ref()
    }

    /// What deleting the attribute calls.
    pub fn deleter(&self) -> Option<&Ref> {
        self.deleter.as_ref()
    }
}

/// A `classmethod`.
#[repr(C)]
pub struct ClassMethod {
    header: Header,
    function: Ref,
}

impl ClassMethod {
    /// What is called with the class.
    pub fn function(&self) -> &Ref {
        &self.function
    }
}

/// A `staticmethod`.
#[repr(C)]
pub struct StaticMethod {
    header: Header,
    function: Ref,
}

impl StaticMethod {
    /// What is called.
    pub fn function(&self) -> &Ref {
        &self.function
    }
}

impl Ref {
    /// A property that calls these.
    pub fn property(getter: Option<Ref>, setter: Option<Ref>, deleter: Option<Ref>) -> Self {
        heap::allocate(Property {
            header: Header::new(Kind::Property, 0),
            getter,
            setter,
            deleter,
        })
    }

    /// A class method.
    pub fn class_method(function: Ref) -> Self {
        heap::allocate(ClassMethod {
            header: Header::new(Kind::ClassMethod, 0),
            function,
        })
    }

    /// A static method.
    pub fn static_method(function: Ref) -> Self {
        heap::allocate(StaticMethod {
            header: Header::new(Kind::StaticMethod, 0),
            function,
        })
    }
}
