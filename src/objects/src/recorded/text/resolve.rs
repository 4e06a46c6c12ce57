//! Resolving: from the parts of a text to the JSON form, in which everything refers by number. What a text leaves out gets
//! its usual value here. Each part of the JSON form keeps its place in the text, for what is found wrong with it later.

use super::error::{Problem, Result};
use super::heap::{self, Codes, Heap, expected};
use super::kinds;
use super::syntax::{
    At, CodeField, CodeText, EntryText, ExecutorText, File, FrameText, Span, Tree, UopText,
};
use crate::recorded::uops;
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

/// The stack of a code that says nothing of it.
pub(super) const STACK: usize = 16;
/// The version of Python of a trace that says nothing of it.
pub(super) const PYTHON: &str = "3.13";
/// The name of a trace that has none.
pub(super) const PROGRAM: &str = "trace";
/// The name of the code of a trace that has none.
pub(super) const KERNEL: &str = "kernel";

/// A text in the JSON form, and where its parts are.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) json: Json,
    /// The place of what a path of the JSON form leads to.
    pub(super) spans: Vec<(String, Span)>,
}

/// Resolves a whole text.
pub(super) fn resolve(file: &File) -> Result<Resolved> {
    let mut resolver = Resolver::new(file);
    resolver.run()
}

struct Resolver<'f> {
    file: &'f File,
    codes: Codes,
    /// The names of each code's locals.
    locals: Vec<Vec<String>>,
    /// Which local the first of each name is.
    local_numbers: Vec<HashMap<String, usize>>,
    /// For each executor that was looked at, the uop at each label.
    labels: Vec<HashMap<&'f str, usize>>,
    spans: Vec<(String, Span)>,
}

impl<'f> Resolver<'f> {
    fn new(file: &'f File) -> Self {
        let mut names: Vec<String> = file.codes.iter().map(|code| code.name.it.clone()).collect();
        let mut locals: Vec<Vec<String>> = file.codes.iter().map(locals_of).collect();
        if file.codes.is_empty() {
            names.push(KERNEL.to_owned());
            locals.push(names_bound(&file.entry.frame));
        }
        let numbers_of = |names: &Vec<String>| {
            // Of several with one name, the first stays.
            let numbers = names.iter().cloned().zip(0..names.len()).rev();
            numbers.collect::<HashMap<String, usize>>()
        };
        Self {
            file,
            codes: Codes { names },
            local_numbers: locals.iter().map(numbers_of).collect(),
            locals,
            labels: Vec::new(),
            spans: Vec::new(),
        }
    }

    fn span(&mut self, path: impl Into<String>, span: &Span) {
        self.spans.push((path.into(), span.clone()));
    }

    fn run(&mut self) -> Result<Resolved> {
        let file = self.file;
        let mut entry_heap = Heap::new("values", None);
        entry_heap.define(&file.values, &self.codes)?;
        let codes = self.all_codes(&mut entry_heap)?;
        let globals = self.globals(&mut entry_heap)?;
        let executors = self.executors(&mut entry_heap)?;
        let (entry, state_in) = self.entry(&mut entry_heap)?;
        let mut end_heap = Heap::new("expected.values", Some(&entry_heap));
        let expected = self.expected(&mut end_heap)?;
        self.spans.extend(end_heap.spans);
        let (stats, iterations) = self.stats()?;
        let text = |text: &Option<At<String>>, default: &str| {
            text.as_ref().map_or(default, |text| &text.it).to_owned()
        };
        let json = json!({
            "format": crate::recorded::FORMAT,
            "python": text(&file.python, PYTHON),
            "program": text(&file.trace, PROGRAM),
            "source": text(&file.source, ""),
            "entry": entry,
            "codes": codes,
            "globals": globals,
            "executors": executors,
            "values": entry_heap.values,
            "state_in": state_in,
            "expected": expected,
            "loop_iterations": iterations,
            "stats": stats,
        });
        self.spans.extend(entry_heap.spans);
        Ok(Resolved {
            json,
            spans: std::mem::take(&mut self.spans),
        })
    }

    fn all_codes(&mut self, heap: &mut Heap<'_>) -> Result<Json> {
        if self.file.codes.is_empty() {
            let body = CodeBody::default();
            return Ok(json!([body.json(KERNEL, &self.locals[0])]));
        }
        let codes = self.file.codes.iter().enumerate();
        let codes: Result<Vec<Json>> = codes
            .map(|(number, code)| self.code(number, code, heap))
            .collect();
        Ok(Json::Array(codes?))
    }

    fn code(&mut self, number: usize, code: &CodeText, heap: &mut Heap<'_>) -> Result<Json> {
        let path = format!("codes[{number}]");
        self.span(path.as_str(), &code.name.span);
        if code.fields.is_empty() && code.instructions.is_empty() {
            return Ok(json!({"name": code.name.it}));
        }
        let mut body = CodeBody::default();
        for (name, field) in &code.fields {
            let key = match name.it.as_str() {
                "arguments" => "argcount",
                "keyword_only" => "kwonly",
                "stack" => "stacksize",
                "locals" => "varnames",
                other => other,
            };
            self.span(format!("{path}.{key}"), &name.span);
            let value = match field {
                CodeField::Number(digits) => heap::number(&digits.span, &digits.it)?,
                CodeField::Flag => json!(true),
                CodeField::Names(names) => {
                    names.iter().map(|name| json!(name.it)).collect::<Json>()
                }
                CodeField::Values(values) => {
                    let mut consts = Vec::new();
                    for value in values {
                        self.span(format!("{path}.consts[{}]", consts.len()), &value.span);
                        consts.push(json!(heap.nullable(value, &self.codes)?));
                    }
                    Json::Array(consts)
                }
            };
            body.fields.insert(key.to_owned(), value);
        }
        for instruction in &code.instructions {
            let offset = heap::number(&instruction.it.offset.span, &instruction.it.offset.it)?;
            let oparg = match &instruction.it.oparg {
                Some(oparg) => heap::number(&oparg.span, &oparg.it)?,
                None => Json::Null,
            };
            let place = format!("{path}.instructions[{}]", body.instructions.len());
            self.span(place, &instruction.span);
            body.instructions
                .push(json!([offset, instruction.it.name.it, oparg]));
        }
        Ok(body.json(&code.name.it, &self.locals[number]))
    }

    fn globals(&mut self, heap: &mut Heap<'_>) -> Result<Json> {
        let mut globals = Map::new();
        for binding in &self.file.globals {
            let name = heap::name_of(&binding.name)?;
            let Some(value) = &binding.value else {
                let message = "a global has a value, `name=value`";
                return Err(Problem::new(binding.name.span.clone(), message));
            };
            self.span(format!("globals.{name}"), &value.span);
            let value = heap.value(value, &self.codes)?;
            if globals.insert(name.to_owned(), json!(value)).is_some() {
                let message = format!("the global `{name}` is given twice");
                return Err(Problem::new(binding.name.span.clone(), message));
            }
        }
        Ok(Json::Object(globals))
    }

    fn executors(&mut self, heap: &mut Heap<'_>) -> Result<Json> {
        let executors = self.file.executors.iter().enumerate();
        let executors: Result<Vec<Json>> = executors
            .map(|(number, executor)| self.executor(number, executor, heap))
            .collect();
        Ok(Json::Array(executors?))
    }

    fn executor(
        &mut self,
        number: usize,
        executor: &'f ExecutorText,
        heap: &mut Heap<'_>,
    ) -> Result<Json> {
        let path = format!("executors[{number}]");
        self.span(path.as_str(), &executor.span);
        if let Some(given) = &executor.number
            && given.it != number.to_string()
        {
            let expected = format_args!("{number}, as executors are numbered from 0").to_string();
            return Err(Problem::expected(given.span.clone(), expected, &given.it));
        }
        self.labels.push(labels_of(executor)?);
        let code = self.executor_code(executor)?;
        let mut uops = Vec::new();
        let mut exits = 0;
        for (index, text) in executor.uops.iter().enumerate() {
            let path = format!("{path}.uops[{index}]");
            self.span(path.as_str(), &text.span);
            let mut uop = UopResolver {
                resolver: self,
                heap,
                executor,
                number,
                code,
                text,
                path,
                json: Map::new(),
            };
            uop.run(&mut exits)?;
            uops.push(Json::Object(uop.json));
        }
        Ok(json!({"id": number, "code": code, "uops": uops}))
    }

    fn executor_code(&self, executor: &ExecutorText) -> Result<usize> {
        match &executor.code {
            Some(code) => self.codes.find(code),
            None => Ok(0),
        }
    }

    /// The executor of this number.
    fn executor_at(&self, number: &At<String>) -> Result<(usize, &'f ExecutorText)> {
        let index = number.it.parse().ok();
        let found = index.and_then(|index: usize| Some((index, self.file.executors.get(index)?)));
        found.ok_or_else(|| Problem::new(number.span.clone(), "there is no such executor"))
    }

    fn entry(&mut self, heap: &mut Heap<'_>) -> Result<(Json, Json)> {
        let entry = &self.file.entry;
        self.span("entry", &entry.span);
        self.span("state_in", &entry.span);
        let executor = match entry_number(entry, "enters") {
            Some(number) => self.executor_at(number)?.0,
            None => 0,
        };
        let Some(text) = self.file.executors.get(executor) else {
            let message = "expected an `executor`";
            return Err(Problem::new(self.file.end.clone(), message));
        };
        let code = self.executor_code(text)?;
        let number = |name: &str, default: Json| match entry_number(entry, name) {
            Some(number) => heap::number(&number.span, &number.it),
            None => Ok(default),
        };
        let offset = match &entry.offset {
            Some(offset) => heap::number(&offset.span, &offset.it)?,
            None => json!(0),
        };
        let jump_offset = number("jump", offset.clone())?;
        let arrival = number("arrival", json!(1))?;
        let warmup_calls = number("warmup", json!(0))?;
        let function = match &entry.function {
            Some(function) => {
                self.span("state_in.function", &function.span);
                heap.value(function, &self.codes)?
            }
            None => self.function_of(code, heap)?,
        };
        let (locals, stack) = self.frame("state_in", &entry.frame, code, heap)?;
        let entry = json!({
            "executor": executor,
            "code": code,
            "offset": offset,
            "jump_offset": jump_offset,
            "arrival": arrival,
            "warmup_calls": warmup_calls,
        });
        let state = json!({"code": code, "function": function, "locals": locals, "stack": stack});
        Ok((entry, state))
    }

    /// The first function of a code, or a new one.
    fn function_of(&self, code: usize, heap: &mut Heap<'_>) -> Result<usize> {
        let is_function = |json: &Json| json["t"] == "function" && json["code"] == code;
        if let Some(known) = heap.values.iter().position(is_function) {
            return Ok(known);
        }
        let span = self.file.entry.span.clone();
        let argument = super::syntax::Argument {
            field: None,
            value: At {
                it: Tree::Int(code.to_string()),
                span: span.clone(),
            },
        };
        let it = Tree::Make("function".to_owned(), vec![argument]);
        heap.value(&At { it, span }, &self.codes)
    }

    /// Locals and stack of a frame.
    fn frame(
        &mut self,
        path: &str,
        frame: &FrameText,
        code: usize,
        heap: &mut Heap<'_>,
    ) -> Result<(Json, Json)> {
        let mut locals = vec![Json::Null; self.locals[code].len()];
        let mut is_given = vec![false; locals.len()];
        for binding in &frame.locals {
            let number = self.local(code, &binding.name)?;
            if std::mem::replace(&mut is_given[number], true) {
                let span = binding.name.span.clone();
                return Err(Problem::new(span, "this local is given twice"));
            }
            if let Some(value) = &binding.value {
                self.span(format!("{path}.locals[{number}]"), &value.span);
                locals[number] = json!(heap.nullable(value, &self.codes)?);
            }
        }
        let mut stack = Vec::new();
        for value in &frame.stack {
            self.span(format!("{path}.stack[{}]", stack.len()), &value.span);
            stack.push(json!(heap.nullable(value, &self.codes)?));
        }
        if let Some(first) = frame.stack.first() {
            self.span(format!("{path}.stack"), &first.span);
        }
        Ok((Json::Array(locals), Json::Array(stack)))
    }

    /// The number of a local, given by name or by number.
    fn local(&self, code: usize, name: &At<Tree>) -> Result<usize> {
        let locals = &self.locals[code];
        let found = match &name.it {
            Tree::Word(name) | Tree::Str(name) => self.local_numbers[code].get(name).copied(),
            Tree::Int(number) => number.parse().ok().filter(|&number| number < locals.len()),
            other => return expected(&name.span, "the name or the number of a local", other),
        };
        found.ok_or_else(|| {
            let message = match locals.is_empty() {
                true => format!("`{}` has no locals", self.codes.names[code]),
                false => format!(
                    "`{}` has no such local, but {}",
                    self.codes.names[code],
                    locals.join(", ")
                ),
            };
            Problem::new(name.span.clone(), message)
        })
    }

    fn expected(&mut self, heap: &mut Heap<'_>) -> Result<Json> {
        let Some(expect) = &self.file.expect else {
            let message = "expected an `expect`, which says where control leaves";
            return Err(Problem::new(self.file.end.clone(), message));
        };
        self.span("expected", &expect.span);
        let (number, executor) = match &expect.executor {
            Some(number) => self.executor_at(number)?,
            None => match self.file.executors.first() {
                Some(first) => (0, first),
                None => {
                    let message = "there is no executor to leave";
                    return Err(Problem::new(expect.span.clone(), message));
                }
            },
        };
        let labels = &self.labels[number];
        let uop = place(executor, labels, &expect.uop)?;
        let from = expect.from.as_ref();
        let from_number = from.map(|from| place(executor, labels, from)).transpose()?;
        self.span("expected.uop", &expect.uop.span);
        if let Some(from) = from {
            self.span("expected.from", &from.span);
        }
        let left = &executor.uops[uop];
        let code = self.uop_code(executor, left)?;
        heap.define(&expect.values, &self.codes)?;
        let (locals, stack) = self.frame("expected", &expect.frame, code, heap)?;
        let mut expected = json!({
            "executor": number,
            "uop": uop,
            "op": left.op.it,
            "from": from_number,
            "from_op": from_number.map(|from| &executor.uops[from].op.it),
            "code": code,
            "target": target_of(left)?,
            "locals": locals,
            "stack": stack,
            "values": heap.values,
        });
        if let Some((class, message)) = &expect.error {
            self.span("expected.error", &class.span);
            let message = message.as_ref().map_or("", |message| &message.it);
            expected["error"] = json!({"type": class.it, "message": message});
        }
        Ok(expected)
    }

    fn stats(&self) -> Result<(Json, Json)> {
        let zeros = vec![0; self.file.executors.len()];
        let mut stats = json!({
            "uops_executed": 0,
            "executor_entries": zeros,
            "jump_to_top": zeros,
            "uops_reached": zeros,
        });
        let mut iterations = json!(0);
        let fields = self.file.stats.iter().flat_map(|stats| &stats.fields);
        for (name, numbers) in fields {
            let counts: Result<Vec<Json>> = numbers
                .iter()
                .map(|number| heap::number(&number.span, &number.it))
                .collect();
            let counts = counts?;
            let one = || match counts.as_slice() {
                [one] => Ok(one.clone()),
                _ => Err(Problem::new(name.span.clone(), "expected one number")),
            };
            match name.it.as_str() {
                "iterations" => iterations = one()?,
                "uops" => stats["uops_executed"] = one()?,
                "entries" => stats["executor_entries"] = json!(counts),
                "tops" => stats["jump_to_top"] = json!(counts),
                _ => stats["uops_reached"] = json!(counts),
            }
        }
        Ok((stats, iterations))
    }

    fn uop_code(&self, executor: &ExecutorText, uop: &UopText) -> Result<usize> {
        match &uop.code {
            Some(code) => self.codes.find(code),
            None => self.executor_code(executor),
        }
    }
}

/// What is said of a code in use.
struct CodeBody {
    fields: Map<String, Json>,
    instructions: Vec<Json>,
}

impl Default for CodeBody {
    fn default() -> Self {
        let usual = json!({
            "argcount": 0,
            "kwonly": 0,
            "varargs": false,
            "stacksize": STACK,
            "names": [],
            "consts": [],
        });
        Self {
            fields: usual.as_object().cloned().unwrap_or_default(),
            instructions: Vec::new(),
        }
    }
}

impl CodeBody {
    fn json(mut self, name: &str, locals: &[String]) -> Json {
        self.fields.insert("name".to_owned(), json!(name));
        self.fields.insert("varnames".to_owned(), json!(locals));
        self.fields
            .insert("nlocalsplus".to_owned(), json!(locals.len()));
        self.fields
            .insert("instructions".to_owned(), json!(self.instructions));
        Json::Object(self.fields)
    }
}

fn locals_of(code: &CodeText) -> Vec<String> {
    let names = code.fields.iter().find_map(|(name, field)| match field {
        CodeField::Names(names) if name.it == "locals" => Some(names),
        _ => None,
    });
    let names = names.into_iter().flatten();
    names.map(|name| name.it.clone()).collect()
}

/// The names that a frame gives its locals.
fn names_bound(frame: &FrameText) -> Vec<String> {
    let names = frame
        .locals
        .iter()
        .filter_map(|local| match &local.name.it {
            Tree::Word(name) | Tree::Str(name) => Some(name.clone()),
            _ => None,
        });
    names.collect()
}

fn entry_number<'f>(entry: &'f EntryText, name: &str) -> Option<&'f At<String>> {
    let mut numbers = entry.numbers.iter();
    numbers
        .find(|(known, _)| known.it == name)
        .map(|(_, number)| number)
}

/// The uop at each label.
fn labels_of(executor: &ExecutorText) -> Result<HashMap<&str, usize>> {
    let mut labels = HashMap::new();
    for (number, uop) in executor.uops.iter().enumerate() {
        for label in &uop.labels {
            if labels.insert(label.it.as_str(), number).is_some() {
                let message = format!("the label `{}` is there twice", label.it);
                return Err(Problem::new(label.span.clone(), message));
            }
        }
    }
    Ok(labels)
}

/// The index of the uop at a label, or of this index, of an executor with these labels.
fn place(
    executor: &ExecutorText,
    labels: &HashMap<&str, usize>,
    place: &At<Tree>,
) -> Result<usize> {
    let found = match &place.it {
        Tree::Word(name) => labels.get(name.as_str()).copied(),
        Tree::Int(number) => number
            .parse()
            .ok()
            .filter(|&number| number < executor.uops.len()),
        other => return expected(&place.span, "a label or the index of a uop", other),
    };
    found.ok_or_else(|| Problem::new(place.span.clone(), "there is no such uop in this executor"))
}

/// Where the interpreter goes on behind the uop through which control leaves.
fn target_of(uop: &UopText) -> Result<Json> {
    let field = match uop.op.it.as_str() {
        "_ERROR_POP_N" => "offset",
        _ => "target",
    };
    let given = uop.fields.iter().find_map(|(name, value)| match value {
        Some(At {
            it: Tree::Int(digits),
            span,
        }) if name.it == field => Some((span, digits)),
        _ => None,
    });
    match (&uop.offset, given) {
        (Some(offset), _) => heap::number(&offset.span, &offset.it),
        (None, Some((span, digits))) => heap::number(span, digits),
        (None, None) => Ok(json!(0)),
    }
}

/// One uop on its way to the JSON form.
struct UopResolver<'r, 'f, 'h, 'e> {
    resolver: &'r mut Resolver<'f>,
    heap: &'h mut Heap<'e>,
    executor: &'r ExecutorText,
    /// The number of the executor.
    number: usize,
    /// The executor's code.
    code: usize,
    text: &'r UopText,
    path: String,
    json: Map<String, Json>,
}

impl UopResolver<'_, '_, '_, '_> {
    fn run(&mut self, exits: &mut usize) -> Result<()> {
        let text = self.text;
        self.set("op", &text.op.span, json!(text.op.it));
        self.own_code()?;
        self.positional()?;
        self.offset(exits)?;
        for (name, value) in &text.fields {
            self.field(name, value.as_ref())?;
        }
        self.places()?;
        self.usual();
        Ok(())
    }

    fn set(&mut self, field: &str, span: &Span, value: Json) {
        let path = format!("{}.{field}", self.path);
        self.resolver.span(path, span);
        self.json.insert(field.to_owned(), value);
    }

    /// The code that the uop belongs to.
    fn uop_code(&self) -> Result<usize> {
        match &self.text.code {
            Some(code) => self.resolver.codes.find(code),
            None => Ok(self.code),
        }
    }

    fn own_code(&mut self) -> Result<()> {
        let code = self.uop_code()?;
        if code != self.code
            && let Some(text) = &self.text.code
        {
            self.set("code", &text.span, json!(code));
        }
        Ok(())
    }

    /// The argument that needs no name: the object for a uop that holds one, else the oparg.
    fn positional(&mut self) -> Result<()> {
        let Some(argument) = &self.text.positional else {
            return Ok(());
        };
        let op = self.text.op.it.as_str();
        if uops::operand_kind(op) == Some("object") {
            return self.object("object", argument);
        }
        let oparg = match &argument.it {
            Tree::Int(digits) => heap::number(&argument.span, digits)?,
            Tree::Word(_) | Tree::Str(_) if uops::local_access(op).is_some() => {
                let code = self.uop_code()?;
                json!(self.resolver.local(code, argument)?)
            }
            Tree::Str(operator) => match kinds::oparg_of_operator(op, operator) {
                Some(oparg) => json!(oparg),
                None => {
                    let message = format!("`{op}` has no operator {operator:?}");
                    return Err(Problem::new(argument.span.clone(), message));
                }
            },
            other => {
                let what = format!("the oparg of `{op}`, an int");
                return expected(&argument.span, &what, other);
            }
        };
        self.set("oparg", &argument.span, oparg);
        Ok(())
    }

    fn object(&mut self, kind: &str, value: &At<Tree>) -> Result<()> {
        let index = self.heap.value(value, &self.resolver.codes)?;
        self.operand(&value.span, json!({"kind": kind, "value": index}))
    }

    fn operand(&mut self, span: &Span, operand: Json) -> Result<()> {
        if self.json.contains_key("operand") {
            return Err(Problem::new(span.clone(), "a uop has one operand"));
        }
        self.resolver.span(format!("{}.operand", self.path), span);
        self.json.insert("operand".to_owned(), operand);
        Ok(())
    }

    /// `@offset`: where the uop's instruction is, or where the interpreter goes on.
    fn offset(&mut self, exits: &mut usize) -> Result<()> {
        let is_exit = self.text.op.it == "_EXIT_TRACE";
        let Some(offset) = &self.text.offset else {
            if is_exit {
                let message = "expected `@` and the offset where the interpreter goes on";
                return Err(Problem::new(self.text.span.clone(), message));
            }
            return Ok(());
        };
        let number = heap::number(&offset.span, &offset.it)?;
        let has = |name: &str| self.text.fields.iter().any(|(field, _)| field.it == name);
        match self.text.op.it.as_str() {
            "_EXIT_TRACE" => {
                let link = match &self.text.link {
                    Some(link) => json!(self.resolver.executor_at(link)?.0),
                    None => Json::Null,
                };
                let exit = json!({"index": *exits, "target": number, "executor": link});
                *exits += 1;
                self.set("exit", &offset.span, exit);
            }
            "_ERROR_POP_N" => {
                if number != 0 && !has("offset") {
                    let operand = json!({"kind": "offset", "offset": number});
                    self.operand(&offset.span, operand)?;
                }
                self.set("target", &offset.span, json!(0));
            }
            op @ ("_SET_IP" | "_CHECK_VALIDITY_AND_SET_IP") => {
                if !has("ip") {
                    let code = self.uop_code()?;
                    let operand = json!({"kind": "ip", "code": code, "offset": number});
                    self.operand(&offset.span, operand)?;
                }
                if op == "_SET_IP" {
                    self.set("target", &offset.span, number);
                }
            }
            _ => self.set("target", &offset.span, number),
        }
        Ok(())
    }

    fn field(&mut self, name: &At<String>, value: Option<&At<Tree>>) -> Result<()> {
        let Some(value) = value else {
            return self.operand(&name.span, json!({"kind": name.it}));
        };
        match name.it.as_str() {
            kind @ ("object" | "type_version" | "keys_version" | "function_version"
            | "function") => self.object(kind, value),
            "oparg" => {
                let oparg = self.int(value)?;
                self.set("oparg", &value.span, oparg);
                Ok(())
            }
            "target" => {
                let target = self.int(value)?;
                self.set("target", &value.span, target);
                Ok(())
            }
            "exit" => {
                let index = self.int(value)?;
                let Some(exit) = self.json.get_mut("exit") else {
                    let message = "only an `_EXIT_TRACE` has a number among the exits";
                    return Err(Problem::new(name.span.clone(), message));
                };
                exit["index"] = index;
                Ok(())
            }
            "code" => {
                let code = self.resolver.codes.find(value)?;
                self.operand(&value.span, json!({"kind": "code", "code": code}))
            }
            "ip" => self.instruction_pointer(value),
            kind @ ("executor" | "offset" | "framesize") => {
                let number = self.int(value)?;
                self.operand(&value.span, json!({"kind": kind, kind: number}))
            }
            "operand" => {
                let kind = heap::name_of(value)?;
                self.operand(&value.span, json!({"kind": kind}))
            }
            "index" => {
                let index = self.int(value)?;
                self.attribute("index", &value.span, index)
            }
            "name" => {
                let attribute = json!(heap::name_of(value)?);
                self.attribute("name", &value.span, attribute)
            }
            _ => Err(Problem::new(
                name.span.clone(),
                format_args!("a uop has no field `{}`", name.it),
            )),
        }
    }

    fn int(&self, value: &At<Tree>) -> Result<Json> {
        match &value.it {
            Tree::Int(digits) => heap::number(&value.span, digits),
            other => expected(&value.span, "an int", other),
        }
    }

    /// `ip=offset`, in the code of the uop, or `ip=(code, offset)`.
    fn instruction_pointer(&mut self, value: &At<Tree>) -> Result<()> {
        let (code, offset) = match &value.it {
            Tree::Tuple(items) if items.len() == 2 => {
                (self.resolver.codes.find(&items[0])?, self.int(&items[1])?)
            }
            Tree::Int(_) => (self.uop_code()?, self.int(value)?),
            other => return expected(&value.span, "an offset or `(code, offset)`", other),
        };
        let operand = json!({"kind": "ip", "code": code, "offset": offset});
        self.operand(&value.span, operand)
    }

    /// The two halves of an operand that names an attribute.
    fn attribute(&mut self, half: &str, span: &Span, value: Json) -> Result<()> {
        if let Some(operand) = self.json.get_mut("operand")
            && operand["kind"] == "index"
            && operand.get(half).is_none()
        {
            operand[half] = value;
            return Ok(());
        }
        self.operand(span, json!({"kind": "index", half: value}))
    }

    /// The jump and the error target.
    fn places(&mut self) -> Result<()> {
        let text = self.text;
        if let Some(jump) = &text.jump {
            let index = place(self.executor, &self.resolver.labels[self.number], jump)?;
            self.set("jump_target", &jump.span, json!(index));
        }
        if let Some(error) = &text.error {
            let index = place(self.executor, &self.resolver.labels[self.number], error)?;
            self.set("error_target", &error.span, json!(index));
        }
        match &text.link {
            Some(link) if text.op.it != "_EXIT_TRACE" => {
                let message = "only an `_EXIT_TRACE` is linked to an executor";
                Err(Problem::new(link.span.clone(), message))
            }
            _ => Ok(()),
        }
    }

    /// What goes without saying.
    fn usual(&mut self) {
        let op = self.text.op.it.as_str();
        if !self.json.contains_key("oparg") {
            let oparg = uops::fixed_oparg(op).unwrap_or(0);
            self.json.insert("oparg".to_owned(), json!(oparg));
        }
        if op == "_START_EXECUTOR" && !self.json.contains_key("operand") {
            let operand = json!({"kind": "executor", "executor": self.number});
            self.json.insert("operand".to_owned(), operand);
        }
    }
}
