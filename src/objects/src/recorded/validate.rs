//! Validation: what the parts of a document say of each other. Afterwards every index leads somewhere, every target of a
//! uop leads to the kind of uop that it may lead to, and every object can be made.

use super::format::{
    CodeBody, Document, Executor, Exit, Expected, FormatError, MAX_STACK_SIZE, Operand,
    SequenceIterator, Uop, Value, ValueIndex,
};
use super::read::excerpt;
use super::uops::{self, ErrorPop};
use std::fmt;

type Result<T> = std::result::Result<T, FormatError>;

/// Checks everything and gives the order in which the values can be made.
pub(super) fn document(document: &Document) -> Result<Vec<ValueIndex>> {
    let heap = Heap {
        name: "values",
        values: document.values.iter().collect(),
    };
    codes(document, &heap)?;
    heap.check(document)?;
    for (name, &value) in &document.globals {
        heap.index(format_args!("globals.{name}"), value)?;
    }
    for (position, executor) in document.executors.iter().enumerate() {
        check_executor(document, &heap, position, executor)?;
    }
    entry(document)?;
    state_in(document, &heap)?;
    expected(document, &heap)?;
    stats(document)?;
    heap.creation_order()
}

fn invalid(
    path: impl fmt::Display,
    found: impl fmt::Display,
    expected: impl fmt::Display,
) -> FormatError {
    FormatError::Invalid {
        path: path.to_string(),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

fn missing(path: impl fmt::Display, expected: impl fmt::Display) -> FormatError {
    FormatError::Missing {
        path: path.to_string(),
        expected: expected.to_string(),
    }
}

/// Fails unless `found` is an index below `length`.
fn index(path: impl fmt::Display, found: usize, what: &'static str, length: usize) -> Result<()> {
    if found < length {
        return Ok(());
    }
    Err(FormatError::Index {
        path: path.to_string(),
        found,
        what,
        length,
    })
}

/// Fails unless a field is what another part of the document, named by `whose`, says.
fn equal<T>(path: impl fmt::Display, found: T, expected: T, whose: impl fmt::Display) -> Result<()>
where
    T: PartialEq + fmt::Display,
{
    if found == expected {
        return Ok(());
    }
    Err(invalid(path, found, format_args!("{expected}, {whose}")))
}

/// Fails unless `found` is at most `limit`.
fn at_most(path: impl fmt::Display, found: usize, limit: usize, what: &str) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(invalid(
        path,
        found,
        format_args!("at most {limit}, {what}"),
    ))
}

fn code_index(document: &Document, path: impl fmt::Display, found: usize) -> Result<()> {
    index(path, found, "codes", document.codes.len())
}

/// The body of a code that something runs in.
fn code_in_use(document: &Document, path: impl fmt::Display, code: usize) -> Result<&CodeBody> {
    code_index(document, &path, code)?;
    let body = document.codes[code].body.as_ref();
    body.ok_or_else(|| {
        invalid(
            path,
            format_args!("code {code}, which has only a name"),
            "a code in use",
        )
    })
}

fn codes(document: &Document, heap: &Heap<'_>) -> Result<()> {
    for (number, code) in document.codes.iter().enumerate() {
        let Some(body) = &code.body else { continue };
        let path = format!("codes[{number}]");
        at_most(
            format_args!("{path}.stacksize"),
            body.stacksize,
            MAX_STACK_SIZE,
            "the largest stack",
        )?;
        let names = body.varnames.len();
        equal(
            format_args!("{path}.nlocalsplus"),
            body.nlocalsplus,
            names,
            "the number of varnames",
        )?;
        let parameters = body
            .argcount
            .saturating_add(body.kwonly)
            .saturating_add(body.collectors());
        at_most(
            format_args!("{path}.argcount, with kwonly and varargs"),
            parameters,
            body.nlocalsplus,
            "the number of locals",
        )?;
        for (position, &value) in body.consts.iter().enumerate() {
            let Some(value) = value else { continue };
            heap.index(format_args!("{path}.consts[{position}]"), value)?;
        }
    }
    Ok(())
}

/// One of the two lists of objects, and where it is in the document.
struct Heap<'d> {
    name: &'static str,
    values: Vec<&'d Value>,
}

impl Heap<'_> {
    fn index(&self, path: impl fmt::Display, found: ValueIndex) -> Result<()> {
        index(path, found, self.name, self.values.len())
    }

    /// Fails unless the value `found` is of one of these kinds, or of one that nothing is known of.
    fn kind(&self, path: impl fmt::Display, found: ValueIndex, kinds: &[&str]) -> Result<()> {
        self.index(&path, found)?;
        let value = self.values[found];
        if matches!(value, Value::Unknown { .. }) || kinds.contains(&value.kind()) {
            return Ok(());
        }
        let found = format_args!("value {found} ({})", value.kind()).to_string();
        Err(invalid(
            path,
            found,
            format_args!("a value of kind {}", kinds.join(" or ")),
        ))
    }

    fn check(&self, document: &Document) -> Result<()> {
        for (number, value) in self.values.iter().enumerate() {
            let path = format_args!("{}[{number}]", self.name).to_string();
            self.references(&path, value)?;
            self.check_value(document, &path, value)?;
        }
        Ok(())
    }

    /// Fails unless everything that a value refers to is there.
    fn references(&self, path: &str, value: &Value) -> Result<()> {
        match value {
            Value::List(items)
            | Value::Tuple(items)
            | Value::Set(items)
            | Value::FrozenSet(items) => {
                for (number, &item) in items.iter().enumerate() {
                    self.index(format_args!("{path}.items[{number}]"), item)?;
                }
            }
            Value::Dict(items) => {
                for (number, &(key, value)) in items.iter().enumerate() {
                    self.index(format_args!("{path}.items[{number}][0]"), key)?;
                    self.index(format_args!("{path}.items[{number}][1]"), value)?;
                }
            }
            Value::Type {
                user: Some(user), ..
            } => self.named(path, "methods", &user.methods)?,
            Value::Instance { attrs, .. } => self.named(path, "attrs", attrs)?,
            Value::Cell(Some(contents)) => {
                self.index(format_args!("{path}.contents"), *contents)?;
            }
            Value::Function { parts, .. } => {
                for (part, value) in parts.named() {
                    let kind = if part == "kwdefaults" {
                        "dict"
                    } else {
                        "tuple"
                    };
                    self.kind(format_args!("{path}.{part}"), value, &[kind])?;
                }
            }
            Value::Method { func, receiver } => {
                self.index(format_args!("{path}.func"), *func)?;
                self.index(format_args!("{path}.self"), *receiver)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn named(&self, path: &str, field: &str, values: &[(String, ValueIndex)]) -> Result<()> {
        for (number, &(_, value)) in values.iter().enumerate() {
            self.index(format_args!("{path}.{field}[{number}][1]"), value)?;
        }
        Ok(())
    }

    /// Checks what a value says besides its references.
    fn check_value(&self, document: &Document, path: &str, value: &Value) -> Result<()> {
        match value {
            Value::Range { step, .. } if step.sign() == num_bigint::Sign::NoSign => Err(invalid(
                format_args!("{path}.step"),
                0,
                "a step that is not zero",
            )),
            Value::RangeIterator { start, step, len } => range_iterator(path, *start, *step, *len),
            Value::ListIterator(iterator) => self.sequence_iterator(path, iterator, "list", -1),
            Value::TupleIterator(iterator) => self.sequence_iterator(path, iterator, "tuple", 0),
            Value::StrAsciiIterator(iterator) => {
                self.sequence_iterator(path, iterator, "str", 0)?;
                match iterator.seq.map(|seq| self.values[seq]) {
                    Some(Value::Str(text)) if !text.is_ascii() => Err(invalid(
                        format_args!("{path}.seq"),
                        excerpt(text),
                        "an ASCII str",
                    )),
                    _ => Ok(()),
                }
            }
            Value::Function { code, .. } => {
                code_index(document, format_args!("{path}.code"), *code)
            }
            Value::Instance { class, .. } => {
                self.kind(format_args!("{path}.type"), *class, &["type"])
            }
            _ => Ok(()),
        }
    }

    fn sequence_iterator(
        &self,
        path: &str,
        iterator: &SequenceIterator,
        kind: &str,
        lowest: i64,
    ) -> Result<()> {
        if let Some(seq) = iterator.seq {
            self.kind(format_args!("{path}.seq"), seq, &[kind])?;
        }
        if iterator.index < lowest {
            let expected = format_args!("at least {lowest}").to_string();
            return Err(invalid(
                format_args!("{path}.index"),
                iterator.index,
                expected,
            ));
        }
        Ok(())
    }

    /// All values, each after its components. Without recursion: a document may nest as deep as it is long.
    fn creation_order(&self) -> Result<Vec<ValueIndex>> {
        let mut order = Vec::with_capacity(self.values.len());
        let mut progress = vec![Progress::New; self.values.len()];
        let mut stack = Vec::new();
        for root in 0..self.values.len() {
            stack.push(Visit::Enter(root));
            while let Some(visit) = stack.pop() {
                match visit {
                    Visit::Leave(value) => {
                        progress[value] = Progress::Done;
                        order.push(value);
                    }
                    Visit::Enter(value) => match progress[value] {
                        Progress::Done => {}
                        Progress::Open => return Err(self.cycle(value)),
                        Progress::New => {
                            progress[value] = Progress::Open;
                            stack.push(Visit::Leave(value));
                            stack.extend(
                                self.values[value]
                                    .components()
                                    .into_iter()
                                    .map(Visit::Enter),
                            );
                        }
                    },
                }
            }
        }
        Ok(order)
    }

    fn cycle(&self, value: ValueIndex) -> FormatError {
        FormatError::Cycle {
            path: format!("{}[{value}]", self.name),
            kind: self.values[value].kind().to_owned(),
        }
    }
}

#[derive(Clone, Copy)]
enum Progress {
    New,
    Open,
    Done,
}

enum Visit {
    Enter(ValueIndex),
    Leave(ValueIndex),
}

/// All values still to come, and the one behind the last, fit a machine word, so that iterating needs no checks. CPython
/// makes another kind of iterator for other ranges.
fn range_iterator(path: &str, start: i64, step: i64, len: i64) -> Result<()> {
    if step == 0 {
        return Err(invalid(
            format_args!("{path}.step"),
            step,
            "a step that is not zero",
        ));
    }
    if len < 0 {
        return Err(invalid(format_args!("{path}.len"), len, "at least 0"));
    }
    let end = i128::from(start) + i128::from(step) * i128::from(len);
    if i64::try_from(end).is_err() {
        let found = format_args!("{len}, which leads to {end}").to_string();
        return Err(invalid(
            format_args!("{path}.len"),
            found,
            "values of 64 bits",
        ));
    }
    Ok(())
}

fn check_executor(
    document: &Document,
    heap: &Heap<'_>,
    position: usize,
    executor: &Executor,
) -> Result<()> {
    let path = format!("executors[{position}]");
    equal(
        format_args!("{path}.id"),
        executor.id,
        position,
        "its position",
    )?;
    code_in_use(document, format_args!("{path}.code"), executor.code)?;
    let Some(last) = executor.uops.last() else {
        return Err(invalid(
            format_args!("{path}.uops"),
            "no uops",
            "at least one",
        ));
    };
    for (number, uop) in executor.uops.iter().enumerate() {
        let uop_path = format!("{path}.uops[{number}]");
        let check = UopCheck {
            document,
            heap,
            executor,
            number,
            uop,
            path: &uop_path,
        };
        check.run()?;
    }
    exit_numbers(&path, executor)?;
    if !uops::is_terminal(&last.op) {
        let place = format_args!("{path}.uops[{}].op", executor.uops.len() - 1).to_string();
        return Err(invalid(
            place,
            &last.op,
            "a uop that does not fall through, at the end",
        ));
    }
    Ok(())
}

/// The exits of an executor are numbered from 0, each number once.
fn exit_numbers(path: &str, executor: &Executor) -> Result<()> {
    let exits = || {
        executor
            .uops
            .iter()
            .enumerate()
            .filter_map(|(number, uop)| Some((number, uop.exit.as_ref()?)))
    };
    let count = exits().count();
    let mut used = vec![false; count];
    for (number, exit) in exits() {
        let place = format!("{path}.uops[{number}].exit.index");
        index(&place, exit.index, "exits", count)?;
        if std::mem::replace(&mut used[exit.index], true) {
            return Err(invalid(
                place,
                exit.index,
                "a number that no other exit of the executor has",
            ));
        }
    }
    Ok(())
}

/// The check of one uop.
struct UopCheck<'c> {
    document: &'c Document,
    heap: &'c Heap<'c>,
    executor: &'c Executor,
    number: usize,
    uop: &'c Uop,
    path: &'c str,
}

impl UopCheck<'_> {
    fn run(&self) -> Result<()> {
        let body = code_in_use(self.document, self.at("code"), self.uop.code)?;
        self.oparg(body)?;
        self.targets()?;
        self.metadata()?;
        self.exit()?;
        self.operand()
    }

    fn at(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    fn oparg(&self, body: &CodeBody) -> Result<()> {
        let Uop { op, oparg, .. } = self.uop;
        if let Some(range) = uops::oparg_range(op).filter(|range| !range.contains(oparg)) {
            let expected =
                format_args!("an integer in {}..={} for {op}", range.start(), range.end())
                    .to_string();
            return Err(invalid(self.at("oparg"), oparg, expected));
        }
        let oparg = usize::from(*oparg);
        if uops::names_local(op) {
            index(self.at("oparg"), oparg, "locals", body.nlocalsplus)?;
        }
        match op.as_str() {
            "_LOAD_CONST" => index(self.at("oparg"), oparg, "consts", body.consts.len()),
            // The low bit asks for a NULL.
            "_LOAD_ATTR" | "_LOAD_GLOBAL" | "_LOAD_GLOBAL_MODULE" | "_LOAD_GLOBAL_BUILTINS" => {
                index(
                    format_args!("{} >> 1", self.at("oparg")),
                    oparg >> 1,
                    "names",
                    body.names.len(),
                )
            }
            "_STORE_ATTR" | "_DELETE_ATTR" | "_STORE_GLOBAL" | "_DELETE_GLOBAL" | "_STORE_NAME"
            | "_DELETE_NAME" => index(self.at("oparg"), oparg, "names", body.names.len()),
            // The low bits say what to push, and whether `super` was called without arguments.
            "_LOAD_SUPER_ATTR_ATTR" | "_LOAD_SUPER_ATTR_METHOD" => index(
                format_args!("{} >> 2", self.at("oparg")),
                oparg >> 2,
                "names",
                body.names.len(),
            ),
            // The error has to be there already: only an error_target leads here.
            "_ERROR_POP_N" if self.is_reached_in_line() => Err(invalid(
                self.at("op"),
                op,
                "a uop that may be reached without an error",
            )),
            "_JUMP_TO_TOP" if self.executor.uops.len() < 2 => {
                Err(invalid(self.at("op"), op, "a second uop for it to jump to"))
            }
            _ => Ok(()),
        }
    }

    /// Whether control may come from the uop before, or from outside.
    fn is_reached_in_line(&self) -> bool {
        let before = self
            .number
            .checked_sub(1)
            .and_then(|before| self.executor.uops.get(before));
        before.is_none_or(|before| !uops::is_terminal(&before.op))
    }

    /// Where `jump_target` and `error_target` lead.
    fn targets(&self) -> Result<()> {
        if let Some(target) = self.uop.jump_target {
            let op = self.target("jump_target", target)?;
            if !uops::is_exit(op) {
                let found = format_args!("{target} ({op})").to_string();
                return Err(invalid(
                    self.at("jump_target"),
                    found,
                    "an _EXIT_TRACE or a _DEOPT",
                ));
            }
        }
        if let Some(target) = self.uop.error_target {
            let op = self.target("error_target", target)?;
            if op != "_ERROR_POP_N" {
                let found = format_args!("{target} ({op})").to_string();
                return Err(invalid(self.at("error_target"), found, "an _ERROR_POP_N"));
            }
        }
        Ok(())
    }

    /// The name of the uop at `target`.
    fn target(&self, field: &str, target: usize) -> Result<&str> {
        let uops = &self.executor.uops;
        index(self.at(field), target, "uops", uops.len())?;
        Ok(&uops[target].op)
    }

    /// Whether the targets are those that a uop of this name has.
    fn metadata(&self) -> Result<()> {
        let Some(facts) = uops::facts(&self.uop.op) else {
            return Ok(());
        };
        let op = &self.uop.op;
        match (facts.jumps, self.uop.jump_target) {
            (true, None) => {
                return Err(missing(
                    self.at("jump_target"),
                    format_args!("where {op} leaves"),
                ));
            }
            (false, Some(_)) => {
                return Err(invalid(
                    self.at("jump_target"),
                    "a target",
                    format_args!("none, {op} never leaves"),
                ));
            }
            _ => {}
        }
        match (facts.error, self.uop.error_target) {
            (Some(_), None) => Err(missing(
                self.at("error_target"),
                format_args!("where {op} raises an error"),
            )),
            (None, Some(_)) => Err(invalid(
                self.at("error_target"),
                "a target",
                format_args!("none, {op} raises no error"),
            )),
            (Some(pop), Some(target)) => {
                let popped = match pop {
                    ErrorPop::Operands => facts.effect.popped.of(self.uop.oparg.into()),
                    ErrorPop::Nothing => 0,
                };
                let found = u64::from(self.executor.uops[target].oparg);
                let whose =
                    format_args!("the values that {op} leaves behind when it raises an error")
                        .to_string();
                equal(
                    format_args!("{} -> oparg", self.at("error_target")),
                    found,
                    popped,
                    whose,
                )
            }
            (None, None) => Ok(()),
        }
    }

    fn exit(&self) -> Result<()> {
        let Uop {
            target,
            jump_target,
            error_target,
            exit,
            ..
        } = self.uop;
        let formats = [
            target.is_some(),
            jump_target.is_some() || error_target.is_some(),
            exit.is_some(),
        ];
        if formats.into_iter().filter(|&is_there| is_there).count() > 1 {
            let found = "more than one of a target, a jump or error target and an exit";
            return Err(invalid(self.path, found, "at most one"));
        }
        let is_exit = self.uop.op == "_EXIT_TRACE";
        match &self.uop.exit {
            None if is_exit => Err(missing(self.at("exit"), "where _EXIT_TRACE leaves to")),
            Some(_) if !is_exit => Err(invalid(
                self.at("exit"),
                "an exit",
                format_args!("none, {} is not an _EXIT_TRACE", self.uop.op),
            )),
            Some(Exit {
                executor: Some(linked),
                ..
            }) => index(
                self.at("exit.executor"),
                *linked,
                "executors",
                self.document.executors.len(),
            ),
            _ if self.uop.op == "_DEOPT" && self.uop.target.is_none() => {
                Err(missing(self.at("target"), "where the interpreter goes on"))
            }
            _ => Ok(()),
        }
    }

    fn operand(&self) -> Result<()> {
        let needed = uops::operand_kind(&self.uop.op);
        let Some(operand) = &self.uop.operand else {
            return match needed {
                Some(kind) => Err(missing(
                    self.at("operand"),
                    format_args!("an operand of kind {kind}"),
                )),
                None => Ok(()),
            };
        };
        if let Some(kind) = needed
            && !matches!(operand, Operand::Unknown { .. })
        {
            let whose = format_args!("which {} needs", self.uop.op).to_string();
            equal(self.at("operand.kind"), operand.kind(), kind, whose)?;
        }
        let value = self.at("operand.value");
        match *operand {
            Operand::Object(found) => self.heap.index(value, found),
            Operand::TypeVersion(found) => self.heap.kind(value, found, &["type"]),
            Operand::KeysVersion(found) => self.heap.kind(value, found, &["type", "module"]),
            Operand::FunctionVersion(found) | Operand::Function(found) => {
                self.heap.kind(value, found, &["function"])
            }
            Operand::Code(code) | Operand::InstructionPointer { code, .. } => {
                code_index(self.document, self.at("operand.code"), code)
            }
            Operand::Executor(found) => {
                index(
                    self.at("operand.executor"),
                    found,
                    "executors",
                    self.document.executors.len(),
                )?;
                equal(
                    self.at("operand.executor"),
                    found,
                    self.executor.id,
                    "the executor that it is in",
                )
            }
            _ => Ok(()),
        }
    }
}

fn entry(document: &Document) -> Result<()> {
    let entry = &document.entry;
    index(
        "entry.executor",
        entry.executor,
        "executors",
        document.executors.len(),
    )?;
    code_index(document, "entry.code", entry.code)?;
    let code = document.executors[entry.executor].code;
    equal(
        "entry.code",
        entry.code,
        code,
        "the code of the entry executor",
    )
}

fn state_in(document: &Document, heap: &Heap<'_>) -> Result<()> {
    let state = &document.state_in;
    code_index(document, "state_in.code", state.code)?;
    equal(
        "state_in.code",
        state.code,
        document.entry.code,
        "the code of the entry",
    )?;
    frame(
        document,
        heap,
        "state_in",
        state.code,
        &state.locals,
        &state.stack,
    )?;
    heap.kind("state_in.function", state.function, &["function"])?;
    match document.values[state.function] {
        Value::Function { code, .. } => equal(
            "state_in.function -> code",
            code,
            state.code,
            "the code of the frame",
        ),
        _ => Ok(()),
    }
}

/// Checks the locals and the stack of a frame.
fn frame(
    document: &Document,
    heap: &Heap<'_>,
    path: &str,
    code: usize,
    locals: &[Option<ValueIndex>],
    stack: &[Option<ValueIndex>],
) -> Result<()> {
    let body = code_in_use(document, format_args!("{path}.code"), code)?;
    let found = format_args!("{} locals", locals.len()).to_string();
    let expected = format_args!("{} locals", body.nlocalsplus).to_string();
    equal(
        format_args!("{path}.locals"),
        found,
        expected,
        format_args!("as codes[{code}] has"),
    )?;
    at_most(
        format_args!("{path}.stack"),
        stack.len(),
        body.stacksize,
        "the stack of its code",
    )?;
    for (field, places) in [("locals", locals), ("stack", stack)] {
        for (number, value) in places.iter().enumerate() {
            if let Some(value) = *value {
                heap.index(format_args!("{path}.{field}[{number}]"), value)?;
            }
        }
    }
    Ok(())
}

fn expected(document: &Document, entry_heap: &Heap<'_>) -> Result<()> {
    let expected = &document.expected;
    expected_exit(document, expected)?;
    let heap = Heap {
        name: "expected.values",
        values: expected.values.iter().map(|value| &value.value).collect(),
    };
    heap.check(document)?;
    heap.creation_order()?;
    frame(
        document,
        &heap,
        "expected",
        expected.code,
        &expected.locals,
        &expected.stack,
    )?;
    for (number, value) in expected.values.iter().enumerate() {
        if let Some(origin) = value.origin {
            entry_heap.kind(
                format_args!("expected.values[{number}].in"),
                origin,
                &[value.value.kind()],
            )?;
        }
    }
    Ok(())
}

/// The exit that is expected is one of the document, and leaves the traces.
fn expected_exit(document: &Document, expected: &Expected) -> Result<()> {
    index(
        "expected.executor",
        expected.executor,
        "executors",
        document.executors.len(),
    )?;
    let uops = &document.executors[expected.executor].uops;
    index("expected.uop", expected.uop, "uops", uops.len())?;
    let uop = &uops[expected.uop];
    let whose = "as that uop says";
    equal("expected.op", &expected.op, &uop.op, whose)?;
    equal("expected.code", expected.code, uop.code, whose)?;
    let target = match (uop.op.as_str(), &uop.exit, &expected.error) {
        ("_EXIT_TRACE", Some(exit), None) if exit.executor.is_none() => Some(exit.target),
        ("_DEOPT", _, None) => uop.target,
        ("_COLD_EXIT" | "_DYNAMIC_EXIT", _, None) => Some(uop.target.unwrap_or(0)),
        ("_ERROR_POP_N", _, Some(_)) => Some(failed_at(uop)),
        _ => None,
    };
    let Some(target) = target else {
        let found = format_args!("{} ({})", expected.uop, uop.op).to_string();
        let wanted = match expected.error {
            Some(_) => "an _ERROR_POP_N, as there is an error",
            None => "an _EXIT_TRACE that is not linked, or a _DEOPT",
        };
        return Err(invalid("expected.uop", found, wanted));
    };
    equal("expected.target", expected.target, target, whose)?;
    match (expected.from, &expected.from_op) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(invalid(
            "expected.from_op",
            "null",
            "the name of the uop that `from` names",
        )),
        (None, Some(op)) => Err(invalid(
            "expected.from_op",
            excerpt(op),
            "null, as `from` is",
        )),
        (Some(from), Some(op)) => {
            index("expected.from", from, "uops", uops.len())?;
            equal("expected.from_op", op, &uops[from].op, whose)?;
            let (field, leads_to) = match expected.error {
                Some(_) => ("error_target", uops[from].error_target),
                None => ("jump_target", uops[from].jump_target),
            };
            if leads_to != Some(expected.uop) {
                let wanted = format_args!("a uop whose {field} is {}", expected.uop).to_string();
                return Err(invalid("expected.from", from, wanted));
            }
            Ok(())
        }
    }
}

/// The instruction that an `_ERROR_POP_N` says has failed.
fn failed_at(uop: &Uop) -> u32 {
    match uop.operand {
        Some(Operand::Offset(offset)) => offset,
        _ => 0,
    }
}

fn stats(document: &Document) -> Result<()> {
    let stats = &document.stats;
    for (field, counts) in [
        ("executor_entries", &stats.executor_entries),
        ("jump_to_top", &stats.jump_to_top),
        ("uops_reached", &stats.uops_reached),
    ] {
        let executors = document.executors.len();
        equal(
            format_args!("stats.{field}"),
            counts.len(),
            executors,
            "the number of executors",
        )?;
    }
    Ok(())
}
