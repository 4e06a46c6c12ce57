//! Functions of the program: a code object, the names it sees, and what a call does not give. Calling one is the business
//! of uops.

use crate::code::Code;
use crate::heap;
use crate::object::{Header, Kind, Ref, View};
use std::cell::Cell;

/// A function of the program.
#[repr(C)]
pub struct Function {
    header: Header,
    pub(crate) code: Ref,
    pub(crate) globals: Ref,
    pub(crate) builtins: Ref,
    pub(crate) closure: Cell<Option<Ref>>,
    /// What guards compare: the code's version, until a call would bind its arguments in another way.
    pub(crate) version: Cell<u32>,
    defaults: Cell<Option<Ref>>,
    keyword_defaults: Cell<Option<Ref>>,
    annotations: Cell<Option<Ref>>,
}

impl Function {
    /// Its code object.
    pub fn code(&self) -> &Code {
        match self.code.view() {
            View::Code(code) => code,
            _ => unreachable!("`Ref::function` takes nothing else"),
        }
    }

    /// Its code object, as an object.
    pub fn code_object(&self) -> &Ref {
        &self.code
    }

    /// The dict of its global names.
    pub fn globals(&self) -> &Ref {
        &self.globals
    }

    /// The dict of the names that are looked for after those.
    pub fn builtins(&self) -> &Ref {
        &self.builtins
    }

    /// What guards compare: the version of its code, or 0, which none accepts, once its defaults were changed.
    pub fn version(&self) -> u32 {
        self.version.get()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.code().name()
    }

    /// Its qualified name.
    pub fn qualified_name(&self) -> &str {
        self.code().qualified_name()
    }

    /// The values of its last positional parameters that calls need not give, a tuple.
    pub fn defaults(&self) -> Option<Ref> {
        read(&self.defaults)
    }

    /// The values of keyword-only parameters that calls need not give, a dict.
    pub fn keyword_defaults(&self) -> Option<Ref> {
        read(&self.keyword_defaults)
    }

    /// Its annotations, a dict or a tuple of names and values by turns.
    pub fn annotations(&self) -> Option<Ref> {
        read(&self.annotations)
    }

    /// The cells of its free variables, a tuple.
    pub fn closure(&self) -> Option<Ref> {
        read(&self.closure)
    }

    /// Sets or removes the defaults. Guards on this function fail from now on.
    pub fn set_defaults(&self, defaults: Option<Ref>) {
        self.version.set(0);
        drop(self.defaults.replace(defaults));
    }

    /// Sets or removes the defaults of keyword-only parameters. Guards on this function fail from now on.
    pub fn set_keyword_defaults(&self, defaults: Option<Ref>) {
        self.version.set(0);
        drop(self.keyword_defaults.replace(defaults));
    }

    /// Sets or removes the annotations.
    pub fn set_annotations(&self, annotations: Option<Ref>) {
        drop(self.annotations.replace(annotations));
    }

    /// Gives a new function the attribute that CPython's `SET_FUNCTION_ATTRIBUTE` has under this oparg: 1 defaults,
    /// 2 those of keyword-only parameters, 4 annotations, 8 the closure. Unlike a change made later, this leaves the
    /// version as it is. Returns whether the attribute is of the right type; a closure has a cell for each free variable.
    pub fn complete(&self, oparg: u32, attribute: Ref) -> bool {
        let (place, fits) = match oparg {
            1 => (&self.defaults, attribute.kind() == Kind::Tuple),
            2 => (&self.keyword_defaults, attribute.kind() == Kind::Dict),
            4 => (&self.annotations, true),
            8 => (&self.closure, self.is_closure(&attribute)),
            _ => return false,
        };
        if fits {
            drop(place.replace(Some(attribute)));
        }
        fits
    }

    /// Whether it is a tuple of a cell for each free variable.
    fn is_closure(&self, object: &Ref) -> bool {
        let View::Tuple(cells) = object.view() else {
            return false;
        };
        cells.items().len() == self.code().free_count() as usize
            && cells.items().iter().all(|cell| cell.kind() == Kind::Cell)
    }
}

/// A copy of an attribute.
fn read(place: &Cell<Option<Ref>>) -> Option<Ref> {
    let attribute = place.take();
    place.set(attribute.clone());
    attribute
}

impl Ref {
    /// A function of this code object that finds its names in these dicts.
    ///
    /// # Panics
    /// If `code` is no code object, or the others are no dicts.
    pub fn function(code: Ref, globals: Ref, builtins: Ref) -> Self {
        let View::Code(view) = code.view() else {
            panic!("a function of a {}, expected code", code.type_name())
        };
        for names in [&globals, &builtins] {
            let name = names.type_name();
            assert!(
                names.kind() == Kind::Dict,
                "names in a {name}, expected a dict"
            );
        }
        let version = view.version();
        heap::allocate(Function {
            header: Header::new(Kind::Function, 0),
            code,
            globals,
            builtins,
            closure: Cell::new(None),
            version: Cell::new(version),
            defaults: Cell::new(None),
            keyword_defaults: Cell::new(None),
            annotations: Cell::new(None),
        })
    }
}
