//! Writing: from a document to its text. There is one text for each document, and what has its usual value is left out.

use super::super::surrogates;
use super::heap::{Codes, default_of, scalar_key};
use super::kinds::{self, Field};
use super::lex::{is_word, is_word_char};
use super::resolve::{KERNEL, PROGRAM, PYTHON, STACK};
use crate::recorded::format::{
    Code, CodeBody, Document, Executor, Expected, Offset, Operand, State, Uop, ValueIndex,
};
use crate::recorded::{uops, write};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// Lines of values are filled up to here.
const WIDTH: usize = 100;

/// The text of a document.
pub(super) fn document(document: &Document) -> String {
    let whole = [document.values.len(), document.expected.values.len()];
    let short = [
        whole[0] - unlisted(document, entry_values(document)),
        whole[1] - unlisted(document, end_values(document)),
    ];
    let json = document.to_json();
    // What is written where it is used need not be listed, if that gives it the number it has.
    [short, [short[0], whole[1]], [whole[0], short[1]]]
        .into_iter()
        .filter(|&listed| listed != whole)
        .map(|listed| Writer::new(document, listed).run())
        .find(|text| Document::parse_text(text).is_ok_and(|read| read.to_json() == json))
        .unwrap_or_else(|| Writer::new(document, whole).run())
}

fn entry_values(document: &Document) -> Vec<Json> {
    document.values.iter().map(write::value).collect()
}

fn end_values(document: &Document) -> Vec<Json> {
    let values = document.expected.values.iter();
    values.map(write::expected_value).collect()
}

/// How many values at the end of a list may be left to their uses: scalars, and the function of the entry.
fn unlisted(document: &Document, values: Vec<Json>) -> usize {
    let code = document.state_in.code;
    let is_usual = |json: &&Json| {
        let is_scalar = scalar_key(json).is_some() && json.get("in").is_none();
        is_scalar || json["t"] == "function" && json["code"] == code && json.get("in").is_none()
    };
    values.iter().rev().take_while(is_usual).count()
}

/// One of the two lists of objects: what stands for each where it is used.
struct Values {
    json: Vec<Json>,
    /// The literals of scalars, the first of its kind each, and the names of all others.
    texts: Vec<String>,
    is_literal: Vec<bool>,
}

impl Values {
    /// `wish` gives the names that some should have; `taken` are those that only they may have.
    fn new(
        json: Vec<Json>,
        wish: impl Fn(usize) -> Option<String>,
        taken: &HashSet<String>,
        prefix: &str,
    ) -> Self {
        let mut names = HashSet::new();
        let mut scalars = HashMap::new();
        let mut texts = Vec::new();
        let mut is_literal = Vec::new();
        for (index, value) in json.iter().enumerate() {
            let first = scalar_key(value).map(|key| *scalars.entry(key).or_insert(index));
            is_literal.push(first == Some(index));
            if first == Some(index) {
                texts.push(literal(value));
                continue;
            }
            let name = wish(index)
                .filter(|name| !names.contains(name))
                .unwrap_or_else(|| free_name(index, value, prefix, &names, taken));
            texts.push(format!("%{name}"));
            names.insert(name);
        }
        Self {
            json,
            texts,
            is_literal,
        }
    }

    fn at(&self, index: ValueIndex) -> &str {
        &self.texts[index]
    }

    fn place(&self, place: Option<ValueIndex>) -> &str {
        place.map_or("null", |index| self.at(index))
    }

    /// The name of a value that has one.
    fn name(&self, index: usize) -> Option<String> {
        Some(self.texts[index].strip_prefix('%')?.to_owned()).filter(|_| !self.is_literal[index])
    }
}

/// A name that no other object has: its own for what has one, else its kind and number.
fn free_name(
    index: usize,
    value: &Json,
    prefix: &str,
    names: &HashSet<String>,
    taken: &HashSet<String>,
) -> String {
    let is_free = |name: &String| !names.contains(name) && !taken.contains(name);
    let own = value.get("name").and_then(Json::as_str).unwrap_or_default();
    let own: String = own.chars().filter(|&char| is_word_char(char)).collect();
    if prefix.is_empty() && !own.is_empty() && is_free(&own) {
        return own;
    }
    let kind = value["t"].as_str().unwrap_or_default();
    let kind: String = kind.chars().filter(|&char| is_word_char(char)).collect();
    let base = if own.is_empty() { kind } else { own };
    let mut name = format!("{prefix}{base}{index}");
    while !is_free(&name) {
        name.push('_');
    }
    name
}

struct Writer<'d> {
    document: &'d Document,
    codes: Codes,
    entry: Values,
    end: Values,
    /// How many of each list get a line.
    listed: [usize; 2],
    text: String,
}

impl<'d> Writer<'d> {
    fn new(document: &'d Document, listed: [usize; 2]) -> Self {
        let names = document.codes.iter().map(|code| code.name.clone());
        let entry = Values::new(entry_values(document), |_| None, &HashSet::new(), "");
        let taken = (0..entry.json.len())
            .filter_map(|index| entry.name(index))
            .collect();
        let origins = &document.expected.values;
        let wish = |index: usize| entry.name(origins[index].origin?);
        let end = Values::new(end_values(document), wish, &taken, "new_");
        Self {
            document,
            codes: Codes {
                names: names.collect(),
            },
            entry,
            end,
            listed,
            text: String::new(),
        }
    }

    fn line(&mut self, indent: usize, text: impl AsRef<str>) {
        let text = text.as_ref();
        let _ = writeln!(self.text, "{:indent$}{text}", "", indent = 4 * indent);
    }

    fn blank(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn run(mut self) -> String {
        let document = self.document;
        if document.program != PROGRAM {
            self.line(0, format!("trace {}", quoted(&document.program)));
        }
        if document.python != PYTHON {
            self.line(0, format!("python {}", quoted(&document.python)));
        }
        self.source();
        if !self.code_is_usual() {
            self.all_codes();
        }
        self.values();
        self.globals();
        self.state_in();
        for executor in &document.executors {
            self.executor(executor);
        }
        self.expected();
        self.stats();
        self.text
    }

    fn source(&mut self) {
        let source = &self.document.source;
        if source.is_empty() {
            return;
        }
        self.blank();
        let Some(lines) = source.strip_suffix('\n') else {
            self.line(0, format!("source {}", quoted(source)));
            return;
        };
        self.line(0, "source");
        for line in lines.split('\n') {
            let text = if line.is_empty() {
                "|".to_owned()
            } else {
                format!("| {line}")
            };
            self.line(1, text);
        }
    }

    /// Whether the only code is the one that a text without codes has.
    fn code_is_usual(&self) -> bool {
        let [
            Code {
                name,
                body: Some(body),
            },
        ] = self.document.codes.as_slice()
        else {
            return false;
        };
        let distinct: HashSet<&String> = body.varnames.iter().collect();
        name == KERNEL
            && distinct.len() == body.varnames.len()
            && *body
                == CodeBody {
                    argcount: 0,
                    kwonly: 0,
                    varargs: false,
                    flags: None,
                    nlocalsplus: body.varnames.len(),
                    stacksize: STACK,
                    varnames: body.varnames.clone(),
                    names: Vec::new(),
                    consts: Vec::new(),
                    instructions: Vec::new(),
                }
    }

    fn all_codes(&mut self) {
        for code in &self.document.codes {
            self.blank();
            self.line(0, format!("code {}", word(&code.name)));
            if let Some(body) = &code.body {
                self.code_body(body);
            }
        }
    }

    fn code_body(&mut self, body: &CodeBody) {
        for (name, number) in [("arguments", body.argcount), ("keyword_only", body.kwonly)] {
            if number != 0 {
                self.line(1, format!("{name} {number}"));
            }
        }
        if body.varargs {
            self.line(1, "varargs");
        }
        if let Some(flags) = body.flags {
            self.line(1, format!("flags {flags}"));
        }
        self.line(1, format!("stack {}", body.stacksize));
        for (field, names) in [("locals", &body.varnames), ("names", &body.names)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| word(name)).collect();
                self.line(1, format!("{field} {}", names.join(", ")));
            }
        }
        if !body.consts.is_empty() {
            let consts: Vec<&str> = body.consts.iter().map(|&it| self.entry.place(it)).collect();
            let consts = consts.join(", ");
            self.line(1, format!("consts {consts}"));
        }
        for instruction in &body.instructions {
            let oparg = instruction.oparg.map(|it| format!(" {it}"));
            let name = word(&instruction.name);
            let oparg = oparg.unwrap_or_default();
            self.line(1, format!("{:<3} {name}{oparg}", instruction.offset));
        }
    }

    fn values(&mut self) {
        let listed = self.listed[0];
        if listed == 0 {
            return;
        }
        self.blank();
        self.line(0, "values");
        let definitions: Vec<(String, bool)> = (0..listed)
            .map(|index| {
                let text = self.entry.at(index).to_owned();
                if self.entry.is_literal[index] {
                    return (text, true);
                }
                let value = self.value(&self.entry, index);
                (format!("{text} = {value}"), false)
            })
            .collect();
        self.definitions(1, &definitions);
    }

    /// Short definitions share lines.
    fn definitions(&mut self, indent: usize, definitions: &[(String, bool)]) {
        let mut line = String::new();
        for (text, is_short) in definitions {
            let fits = 4 * indent + line.chars().count() + text.chars().count() + 2 <= WIDTH;
            if !line.is_empty() && (!is_short || !fits) {
                self.line(indent, std::mem::take(&mut line));
            }
            if !is_short {
                self.line(indent, text);
                continue;
            }
            if !line.is_empty() {
                line.push_str(", ");
            }
            line.push_str(text);
        }
        if !line.is_empty() {
            self.line(indent, line);
        }
    }

    /// What an object is made of.
    fn value(&self, values: &Values, index: usize) -> String {
        let json = &values.json[index];
        if scalar_key(json).is_some() {
            return literal(json);
        }
        let tag = json["t"].as_str().unwrap_or_default();
        let Some(kind) = kinds::by_tag(tag, json.get("user").is_some()) else {
            return format!("unknown({})", quoted(tag));
        };
        match kind.word {
            "list" => return format!("[{}]", list(values, &json["items"])),
            "tuple" => {
                let comma = if array(&json["items"]).len() == 1 {
                    ","
                } else {
                    ""
                };
                return format!("({}{comma})", list(values, &json["items"]));
            }
            "set" if !array(&json["items"]).is_empty() => {
                return format!("{{{}}}", list(values, &json["items"]));
            }
            "dict" => return self.field(values, Field::Pairs, &json["items"]),
            _ => {}
        }
        let mut arguments = Vec::new();
        let mut all = true;
        for &(name, field) in kind.fields {
            let Some(value) = json.get(name) else {
                all = false;
                continue;
            };
            let known = json.as_object().cloned().unwrap_or_default();
            if kind.optional.contains(&name)
                && default_of(name, field, &known, &self.codes).as_ref() == Some(value)
            {
                all = false;
                continue;
            }
            let text = self.field(values, field, value);
            arguments.push(if all { text } else { format!("{name}={text}") });
        }
        format!("{}({})", kind.word, arguments.join(", "))
    }

    fn field(&self, values: &Values, field: Field, json: &Json) -> String {
        let at = |json: &Json| values.place(index_of(json)).to_owned();
        match field {
            Field::Value | Field::Nullable => at(json),
            Field::Values => format!("[{}]", list(values, json)),
            Field::Pairs => {
                let pairs = array(json).iter();
                let pairs: Vec<String> = pairs
                    .map(|pair| format!("{}: {}", at(&pair[0]), at(&pair[1])))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Field::Attributes => {
                let pairs = array(json).iter();
                let pairs: Vec<String> = pairs
                    .map(|pair| format!("{}: {}", word_of(&pair[0]), at(&pair[1])))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Field::Names => {
                let names: Vec<String> = array(json).iter().map(word_of).collect();
                format!("[{}]", names.join(", "))
            }
            Field::Name => word_of(json),
            Field::Decimal => json.as_str().unwrap_or_default().to_owned(),
            Field::Integer => json.to_string(),
            Field::Code => self.code(index_of(json).unwrap_or_default()),
        }
    }

    /// The name of a code, or its number where another has the name.
    fn code(&self, code: usize) -> String {
        let name = &self.codes.names[code];
        if self.codes.names.iter().position(|known| known == name) == Some(code) {
            word(name)
        } else {
            code.to_string()
        }
    }

    fn globals(&mut self) {
        let globals = &self.document.globals;
        if globals.is_empty() {
            return;
        }
        self.blank();
        self.line(0, "globals");
        for (name, &value) in globals {
            let value = self.entry.at(value).to_owned();
            self.line(1, format!("{} = {value}", word(name)));
        }
    }

    fn state_in(&mut self) {
        let document = self.document;
        let entry = &document.entry;
        let mut lines = Vec::new();
        for (name, number, usual) in [
            ("enters", entry.executor as u64, 0),
            ("jump", entry.jump_offset.into(), entry.offset.into()),
            ("arrival", entry.arrival, 1),
            ("warmup", entry.warmup_calls, 0),
        ] {
            if number != usual {
                lines.push(format!("{name} {number}"));
            }
        }
        let State {
            code,
            function,
            locals,
            stack,
        } = &document.state_in;
        let is_function = |json: &Json| json["t"] == "function" && json["code"] == *code;
        if self.entry.json.iter().position(is_function) != Some(*function) {
            lines.push(format!("function {}", self.entry.at(*function)));
        }
        lines.extend(self.frame(&self.entry, *code, locals, stack, self.code_is_usual()));
        if lines.is_empty() && entry.offset == 0 {
            return;
        }
        self.blank();
        let offset = match entry.offset {
            0 => String::new(),
            offset => format!(" @{offset}"),
        };
        self.line(0, format!("entry{offset}"));
        for line in lines {
            self.line(1, line);
        }
    }

    /// The lines of a frame; unbound locals are left out unless `all` are wanted.
    fn frame(
        &self,
        values: &Values,
        code: usize,
        locals: &[Option<ValueIndex>],
        stack: &[Option<ValueIndex>],
        all: bool,
    ) -> Vec<String> {
        let bound = locals.iter().enumerate().filter_map(|(number, &value)| {
            let name = self.local(code, number);
            match value {
                Some(value) => Some(format!("{name}={}", values.at(value))),
                None => all.then_some(name),
            }
        });
        let bound: Vec<String> = bound.collect();
        let stack: Vec<&str> = stack.iter().map(|&place| values.place(place)).collect();
        let mut lines = Vec::new();
        if !bound.is_empty() {
            lines.push(format!("locals {}", bound.join(", ")));
        }
        if !stack.is_empty() {
            lines.push(format!("stack {}", stack.join(", ")));
        }
        lines
    }

    /// The name of a local, or its number where another has the name.
    fn local(&self, code: usize, number: usize) -> String {
        let body = self.document.codes[code].body.as_ref();
        let names = body.map_or(&[][..], |body| &body.varnames);
        match names.get(number) {
            Some(name) if names.iter().position(|known| known == name) == Some(number) => {
                word(name)
            }
            _ => number.to_string(),
        }
    }

    fn executor(&mut self, executor: &Executor) {
        self.blank();
        let code = match executor.code {
            0 => String::new(),
            code => format!(" in {}", self.code(code)),
        };
        self.line(0, format!("executor {}{code}", executor.id));
        let labels = self.labels(executor);
        let mut exits = 0;
        for (index, uop) in executor.uops.iter().enumerate() {
            let mut text = match labels.get(&index) {
                Some(label) => format!("{label}: "),
                None => String::new(),
            };
            text.push_str(&self.uop(uop, executor, &labels, &mut exits));
            self.line(1, text);
        }
    }

    /// The uops that something refers to.
    fn labels(&self, executor: &Executor) -> BTreeMap<usize, String> {
        let uops = executor.uops.iter();
        let mut places: Vec<usize> = uops
            .flat_map(|uop| [uop.jump_target, uop.error_target])
            .flatten()
            .collect();
        let expected = &self.document.expected;
        if expected.executor == executor.id {
            places.push(expected.uop);
            places.extend(expected.from);
        }
        let label = |place: usize| {
            let prefix = match executor.uops[place].op.as_str() {
                "_EXIT_TRACE" => "exit",
                "_DEOPT" => "deopt",
                "_ERROR_POP_N" => "error",
                _ => "uop",
            };
            (place, format!("{prefix}{place}"))
        };
        places.into_iter().map(label).collect()
    }

    fn uop(
        &self,
        uop: &Uop,
        executor: &Executor,
        labels: &BTreeMap<usize, String>,
        exits: &mut usize,
    ) -> String {
        let mut text = match uop.op.starts_with('_') {
            true => word(&uop.op),
            false => quoted(&uop.op),
        };
        let mut offset = uop.exit.as_ref().map(|exit| exit.target);
        let mut target = uop.target;
        let mut operand = uop.operand.as_ref();
        self.oparg(uop, &mut text);
        if let Some(short) = short_offset(uop) {
            offset = Some(short);
            (target, operand) = (None, None);
        }
        match operand {
            Some(Operand::Executor(of)) if *of == executor.id && is_start(uop) => {}
            Some(operand) => self.operand(uop, operand, &mut text),
            None => {}
        }
        match offset {
            Some(offset) => push(&mut text, &format!("@{offset}")),
            // Those of which `@` would say more than this.
            None if matches!(
                uop.op.as_str(),
                "_ERROR_POP_N" | "_SET_IP" | "_CHECK_VALIDITY_AND_SET_IP" | "_EXIT_TRACE"
            ) =>
            {
                if let Some(target) = target {
                    push(&mut text, &format!("target={target}"));
                }
            }
            None => {
                if let Some(target) = target {
                    push(&mut text, &format!("@{target}"));
                }
            }
        }
        if let Some(exit) = &uop.exit {
            if exit.index != *exits {
                push(&mut text, &format!("exit={}", exit.index));
            }
            *exits += 1;
            if let Some(to) = exit.executor {
                push(&mut text, &format!("-> executor {to}"));
            }
        }
        for (mark, place) in [("->", uop.jump_target), ("!", uop.error_target)] {
            if let Some(label) = place.and_then(|place| labels.get(&place)) {
                push(&mut text, &format!("{mark} {label}"));
            }
        }
        if uop.code != executor.code {
            push(&mut text, &format!("in {}", self.code(uop.code)));
        }
        text
    }

    fn oparg(&self, uop: &Uop, text: &mut String) {
        let op = uop.op.as_str();
        if uops::operand_kind(op) == Some("object") {
            return;
        }
        let usual = uops::fixed_oparg(op).unwrap_or(0);
        if uops::local_access(op).is_some() {
            push(text, &self.local(uop.code, uop.oparg.into()));
        } else if let Some(operator) = kinds::operator_of_oparg(op, uop.oparg) {
            push(text, &quoted(&operator));
        } else if uop.oparg != usual {
            push(text, &uop.oparg.to_string());
        }
    }

    fn operand(&self, uop: &Uop, operand: &Operand, text: &mut String) {
        let kind = operand.kind();
        let is_object = uops::operand_kind(&uop.op) == Some("object");
        let part = match operand {
            Operand::Object(value) if is_object => self.entry.at(*value).to_owned(),
            Operand::GlobalsKeysVersion | Operand::BuiltinsKeysVersion | Operand::Unused => {
                kind.to_owned()
            }
            Operand::Code(code) => format!("code={}", self.code(*code)),
            Operand::InstructionPointer { code, offset } if *code == uop.code => {
                format!("ip={offset}")
            }
            Operand::InstructionPointer { code, offset } => {
                format!("ip=({}, {offset})", self.code(*code))
            }
            Operand::Executor(number) => format!("{kind}={number}"),
            Operand::Offset(offset) => format!("{kind}={offset}"),
            Operand::FrameSize(size) => format!("{kind}={size}"),
            Operand::Index { index, name } => format!("index={index} name={}", word(name)),
            Operand::Unknown { kind } => format!("operand={}", word(kind)),
            _ => {
                let value = operand.value().map_or("null", |value| self.entry.at(value));
                format!("{kind}={value}")
            }
        };
        push(text, &part);
        if is_object && uop.oparg != 0 {
            push(text, &format!("oparg={}", uop.oparg));
        }
    }

    fn expected(&mut self) {
        let Expected {
            executor,
            uop,
            from,
            code,
            locals,
            stack,
            error,
            ..
        } = &self.document.expected;
        let labels = self.labels(&self.document.executors[*executor]);
        let mut heading = "expect".to_owned();
        if *executor != 0 {
            push(&mut heading, &format!("executor {executor}"));
        }
        push(&mut heading, &labels[uop]);
        if let Some(from) = from {
            push(&mut heading, &format!("from {}", labels[from]));
        }
        self.blank();
        self.line(0, heading);
        if let Some(error) = error {
            let mut text = format!("raises {}", word(&error.class));
            if !error.message.is_empty() {
                push(&mut text, &quoted(&error.message));
            }
            self.line(1, text);
        }
        self.end_values();
        for line in self.frame(&self.end, *code, locals, stack, false) {
            self.line(1, line);
        }
    }

    fn end_values(&mut self) {
        let listed = self.listed[1];
        if listed == 0 {
            return;
        }
        self.line(1, "values");
        let definitions: Vec<(String, bool)> =
            (0..listed).map(|index| self.end_value(index)).collect();
        self.definitions(2, &definitions);
    }

    /// An object of the end with the one of the entry that it is, if it is one.
    fn end_value(&self, index: usize) -> (String, bool) {
        let origin = self.document.expected.values[index].origin;
        let text = self.end.at(index).to_owned();
        if self.end.is_literal[index] {
            return match origin {
                None => (text, true),
                Some(origin) if self.entry.at(origin) == text => (format!("same {text}"), true),
                Some(origin) => (format!("{text} is {}", self.entry.at(origin)), true),
            };
        }
        let value = self.value(&self.end, index);
        let is = match origin {
            Some(origin) if self.entry.at(origin) != text => {
                format!(" is {}", self.entry.at(origin))
            }
            _ => String::new(),
        };
        (format!("{text} = {value}{is}"), false)
    }

    fn stats(&mut self) {
        let stats = &self.document.stats;
        let numbers = |counts: &[u64]| {
            let counts: Vec<String> = counts.iter().map(u64::to_string).collect();
            counts.join(", ")
        };
        let mut lines = Vec::new();
        for (name, number) in [
            ("iterations", self.document.loop_iterations),
            ("uops", stats.uops_executed),
        ] {
            if number != 0 {
                lines.push(format!("{name} {number}"));
            }
        }
        for (name, counts) in [
            ("entries", &stats.executor_entries),
            ("tops", &stats.jump_to_top),
            ("reached", &stats.uops_reached),
        ] {
            if counts.iter().any(|&count| count != 0) {
                lines.push(format!("{name} {}", numbers(counts)));
            }
        }
        if lines.is_empty() {
            return;
        }
        self.blank();
        self.line(0, "stats");
        for line in lines {
            self.line(1, line);
        }
    }
}

fn is_start(uop: &Uop) -> bool {
    uop.op == "_START_EXECUTOR"
}

/// The offset that says what both the target and the operand of these uops say, where they agree.
fn short_offset(uop: &Uop) -> Option<Offset> {
    let ip = match uop.operand {
        Some(Operand::InstructionPointer { code, offset }) if code == uop.code => Some(offset),
        _ => None,
    };
    match (uop.op.as_str(), uop.target, &uop.operand) {
        ("_ERROR_POP_N", Some(0), Some(Operand::Offset(offset))) if *offset != 0 => Some(*offset),
        ("_ERROR_POP_N", Some(0), None) => Some(0),
        ("_SET_IP", Some(target), _) if ip == Some(target) => ip,
        ("_CHECK_VALIDITY_AND_SET_IP", None, _) => ip,
        _ => None,
    }
}

fn push(text: &mut String, part: &str) {
    text.push(' ');
    text.push_str(part);
}

fn array(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn index_of(json: &Json) -> Option<usize> {
    usize::try_from(json.as_u64()?).ok()
}

fn list(values: &Values, json: &Json) -> String {
    let items: Vec<&str> = array(json)
        .iter()
        .map(|item| values.place(index_of(item)))
        .collect();
    items.join(", ")
}

fn word_of(json: &Json) -> String {
    word(json.as_str().unwrap_or_default())
}

/// A name, in quotes if it needs them.
fn word(name: &str) -> String {
    if is_word(name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A scalar as Python writes it.
fn literal(json: &Json) -> String {
    let content = &json["v"];
    let text = content.as_str().unwrap_or_default();
    match json["t"].as_str().unwrap_or_default() {
        "none" => "None".to_owned(),
        "bool" if content.as_bool() == Some(true) => "True".to_owned(),
        "bool" => "False".to_owned(),
        "int" => text.to_owned(),
        "float" => float(text),
        "str" => quoted(text),
        _ => bytes(text),
    }
}

/// The shortest decimal that is read as the same float.
fn float(hex: &str) -> String {
    match crate::recorded::hex_float::parse(hex) {
        Some(value) if value.is_nan() || value.is_infinite() => hex.to_owned(),
        Some(value) => format!("{value:?}"),
        None => hex.to_owned(),
    }
}

fn bytes(hex: &str) -> String {
    let mut text = "b\"".to_owned();
    for pair in hex.as_bytes().chunks(2) {
        let pair = String::from_utf8_lossy(pair);
        let byte = u8::from_str_radix(&pair, 16).unwrap_or_default();
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

/// A str in double quotes; what cannot be seen is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for point in surrogates::code_points(text) {
        let Some(char) = char::from_u32(point) else {
            let _ = write!(quoted, "\\u{point:04x}");
            continue;
        };
        match char {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(char);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\'' => quoted.push(char),
            // More than one character stands for what cannot be seen.
            char if char.escape_debug().count() == 1 => quoted.push(char),
            char => {
                let code = u32::from(char);
                let _ = match code {
                    0..=0xff => write!(quoted, "\\x{code:02x}"),
                    0x100..=0xffff => write!(quoted, "\\u{code:04x}"),
                    _ => write!(quoted, "\\U{code:08x}"),
                };
            }
        }
    }
    quoted.push('"');
    quoted
}
