//! Writing: from the model to the JSON form.

use super::format::{
    AttributeLayout, Code, Document, Executor, Expected, ExpectedValue, FORMAT, Operand,
    SequenceIterator, State, Stats, Uop, Value,
};
use super::hex_float;
use serde_json::{Map, Value as Json, json};

/// Bytes as pairs of hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole document.
pub(super) fn document(document: &Document) -> Json {
    let entry = &document.entry;
    json!({
        "format": FORMAT,
        "python": document.python,
        "program": document.program,
        "source": document.source,
        "entry": {
            "executor": entry.executor,
            "code": entry.code,
            "offset": entry.offset,
            "jump_offset": entry.jump_offset,
            "arrival": entry.arrival,
            "warmup_calls": entry.warmup_calls,
        },
        "codes": document.codes.iter().map(code).collect::<Json>(),
        "globals": document.globals,
        "executors": document.executors.iter().map(executor).collect::<Json>(),
        "values": document.values.iter().map(value).collect::<Json>(),
        "state_in": state(&document.state_in),
        "expected": expected(&document.expected),
        "loop_iterations": document.loop_iterations,
        "stats": stats(&document.stats),
    })
}

fn code(code: &Code) -> Json {
    let Some(body) = &code.body else {
        return json!({"name": code.name});
    };
    let instructions = body.instructions.iter();
    let mut json = json!({
        "name": code.name,
        "argcount": body.argcount,
        "kwonly": body.kwonly,
        "varargs": body.varargs,
        "nlocalsplus": body.nlocalsplus,
        "stacksize": body.stacksize,
        "varnames": body.varnames,
        "names": body.names,
        "consts": body.consts,
        "instructions": instructions
            .map(|instruction| json!([instruction.offset, instruction.name, instruction.oparg]))
            .collect::<Json>(),
    });
    if let Some(flags) = body.flags {
        json["flags"] = flags.into();
    }
    json
}

fn executor(executor: &Executor) -> Json {
    json!({
        "id": executor.id,
        "code": executor.code,
        "uops": executor.uops.iter().map(|it| uop(it, executor.code)).collect::<Json>(),
    })
}

/// A uop; what it has not is left out.
fn uop(uop: &Uop, executor_code: usize) -> Json {
    let mut json = Map::new();
    json.insert("op".to_owned(), json!(uop.op));
    json.insert("oparg".to_owned(), json!(uop.oparg));
    let mut put = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            json.insert(name.to_owned(), value);
        }
    };
    put("code", (uop.code != executor_code).then(|| json!(uop.code)));
    put("target", uop.target.map(Json::from));
    put("jump_target", uop.jump_target.map(Json::from));
    put("error_target", uop.error_target.map(Json::from));
    let exit = uop.exit.as_ref();
    put(
        "exit",
        exit.map(
            |exit| json!({"index": exit.index, "target": exit.target, "executor": exit.executor}),
        ),
    );
    put("operand", uop.operand.as_ref().map(operand));
    Json::Object(json)
}

fn operand(operand: &Operand) -> Json {
    let mut json = json!({"kind": operand.kind()});
    if let Some(value) = operand.value() {
        json["value"] = json!(value);
    }
    match operand {
        Operand::Code(code) => json["code"] = json!(code),
        Operand::InstructionPointer { code, offset } => {
            json["code"] = json!(code);
            json["offset"] = json!(offset);
        }
        Operand::Executor(executor) => json["executor"] = json!(executor),
        Operand::Index { index, name } => {
            json["index"] = json!(index);
            json["name"] = json!(name);
        }
        Operand::Offset(offset) => json["offset"] = json!(offset),
        Operand::FrameSize(framesize) => json["framesize"] = json!(framesize),
        _ => {}
    }
    json
}

/// An object, with its kind as `t`.
pub(super) fn value(value: &Value) -> Json {
    let mut json = contents(value);
    json["t"] = json!(value.kind());
    json
}

fn contents(value: &Value) -> Json {
    match value {
        Value::None | Value::Unknown { .. } => json!({}),
        Value::Bool(value) => json!({"v": value}),
        Value::Int(value) => json!({"v": value.to_string()}),
        Value::Float(value) => json!({"v": hex_float::format(*value)}),
        Value::Str(text) => json!({"v": text}),
        Value::Bytes(bytes) => json!({"v": hex(bytes)}),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            json!({"items": items})
        }
        Value::Cell(contents) => json!({"contents": contents}),
        Value::Dict(items) => json!({"items": items}),
        Value::Range { start, stop, step } => json!({
            "start": start.to_string(),
            "stop": stop.to_string(),
            "step": step.to_string(),
        }),
        Value::RangeIterator { start, step, len } => json!({
            "start": start.to_string(),
            "step": step.to_string(),
            "len": len.to_string(),
        }),
        Value::ListIterator(iterator)
        | Value::TupleIterator(iterator)
        | Value::StrAsciiIterator(iterator) => sequence_iterator(iterator),
        Value::Function { name, code, parts } => {
            let mut json = json!({"name": name, "code": code});
            for (part, value) in parts.named() {
                json[part] = json!(value);
            }
            json
        }
        Value::Type { name, user } => {
            let mut json = json!({"name": name});
            if let Some(user) = user {
                json["user"] = json!(true);
                json["methods"] = json!(user.methods);
                match &user.layout {
                    AttributeLayout::InlineKeys(names) => json["inline_keys"] = json!(names),
                    AttributeLayout::Slots(names) => json["slots"] = json!(names),
                }
            }
            json
        }
        Value::Instance { class, attrs } => json!({"type": class, "attrs": attrs}),
        Value::Builtin { name }
        | Value::MethodDescriptor { name }
        | Value::Module { name }
        | Value::ModuleFunction { name } => json!({"name": name}),
        Value::Method { func, receiver } => json!({"func": func, "self": receiver}),
    }
}

fn sequence_iterator(iterator: &SequenceIterator) -> Json {
    json!({"seq": iterator.seq, "index": iterator.index})
}

fn state(state: &State) -> Json {
    json!({
        "code": state.code,
        "function": state.function,
        "locals": state.locals,
        "stack": state.stack,
    })
}

/// An object of the end, with the one of the entry that it is as `in`.
pub(super) fn expected_value(expected: &ExpectedValue) -> Json {
    let mut json = value(&expected.value);
    if let Some(origin) = expected.origin {
        json["in"] = json!(origin);
    }
    json
}

fn expected(expected: &Expected) -> Json {
    let values = expected.values.iter().map(expected_value);
    let mut json = json!({
        "executor": expected.executor,
        "uop": expected.uop,
        "op": expected.op,
        "from": expected.from,
        "from_op": expected.from_op,
        "code": expected.code,
        "target": expected.target,
        "locals": expected.locals,
        "stack": expected.stack,
        "values": values.collect::<Json>(),
    });
    if let Some(error) = &expected.error {
        json["error"] = json!({"type": error.class, "message": error.message});
    }
    json
}

fn stats(stats: &Stats) -> Json {
    json!({
        "uops_executed": stats.uops_executed,
        "executor_entries": stats.executor_entries,
        "jump_to_top": stats.jump_to_top,
        "uops_reached": stats.uops_reached,
    })
}
