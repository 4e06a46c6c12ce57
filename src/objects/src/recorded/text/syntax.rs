//! The parts of a text as they stand in it: what refers to what is found out afterwards, as a part may name a later one.

use std::ops::Range;

pub(super) type Span = Range<usize>;

/// Something and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) it: T,
    pub(super) span: Span,
}

/// What an object is written as.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    /// `null`: no object.
    Null,
    /// A word that is none of those with a meaning of their own.
    Word(String),
    /// `%name`.
    Name(String),
    None,
    Bool(bool),
    Int(String),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    /// `[a, b]`.
    List(Vec<At<Tree>>),
    /// `(a, b)`.
    Tuple(Vec<At<Tree>>),
    /// `{a, b}`.
    Set(Vec<At<Tree>>),
    /// `{a: b}`; also `{}`.
    Dict(Vec<(At<Tree>, At<Tree>)>),
    /// `kind(a, field=b)`.
    Make(String, Vec<Argument>),
}

#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) field: Option<At<String>>,
    pub(super) value: At<Tree>,
}

/// A whole text.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) trace: Option<At<String>>,
    pub(super) python: Option<At<String>>,
    pub(super) source: Option<At<String>>,
    pub(super) codes: Vec<CodeText>,
    pub(super) values: Vec<Definition>,
    pub(super) globals: Vec<Binding>,
    pub(super) entry: EntryText,
    pub(super) executors: Vec<ExecutorText>,
    pub(super) expect: Option<ExpectText>,
    pub(super) stats: Option<StatsText>,
    /// The end of the file, where what is missing would be.
    pub(super) end: Span,
}

/// `name=value`, or a name alone.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) name: At<Tree>,
    pub(super) value: Option<At<Tree>>,
}

/// A value of its own in a list of values.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: Option<At<String>>,
    pub(super) value: At<Tree>,
    pub(super) origin: Origin,
}

/// Which object of the entry an object of the end is.
#[derive(Debug)]
pub(super) enum Origin {
    /// The one of the same name, if there is one.
    Name,
    /// `same`: the one that is written alike.
    Same,
    /// `is`.
    Is(At<Tree>),
    /// `new`: none.
    New,
}

/// A code object: a name, and a body if anything is said of it.
#[derive(Debug)]
pub(super) struct CodeText {
    pub(super) name: At<String>,
    /// Fields by name.
    pub(super) fields: Vec<(At<String>, CodeField)>,
    pub(super) instructions: Vec<At<InstructionText>>,
}

#[derive(Debug)]
pub(super) enum CodeField {
    Number(At<String>),
    Flag,
    Names(Vec<At<String>>),
    Values(Vec<At<Tree>>),
}

#[derive(Debug)]
pub(super) struct InstructionText {
    pub(super) offset: At<String>,
    pub(super) name: At<String>,
    pub(super) oparg: Option<At<String>>,
}

#[derive(Debug, Default)]
pub(super) struct EntryText {
    pub(super) span: Span,
    pub(super) offset: Option<At<String>>,
    /// `executor`, `jump`, `arrival`, `warmup`.
    pub(super) numbers: Vec<(At<String>, At<String>)>,
    pub(super) function: Option<At<Tree>>,
    pub(super) frame: FrameText,
}

/// The contents of a frame.
#[derive(Debug, Default)]
pub(super) struct FrameText {
    pub(super) locals: Vec<Binding>,
    pub(super) stack: Vec<At<Tree>>,
}

#[derive(Debug)]
pub(super) struct ExecutorText {
    pub(super) span: Span,
    pub(super) number: Option<At<String>>,
    pub(super) code: Option<At<Tree>>,
    pub(super) uops: Vec<UopText>,
}

#[derive(Debug)]
pub(super) struct UopText {
    pub(super) span: Span,
    pub(super) labels: Vec<At<String>>,
    pub(super) op: At<String>,
    /// The oparg or the operand, as the uop has it.
    pub(super) positional: Option<At<Tree>>,
    /// `field=value`, and fields without a value.
    pub(super) fields: Vec<(At<String>, Option<At<Tree>>)>,
    /// `@offset`.
    pub(super) offset: Option<At<String>>,
    /// `-> label`.
    pub(super) jump: Option<At<Tree>>,
    /// `-> executor number`.
    pub(super) link: Option<At<String>>,
    /// `! label`.
    pub(super) error: Option<At<Tree>>,
    /// `in code`.
    pub(super) code: Option<At<Tree>>,
}

#[derive(Debug)]
pub(super) struct ExpectText {
    pub(super) span: Span,
    pub(super) executor: Option<At<String>>,
    /// A label or the index of a uop.
    pub(super) uop: At<Tree>,
    pub(super) from: Option<At<Tree>>,
    /// The class and the message of the exception.
    pub(super) error: Option<(At<String>, Option<At<String>>)>,
    pub(super) frame: FrameText,
    pub(super) values: Vec<Definition>,
}

#[derive(Debug, Default)]
pub(super) struct StatsText {
    pub(super) fields: Vec<(At<String>, Vec<At<String>>)>,
}
