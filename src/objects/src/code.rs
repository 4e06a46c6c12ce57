//! Code objects: what the frames of a function look like, how it takes its arguments, and the names and constants of its
//! uops.

use crate::frame::{FRAME_SLOT_LIMIT, Frame, OWNER_DATA_STACK};
use crate::heap;
use crate::object::{Header, Kind, Ref, View};
use std::cell::Cell;

/// Flag of code whose locals are slots of the frame, not entries of a dict.
pub const OPTIMIZED: u32 = 0x1;
/// Flag of code that takes `*args`.
pub const VARARGS: u32 = 0x4;
/// Flag of code that takes `**kwargs`.
pub const VARKEYWORDS: u32 = 0x8;
/// Flag of a generator function's code.
pub const GENERATOR: u32 = 0x20;

/// What a code object is made of. The names are those of CPython's code objects, written out.
#[derive(Clone, Debug, Default)]
pub struct CodeSpec {
    /// `co_name`.
    pub name: String,
    /// `co_qualname`.
    pub qualified_name: String,
    /// A number by which whoever makes it knows it again; frames carry it.
    pub number: u32,
    /// Positional parameters, positional-only ones included.
    pub argument_count: u32,
    /// The positional-only ones.
    pub positional_only: u32,
    /// Keyword-only parameters.
    pub keyword_only: u32,
    /// [`OPTIMIZED`], [`VARARGS`], [`VARKEYWORDS`], [`GENERATOR`] and CPython's others.
    pub flags: u32,
    /// Slots of the evaluation stack.
    pub stack_size: u32,
    /// `co_localsplusnames`: parameters (positional, keyword-only, `*args`, `**kwargs`), other locals, cells and, last,
    /// the free variables.
    pub local_names: Vec<String>,
    /// How many of them are free variables.
    pub free_count: u32,
    /// `co_names`: globals and attributes.
    pub names: Vec<String>,
    /// `co_consts`, `None` for one that is not known.
    pub constants: Vec<Option<Ref>>,
}

/// A code object cannot be made of a specification that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    /// The parameters are among the locals.
    #[error("{parameters} parameters are more than {locals} locals")]
    Parameters {
        /// Parameters of all kinds.
        parameters: u64,
        /// Locals.
        locals: usize,
    },
    /// The free variables are among the locals.
    #[error("{free} free variables are more than {locals} locals")]
    FreeVariables {
        /// Free variables.
        free: u32,
        /// Locals.
        locals: usize,
    },
    /// A frame has a largest size.
    #[error("{locals} locals and {stack} stack slots are more than a frame can have")]
    FrameTooLarge {
        /// Locals.
        locals: usize,
        /// Slots of the stack.
        stack: u32,
    },
}

/// A code object. It never changes.
#[repr(C)]
pub struct Code {
    header: Header,
    /// What the frames of calls start with: a copy of the fields of [`Frame`] from `code` to `owner`.
    pub(crate) frame_start: [u32; 6],
    /// The bytes of a frame with all its slots.
    pub(crate) frame_size: u64,
    pub(crate) argument_count: u32,
    version: u32,
    positional_only: u32,
    keyword_only: u32,
    flags: u32,
    free_count: u32,
    name: Box<str>,
    qualified_name: Box<str>,
    local_names: Box<[Ref]>,
    names: Box<[Ref]>,
    constants: Box<[Option<Ref>]>,
}

impl Code {
    /// The number that it was made with.
    pub fn number(&self) -> u32 {
        self.frame_start[0]
    }

    /// A number that no other code object of this thread has, never 0 until 2<sup>31</sup> of them were made.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Positional parameters.
    pub fn argument_count(&self) -> u32 {
        self.argument_count
    }

    /// Those of the positional parameters that cannot be given by keyword.
    pub fn positional_only(&self) -> u32 {
        self.positional_only
    }

    /// Keyword-only parameters.
    pub fn keyword_only(&self) -> u32 {
        self.keyword_only
    }

    /// The slots of its frames that are locals.
    pub fn local_count(&self) -> u32 {
        self.frame_start[3]
    }

    /// The slots of its frames that are the evaluation stack.
    pub fn stack_size(&self) -> u32 {
        self.frame_start[4] - self.local_count()
    }

    /// The bytes of a frame with all its slots.
    pub fn frame_size(&self) -> u64 {
        self.frame_size
    }

    /// [`VARARGS`] and its like.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// How many locals, the last ones, are free variables.
    pub fn free_count(&self) -> u32 {
        self.free_count
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name with those of what it is defined in.
    pub fn qualified_name(&self) -> &str {
        &self.qualified_name
    }

    /// The names of the locals, strings.
    pub fn local_names(&self) -> &[Ref] {
        &self.local_names
    }

    /// The names of globals and attributes, strings.
    pub fn names(&self) -> &[Ref] {
        &self.names
    }

    /// The constants, `None` for one that is not known.
    pub fn constants(&self) -> &[Option<Ref>] {
        &self.constants
    }
}

impl Ref {
    /// A code object.
    ///
    /// # Errors
    /// If the counts contradict each other, or the frame would be too large.
    pub fn code(spec: CodeSpec) -> Result<Self, BadCode> {
        check(&spec)?;
        let local_count = spec.local_names.len() as u32;
        let capacity = local_count + spec.stack_size;
        let strings = |texts: Vec<String>| texts.iter().map(|text| Ref::str(text)).collect();
        Ok(heap::allocate(Code {
            header: Header::new(Kind::Code, 0),
            frame_start: [spec.number, 0, 0, local_count, capacity, OWNER_DATA_STACK],
            frame_size: Frame::size_with(capacity) as u64,
            argument_count: spec.argument_count,
            version: next_version(),
            positional_only: spec.positional_only,
            keyword_only: spec.keyword_only,
            flags: spec.flags,
            free_count: spec.free_count,
            name: spec.name.into(),
            qualified_name: spec.qualified_name.into(),
            local_names: strings(spec.local_names),
            names: strings(spec.names),
            constants: spec.constants.into(),
        }))
    }
}

fn check(spec: &CodeSpec) -> Result<(), BadCode> {
    let locals = spec.local_names.len();
    let collectors = [VARARGS, VARKEYWORDS].map(|flag| u64::from(spec.flags & flag != 0));
    let parameters = u64::from(spec.argument_count)
        + u64::from(spec.keyword_only)
        + collectors.iter().sum::<u64>();
    let positional_only = u64::from(spec.positional_only);
    if parameters > locals as u64 || positional_only > u64::from(spec.argument_count) {
        return Err(BadCode::Parameters {
            parameters: parameters.max(positional_only),
            locals,
        });
    }
    if spec.free_count as usize > locals {
        return Err(BadCode::FreeVariables {
            free: spec.free_count,
            locals,
        });
    }
    if locals.saturating_add(spec.stack_size as usize) > FRAME_SLOT_LIMIT {
        return Err(BadCode::FrameTooLarge {
            locals,
            stack: spec.stack_size,
        });
    }
    Ok(())
}

/// The text of a name that a code object has.
pub(crate) fn name_text(name: &Ref) -> String {
    match name.view() {
        View::Str(name) => name
            .code_points()
            .map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        _ => String::new(),
    }
}

/// A version for a code object; 0, which no guard accepts, once there are no more that fit the operand of a guard.
fn next_version() -> u32 {
    thread_local! {
        static NEXT: Cell<u32> = const { Cell::new(1) };
    }
    NEXT.with(|next| {
        let version = next.get();
        if version != 0 {
            next.set((version + 1) & (i32::MAX as u32));
        }
        version
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_code_object_says_what_its_frames_look_like() {
        let code = Ref::code(CodeSpec {
            number: 7,
            argument_count: 1,
            keyword_only: 1,
            flags: VARARGS | VARKEYWORDS,
            stack_size: 3,
            local_names: named(&["a", "k", "args", "kwargs", "x"]),
            ..CodeSpec::default()
        })
        .unwrap();
        let View::Code(code) = code.view() else {
            panic!("no code")
        };
        assert_eq!(
            (code.number(), code.local_count(), code.stack_size()),
            (7, 5, 3)
        );
        assert_eq!(code.frame_size() as usize, size_of::<Frame>() + 8 * 8);
    }

    #[test]
    fn versions_are_unique_and_not_zero() {
        let [a, b] = [(); 2].map(|()| Ref::code(CodeSpec::default()).unwrap());
        let (View::Code(a), View::Code(b)) = (a.view(), b.view()) else {
            panic!("no code")
        };
        assert!(a.version() != 0 && b.version() != 0 && a.version() != b.version());
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |spec: CodeSpec| Ref::code(spec).unwrap_err().to_string();
        let parameters = CodeSpec {
            argument_count: 1,
            flags: VARARGS,
            local_names: named(&["a"]),
            ..CodeSpec::default()
        };
        assert_eq!(refused(parameters), "2 parameters are more than 1 locals");
        let free = CodeSpec {
            free_count: 1,
            ..CodeSpec::default()
        };
        assert_eq!(refused(free), "1 free variables are more than 0 locals");
        let stack = CodeSpec {
            stack_size: u32::MAX,
            ..CodeSpec::default()
        };
        assert_eq!(
            refused(stack),
            "0 locals and 4294967295 stack slots are more than a frame can have"
        );
    }
}
