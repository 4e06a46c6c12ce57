//! The document: a typed model of trace format 1, the JSON files that hold what CPython's optimizer recorded. A
//! [`Document`] that exists is consistent: every index is in range and every target leads where the format says.

use super::{read, surrogates, validate, write};
use crate::code;
use num_bigint::BigInt;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;

/// The format number that this module reads.
pub const FORMAT: u64 = 1;

/// Index of a value in [`Document::values`] (or, where stated, in [`Expected::values`]). One index is one object.
pub type ValueIndex = usize;

/// A bytecode offset in code units of two bytes from the start of the code.
pub type Offset = u32;

/// One recorded file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The CPython version that the traces come from.
    pub python: String,
    /// Name of the program.
    pub program: String,
    /// Full text of the program.
    pub source: String,
    /// Where the recorded loop is entered.
    pub entry: Entry,
    /// Code objects; 0 is the kernel.
    pub codes: Vec<Code>,
    /// Every global or builtin that the codes name.
    pub globals: BTreeMap<String, ValueIndex>,
    /// The traces; an executor's id is its position.
    pub executors: Vec<Executor>,
    /// Objects as they are at the entry.
    pub values: Vec<Value>,
    /// The frame at the entry.
    pub state_in: State,
    /// Where and with what control has to leave the traces.
    pub expected: Expected,
    /// Arrivals at the entry's loop head strictly before the exit.
    pub loop_iterations: u64,
    /// Counts from the reference interpreter.
    pub stats: Stats,
    /// Every value, each after those that must exist before it can be made ([`Value::components`]).
    pub(super) creation_order: Vec<ValueIndex>,
}

/// The loop head at which the entry executor is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index of the executor that is entered first.
    pub executor: usize,
    /// Its code, which is also that of [`Document::state_in`].
    pub code: usize,
    /// The loop head.
    pub offset: Offset,
    /// The `JUMP_BACKWARD` that owns the executor.
    pub jump_offset: Offset,
    /// Which arrival at the loop head the state was captured at, from 1.
    pub arrival: u64,
    /// Calls of the kernel before the executors had settled.
    pub warmup_calls: u64,
}

/// A code object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its qualified name.
    pub name: String,
    /// Everything else; recorded for the codes in use only.
    pub body: Option<CodeBody>,
}

/// What is recorded of a code object in use; the names are those of CPython's code objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeBody {
    /// Positional parameters; at most `nlocalsplus`.
    pub argcount: usize,
    /// Keyword-only parameters.
    pub kwonly: usize,
    /// Whether it has `*args` or `**kw`.
    pub varargs: bool,
    /// `co_flags`, where they are recorded.
    pub flags: Option<u32>,
    /// Number of locals.
    pub nlocalsplus: usize,
    /// Slots of its evaluation stack; at most [`MAX_STACK_SIZE`].
    pub stacksize: usize,
    /// Names of the locals, `nlocalsplus` of them.
    pub varnames: Vec<String>,
    /// `co_names`: globals and attributes.
    pub names: Vec<String>,
    /// `co_consts`; `None` for one that is not recorded, as code objects are not.
    pub consts: Vec<Option<ValueIndex>>,
    /// The bytecode, unspecialized and without inline caches.
    pub instructions: Vec<Instruction>,
}

impl CodeBody {
    /// Whether it has `*args`, and whether it has `**kw`. Where its flags are not recorded, it is taken to have `*args`
    /// only: nearly all functions that have any have that.
    pub fn collects(&self) -> (bool, bool) {
        match self.flags {
            Some(flags) => (flags & code::VARARGS != 0, flags & code::VARKEYWORDS != 0),
            None => (self.varargs, false),
        }
    }

    /// How many locals hold the arguments that have no parameter of their own.
    pub fn collectors(&self) -> usize {
        let (positional, keywords) = self.collects();
        usize::from(positional) + usize::from(keywords)
    }
}

/// The largest stack that a code object may ask for: a reader reserves this much before a single uop has run.
pub const MAX_STACK_SIZE: usize = 1 << 16;

/// An instruction of a code object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it starts.
    pub offset: Offset,
    /// Its name in the `dis` module.
    pub name: String,
    /// Its argument, where it has one.
    pub oparg: Option<u32>,
}

/// A trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Its position in [`Document::executors`].
    pub id: usize,
    /// The code in which it starts.
    pub code: usize,
    /// The uops. The last never falls through; `_JUMP_TO_TOP` goes on at uop 1.
    pub uops: Vec<Uop>,
}

/// A recorded uop. At most one of `target`, `jump_target` with `error_target`, and `exit` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uop {
    /// The name, with its leading underscore.
    pub op: String,
    /// The argument.
    pub oparg: u16,
    /// The code it belongs to: the executor's, or that of an inlined call. Its offsets are relative to it.
    pub code: usize,
    /// Offset of the instruction it was made from; for `_DEOPT` where the interpreter goes on.
    pub target: Option<Offset>,
    /// Index of the `_EXIT_TRACE` or `_DEOPT` at which to go on when its test fails.
    pub jump_target: Option<usize>,
    /// Index of the `_ERROR_POP_N` at which to go on when it raises an error.
    pub error_target: Option<usize>,
    /// Where an `_EXIT_TRACE` leaves to.
    pub exit: Option<Exit>,
    /// The operand; `None` is zero.
    pub operand: Option<Operand>,
}

/// A side exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its number among the exits of its executor.
    pub index: usize,
    /// Where the interpreter goes on.
    pub target: Offset,
    /// The executor it is linked to; `None` leaves the traces.
    pub executor: Option<usize>,
}

/// A uop's operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// An object.
    Object(ValueIndex),
    /// Version of a type.
    TypeVersion(ValueIndex),
    /// Version of the shared keys of a type, or of a module's dict.
    KeysVersion(ValueIndex),
    /// Version of the globals' keys.
    GlobalsKeysVersion,
    /// Version of the builtins' keys.
    BuiltinsKeysVersion,
    /// Version of a function.
    FunctionVersion(ValueIndex),
    /// The function that a frame is pushed for or returned to.
    Function(ValueIndex),
    /// The same, where only the code was known.
    Code(usize),
    /// An instruction pointer.
    InstructionPointer {
        /// The code it points into.
        code: usize,
        /// The instruction.
        offset: Offset,
    },
    /// `_START_EXECUTOR`: its own executor.
    Executor(usize),
    /// An attribute or a global.
    Index {
        /// The raw operand.
        index: u64,
        /// The name.
        name: String,
    },
    /// `_ERROR_POP_N`: the failing instruction.
    Offset(Offset),
    /// Stack space that a call needs, in slots.
    FrameSize(u64),
    /// Bits that the uop does not read.
    Unused,
    /// A kind that this module does not know: an error for the uops that read it.
    Unknown {
        /// The kind.
        kind: String,
    },
}

impl Operand {
    /// The kind as the format writes it.
    pub fn kind(&self) -> &str {
        match self {
            Self::Object(_) => "object",
            Self::TypeVersion(_) => "type_version",
            Self::KeysVersion(_) => "keys_version",
            Self::GlobalsKeysVersion => "globals_keys_version",
            Self::BuiltinsKeysVersion => "builtins_keys_version",
            Self::FunctionVersion(_) => "function_version",
            Self::Function(_) => "function",
            Self::Code(_) => "code",
            Self::InstructionPointer { .. } => "ip",
            Self::Executor(_) => "executor",
            Self::Index { .. } => "index",
            Self::Offset(_) => "offset",
            Self::FrameSize(_) => "framesize",
            Self::Unused => "unused",
            Self::Unknown { kind } => kind,
        }
    }

    /// The value it refers to.
    pub fn value(&self) -> Option<ValueIndex> {
        match *self {
            Self::Object(value)
            | Self::TypeVersion(value)
            | Self::KeysVersion(value)
            | Self::FunctionVersion(value)
            | Self::Function(value) => Some(value),
            _ => None,
        }
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int of any size.
    Int(BigInt),
    /// A float.
    Float(f64),
    /// A str. A [`String`] holds no lone surrogates: U+10FFFF and the character 0x100000 above stand for one, and U+10FFFF
    /// twice for itself.
    Str(String),
    /// A bytes object.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<ValueIndex>),
    /// A tuple.
    Tuple(Vec<ValueIndex>),
    /// A set.
    Set(Vec<ValueIndex>),
    /// A frozenset.
    FrozenSet(Vec<ValueIndex>),
    /// A variable that functions share; `None` where it is unbound.
    Cell(Option<ValueIndex>),
    /// Keys and values in insertion order.
    Dict(Vec<(ValueIndex, ValueIndex)>),
    /// A range; `step` is not zero.
    Range {
        /// First value.
        start: BigInt,
        /// First value that is not in it.
        stop: BigInt,
        /// Distance between two values.
        step: BigInt,
    },
    /// An iterator over a range of machine words; `start + len * step` fits one.
    RangeIterator {
        /// The next value.
        start: i64,
        /// Distance between two values.
        step: i64,
        /// How many are left; not negative.
        len: i64,
    },
    /// A list iterator; `index` is -1 when it is exhausted.
    ListIterator(SequenceIterator),
    /// A tuple iterator.
    TupleIterator(SequenceIterator),
    /// An iterator over an ASCII str.
    StrAsciiIterator(SequenceIterator),
    /// A Python function.
    Function {
        /// Its qualified name.
        name: String,
        /// Index of its code.
        code: usize,
        /// What else is recorded of it.
        parts: FunctionParts,
    },
    /// A type; `user` for classes of the program.
    Type {
        /// Its name.
        name: String,
        /// What is recorded of a class of the program.
        user: Option<UserType>,
    },
    /// An instance of a class of the program.
    Instance {
        /// The class.
        class: ValueIndex,
        /// Attributes in insertion order.
        attrs: Vec<(String, ValueIndex)>,
    },
    /// A builtin function.
    Builtin {
        /// Its name in `builtins`.
        name: String,
    },
    /// A method of a builtin type.
    MethodDescriptor {
        /// Qualified by the type.
        name: String,
    },
    /// A module.
    Module {
        /// Its name.
        name: String,
    },
    /// A function of a builtin module.
    ModuleFunction {
        /// Qualified by the module.
        name: String,
    },
    /// A bound method.
    Method {
        /// What is called.
        func: ValueIndex,
        /// The first argument.
        receiver: ValueIndex,
    },
    /// A kind that this module does not know: an error for whoever needs the object.
    Unknown {
        /// The kind, `t` in the document.
        kind: String,
    },
}

/// What a function has besides its code. A recorder leaves it out where no uop needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionParts {
    /// The defaults of its last positional parameters, a tuple.
    pub defaults: Option<ValueIndex>,
    /// The defaults of keyword-only parameters, a dict.
    pub keyword_defaults: Option<ValueIndex>,
    /// The cells of its free variables, a tuple.
    pub closure: Option<ValueIndex>,
}

impl FunctionParts {
    /// Those that there are, with the names that the format has for them.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, ValueIndex)> {
        [
            ("defaults", self.defaults),
            ("kwdefaults", self.keyword_defaults),
            ("closure", self.closure),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// State of an iterator over a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceIterator {
    /// The sequence; `None` once dropped.
    pub seq: Option<ValueIndex>,
    /// Index of the next item.
    pub index: i64,
}

/// What is recorded of a class of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserType {
    /// Its functions.
    pub methods: Vec<(String, ValueIndex)>,
    /// Where its instances keep their attributes.
    pub layout: AttributeLayout,
}

/// Where the instances of a class keep their attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeLayout {
    /// In inline values; attribute names in their order.
    InlineKeys(Vec<String>),
    /// In slots.
    Slots(Vec<String>),
}

impl Value {
    /// The kind as the format writes it.
    pub fn kind(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Set(_) => "set",
            Self::FrozenSet(_) => "frozenset",
            Self::Cell(_) => "cell",
            Self::Dict(_) => "dict",
            Self::Range { .. } => "range",
            Self::RangeIterator { .. } => "range_iterator",
            Self::ListIterator(_) => "list_iterator",
            Self::TupleIterator(_) => "tuple_iterator",
            Self::StrAsciiIterator(_) => "str_ascii_iterator",
            Self::Function { .. } => "function",
            Self::Type { .. } => "type",
            Self::Instance { .. } => "instance",
            Self::Builtin { .. } => "builtin",
            Self::MethodDescriptor { .. } => "method_descriptor",
            Self::Module { .. } => "module",
            Self::ModuleFunction { .. } => "module_function",
            Self::Method { .. } => "method",
            Self::Unknown { kind } => kind,
        }
    }

    /// The values that must exist before this one can be made. Lists, sets, dicts, cells and the attributes of an instance are
    /// filled afterwards, so they may lead back to their container; components never do.
    pub fn components(&self) -> Vec<ValueIndex> {
        match self {
            Self::Tuple(items) | Self::FrozenSet(items) => items.clone(),
            Self::Function { parts, .. } => parts.named().map(|(_, value)| value).collect(),
            Self::ListIterator(iterator)
            | Self::TupleIterator(iterator)
            | Self::StrAsciiIterator(iterator) => iterator.seq.into_iter().collect(),
            Self::Type {
                user: Some(user), ..
            } => user.methods.iter().map(|&(_, value)| value).collect(),
            Self::Instance { class, .. } => vec![*class],
            Self::Method { func, receiver } => vec![*func, *receiver],
            _ => Vec::new(),
        }
    }

    /// The values that it is filled with after it has been made.
    pub fn contents(&self) -> Vec<ValueIndex> {
        match self {
            Self::List(items) | Self::Set(items) => items.clone(),
            Self::Dict(items) => items
                .iter()
                .flat_map(|&(key, value)| [key, value])
                .collect(),
            Self::Cell(contents) => contents.iter().copied().collect(),
            Self::Instance { attrs, .. } => attrs.iter().map(|&(_, value)| value).collect(),
            _ => Vec::new(),
        }
    }
}

/// A frame at rest; `None` is a NULL: an unbound local, or the hole that calls keep on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its code.
    pub code: usize,
    /// Its function.
    pub function: ValueIndex,
    /// As many as the code has locals.
    pub locals: Vec<Option<ValueIndex>>,
    /// From the bottom; at most as many as the code's stack holds.
    pub stack: Vec<Option<ValueIndex>>,
}

/// Where control leaves the traces, and the frame it leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The executor it leaves.
    pub executor: usize,
    /// Index of the `_EXIT_TRACE` or `_DEOPT` it leaves through, or of the `_ERROR_POP_N` if there is an error.
    pub uop: usize,
    /// Name of that uop.
    pub op: String,
    /// The uop whose `jump_target` or `error_target` led there; `None` where it was reached in line, or where that is not said.
    pub from: Option<usize>,
    /// Name of that uop.
    pub from_op: Option<String>,
    /// The code in which the interpreter goes on.
    pub code: usize,
    /// Where in it; for an error, the instruction that failed.
    pub target: Offset,
    /// The exception that is raised, where it leaves through an error.
    pub error: Option<ExpectedError>,
    /// Locals of the frame, as indices into [`Expected::values`].
    pub locals: Vec<Option<ValueIndex>>,
    /// Its stack from the bottom, as indices into [`Expected::values`].
    pub stack: Vec<Option<ValueIndex>>,
    /// Objects as they are at the end.
    pub values: Vec<ExpectedValue>,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedError {
    /// The name of its class.
    pub class: String,
    /// Its text, which is what `str` makes of it.
    pub message: String,
}

/// An object as it is at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedValue {
    /// Its contents, as indices into [`Expected::values`].
    pub value: Value,
    /// The object of [`Document::values`] that it is; `None` for one that the traces made.
    pub origin: Option<ValueIndex>,
}

/// Counts from the reference interpreter; one entry per executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Uops in all.
    pub uops_executed: u64,
    /// How often each was entered.
    pub executor_entries: Vec<u64>,
    /// How often each took its `_JUMP_TO_TOP`.
    pub jump_to_top: Vec<u64>,
    /// Distinct uops of each that ran.
    pub uops_reached: Vec<u64>,
}

/// As Python reports it: the class, and the message if there is one.
impl fmt::Display for ExpectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)?;
        if self.message.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.message)
    }
}

impl Document {
    /// Reads a document and checks it completely.
    ///
    /// # Errors
    ///
    /// The first thing that is not as the format says: where it is, what was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Self::from_json(&serde_json::from_str(&surrogates::read(text))?)
    }

    /// Reads a document in the JSON form and checks it completely.
    pub(super) fn from_json(json: &Json) -> Result<Self, FormatError> {
        let mut document = read::document(json)?;
        document.creation_order = validate::document(&document)?;
        Ok(document)
    }

    /// The text of the JSON form, with lone surrogates as Python writes them: what [`parse`](Self::parse) makes the same
    /// document of.
    pub fn to_json_text(&self) -> String {
        surrogates::write(&self.to_json().to_string())
    }

    /// The document in the JSON form, with strings as they are in [`Value::Str`].
    pub fn to_json(&self) -> Json {
        write::document(self)
    }
}

/// Why a text is not a document. `path` leads to the place, as in `executors[2].uops[14].jump_target`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is not JSON.
    #[error("not JSON: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 is the end of the line before.
        column: usize,
        /// What is wrong, with line and column.
        message: String,
    },
    /// It is of another format.
    #[error("format: found {found}, expected {FORMAT}")]
    Version {
        /// The format number.
        found: u64,
    },
    /// A field is not there.
    #[error("{path}: missing, expected {expected}")]
    Missing {
        /// Where it should be.
        path: String,
        /// What it should hold.
        expected: String,
    },
    /// A value is of the wrong JSON type.
    #[error("{path}: found {found}, expected {expected}")]
    WrongType {
        /// Where it is.
        path: String,
        /// Its type.
        found: &'static str,
        /// The type that belongs there.
        expected: &'static str,
    },
    /// An index leads nowhere.
    #[error("{path}: found index {found}, expected the index of one of {length} {what}")]
    Index {
        /// Where it is.
        path: String,
        /// The index.
        found: usize,
        /// What it is an index of, in the plural.
        what: &'static str,
        /// How many of them there are.
        length: usize,
    },
    /// A value is of the right type, but contradicts the rest or is out of range.
    #[error("{path}: found {found}, expected {expected}")]
    Invalid {
        /// Where it is.
        path: String,
        /// The value.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// An immutable object contains itself.
    #[error(
        "{path}: found a {kind} that contains itself, expected every {kind} to be made of earlier objects"
    )]
    Cycle {
        /// Where it is.
        path: String,
        /// Its kind.
        kind: String,
    },
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Syntax {
            line: error.line(),
            column: error.column(),
            message: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
