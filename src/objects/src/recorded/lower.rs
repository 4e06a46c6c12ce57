//! Lowering: from a recorded executor to a trace of the standard table's uops.
//!
//! A recorded uop becomes the table's uop of the same name, with its operand turned into what the template takes. Where
//! the [type flow](super::flow) could not prove what a typed uop takes for granted, a check is put in front of it that
//! leaves through an exit of its own, so that whatever a file says, no uop works on an object of another type.

use super::flow::{self, Expectation, Flow, TypeName, Unproven};
use super::format::{Document, Executor, Operand, Uop as RecordedUop, ValueIndex};
use super::load::{LoadError, Objects};
use super::uops;
use crate::class::Class;
use crate::layout;
use crate::object::{Header, Kind, Ref, View};
use mimeo::stencil::UopFlags;
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
    /// A uop takes for granted what the uops before it have to test, and they do not.
    #[error("executors[{executor}].uops[{uop}]: {op} {expected}")]
    Untested {
        /// The executor.
        executor: usize,
        /// Index of the uop in it.
        uop: usize,
        /// Its name.
        op: String,
        /// What it takes for granted.
        expected: String,
    },
    /// The operand names nothing that is there.
    #[error(
        "executors[{executor}].uops[{uop}].operand: {op} names {name}, which has no such place"
    )]
    Place {
        /// The executor.
        executor: usize,
        /// Index of the uop in it.
        uop: usize,
        /// Its name.
        op: String,
        /// What it names.
        name: String,
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

    /// The address of an array of objects that are kept, null where there is none.
    fn keep_array(&mut self, objects: Vec<Option<Ref>>) -> u64 {
        let address_of =
            |object: &Option<Ref>| object.as_ref().map_or(std::ptr::null_mut(), Ref::as_ptr);
        let array: Box<[*mut Header]> = objects.iter().map(address_of).collect();
        let address = array.as_ptr() as u64;
        self.objects.extend(objects.into_iter().flatten());
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
    let flow = flow::follow(executor, document);
    check_start(number, executor, &flow.unproven)?;
    let shape = shape(number, executor.code, document, entry_depth)?;
    let mut lowering = Lowering {
        number,
        executor,
        trace: Trace::new(table),
        origins: Vec::new(),
        labels: Vec::new(),
        objects,
        constants,
        flow: &flow,
    };
    lowering.run()?;
    Ok(Lowered {
        trace: lowering.trace,
        origins: lowering.origins,
        unproven: flow.unproven,
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

/// What the frames of a code are like.
fn shape(
    number: usize,
    code: usize,
    document: &Document,
    entry_depth: usize,
) -> Result<FrameShape, LowerError> {
    let body = document.codes[code]
        .body
        .as_ref()
        .ok_or(LowerError::NoFrame {
            executor: number,
            code,
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
    flow: &'a Flow,
}

impl Lowering<'_, '_, '_> {
    fn run(&mut self) -> Result<(), LowerError> {
        self.labels = self
            .executor
            .uops
            .iter()
            .map(|_| self.trace.label())
            .collect();
        let mut exits = Vec::new();
        let mut pending = self.flow.unproven.iter().enumerate().peekable();
        let mut made = None;
        for (index, recorded) in self.executor.uops.iter().enumerate() {
            self.trace.bind(self.labels[index])?;
            while let Some((check, operand)) = pending.next_if(|(_, operand)| operand.uop == index)
            {
                let exit = self.trace.label();
                exits.push((exit, check));
                self.push_check(operand, exit, check)?;
            }
            let mut uop = self.uop(index, recorded)?;
            let entered = uops::entered_code(self.executor, self.objects.document(), index);
            match uops::without_number(&recorded.op) {
                "_INIT_CALL_PY_EXACT_ARGS" | "_PY_FRAME_GENERAL" => made = entered,
                "_PUSH_FRAME" => {
                    let document = self.objects.document();
                    uop.enters = match made.take() {
                        Some(code) => Some(shape(self.number, code, document, 0)?),
                        None => None,
                    };
                }
                _ => {}
            }
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
        unproven: &Unproven,
        exit: Label,
        check: usize,
    ) -> Result<(), LowerError> {
        let depth = unproven.depth;
        let checked = &self.executor.uops[unproven.uop];
        match unproven.expected {
            Expectation::Type(expected) => {
                self.push_kind_check(expected, depth, exit, check)?;
            }
            Expectation::NextItem(expected) => {
                self.push_kind_check(expected, depth, exit, check)?;
                let guard = self.trace.uop(exhaustion_guard(expected))?;
                self.push(guard.jump(exit), Origin::Check(check));
            }
            Expectation::Function { code } | Expectation::ExactArguments { code } => {
                let name = match unproven.expected {
                    Expectation::Function { .. } => "_CHECK_FUNCTION_VERSION",
                    _ => "_CHECK_FUNCTION_EXACT_ARGS",
                };
                let version = self.objects.code_version(code)?;
                let guard = self
                    .trace
                    .uop(name)?
                    .oparg(checked.oparg.into())
                    .operand(version_operand(version))
                    .jump(exit);
                self.push(guard, Origin::Check(check));
            }
            Expectation::Cell => {
                let guard = self
                    .trace
                    .uop("_EXPECT_LOCAL_KIND")?
                    .oparg(depth)
                    .operand(kind_of(TypeName::Cell))
                    .jump(exit);
                self.push(guard, Origin::Check(check));
            }
            Expectation::Globals | Expectation::Builtins => {
                let (name, version) = match unproven.expected {
                    Expectation::Globals => {
                        ("_GUARD_GLOBALS_VERSION", self.objects.globals_version())
                    }
                    _ => ("_GUARD_BUILTINS_VERSION", self.objects.builtins_version()),
                };
                let guard = self.trace.uop(name)?.operand(version.into()).jump(exit);
                self.push(guard, Origin::Check(check));
            }
            Expectation::KnownClass | Expectation::KnownModule => {
                return Err(LowerError::Untested {
                    executor: self.number,
                    uop: unproven.uop,
                    op: checked.op.clone(),
                    expected: unproven.expectation(),
                });
            }
        }
        Ok(())
    }

    fn push_kind_check(
        &mut self,
        expected: TypeName,
        depth: u32,
        exit: Label,
        check: usize,
    ) -> Result<(), LowerError> {
        let kind = self
            .trace
            .uop("_EXPECT_KIND")?
            .oparg(depth + 1)
            .operand(kind_of(expected))
            .jump(exit);
        self.push(kind, Origin::Check(check));
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
        uop.oparg = uops::counted_oparg(recorded).into();
        uop.operand = self.operand(index, recorded)?;
        uop.target = target(recorded);
        uop.jump = recorded.jump_target.map(|place| self.labels[place]);
        // Some of CPython's uops can fail where those of the table cannot.
        let can_fail = self
            .trace
            .table()
            .uop(uop.id)
            .flags
            .contains(UopFlags::ERROR);
        let error = recorded.error_target.filter(|_| can_fail);
        uop.error = error.map(|place| self.labels[place]);
        Ok(uop)
    }

    /// The operand as the template takes it: an address for an object, a number for the rest.
    fn operand(&mut self, index: usize, recorded: &RecordedUop) -> Result<u64, LowerError> {
        if let Some(before) = uops::unpacked_before(recorded) {
            return Ok(before.into());
        }
        match recorded.op.as_str() {
            "_LOAD_CONST" => return self.constants_of(recorded.code),
            // CPython knows the function here, and the template reads it from the frame.
            "_PUSH_FRAME" | "_POP_FRAME" => return Ok(0),
            "_LOAD_GLOBAL_MODULE" | "_LOAD_GLOBAL_BUILTINS" => {
                return self.global_entry(index, recorded);
            }
            "_LOAD_ATTR_INSTANCE_VALUE_0"
            | "_LOAD_ATTR_INSTANCE_VALUE_1"
            | "_LOAD_ATTR_SLOT_0"
            | "_LOAD_ATTR_SLOT_1"
            | "_STORE_ATTR_INSTANCE_VALUE"
            | "_STORE_ATTR_SLOT"
            | "_LOAD_ATTR_MODULE" => return self.attribute_place(index, recorded),
            // The template looks for the name.
            "_LOAD_ATTR_WITH_HINT" => return Ok(0),
            _ => {}
        }
        match &recorded.operand {
            None | Some(Operand::Unused | Operand::Executor(_)) => Ok(0),
            Some(Operand::Object(value)) => self.object(*value),
            Some(Operand::Function(_) | Operand::Code(_)) => Ok(0),
            Some(Operand::FunctionVersion(value)) => {
                let function = self.objects.get(*value)?;
                match function.view() {
                    View::Function(function) => Ok(version_operand(function.version())),
                    _ => self.refuse(index, recorded, "function_version"),
                }
            }
            Some(Operand::TypeVersion(value)) => match self.kept(*value)?.view() {
                View::Type(class) => Ok(class.guard_address()),
                _ => self.refuse(index, recorded, "type_version"),
            },
            Some(Operand::KeysVersion(value)) => match self.kept(*value)?.view() {
                View::Type(class) => Ok(class.keys_address()),
                View::Module(module) => match module.dict().view() {
                    View::Dict(dict) => Ok(dict.keys_version().into()),
                    _ => self.refuse(index, recorded, "keys_version"),
                },
                _ => self.refuse(index, recorded, "keys_version"),
            },
            Some(Operand::GlobalsKeysVersion) => Ok(self.objects.globals_version().into()),
            Some(Operand::BuiltinsKeysVersion) => Ok(self.objects.builtins_version().into()),
            // As many slots as the frames of the calls that follow have in CPython.
            Some(Operand::FrameSize(size)) => Ok(*size),
            Some(Operand::InstructionPointer { offset, .. } | Operand::Offset(offset)) => {
                Ok((*offset).into())
            }
            Some(other) => self.refuse(index, recorded, other.kind()),
        }
    }

    fn refuse<T>(&self, index: usize, recorded: &RecordedUop, kind: &str) -> Result<T, LowerError> {
        Err(LowerError::Operand {
            executor: self.number,
            uop: index,
            op: recorded.op.clone(),
            kind: kind.to_owned(),
        })
    }

    /// The place of a global or builtin among the entries of its dict. The name is in the code, behind the bit that asks
    /// for a NULL.
    fn global_entry(&mut self, index: usize, recorded: &RecordedUop) -> Result<u64, LowerError> {
        let body = self.objects.document().codes[recorded.code].body.as_ref();
        let names = body.map_or(&[][..], |body| &body.names);
        let name = names.get(usize::from(recorded.oparg >> 1));
        let name = name.cloned().unwrap_or_default();
        let entry = match recorded.op.as_str() {
            "_LOAD_GLOBAL_MODULE" => self.objects.global_index(&name),
            _ => self.objects.builtin_index(&name),
        };
        entry
            .map(|entry| entry as u64)
            .ok_or_else(|| self.no_place(index, recorded, &name))
    }

    fn no_place(&self, index: usize, recorded: &RecordedUop, name: &str) -> LowerError {
        LowerError::Place {
            executor: self.number,
            uop: index,
            op: recorded.op.clone(),
            name: name.to_owned(),
        }
    }

    /// The place of an attribute: of a value in the instances of the class, or of an entry in the dict of the module, that
    /// the uops before have tested the owner for.
    fn attribute_place(&mut self, index: usize, recorded: &RecordedUop) -> Result<u64, LowerError> {
        let Some(Operand::Index { name, .. }) = &recorded.operand else {
            let kind = recorded.operand.as_ref().map_or("none", Operand::kind);
            return self.refuse(index, recorded, kind);
        };
        // Without an owner the check in front has failed already.
        let Some(&owner) = self.flow.owners.get(&index) else {
            return Err(self.no_place(index, recorded, name));
        };
        let owner = self.kept(owner)?;
        let of_class = |class: &Class| match recorded.op.contains("_SLOT") {
            true => class.slot(name),
            false => class.inline_index(name),
        };
        let place = match owner.view() {
            View::Type(class) => class
                .class()
                .and_then(of_class)
                .map(|index| layout::instance_value(index) as u64),
            View::Module(module) => match module.dict().view() {
                View::Dict(dict) => dict.index_of(name).map(|index| index as u64),
                _ => None,
            },
            _ => None,
        };
        place.ok_or_else(|| self.no_place(index, recorded, name))
    }

    fn object(&mut self, value: ValueIndex) -> Result<u64, LowerError> {
        let object = self.objects.get(value)?;
        Ok(self.constants.keep(object))
    }

    /// An object that lives as long as the machine code.
    fn kept(&mut self, value: ValueIndex) -> Result<Ref, LowerError> {
        let object = self.objects.get(value)?;
        self.constants.keep(object.clone());
        Ok(object)
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
            .map(|value| value.map(|value| self.objects.get(value)).transpose())
            .collect::<Result<_, _>>()?;
        Ok(self.constants.keep_array(objects))
    }
}

/// What guards compare with the version of a function: for one that none accepts, a number that none has.
fn version_operand(version: u32) -> u64 {
    match version {
        0 => i32::MAX as u64,
        version => version.into(),
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
        TypeName::Bytes => Kind::Bytes as u32,
        TypeName::Dict => layout::KIND_DICT,
        TypeName::Set => layout::KIND_SET,
        TypeName::FrozenSet => layout::KIND_FROZEN_SET,
        TypeName::MethodDescriptor => Kind::MethodDescriptor as u32,
        TypeName::Method => layout::KIND_METHOD,
        TypeName::Module => Kind::Module as u32,
        TypeName::Code => Kind::Code as u32,
        TypeName::Cell => Kind::Cell as u32,
        TypeName::Instance => 0,
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
