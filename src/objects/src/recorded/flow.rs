//! Type flow: which operand types a typed uop may take for granted. A forward pass over one executor, with the facts
//! that CPython's optimizer had when it left a guard out: nothing at the start, what guards have tested, what constants
//! are, and what uops make. A run-time check in front of the uops it cannot prove keeps a wrong trace from reaching a
//! typed uop with an operand of another type.
//!
//! The facts are about symbols, as in CPython's `optimizer_analysis.c`: a value has one symbol however often it has been
//! copied to locals and stack, and an object never changes its type, so that a fact once learned stays true.

use super::format::{Document, Executor, Operand, Uop, Value, ValueIndex};
use super::uops::{self, LocalAccess};
use std::collections::{HashMap, VecDeque};
use std::fmt;

/// How many stack values are followed; those below are unknown. Code that was compiled from Python keeps far fewer.
const FOLLOWED: usize = 1024;

/// The exact type of an object, as far as uops distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeName {
    /// `NoneType`.
    NoneType,
    /// `bool`.
    Bool,
    /// `int`, of any size.
    Int,
    /// `float`.
    Float,
    /// `str`.
    Str,
    /// `bytes`.
    Bytes,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `dict`.
    Dict,
    /// `set`.
    Set,
    /// `range`.
    Range,
    /// `range_iterator`.
    RangeIterator,
    /// `list_iterator`.
    ListIterator,
    /// `tuple_iterator`.
    TupleIterator,
    /// `str_ascii_iterator`.
    StrIterator,
    /// A Python function.
    Function,
    /// A type.
    Type,
    /// A builtin function, of the builtins or of another module.
    Builtin,
    /// A method of a builtin type.
    MethodDescriptor,
    /// A bound method.
    Method,
    /// A module.
    Module,
    /// An instance of a class of the program, whichever.
    Instance,
    /// `frozenset`.
    FrozenSet,
    /// A code object.
    Code,
    /// A variable that functions share.
    Cell,
}

impl TypeName {
    /// The type of a recorded value, unless nothing is known of its kind.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::None => Self::NoneType,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Float(_) => Self::Float,
            Value::Str(_) => Self::Str,
            Value::Bytes(_) => Self::Bytes,
            Value::List(_) => Self::List,
            Value::Tuple(_) => Self::Tuple,
            Value::Set(_) => Self::Set,
            Value::Dict(_) => Self::Dict,
            Value::Range { .. } => Self::Range,
            Value::RangeIterator { .. } => Self::RangeIterator,
            Value::ListIterator(_) => Self::ListIterator,
            Value::TupleIterator(_) => Self::TupleIterator,
            Value::StrAsciiIterator(_) => Self::StrIterator,
            Value::Function { .. } => Self::Function,
            Value::Type { .. } => Self::Type,
            Value::Instance { .. } => Self::Instance,
            Value::Builtin { .. } | Value::ModuleFunction { .. } => Self::Builtin,
            Value::MethodDescriptor { .. } => Self::MethodDescriptor,
            Value::Module { .. } => Self::Module,
            Value::Method { .. } => Self::Method,
            Value::FrozenSet(_) => Self::FrozenSet,
            Value::Cell(_) => Self::Cell,
            Value::Unknown { .. } => return None,
        })
    }

    /// The type whose instances a recorded type object makes.
    fn of_instances(class: &Value) -> Option<Self> {
        let Value::Type { name, user } = class else {
            return None;
        };
        if user.is_some() {
            return Some(Self::Instance);
        }
        Some(match name.as_str() {
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "str" => Self::Str,
            "bytes" => Self::Bytes,
            "list" => Self::List,
            "tuple" => Self::Tuple,
            "dict" => Self::Dict,
            "set" => Self::Set,
            "frozenset" => Self::FrozenSet,
            "range" => Self::Range,
            "type" => Self::Type,
            _ => return None,
        })
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoneType => "None",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Str => "str",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Dict => "dict",
            Self::Set => "set",
            Self::Range => "range",
            Self::RangeIterator => "range iterator",
            Self::ListIterator => "list iterator",
            Self::TupleIterator => "tuple iterator",
            Self::StrIterator => "str iterator",
            Self::Function => "function",
            Self::Type => "type",
            Self::Builtin => "builtin function",
            Self::MethodDescriptor => "method descriptor",
            Self::Method => "bound method",
            Self::Module => "module",
            Self::Instance => "instance",
            Self::FrozenSet => "frozenset",
            Self::Code => "code object",
            Self::Cell => "cell",
        })
    }
}

/// What a uop takes for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// An object of this type.
    Type(TypeName),
    /// An iterator of this type that has a next item, which the uop before should have tested.
    NextItem(TypeName),
    /// A function of this code.
    Function {
        /// The code.
        code: usize,
    },
    /// A function of this code that takes exactly the arguments which it is called with.
    ExactArguments {
        /// The code.
        code: usize,
    },
    /// A cell, in the local that the oparg names.
    Cell,
    /// An instance of a class of the program that is known.
    KnownClass,
    /// A module whose names are where they were found.
    KnownModule,
    /// Globals whose names are where they were found.
    Globals,
    /// Builtins whose names are where they were found.
    Builtins,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(expected) => expected.fmt(f),
            Self::NextItem(expected) => write!(f, "{expected} that is not exhausted"),
            Self::Function { code } => write!(f, "function of code {code}"),
            Self::ExactArguments { code } => {
                write!(f, "function of code {code} and all of its arguments")
            }
            Self::Cell => f.write_str("cell"),
            Self::KnownClass => f.write_str("instance of a class that was tested"),
            Self::KnownModule => f.write_str("module that was tested"),
            Self::Globals => f.write_str("globals that were tested"),
            Self::Builtins => f.write_str("builtins that were tested"),
        }
    }
}

/// Something that a uop takes for granted, but which may not be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unproven {
    /// Index of the uop in its executor.
    pub uop: usize,
    /// Where the operand is before the uop: from 0 at the top of the stack, or the index of a local.
    pub depth: u32,
    /// What it should be.
    pub expected: Expectation,
}

impl Unproven {
    /// What is expected, and where.
    pub fn expectation(&self) -> String {
        let Self {
            depth, expected, ..
        } = self;
        match expected {
            Expectation::Cell => format!("expected {expected} in local {depth}"),
            Expectation::Globals | Expectation::Builtins => format!("expected {expected}"),
            _ => format!("expected {expected} at depth {depth}"),
        }
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uop {}: {}", self.uop, self.expectation())
    }
}

/// What the pass has found of an executor.
#[derive(Debug, Default)]
pub struct Flow {
    /// What cannot be proven, in the order of the uops.
    ///
    /// What is reported is taken for proven from there on: a check in front of the uop makes it so.
    pub unproven: Vec<Unproven>,
    /// The class or module of [`Document::values`] whose attribute a uop accesses by its place, by the uop's index.
    pub owners: HashMap<usize, ValueIndex>,
}

/// Follows the types through an executor.
pub fn follow(executor: &Executor, document: &Document) -> Flow {
    let mut pass = Pass::new(executor, document);
    for (number, uop) in executor.uops.iter().enumerate() {
        // _JUMP_TO_TOP comes to uop 1 with facts of its own.
        if number == 1 {
            pass.forget();
        }
        pass.step(number, uop);
        if uops::is_terminal(&uop.op) {
            pass.forget();
        }
    }
    pass.found
}

/// One value. Two symbols may turn out to be the same object, but one symbol is never two.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Symbol(u64);

/// What is where in a frame; places that are not listed hold values of which nothing is known.
#[derive(Default)]
struct Frame {
    locals: HashMap<u16, Symbol>,
    /// From the lowest followed value to the top.
    stack: VecDeque<Symbol>,
}

/// What the last uops have tested, which holds only as long as nothing runs that may change it.
#[derive(Default)]
struct Tested {
    /// An iterator that is not exhausted.
    not_exhausted: Option<Symbol>,
    /// A module, and the value that it was compared with.
    module: Option<(Symbol, ValueIndex)>,
    /// Whether the names of the running function's globals are where they were.
    globals: bool,
    /// The same of its builtins.
    builtins: bool,
}

/// A call that was found to have all of its arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ExactCall {
    callable: Symbol,
    first: Symbol,
    count: usize,
    code: usize,
}

/// The state of the pass between two uops.
struct Pass<'d> {
    executor: &'d Executor,
    document: &'d Document,
    next: u64,
    types: HashMap<Symbol, TypeName>,
    /// The classes of instances.
    classes: HashMap<Symbol, ValueIndex>,
    /// The codes of functions, and of the functions of methods.
    codes: HashMap<Symbol, usize>,
    exact_call: Option<ExactCall>,
    frame: Frame,
    /// Frames of the callers of an inlined call.
    callers: Vec<Frame>,
    /// Arguments of the frames that have been made for a call but not entered.
    arguments: HashMap<Symbol, Vec<Symbol>>,
    tested: Tested,
    found: Flow,
}

impl<'d> Pass<'d> {
    fn new(executor: &'d Executor, document: &'d Document) -> Self {
        Self {
            executor,
            document,
            next: 0,
            types: HashMap::new(),
            classes: HashMap::new(),
            codes: HashMap::new(),
            exact_call: None,
            frame: Frame::default(),
            callers: Vec::new(),
            arguments: HashMap::new(),
            tested: Tested::default(),
            found: Flow::default(),
        }
    }

    fn forget(&mut self) {
        self.types.clear();
        self.classes.clear();
        self.codes.clear();
        self.exact_call = None;
        self.arguments.clear();
        self.frame = Frame::default();
        self.callers.clear();
        self.tested = Tested::default();
    }

    fn step(&mut self, number: usize, uop: &Uop) {
        for (depth, expected) in taken_for_granted(uop).into_iter().flatten() {
            self.expect_type(number, uop, depth, expected);
        }
        self.expect_more(number, uop);
        for (depth, tested) in self.tested_types(uop).into_iter().flatten() {
            let symbol = self.peek(depth);
            self.types.insert(symbol, tested);
        }
        self.test_more(uop);
        self.apply(number, uop);
    }

    fn report(&mut self, uop: usize, depth: usize, expected: Expectation) {
        self.found.unproven.push(Unproven {
            uop,
            // An oparg and a few at most.
            depth: depth as u32,
            expected,
        });
    }

    fn expect_type(&mut self, number: usize, uop: &Uop, depth: usize, expected: TypeName) {
        let symbol = self.peek(depth);
        let is_typed = self.types.insert(symbol, expected) == Some(expected);
        if uop.op.starts_with("_ITER_NEXT_") {
            if !is_typed || self.tested.not_exhausted != Some(symbol) {
                self.report(number, depth, Expectation::NextItem(expected));
            }
        } else if !is_typed {
            self.report(number, depth, Expectation::Type(expected));
        }
    }

    /// What a uop takes for granted besides types.
    fn expect_more(&mut self, number: usize, uop: &Uop) {
        let oparg = usize::from(uop.oparg);
        match uops::without_number(&uop.op) {
            "_INIT_CALL_PY_EXACT_ARGS" => self.expect_exact_call(number, oparg),
            "_PY_FRAME_GENERAL" => self.expect_function(number, oparg),
            op if uops::names_cell(op) => {
                let cell = self.local(uop.oparg);
                if self.types.insert(cell, TypeName::Cell) != Some(TypeName::Cell) {
                    self.report(number, oparg, Expectation::Cell);
                }
            }
            op if accesses_instance(op) => {
                let owner = self.peek(0);
                match self.classes.get(&owner) {
                    Some(&class) => drop(self.found.owners.insert(number, class)),
                    None => self.report(number, 0, Expectation::KnownClass),
                }
            }
            "_LOAD_ATTR_MODULE" => {
                let owner = self.peek(0);
                match self.tested.module {
                    Some((tested, module)) if tested == owner => {
                        self.found.owners.insert(number, module);
                    }
                    _ => self.report(number, 0, Expectation::KnownModule),
                }
            }
            "_LOAD_GLOBAL_MODULE" if !self.tested.globals => {
                self.report(number, 0, Expectation::Globals);
            }
            "_LOAD_GLOBAL_BUILTINS" if !self.tested.builtins => {
                self.report(number, 0, Expectation::Builtins);
            }
            _ => {}
        }
    }

    /// The call makes a frame of the code that the `_PUSH_FRAME` behind it says, and has all of its arguments. Without
    /// such a `_PUSH_FRAME` the proof of places fails.
    fn expect_exact_call(&mut self, number: usize, count: usize) {
        let Some(code) = uops::entered_code(self.executor, self.document, number) else {
            return;
        };
        let call = self.call_of(code, count);
        if self.exact_call != Some(call) {
            self.report(number, count + 1, Expectation::ExactArguments { code });
        }
    }

    fn expect_function(&mut self, number: usize, count: usize) {
        let Some(code) = uops::entered_code(self.executor, self.document, number) else {
            return;
        };
        let function = self.peek(count + 1);
        let is_function = self.types.get(&function) == Some(&TypeName::Function);
        if !is_function || self.codes.get(&function) != Some(&code) {
            self.report(number, count + 1, Expectation::Function { code });
        }
    }

    fn call_of(&mut self, code: usize, count: usize) -> ExactCall {
        ExactCall {
            callable: self.peek(count + 1),
            first: self.peek(count),
            count,
            code,
        }
    }

    /// What a uop has tested besides types when it goes on to the next.
    fn test_more(&mut self, uop: &Uop) {
        let value = uop.operand.as_ref().and_then(Operand::value);
        let code = value.and_then(|value| match self.document.values.get(value)? {
            Value::Function { code, .. } => Some(*code),
            _ => None,
        });
        let count = usize::from(uop.oparg);
        let mut tested = Tested::default();
        match uop.op.as_str() {
            "_GUARD_NOT_EXHAUSTED_RANGE"
            | "_GUARD_NOT_EXHAUSTED_LIST"
            | "_GUARD_NOT_EXHAUSTED_TUPLE" => tested.not_exhausted = Some(self.peek(0)),
            "_CHECK_ATTR_MODULE" => {
                let module = self.peek(0);
                tested.module = value.map(|value| (module, value));
            }
            "_GUARD_GLOBALS_VERSION" => {
                tested.globals = true;
                tested.builtins = self.tested.builtins;
            }
            "_GUARD_BUILTINS_VERSION" => {
                tested.builtins = true;
                tested.globals = self.tested.globals;
            }
            // Nothing runs in between that could change anything.
            "_NOP" | "_SET_IP" | "_CHECK_VALIDITY" | "_CHECK_VALIDITY_AND_SET_IP" => return,
            "_CHECK_FUNCTION_EXACT_ARGS" => {
                self.exact_call = code.map(|code| self.call_of(code, count));
                self.learn_code(count + 1, code);
            }
            "_CHECK_FUNCTION_VERSION" | "_CHECK_METHOD_VERSION" => {
                self.learn_code(count + 1, code);
            }
            "_GUARD_TYPE_VERSION" => {
                let object = self.peek(0);
                if let (Some(value), Some(TypeName::Instance)) = (value, self.guarded_class(uop)) {
                    self.classes.insert(object, value);
                }
            }
            _ => {}
        }
        self.tested = tested;
    }

    /// The object at this depth is a function of this code, or a method of one.
    fn learn_code(&mut self, depth: usize, code: Option<usize>) {
        let callable = self.peek(depth);
        if let Some(code) = code {
            self.codes.insert(callable, code);
        }
    }

    fn fresh(&mut self) -> Symbol {
        self.next += 1;
        Symbol(self.next)
    }

    /// The value at this depth.
    fn peek(&mut self, depth: usize) -> Symbol {
        if depth >= FOLLOWED {
            return self.fresh();
        }
        while self.frame.stack.len() <= depth {
            let symbol = self.fresh();
            self.frame.stack.push_front(symbol);
        }
        self.frame.stack[self.frame.stack.len() - 1 - depth]
    }

    fn push(&mut self, symbol: Symbol) {
        self.frame.stack.push_back(symbol);
        if self.frame.stack.len() > FOLLOWED {
            self.frame.stack.pop_front();
        }
    }

    fn push_typed(&mut self, known: Option<TypeName>) {
        let symbol = self.fresh();
        if let Some(known) = known {
            self.types.insert(symbol, known);
        }
        self.push(symbol);
    }

    fn pop(&mut self, count: u64) {
        let depth = self.frame.stack.len();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(depth);
        self.frame.stack.truncate(depth - count);
    }

    fn take(&mut self) -> Symbol {
        let symbol = self.peek(0);
        self.pop(1);
        symbol
    }

    fn push_unknown(&mut self, count: u64) {
        if count > FOLLOWED as u64 {
            self.frame.stack.clear();
        } else {
            (0..count).for_each(|_| self.push_typed(None));
        }
    }

    fn local(&mut self, index: u16) -> Symbol {
        if let Some(&symbol) = self.frame.locals.get(&index) {
            return symbol;
        }
        let symbol = self.fresh();
        self.frame.locals.insert(index, symbol);
        symbol
    }

    /// Moves the uop's operands and results.
    fn apply(&mut self, number: usize, uop: &Uop) {
        if let Some(access) = uops::local_access(&uop.op) {
            return self.access(access, uop.oparg);
        }
        let oparg = usize::from(uop.oparg);
        match uop.op.as_str() {
            "_COPY" if oparg > 0 => {
                let symbol = self.peek(oparg - 1);
                self.push(symbol);
            }
            "_SWAP" if (1..=FOLLOWED).contains(&oparg) => {
                self.peek(oparg - 1);
                let top = self.frame.stack.len() - 1;
                self.frame.stack.swap(top, top + 1 - oparg);
            }
            "_PUSH_NULL" => self.push_typed(None),
            "_LOAD_CONST_INLINE_WITH_NULL" | "_LOAD_CONST_INLINE_BORROW_WITH_NULL" => {
                let constant = self.result(uop);
                self.push_typed(constant);
                self.push_typed(None);
            }
            "_LOAD_ATTR_METHOD_WITH_VALUES"
            | "_LOAD_ATTR_METHOD_NO_DICT"
            | "_LOAD_ATTR_METHOD_LAZY_DICT" => {
                let method = self.result(uop);
                let owner = self.take();
                self.push_typed(method);
                self.push(owner);
            }
            "_CHECK_EXC_MATCH" => {
                self.pop(1);
                self.push_typed(Some(TypeName::Bool));
            }
            "_INIT_CALL_BOUND_METHOD_EXACT_ARGS" | "_EXPAND_METHOD" if oparg < FOLLOWED => {
                self.unbind_method(oparg);
            }
            "_MAKE_CELL" => {
                let cell = self.fresh();
                self.types.insert(cell, TypeName::Cell);
                self.frame.locals.insert(uop.oparg, cell);
            }
            "_COPY_FREE_VARS" => self.bind_cells(uop),
            "_PUSH_FRAME" => {
                let made = self.take();
                self.callers.push(std::mem::take(&mut self.frame));
                let arguments = self.arguments.remove(&made).unwrap_or_default();
                self.frame.locals = (0..).zip(arguments).collect();
            }
            "_POP_FRAME" => {
                let result = self.take();
                self.frame = self.callers.pop().unwrap_or_default();
                self.push(result);
            }
            op if uops::without_number(op) == "_INIT_CALL_PY_EXACT_ARGS" => {
                let code = uops::entered_code(self.executor, self.document, number);
                let arguments = code.map_or_else(Vec::new, |code| self.arguments_of(code, oparg));
                self.apply_effect(uop);
                let made = self.peek(0);
                self.arguments.insert(made, arguments);
            }
            _ => self.apply_effect(uop),
        }
    }

    /// The arguments of a call of a function of this code, which is proven to take all of them: `count`, and a `self` where
    /// it has one parameter more.
    fn arguments_of(&mut self, code: usize, count: usize) -> Vec<Symbol> {
        let body = self.document.codes.get(code);
        let body = body.and_then(|code| code.body.as_ref());
        let given = body.map_or(0, |body| body.argcount);
        if count >= FOLLOWED || given < count || given > count + 1 {
            return Vec::new();
        }
        (0..given).rev().map(|depth| self.peek(depth)).collect()
    }

    /// A function and its first argument take the places of a method and the NULL behind it.
    fn unbind_method(&mut self, count: usize) {
        let method = self.peek(count + 1);
        let code = self.codes.get(&method).copied();
        let (function, first) = (self.fresh(), self.fresh());
        if let Some(code) = code {
            self.types.insert(function, TypeName::Function);
            self.codes.insert(function, code);
        }
        let place = self.frame.stack.len() - 2 - count;
        self.frame.stack[place] = function;
        self.frame.stack[place + 1] = first;
    }

    fn bind_cells(&mut self, uop: &Uop) {
        let body = self.document.codes.get(uop.code);
        let body = body.and_then(|code| code.body.as_ref());
        // The proof of places fails where there are fewer locals.
        let end = body.map_or(0, |body| body.nlocalsplus);
        for index in end.saturating_sub(usize::from(uop.oparg))..end {
            let cell = self.fresh();
            self.types.insert(cell, TypeName::Cell);
            if let Ok(index) = u16::try_from(index) {
                self.frame.locals.insert(index, cell);
            }
        }
    }

    fn access(&mut self, access: LocalAccess, index: u16) {
        match access {
            LocalAccess::Load | LocalAccess::LoadChecked => {
                let symbol = self.local(index);
                self.push(symbol);
            }
            LocalAccess::LoadAndClear => {
                let symbol = self.local(index);
                self.push(symbol);
                self.frame.locals.remove(&index);
            }
            LocalAccess::Store => {
                let symbol = self.take();
                self.frame.locals.insert(index, symbol);
            }
            LocalAccess::Delete => {
                self.frame.locals.remove(&index);
            }
        }
    }

    /// The effect of a uop that makes new values of its operands.
    fn apply_effect(&mut self, uop: &Uop) {
        let Some(facts) = uops::facts(&uop.op) else {
            // It may do anything to the frame. Symbols stay what they are, but none is in a known place.
            self.frame = Frame::default();
            self.callers.clear();
            return;
        };
        let oparg = u32::from(uops::counted_oparg(uop));
        let (popped, pushed) = (facts.effect.popped.of(oparg), facts.effect.pushed.of(oparg));
        let kept = if keeps_operands(&uop.op) {
            popped.min(pushed)
        } else {
            0
        };
        let result = self.result(uop);
        self.pop(popped - kept);
        self.push_results(pushed - kept, result);
    }

    /// Pushes results, of which the first is of a known type.
    fn push_results(&mut self, count: u64, first: Option<TypeName>) {
        if count > 0 {
            self.push_typed(first);
            self.push_unknown(count - 1);
        }
    }

    /// What a uop has tested when it goes on to the next.
    fn tested_types(&self, uop: &Uop) -> [Option<(usize, TypeName)>; 2] {
        use TypeName::*;
        let callable = usize::from(uop.oparg) + 1;
        let one = |depth, tested| [Some((depth, tested)), None];
        let both = |tested| [Some((0, tested)), Some((1, tested))];
        match uop.op.as_str() {
            "_GUARD_BOTH_INT" => both(Int),
            "_GUARD_BOTH_FLOAT" => both(Float),
            "_GUARD_BOTH_UNICODE" => both(Str),
            "_GUARD_NOS_INT" => one(1, Int),
            "_GUARD_NOS_FLOAT" => one(1, Float),
            "_GUARD_TOS_INT" | "_TO_BOOL_INT" => one(0, Int),
            "_GUARD_TOS_FLOAT" => one(0, Float),
            "_TO_BOOL_BOOL" => one(0, Bool),
            "_GUARD_IS_NONE_POP" | "_TO_BOOL_NONE" => one(0, NoneType),
            "_TO_BOOL_LIST" => one(0, List),
            "_TO_BOOL_STR" => one(0, Str),
            "_ITER_CHECK_RANGE" => one(0, RangeIterator),
            "_ITER_CHECK_LIST" => one(0, ListIterator),
            "_ITER_CHECK_TUPLE" => one(0, TupleIterator),
            "_CHECK_FUNCTION_VERSION" | "_CHECK_FUNCTION_EXACT_ARGS" => one(callable, Function),
            "_CHECK_METHOD_VERSION" | "_CHECK_CALL_BOUND_METHOD_EXACT_ARGS" => {
                one(callable, Method)
            }
            "_CHECK_ATTR_MODULE" => one(0, Module),
            "_CHECK_ATTR_CLASS" => one(0, Type),
            "_GUARD_TYPE_VERSION" => [self.guarded_class(uop).map(|class| (0, class)), None],
            _ => [None, None],
        }
    }

    fn guarded_class(&self, uop: &Uop) -> Option<TypeName> {
        let class = uop.operand.as_ref()?.value()?;
        TypeName::of_instances(self.document.values.get(class)?)
    }

    /// The type of the first value that a uop makes.
    fn result(&mut self, uop: &Uop) -> Option<TypeName> {
        use TypeName::*;
        match uop.op.as_str() {
            "_BINARY_OP_ADD_INT"
            | "_BINARY_OP_SUBTRACT_INT"
            | "_BINARY_OP_MULTIPLY_INT"
            | "_ITER_NEXT_RANGE"
            | "_GET_LEN" => Some(Int),
            "_BINARY_OP_ADD_FLOAT" | "_BINARY_OP_SUBTRACT_FLOAT" | "_BINARY_OP_MULTIPLY_FLOAT" => {
                Some(Float)
            }
            "_BINARY_OP_ADD_UNICODE" | "_BUILD_STRING" | "_BINARY_SUBSCR_STR_INT" => Some(Str),
            "_COMPARE_OP_INT" | "_COMPARE_OP_FLOAT" | "_COMPARE_OP_STR" | "_IS_OP" | "_IS_NONE"
            | "_CONTAINS_OP" | "_CONTAINS_OP_SET" | "_CONTAINS_OP_DICT" | "_TO_BOOL"
            | "_TO_BOOL_BOOL" | "_TO_BOOL_INT" | "_TO_BOOL_LIST" | "_TO_BOOL_NONE"
            | "_TO_BOOL_STR" | "_REPLACE_WITH_TRUE" | "_UNARY_NOT" => Some(Bool),
            // Without this bit a comparison gives whatever the objects' method gives.
            "_COMPARE_OP" if uop.oparg & COMPARE_TO_BOOL != 0 => Some(Bool),
            "_CALL_LEN" => Some(Int),
            "_CALL_ISINSTANCE" => Some(Bool),
            "_CALL_STR_1" => Some(Str),
            "_CALL_TUPLE_1" => Some(Tuple),
            "_MAKE_FUNCTION" | "_SET_FUNCTION_ATTRIBUTE" => Some(Function),
            "_BUILD_TUPLE" => Some(Tuple),
            "_BUILD_LIST" => Some(List),
            "_BUILD_MAP" | "_BUILD_CONST_KEY_MAP" => Some(Dict),
            "_BINARY_OP" => {
                let (right, left) = (self.peek(0), self.peek(1));
                let (left, right) = (*self.types.get(&left)?, *self.types.get(&right)?);
                arithmetic(uop.oparg, left, right)
            }
            "_LOAD_CONST" => {
                let body = self.document.codes.get(uop.code)?.body.as_ref()?;
                self.recorded((*body.consts.get(usize::from(uop.oparg))?)?)
            }
            "_LOAD_CONST_INLINE"
            | "_LOAD_CONST_INLINE_BORROW"
            | "_LOAD_CONST_INLINE_WITH_NULL"
            | "_LOAD_CONST_INLINE_BORROW_WITH_NULL"
            | "_POP_TOP_LOAD_CONST_INLINE_BORROW"
            | "_LOAD_ATTR_METHOD_WITH_VALUES"
            | "_LOAD_ATTR_METHOD_NO_DICT"
            | "_LOAD_ATTR_METHOD_LAZY_DICT" => match uop.operand {
                Some(Operand::Object(value)) => self.recorded(value),
                _ => None,
            },
            _ => None,
        }
    }

    fn recorded(&self, value: ValueIndex) -> Option<TypeName> {
        TypeName::of(self.document.values.get(value)?)
    }
}

/// The bit of `_COMPARE_OP`'s oparg that asks for a bool.
const COMPARE_TO_BOOL: u16 = 16;

/// Whether the operands that a uop does not consume keep their places, below its results.
fn keeps_operands(op: &str) -> bool {
    ["_GUARD_", "_CHECK_", "_ITER_CHECK_", "_ITER_NEXT_"]
        .iter()
        .any(|prefix| op.starts_with(prefix))
        || matches!(
            op,
            "_FOR_ITER_TIER_TWO"
                | "_GET_LEN"
                | "_LIST_APPEND"
                | "_LIST_EXTEND"
                | "_SET_ADD"
                | "_SET_UPDATE"
                | "_DICT_UPDATE"
                | "_DICT_MERGE"
                | "_MAP_ADD"
                | "_MATCH_MAPPING"
                | "_MATCH_SEQUENCE"
                | "_MATCH_KEYS"
                | "_WITH_EXCEPT_START"
        )
}

/// Whether a uop goes to a place in an instance of a class of the program, the value on top of the stack.
pub(super) fn accesses_instance(op: &str) -> bool {
    matches!(
        op,
        "_GUARD_KEYS_VERSION"
            | "_GUARD_DORV_NO_DICT"
            | "_GUARD_DORV_VALUES_INST_ATTR_FROM_DICT"
            | "_CHECK_MANAGED_OBJECT_HAS_VALUES"
            | "_CHECK_ATTR_METHOD_LAZY_DICT"
            | "_CHECK_ATTR_WITH_HINT"
            | "_LOAD_ATTR_WITH_HINT"
            | "_LOAD_ATTR_INSTANCE_VALUE_0"
            | "_LOAD_ATTR_INSTANCE_VALUE_1"
            | "_LOAD_ATTR_SLOT_0"
            | "_LOAD_ATTR_SLOT_1"
            | "_STORE_ATTR_INSTANCE_VALUE"
            | "_STORE_ATTR_SLOT"
    )
}

/// The type of `left op right` for CPython's operator numbers, where the types alone tell.
fn arithmetic(oparg: u16, left: TypeName, right: TypeName) -> Option<TypeName> {
    use TypeName::{Float, Int};
    // The operators of in-place operations follow in the same order.
    let operator = match oparg {
        0..=12 => oparg,
        13..=25 => oparg - 13,
        _ => return None,
    };
    match (operator, left, right) {
        // Integers stay integers: + & // << * % | >> - ^.
        (0 | 1 | 2 | 3 | 5 | 6 | 7 | 9 | 10 | 12, Int, Int) => Some(Int),
        (11, Int, Int) => Some(Float),
        // + // * % - /. A power may be an int, a float or complex.
        (0 | 2 | 5 | 6 | 10 | 11, Float, Int | Float) | (0 | 2 | 5 | 6 | 10 | 11, Int, Float) => {
            Some(Float)
        }
        _ => None,
    }
}

/// What a uop does not test itself, because CPython's optimizer or its compiler had proven it.
fn taken_for_granted(uop: &Uop) -> [Option<(usize, TypeName)>; 2] {
    use TypeName::*;
    let oparg = usize::from(uop.oparg);
    let one = |depth, expected| [Some((depth, expected)), None];
    let both = |expected| [Some((0, expected)), Some((1, expected))];
    match uops::without_number(&uop.op) {
        "_BINARY_OP_ADD_INT"
        | "_BINARY_OP_SUBTRACT_INT"
        | "_BINARY_OP_MULTIPLY_INT"
        | "_COMPARE_OP_INT" => both(Int),
        "_BINARY_OP_ADD_FLOAT"
        | "_BINARY_OP_SUBTRACT_FLOAT"
        | "_BINARY_OP_MULTIPLY_FLOAT"
        | "_COMPARE_OP_FLOAT" => both(Float),
        "_BINARY_OP_ADD_UNICODE" | "_COMPARE_OP_STR" => both(Str),
        "_UNARY_NOT" | "_GUARD_IS_TRUE_POP" | "_GUARD_IS_FALSE_POP" => one(0, Bool),
        "_GUARD_NOT_EXHAUSTED_RANGE" | "_ITER_NEXT_RANGE" => one(0, RangeIterator),
        "_GUARD_NOT_EXHAUSTED_LIST" | "_ITER_NEXT_LIST" => one(0, ListIterator),
        "_GUARD_NOT_EXHAUSTED_TUPLE" | "_ITER_NEXT_TUPLE" => one(0, TupleIterator),
        "_LIST_APPEND" | "_LIST_EXTEND" => one(oparg, List),
        "_SET_ADD" | "_SET_UPDATE" => one(oparg, Set),
        "_DICT_UPDATE" => one(oparg, Dict),
        "_MAP_ADD" => one(oparg + 1, Dict),
        "_CHECK_STACK_SPACE" => one(oparg + 1, Function),
        "_MAKE_FUNCTION" => one(0, Code),
        "_SET_FUNCTION_ATTRIBUTE" => one(0, Function),
        "_DICT_MERGE" => one(oparg, Dict),
        "_EXPAND_METHOD" | "_INIT_CALL_BOUND_METHOD_EXACT_ARGS" => one(oparg + 1, Method),
        "_LOAD_ATTR_MODULE" => one(0, Module),
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::fixtures::{document, traces};

    #[test]
    fn recorded_traces_need_almost_no_checks() {
        let mut found = Vec::new();
        for (name, text) in traces() {
            let document = Document::parse(&text).unwrap();
            for executor in &document.executors {
                let checks = follow(executor, &document).unproven;
                found.extend(
                    checks
                        .iter()
                        .map(|check| format!("{name} {} {check}", executor.uops[check.uop].op)),
                );
            }
        }
        // The bytecode compiler knows what a comprehension adds to; nothing in the trace says so.
        assert_eq!(
            found,
            [
                "comprehension _LIST_APPEND uop 17: expected list at depth 2",
                "dict_comprehension _MAP_ADD uop 13: expected dict at depth 3",
                "list_append _LIST_APPEND uop 17: expected list at depth 2",
                "set_comprehension _SET_ADD uop 11: expected set at depth 2",
            ]
        );
    }

    /// An executor of uops written as in `_COPY 2` or, with a value as operand, `_LOAD_CONST_INLINE =1` or
    /// `_CHECK_FUNCTION_EXACT_ARGS 1=0`. The values are those of sum_squares: 0 a function, 1 and 2 ints, 3 a range
    /// iterator, 4 None, 5 a type.
    fn executor(uops: &str) -> Executor {
        let uops = uops.split(',').map(|text| {
            let (op, argument) = text.trim().split_once(' ').unwrap_or((text.trim(), "0"));
            let (oparg, value) = argument.split_once('=').unwrap_or((argument, ""));
            let value = value.parse().ok();
            let oparg = if oparg.is_empty() { "0" } else { oparg };
            let operand = match op {
                "_PUSH_FRAME" => Operand::Function,
                "_CHECK_FUNCTION_EXACT_ARGS" => Operand::FunctionVersion,
                "_GUARD_TYPE_VERSION" => Operand::TypeVersion,
                _ => Operand::Object,
            };
            Uop {
                op: op.to_owned(),
                oparg: uops::fixed_oparg(op).unwrap_or_else(|| oparg.parse().unwrap()),
                code: 0,
                target: None,
                jump_target: None,
                error_target: None,
                exit: None,
                operand: value.map(operand),
            }
        });
        Executor {
            id: 0,
            code: 0,
            uops: uops.collect(),
        }
    }

    fn checks(uops: &str) -> Vec<String> {
        let document = document("sum_squares");
        follow(&executor(uops), &document)
            .unproven
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn operands_are_unknown_until_tested() {
        for (uops, expected) in [
            (
                "_NOP, _BINARY_OP_ADD_INT",
                &[
                    "uop 1: expected int at depth 0",
                    "uop 1: expected int at depth 1",
                ][..],
            ),
            ("_NOP, _GUARD_BOTH_INT, _BINARY_OP_ADD_INT", &[]),
            (
                "_NOP, _GUARD_TOS_INT, _BINARY_OP_ADD_INT",
                &["uop 2: expected int at depth 1"],
            ),
            (
                "_NOP, _GUARD_NOS_INT, _BINARY_OP_ADD_INT",
                &["uop 2: expected int at depth 0"],
            ),
            (
                "_NOP, _GUARD_BOTH_FLOAT, _BINARY_OP_MULTIPLY_FLOAT, _STORE_FAST_0",
                &[],
            ),
            (
                "_NOP, _GUARD_BOTH_FLOAT, _BINARY_OP_ADD_INT",
                &[
                    "uop 2: expected int at depth 0",
                    "uop 2: expected int at depth 1",
                ],
            ),
            ("_NOP, _GUARD_BOTH_UNICODE, _BINARY_OP_ADD_UNICODE", &[]),
            (
                "_NOP, _GUARD_BOTH_UNICODE, _COMPARE_OP_STR 72, _UNARY_NOT",
                &[],
            ),
            ("_NOP, _UNARY_NOT", &["uop 1: expected bool at depth 0"]),
            ("_NOP, _COMPARE_OP 88, _UNARY_NOT", &[]),
            (
                "_NOP, _COMPARE_OP 72, _UNARY_NOT",
                &["uop 2: expected bool at depth 0"],
            ),
            (
                "_NOP, _TO_BOOL, _UNARY_NOT, _GUARD_IS_TRUE_POP, _GUARD_IS_FALSE_POP",
                &["uop 4: expected bool at depth 0"],
            ),
            ("_NOP, _LIST_APPEND 2", &["uop 1: expected list at depth 2"]),
            (
                "_NOP, _BUILD_LIST 0, _LOAD_FAST_0, _LIST_APPEND 1, _LOAD_FAST_0, _LIST_APPEND 1",
                &[],
            ),
            ("_NOP, _BUILD_MAP 0, _LOAD_FAST_0, _COPY 1, _MAP_ADD 1", &[]),
            (
                "_NOP, _STORE_ATTR_SLOT",
                &["uop 1: expected instance of a class that was tested at depth 0"],
            ),
            // A guard before uop 1 does not hold when _JUMP_TO_TOP comes there; one before an exit says nothing.
            (
                "_GUARD_TOS_INT, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 2: expected int at depth 0"],
            ),
            (
                "_NOP, _GUARD_TOS_INT, _EXIT_TRACE, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 4: expected int at depth 0"],
            ),
        ] {
            assert_eq!(checks(uops), expected, "{uops}");
        }
    }

    #[test]
    fn symbols_follow_moves() {
        for (uops, expected) in [
            ("_NOP, _LOAD_FAST_0, _GUARD_TOS_INT, _POP_TOP, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT", &[][..]),
            ("_NOP, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT", &["uop 3: expected int at depth 0"]),
            (
                "_NOP, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT, _LOAD_FAST_0, _LOAD_FAST 0, _BINARY_OP_ADD_INT",
                &["uop 3: expected int at depth 0"],
            ),
            (
                "_NOP, _GUARD_TOS_INT, _STORE_FAST_1, _LOAD_FAST_2, _STORE_FAST 1, _LOAD_FAST_1, _UNARY_NEGATIVE,
                 _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 8: expected int at depth 0"],
            ),
            ("_NOP, _GUARD_TOS_INT, _STORE_FAST_1, _LOAD_FAST 1, _COPY 1, _BINARY_OP_ADD_INT", &[]),
            ("_NOP, _GUARD_TOS_INT, _LOAD_FAST_0, _SWAP 2, _COPY 1, _BINARY_OP_ADD_INT", &[]),
            ("_NOP, _GUARD_TOS_INT, _LOAD_FAST_0, _COPY 2, _COPY 1, _BINARY_OP_ADD_INT", &[]),
            ("_NOP, _LOAD_FAST_0, _GUARD_TOS_INT, _LOAD_FAST_AND_CLEAR 0, _COPY 1, _BINARY_OP_ADD_INT", &[]),
            (
                "_NOP, _LOAD_FAST_0, _GUARD_TOS_INT, _LOAD_FAST_AND_CLEAR 0, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 6: expected int at depth 0"],
            ),
            // A uop that nothing is known of may change every place, but not what an object is.
            (
                "_NOP, _LOAD_FAST_0, _GUARD_TOS_INT, _MAGIC, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 6: expected int at depth 0"],
            ),
            // Guards leave their operands where they are.
            ("_NOP, _LOAD_FAST_0, _GUARD_TOS_INT, _LOAD_FAST_1, _GUARD_NOS_FLOAT, _GUARD_TOS_INT, _POP_TOP, _COPY 1,
              _BINARY_OP_ADD_FLOAT", &[]),
        ] {
            assert_eq!(checks(uops), expected, "{uops}");
        }
    }

    #[test]
    fn constants_and_results_have_types() {
        for (uops, expected) in [
            (
                "_NOP, _LOAD_CONST_INLINE =1, _LOAD_CONST_INLINE_BORROW =2, _BINARY_OP_ADD_INT, _COPY 1, _COMPARE_OP_INT 2",
                &[][..],
            ),
            ("_NOP, _LOAD_CONST 1, _COPY 1, _BINARY_OP_ADD_INT", &[]),
            (
                "_NOP, _LOAD_CONST 0, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 3: expected int at depth 0"],
            ),
            (
                "_NOP, _POP_TOP_LOAD_CONST_INLINE_BORROW =1, _COPY 1, _BINARY_OP_ADD_INT",
                &[],
            ),
            (
                "_NOP, _LOAD_CONST_INLINE_WITH_NULL =1, _POP_TOP, _COPY 1, _BINARY_OP_ADD_INT",
                &[],
            ),
            (
                "_NOP, _GUARD_BOTH_INT, _BINARY_OP 2, _COPY 1, _BINARY_OP_ADD_INT",
                &[],
            ),
            (
                "_NOP, _GUARD_BOTH_INT, _BINARY_OP 23, _COPY 1, _BINARY_OP_ADD_INT",
                &[],
            ),
            (
                "_NOP, _GUARD_BOTH_INT, _BINARY_OP 11, _COPY 1, _BINARY_OP_ADD_FLOAT",
                &[],
            ),
            (
                "_NOP, _GUARD_BOTH_FLOAT, _BINARY_OP 19, _COPY 1, _BINARY_OP_ADD_FLOAT",
                &[],
            ),
            (
                "_NOP, _GUARD_TOS_INT, _GUARD_NOS_FLOAT, _BINARY_OP 10, _COPY 1, _BINARY_OP_ADD_FLOAT",
                &[],
            ),
            // Powers may be of another type.
            (
                "_NOP, _GUARD_BOTH_INT, _BINARY_OP 8, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 4: expected int at depth 0"],
            ),
            (
                "_NOP, _GUARD_BOTH_FLOAT, _BINARY_OP 21, _COPY 1, _BINARY_OP_ADD_FLOAT",
                &["uop 4: expected float at depth 0"],
            ),
            (
                "_NOP, _GUARD_TOS_INT, _BINARY_OP 0, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 4: expected int at depth 0"],
            ),
            (
                "_NOP, _BINARY_SUBSCR_LIST_INT, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 3: expected int at depth 0"],
            ),
        ] {
            assert_eq!(checks(uops), expected, "{uops}");
        }
    }

    #[test]
    fn an_iterator_is_tested_right_before_it_is_advanced() {
        let test = "_NOP, _ITER_CHECK_RANGE, _GUARD_NOT_EXHAUSTED_RANGE";
        for (uops, expected) in [
            (
                format!("{test}, _ITER_NEXT_RANGE, _COPY 1, _BINARY_OP_ADD_INT"),
                &[][..],
            ),
            (
                format!("{test}, _SET_IP, _CHECK_VALIDITY, _ITER_NEXT_RANGE"),
                &[],
            ),
            (
                format!("{test}, _ITER_NEXT_RANGE, _POP_TOP, _ITER_NEXT_RANGE"),
                &["uop 5: expected range iterator that is not exhausted at depth 0"],
            ),
            (
                format!("{test}, _CHECK_PERIODIC, _ITER_NEXT_RANGE"),
                &["uop 4: expected range iterator that is not exhausted at depth 0"],
            ),
            (
                format!("{test}, _ITER_NEXT_LIST"),
                &["uop 3: expected list iterator that is not exhausted at depth 0"],
            ),
            (
                "_NOP, _GUARD_NOT_EXHAUSTED_LIST".to_owned(),
                &["uop 1: expected list iterator at depth 0"],
            ),
            (
                "_NOP, _GUARD_NOT_EXHAUSTED_TUPLE, _ITER_NEXT_TUPLE".to_owned(),
                &["uop 1: expected tuple iterator at depth 0"],
            ),
            (
                "_NOP, _ITER_NEXT_TUPLE".to_owned(),
                &["uop 1: expected tuple iterator that is not exhausted at depth 0"],
            ),
        ] {
            assert_eq!(checks(&uops), expected, "{uops}");
        }
    }

    #[test]
    fn an_inlined_call_has_places_of_its_own() {
        let call = "_LOAD_CONST_INLINE_WITH_NULL =0, _LOAD_FAST_0, _GUARD_TOS_INT, _CHECK_FUNCTION_EXACT_ARGS 1=0,
                    _INIT_CALL_PY_EXACT_ARGS_1, _SAVE_RETURN_OFFSET, _PUSH_FRAME =0";
        for (body, expected) in [
            ("_LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT", &[][..]),
            (
                "_LOAD_FAST_1, _COPY 1, _BINARY_OP_ADD_INT",
                &["uop 10: expected int at depth 0"],
            ),
            (
                "_LOAD_FAST_1, _STORE_FAST_0, _LOAD_FAST_1, _POP_FRAME, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT",
                &[],
            ),
        ] {
            assert_eq!(checks(&format!("_NOP, {call}, {body}")), expected, "{body}");
        }
        // The code takes one argument: where the call gives none, that is what goes before them.
        let receiver = "_NOP, _LOAD_CONST_INLINE =0, _LOAD_FAST_0, _GUARD_TOS_INT, _CHECK_FUNCTION_EXACT_ARGS 0=0,
                        _INIT_CALL_PY_EXACT_ARGS_0, _PUSH_FRAME =0, _LOAD_FAST_0, _COPY 1, _BINARY_OP_ADD_INT";
        assert_eq!(checks(receiver), [""; 0]);
    }

    #[test]
    fn a_call_is_of_a_function_that_takes_its_arguments() {
        let call = "_INIT_CALL_PY_EXACT_ARGS_0, _SAVE_RETURN_OFFSET, _PUSH_FRAME =0";
        let unproven = |uop| {
            vec![format!(
                "uop {uop}: expected function of code 0 and all of its arguments at depth 1"
            )]
        };
        for (before, expected) in [
            ("_NOP", unproven(1)),
            ("_NOP, _CHECK_FUNCTION_EXACT_ARGS 0=0", Vec::new()),
            ("_NOP, _CHECK_FUNCTION_EXACT_ARGS 0=0, _NOP", Vec::new()),
            // Another number of arguments, and other operands.
            ("_NOP, _CHECK_FUNCTION_EXACT_ARGS 1=0", unproven(2)),
            (
                "_NOP, _CHECK_FUNCTION_EXACT_ARGS 0=0, _SWAP 2, _SWAP 2",
                Vec::new(),
            ),
            ("_NOP, _CHECK_FUNCTION_EXACT_ARGS 0=0, _SWAP 2", unproven(3)),
            (
                "_NOP, _CHECK_FUNCTION_EXACT_ARGS 0=0, _POP_TOP, _PUSH_NULL",
                unproven(4),
            ),
            // What was tested before the top is forgotten there.
            ("_CHECK_FUNCTION_EXACT_ARGS 0=0", unproven(1)),
        ] {
            assert_eq!(checks(&format!("{before}, {call}")), expected, "{before}");
        }
    }

    #[test]
    fn globals_and_cells_are_where_they_were() {
        for (uops, expected) in [
            ("_NOP, _GUARD_GLOBALS_VERSION, _LOAD_GLOBAL_MODULE", &[][..]),
            (
                "_NOP, _GUARD_GLOBALS_VERSION, _GUARD_BUILTINS_VERSION, _LOAD_GLOBAL_BUILTINS",
                &[],
            ),
            (
                "_NOP, _GUARD_GLOBALS_VERSION, _POP_TOP, _LOAD_GLOBAL_MODULE",
                &["uop 3: expected globals that were tested"],
            ),
            (
                "_NOP, _GUARD_GLOBALS_VERSION, _LOAD_GLOBAL_BUILTINS",
                &["uop 2: expected builtins that were tested"],
            ),
            ("_NOP, _MAKE_CELL 0, _LOAD_DEREF 0, _STORE_DEREF 0", &[]),
            (
                "_NOP, _LOAD_DEREF 0, _STORE_DEREF 0",
                &["uop 1: expected cell in local 0"],
            ),
            (
                "_NOP, _MAKE_CELL 0, _LOAD_FAST_1, _STORE_FAST_0, _LOAD_DEREF 0",
                &["uop 4: expected cell in local 0"],
            ),
        ] {
            assert_eq!(checks(uops), expected, "{uops}");
        }
    }

    #[test]
    fn absurd_opargs_take_no_absurd_time() {
        let uop = "_UNPACK_SEQUENCE 65535, _COPY 65535, _SWAP 65535, _BUILD_TUPLE 65535, _LIST_APPEND 65535, _COPY 0";
        let uops = format!("_NOP, {}", vec![uop; 2000].join(", "));
        assert_eq!(checks(&uops).len(), 2000);
    }
}
