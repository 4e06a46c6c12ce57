//! Lowering: from a recorded executor to a trace of the standard table's uops.
//!
//! A recorded uop becomes the table's uop of the same name, with its operand turned into what the template takes. Where
//! the [type flow](super::flow) could not prove what a typed uop takes for granted, a check is put in front of it that
//! leaves through an exit of its own, so that whatever a file says, no uop works on an object of another type.

use super::flow::{TypeName, Unproven, unproven};
use super::format::{Document, Executor, Operand, Uop as RecordedUop, ValueIndex};
use super::load::{LoadError, Objects};
use crate::layout;
use crate::object::{Header, Ref, View};
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Label, Trace, TraceError, Uop};

/// Why a recorded executor cannot become a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The table has no such uop.
    #[error("executors[{executor}].uops[{uop}].op: the table {table} has no uop {op}")]
    UnknownUop {
        /// The executor.
        executor: usize,
        /// Index of the uop in it.
        uop: usize,
        /// Its name.
        op: String,
        /// The table's uop set.
        table: String,
    },
    /// The operand is not of a kind that the uop takes.
    #[error(
        "executors[{executor}].uops[{uop}].operand: {op} does not take an operand of kind {kind}"
    )]
    Operand {
        /// The executor.
        executor: usize,
        /// Index of the uop in it.
        uop: usize,
        /// Its name.
        op: String,
        /// The operand's kind, or "none".
        kind: String,
    },
    /// The executor's code has nothing recorded of its frame.
    #[error("executors[{executor}].code: nothing is recorded of the frame of code {code}")]
    NoFrame {
        /// The executor.
        executor: usize,
        /// The code.
        code: usize,
    },
    /// The uop at the start needs a check in front of it, and the trace comes back to its top.
    #[error(
        "executors[{executor}].uops[0]: {op} takes its operands for granted where the trace starts, expected _START_EXECUTOR"
    )]
    Start {
        /// The executor.
        executor: usize,
        /// The name of its first uop.
        op: String,
    },
    /// An operand's object cannot be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The labels of the trace are wrong.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// Objects that machine code holds addresses of: they must outlive the executors.
#[derive(Debug, Default)]
pub(crate) struct Constants {
    objects: Vec<Ref>,
    arrays: Vec<Box<[*mut Header]>>,
}

impl Constants {
    /// The address of an object that is kept.
    fn keep(&mut self, object: Ref) -> u64 {
        let address = object.as_ptr() as u64;
        self.objects.push(object);
        address
    }

    /// The address of an array of objects that are kept.
    fn keep_array(&mut self, objects: Vec<Ref>) -> u64 {
        let array: Box<[*mut Header]> = objects.iter().map(Ref::as_ptr).collect();
        let address = array.as_ptr() as u64;
        self.objects.extend(objects);
        self.arrays.push(array);
        address
    }
}

/// Where a uop of a lowered trace comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The recorded uop at this index.
    Recorded(usize),
    /// A check that was put in front of a recorded uop, or the exit of one; an index into the unproven operands.
    Check(usize),
}

/// A recorded executor as a trace.
#[derive(Debug)]
pub(crate) struct Lowered<'t> {
    pub(crate) trace: Trace<'t>,
    /// By position in the trace.
    pub(crate) origins: Vec<Origin>,
    pub(crate) unproven: Vec<Unproven>,
    pub(crate) shape: FrameShape,
}

/// Lowers `document.executors[number]`, which is entered with `entry_depth` values on the stack.
pub(crate) fn lower<'t>(
    number: usize,
    entry_depth: usize,
    objects: &mut Objects<'_>,
    constants: &mut Constants,
    table: &'t StencilTable,
) -> Result<Lowered<'t>, LowerError> {
    let document = objects.document();
    let executor = &document.executors[number];
    let unproven = unproven(executor, document);
    check_start(number, executor, &unproven)?;
    let shape = shape(number, executor, document, entry_depth)?;
    let mut lowering = Lowering {
        number,
        executor,
        trace: Trace::new(table),
        origins: Vec::new(),
        labels: Vec::new(),
        objects,
        constants,
    };
    lowering.run(&unproven)?;
    Ok(Lowered {
        trace: lowering.trace,
        origins: lowering.origins,
        unproven,
        shape,
    })
}

/// `_JUMP_TO_TOP` goes to the trace's second uop: what stands there must be the recorded uop at index 1, or the first of
/// its checks.
fn check_start(
    number: usize,
    executor: &Executor,
    unproven: &[Unproven],
) -> Result<(), LowerError> {
    if unproven.iter().all(|operand| operand.uop != 0) {
        return Ok(());
    }
    Err(LowerError::Start {
        executor: number,
        op: executor.uops[0].op.clone(),
    })
}

fn shape(
    number: usize,
    executor: &Executor,
    document: &Document,
    entry_depth: usize,
) -> Result<FrameShape, LowerError> {
    let body = document.codes[executor.code]
        .body
        .as_ref()
        .ok_or(LowerError::NoFrame {
            executor: number,
            code: executor.code,
        })?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(FrameShape {
        locals: count(body.nlocalsplus),
        stack: count(body.stacksize),
        entry_depth: count(entry_depth),
    })
}

struct Lowering<'a, 'd, 't> {
    number: usize,
    executor: &'d Executor,
    trace: Trace<'t>,
    origins: Vec<Origin>,
    /// One per recorded uop, in front of its checks.
    labels: Vec<Label>,
    objects: &'a mut Objects<'d>,
    constants: &'a mut Constants,
}

impl Lowering<'_, '_, '_> {
    fn run(&mut self, unproven: &[Unproven]) -> Result<(), LowerError> {
        self.labels = self
            .executor
            .uops
            .iter()
            .map(|_| self.trace.label())
            .collect();
        let mut exits = Vec::new();
        let mut pending = unproven.iter().enumerate().peekable();
        for (index, recorded) in self.executor.uops.iter().enumerate() {
            self.trace.bind(self.labels[index])?;
            while let Some((check, operand)) = pending.next_if(|(_, operand)| operand.uop == index)
            {
                let exit = self.trace.label();
                exits.push((exit, check));
                self.push_check(operand, exit, check)?;
            }
            let uop = self.uop(index, recorded)?;
            self.push(uop, Origin::Recorded(index));
        }
        for (exit, check) in exits {
            self.trace.bind(exit)?;
            let uop = self.trace.uop("_DEOPT")?;
            self.push(uop, Origin::Check(check));
        }
        Ok(())
    }

    fn push(&mut self, uop: Uop, origin: Origin) {
        self.trace.push(uop);
        self.origins.push(origin);
    }

    /// An iterator's kind is checked before it is asked for more.
    fn push_check(
        &mut self,
        operand: &Unproven,
        exit: Label,
        check: usize,
    ) -> Result<(), LowerError> {
        let kind = self
            .trace
            .uop("_EXPECT_KIND")?
            .oparg(operand.depth + 1)
            .operand(kind_of(operand.expected))
            .jump(exit);
        self.push(kind, Origin::Check(check));
        if operand.not_exhausted {
            let guard = self.trace.uop(exhaustion_guard(operand.expected))?;
            self.push(guard.jump(exit), Origin::Check(check));
        }
        Ok(())
    }

    fn uop(&mut self, index: usize, recorded: &RecordedUop) -> Result<Uop, LowerError> {
        let mut uop = self
            .trace
            .uop(&recorded.op)
            .map_err(|_| LowerError::UnknownUop {
                executor: self.number,
                uop: index,
                op: recorded.op.clone(),
                table: self.trace.table().set().to_owned(),
            })?;
        uop.oparg = recorded.oparg.into();
        uop.operand = self.operand(index, recorded)?;
        uop.target = target(recorded);
        uop.jump = recorded.jump_target.map(|place| self.labels[place]);
        uop.error = recorded.error_target.map(|place| self.labels[place]);
        Ok(uop)
    }

    /// The operand as the template takes it: an address for an object, a number for the rest.
    fn operand(&mut self, index: usize, recorded: &RecordedUop) -> Result<u64, LowerError> {
        if recorded.op == "_LOAD_CONST" {
            return self.constants_of(recorded.code);
        }
        match &recorded.operand {
            None | Some(Operand::Unused | Operand::Executor(_)) => Ok(0),
            Some(Operand::Object(value) | Operand::Function(value)) => self.object(*value),
            Some(Operand::FunctionVersion(value)) => {
                let function = self.objects.get(*value)?;
                Ok(match function.view() {
                    View::Function(function) => function.version().into(),
                    // No function has this version.
                    _ => i32::MAX as u64,
                })
            }
            Some(Operand::InstructionPointer { offset, .. } | Operand::Offset(offset)) => {
                Ok((*offset).into())
            }
            Some(other) => Err(LowerError::Operand {
                executor: self.number,
                uop: index,
                op: recorded.op.clone(),
                kind: other.kind().to_owned(),
            }),
        }
    }

    fn object(&mut self, value: ValueIndex) -> Result<u64, LowerError> {
        let object = self.objects.get(value)?;
        Ok(self.constants.keep(object))
    }

    fn constants_of(&mut self, code: usize) -> Result<u64, LowerError> {
        let body =
            self.objects.document().codes[code]
                .body
                .as_ref()
                .ok_or(LowerError::NoFrame {
                    executor: self.number,
                    code,
                })?;
        let objects = body
            .consts
            .iter()
            .map(|&value| self.objects.get(value))
            .collect::<Result<_, _>>()?;
        Ok(self.constants.keep_array(objects))
    }
}

/// Where the interpreter resumes; for an error, the instruction that failed.
fn target(recorded: &RecordedUop) -> u32 {
    let exit = recorded.exit.as_ref().map(|exit| exit.target);
    let failed = match recorded.operand {
        Some(Operand::Offset(offset)) => Some(offset),
        _ => None,
    };
    exit.or(failed).or(recorded.target).unwrap_or(0)
}

/// The number that the objects of a type carry; none carries 0, so that a type without objects is never found.
fn kind_of(expected: TypeName) -> u64 {
    let kind = match expected {
        TypeName::NoneType => layout::KIND_NONE,
        TypeName::Bool => layout::KIND_BOOL,
        TypeName::Int => layout::KIND_INT,
        TypeName::Float => layout::KIND_FLOAT,
        TypeName::Str => layout::KIND_STR,
        TypeName::List => layout::KIND_LIST,
        TypeName::Tuple => layout::KIND_TUPLE,
        TypeName::Range => layout::KIND_RANGE,
        TypeName::RangeIterator => layout::KIND_RANGE_ITERATOR,
        TypeName::ListIterator => layout::KIND_LIST_ITERATOR,
        TypeName::TupleIterator => layout::KIND_TUPLE_ITERATOR,
        TypeName::StrIterator => layout::KIND_STR_ITERATOR,
        TypeName::Function => layout::KIND_FUNCTION,
        TypeName::Type => layout::KIND_TYPE,
        TypeName::Builtin => layout::KIND_BUILTIN,
        TypeName::Bytes
        | TypeName::Dict
        | TypeName::Set
        | TypeName::MethodDescriptor
        | TypeName::Method
        | TypeName::Module
        | TypeName::Instance => 0,
    };
    kind.into()
}

/// The uop that leaves where an iterator has no next item.
fn exhaustion_guard(iterator: TypeName) -> &'static str {
    match iterator {
        TypeName::ListIterator => "_GUARD_NOT_EXHAUSTED_LIST",
        TypeName::TupleIterator => "_GUARD_NOT_EXHAUSTED_TUPLE",
        _ => "_GUARD_NOT_EXHAUSTED_RANGE",
    }
}
