//! Reading: from JSON to the model, one function per object of the format. Checked here is what one field tells by
//! itself: that it is there, its type and its range.

use super::format::{
    AttributeLayout, Code, CodeBody, Document, Entry, Executor, Exit, Expected, ExpectedError,
    ExpectedValue, FORMAT, FormatError, FunctionParts, Instruction, Operand, SequenceIterator,
    State, Stats, Uop, UserType, Value, ValueIndex,
};
use super::hex_float;
use num_bigint::BigInt;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// CPython writes no int of more decimal digits (`sys.int_info.default_max_str_digits`); reading is quadratic.
const MAX_INT_DIGITS: usize = 4300;

/// How much of a text an error message repeats, in characters.
const EXCERPT: usize = 60;

type Result<T> = std::result::Result<T, FormatError>;

/// A JSON value and the way to it. The way is a chain of borrowed steps: it becomes text only when something is wrong.
#[derive(Clone, Copy)]
struct Node<'j, 'p> {
    json: &'j Json,
    path: Path<'j, 'p>,
}

#[derive(Clone, Copy)]
struct Path<'j, 'p> {
    parent: Option<&'p Path<'j, 'p>>,
    step: Step<'j>,
}

#[derive(Clone, Copy)]
enum Step<'j> {
    Root,
    Field(&'j str),
    Item(usize),
}

impl fmt::Display for Path<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_first = self
            .parent
            .is_none_or(|parent| matches!(parent.step, Step::Root));
        if let Some(parent) = self.parent.filter(|_| !is_first) {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root => f.write_str("document"),
            Step::Field(name) if is_first => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// The name of a JSON type, with its article.
fn type_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(number) if number.is_f64() => "a number with a fraction or out of every range",
        Json::Number(_) => "an integer",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// The beginning of a text, quoted.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

impl<'j, 'p> Node<'j, 'p> {
    fn wrong_type(&self, expected: &'static str) -> FormatError {
        FormatError::WrongType {
            path: self.path.to_string(),
            found: type_name(self.json),
            expected,
        }
    }

    fn invalid(&self, found: impl fmt::Display, expected: impl fmt::Display) -> FormatError {
        FormatError::Invalid {
            path: self.path.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    fn map(&self) -> Result<&'j Map<String, Json>> {
        self.json
            .as_object()
            .ok_or_else(|| self.wrong_type("an object"))
    }

    /// The field of this name, if there is one.
    fn optional<'s>(&'s self, name: &'static str) -> Result<Option<Node<'j, 's>>> {
        let json = self.map()?.get(name);
        Ok(json.map(|json| self.child(json, Step::Field(name))))
    }

    /// The field of this name; `expected` says what it holds.
    fn field<'s>(&'s self, name: &'static str, expected: &'static str) -> Result<Node<'j, 's>> {
        self.optional(name)?.ok_or_else(|| {
            let path = Path {
                parent: Some(&self.path),
                step: Step::Field(name),
            };
            FormatError::Missing {
                path: path.to_string(),
                expected: expected.to_owned(),
            }
        })
    }

    fn child<'s>(&'s self, json: &'j Json, step: Step<'j>) -> Node<'j, 's> {
        let path = Path {
            parent: Some(&self.path),
            step,
        };
        Node { json, path }
    }

    fn array(&self) -> Result<&'j [Json]> {
        let array = self
            .json
            .as_array()
            .ok_or_else(|| self.wrong_type("an array"))?;
        Ok(array)
    }

    /// Each item of an array, read.
    fn items<T>(&self, read: impl Fn(Node<'j, '_>) -> Result<T>) -> Result<Vec<T>> {
        let items = self.array()?.iter().enumerate();
        items
            .map(|(index, json)| read(self.child(json, Step::Item(index))))
            .collect()
    }

    /// The items of an array of exactly `N`.
    fn tuple<'s, const N: usize>(&'s self, expected: &'static str) -> Result<[Node<'j, 's>; N]> {
        let array = self.array()?;
        let array: &'j [Json; N] = array
            .try_into()
            .map_err(|_| self.invalid(format_args!("an array of {}", array.len()), expected))?;
        Ok(std::array::from_fn(|index| {
            self.child(&array[index], Step::Item(index))
        }))
    }

    fn text(&self) -> Result<&'j str> {
        self.json
            .as_str()
            .ok_or_else(|| self.wrong_type("a string"))
    }

    fn string(&self) -> Result<String> {
        self.text().map(str::to_owned)
    }

    fn bool(&self) -> Result<bool> {
        self.json.as_bool().ok_or_else(|| self.wrong_type("a bool"))
    }

    /// An integer in a range of `T`.
    fn integer<T>(&self, range: RangeInclusive<T>) -> Result<T>
    where
        T: TryFrom<i128> + PartialOrd + fmt::Display,
    {
        let wide = match (self.json.as_u64(), self.json.as_i64()) {
            (Some(unsigned), _) => i128::from(unsigned),
            (None, Some(signed)) => i128::from(signed),
            (None, None) => return Err(self.wrong_type("an integer")),
        };
        let narrow = T::try_from(wide).ok().filter(|value| range.contains(value));
        narrow.ok_or_else(|| {
            let expected =
                format_args!("an integer in {}..={}", range.start(), range.end()).to_string();
            self.invalid(wide, expected)
        })
    }

    fn index(&self) -> Result<usize> {
        self.integer(0..=usize::MAX)
    }

    fn u16(&self) -> Result<u16> {
        self.integer(0..=u16::MAX)
    }

    fn u32(&self) -> Result<u32> {
        self.integer(0..=u32::MAX)
    }

    fn u64(&self) -> Result<u64> {
        self.integer(0..=u64::MAX)
    }

    /// `null`, or what `read` makes of it.
    fn nullable<T>(&self, read: impl Fn(&Self) -> Result<T>) -> Result<Option<T>> {
        if self.json.is_null() {
            return Ok(None);
        }
        read(self).map(Some)
    }

    fn indices(&self) -> Result<Vec<usize>> {
        self.items(|item| item.index())
    }

    fn strings(&self) -> Result<Vec<String>> {
        self.items(|item| item.string())
    }

    /// `[[name, value], ...]`.
    fn named_values(&self) -> Result<Vec<(String, ValueIndex)>> {
        self.items(|pair| {
            let [name, value] = pair.tuple("[name, value]")?;
            Ok((name.string()?, value.index()?))
        })
    }

    /// A string that holds a decimal integer.
    fn decimal(&self) -> Result<BigInt> {
        let text = self.text()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() > MAX_INT_DIGITS {
            let found = format_args!("{} digits", digits.len()).to_string();
            return Err(self.invalid(found, format_args!("at most {MAX_INT_DIGITS} digits")));
        }
        let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = is_decimal
            .then(|| BigInt::parse_bytes(text.as_bytes(), 10))
            .flatten();
        value.ok_or_else(|| self.invalid(excerpt(text), "a decimal integer"))
    }

    /// A string that holds a decimal machine word.
    fn decimal_word(&self) -> Result<i64> {
        let value = self.decimal()?;
        i64::try_from(value).map_err(|error| {
            let found = excerpt(&error.into_original().to_string());
            self.invalid(found, "a decimal integer of 64 bits")
        })
    }

    fn float(&self) -> Result<f64> {
        let text = self.text()?;
        hex_float::parse(text).ok_or_else(|| {
            self.invalid(excerpt(text), "an exact hexadecimal float, as float.hex()")
        })
    }

    fn hex_bytes(&self) -> Result<Vec<u8>> {
        let text = self.text()?;
        let pairs = text.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = pairs.map(hex_pair).collect();
        bytes.ok_or_else(|| self.invalid(excerpt(text), "pairs of hexadecimal digits"))
    }
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let &[high, low] = pair else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// The whole document; what its parts say of each other is not checked yet.
pub(super) fn document(json: &Json) -> Result<Document> {
    let path = Path {
        parent: None,
        step: Step::Root,
    };
    let root = Node { json, path };
    let format = root.field("format", "the format number")?.u64()?;
    if format != FORMAT {
        return Err(FormatError::Version { found: format });
    }
    Ok(Document {
        python: root.field("python", "the version of CPython")?.string()?,
        program: root.field("program", "the name of the program")?.string()?,
        source: root.field("source", "the text of the program")?.string()?,
        entry: entry(root.field("entry", "an object")?)?,
        codes: root.field("codes", "the code objects")?.items(code)?,
        globals: globals(root.field("globals", "an object")?)?,
        executors: root.field("executors", "the traces")?.items(executor)?,
        values: root
            .field("values", "the objects")?
            .items(|node| value(&node))?,
        state_in: state(root.field("state_in", "an object")?)?,
        expected: expected(root.field("expected", "an object")?)?,
        loop_iterations: root.field("loop_iterations", "an integer")?.u64()?,
        stats: stats(root.field("stats", "an object")?)?,
        creation_order: Vec::new(),
    })
}

fn entry(node: Node<'_, '_>) -> Result<Entry> {
    Ok(Entry {
        executor: node.field("executor", "an executor")?.index()?,
        code: node.field("code", "a code")?.index()?,
        offset: node.field("offset", "a bytecode offset")?.u32()?,
        jump_offset: node.field("jump_offset", "a bytecode offset")?.u32()?,
        arrival: node.field("arrival", "an integer")?.u64()?,
        warmup_calls: node.field("warmup_calls", "an integer")?.u64()?,
    })
}

fn code(node: Node<'_, '_>) -> Result<Code> {
    let name = node.field("name", "a name")?.string()?;
    // Only codes in use have more than a name; a code that has any of it has all.
    let in_use = node
        .map()?
        .keys()
        .any(|key| CODE_FIELDS.contains(&key.as_str()));
    let body = if in_use { Some(code_body(node)?) } else { None };
    Ok(Code { name, body })
}

const CODE_FIELDS: [&str; 9] = [
    "argcount",
    "kwonly",
    "varargs",
    "nlocalsplus",
    "stacksize",
    "varnames",
    "names",
    "consts",
    "instructions",
];

fn code_body(node: Node<'_, '_>) -> Result<CodeBody> {
    Ok(CodeBody {
        argcount: node.field("argcount", "an integer")?.index()?,
        kwonly: node.field("kwonly", "an integer")?.index()?,
        varargs: node.field("varargs", "a bool")?.bool()?,
        flags: node.optional("flags")?.map(|node| node.u32()).transpose()?,
        nlocalsplus: node.field("nlocalsplus", "an integer")?.index()?,
        stacksize: node.field("stacksize", "an integer")?.index()?,
        varnames: node.field("varnames", "names")?.strings()?,
        names: node.field("names", "names")?.strings()?,
        consts: places(&node, "consts")?,
        instructions: node
            .field("instructions", "instructions")?
            .items(instruction)?,
    })
}

fn instruction(node: Node<'_, '_>) -> Result<Instruction> {
    let [offset, name, oparg] = node.tuple("[offset, name, oparg]")?;
    Ok(Instruction {
        offset: offset.u32()?,
        name: name.string()?,
        oparg: oparg.nullable(Node::u32)?,
    })
}

fn globals(node: Node<'_, '_>) -> Result<BTreeMap<String, ValueIndex>> {
    let fields = node.map()?.iter();
    fields
        .map(|(name, json)| Ok((name.clone(), node.child(json, Step::Field(name)).index()?)))
        .collect()
}

fn executor(node: Node<'_, '_>) -> Result<Executor> {
    let code = node.field("code", "a code")?.index()?;
    Ok(Executor {
        id: node.field("id", "its position")?.index()?,
        code,
        uops: node
            .field("uops", "the uops")?
            .items(|node| uop(node, code))?,
    })
}

fn uop(node: Node<'_, '_>, executor_code: usize) -> Result<Uop> {
    let op = node.field("op", "the name of a uop")?;
    if op.text()?.is_empty() {
        return Err(op.invalid("\"\"", "the name of a uop"));
    }
    Ok(Uop {
        op: op.string()?,
        oparg: node.field("oparg", "an integer")?.u16()?,
        code: match node.optional("code")? {
            Some(code) => code.index()?,
            None => executor_code,
        },
        target: node
            .optional("target")?
            .map(|node| node.u32())
            .transpose()?,
        jump_target: node
            .optional("jump_target")?
            .map(|node| node.index())
            .transpose()?,
        error_target: node
            .optional("error_target")?
            .map(|node| node.index())
            .transpose()?,
        exit: node.optional("exit")?.map(exit).transpose()?,
        operand: node.optional("operand")?.map(operand).transpose()?,
    })
}

fn exit(node: Node<'_, '_>) -> Result<Exit> {
    Ok(Exit {
        index: node.field("index", "an integer")?.index()?,
        target: node.field("target", "a bytecode offset")?.u32()?,
        executor: node
            .field("executor", "an executor or null")?
            .nullable(Node::index)?,
    })
}

fn operand(node: Node<'_, '_>) -> Result<Operand> {
    let value = || node.field("value", "a value")?.index();
    Ok(
        match node.field("kind", "the kind of the operand")?.text()? {
            "object" => Operand::Object(value()?),
            "type_version" => Operand::TypeVersion(value()?),
            "keys_version" => Operand::KeysVersion(value()?),
            "globals_keys_version" => Operand::GlobalsKeysVersion,
            "builtins_keys_version" => Operand::BuiltinsKeysVersion,
            "function_version" => Operand::FunctionVersion(value()?),
            "function" => Operand::Function(value()?),
            "code" => Operand::Code(node.field("code", "a code")?.index()?),
            "ip" => Operand::InstructionPointer {
                code: node.field("code", "a code")?.index()?,
                offset: node.field("offset", "a bytecode offset")?.u32()?,
            },
            "executor" => Operand::Executor(node.field("executor", "an executor")?.index()?),
            "index" => Operand::Index {
                index: node.field("index", "an integer")?.u64()?,
                name: node.field("name", "a name")?.string()?,
            },
            "offset" => Operand::Offset(node.field("offset", "a bytecode offset")?.u32()?),
            "framesize" => Operand::FrameSize(node.field("framesize", "an integer")?.u64()?),
            "unused" => Operand::Unused,
            kind => Operand::Unknown {
                kind: kind.to_owned(),
            },
        },
    )
}

fn value(node: &Node<'_, '_>) -> Result<Value> {
    let kind = node.field("t", "the kind of the value")?;
    let content = || node.field("v", "the value");
    let name = || node.field("name", "a name")?.string();
    let items = || node.field("items", "values");
    Ok(match kind.text()? {
        "none" => Value::None,
        "bool" => Value::Bool(content()?.bool()?),
        "int" => Value::Int(content()?.decimal()?),
        "float" => Value::Float(content()?.float()?),
        "str" => Value::Str(content()?.string()?),
        "bytes" => Value::Bytes(content()?.hex_bytes()?),
        "list" => Value::List(items()?.indices()?),
        "tuple" => Value::Tuple(items()?.indices()?),
        "set" => Value::Set(items()?.indices()?),
        "dict" => Value::Dict(items()?.items(|pair| {
            let [key, value] = pair.tuple("[key, value]")?;
            Ok((key.index()?, value.index()?))
        })?),
        "range" => Value::Range {
            start: node.field("start", "a decimal integer")?.decimal()?,
            stop: node.field("stop", "a decimal integer")?.decimal()?,
            step: node.field("step", "a decimal integer")?.decimal()?,
        },
        "range_iterator" => Value::RangeIterator {
            start: node.field("start", "a decimal integer")?.decimal_word()?,
            step: node.field("step", "a decimal integer")?.decimal_word()?,
            len: node.field("len", "a decimal integer")?.decimal_word()?,
        },
        "list_iterator" => Value::ListIterator(sequence_iterator(node)?),
        "tuple_iterator" => Value::TupleIterator(sequence_iterator(node)?),
        "str_ascii_iterator" => Value::StrAsciiIterator(sequence_iterator(node)?),
        "function" => Value::Function {
            name: name()?,
            code: node.field("code", "a code")?.index()?,
            parts: function_parts(node)?,
        },
        "frozenset" => Value::FrozenSet(items()?.indices()?),
        "cell" => Value::Cell(
            node.field("contents", "a value or null")?
                .nullable(Node::index)?,
        ),
        "type" => Value::Type {
            name: name()?,
            user: user_type(node)?,
        },
        "instance" => Value::Instance {
            class: node.field("type", "a type")?.index()?,
            attrs: node.field("attrs", "names and values")?.named_values()?,
        },
        "builtin" => Value::Builtin { name: name()? },
        "method_descriptor" => Value::MethodDescriptor { name: name()? },
        "module" => Value::Module { name: name()? },
        "module_function" => Value::ModuleFunction { name: name()? },
        "method" => Value::Method {
            func: node.field("func", "a value")?.index()?,
            receiver: node.field("self", "a value")?.index()?,
        },
        kind => Value::Unknown {
            kind: kind.to_owned(),
        },
    })
}

fn function_parts(node: &Node<'_, '_>) -> Result<FunctionParts> {
    let part = |name| -> Result<Option<ValueIndex>> {
        let part = node.optional(name)?;
        part.map(|node| node.index()).transpose()
    };
    Ok(FunctionParts {
        defaults: part("defaults")?,
        keyword_defaults: part("kwdefaults")?,
        closure: part("closure")?,
    })
}

fn sequence_iterator(node: &Node<'_, '_>) -> Result<SequenceIterator> {
    Ok(SequenceIterator {
        seq: node
            .field("seq", "a value or null")?
            .nullable(Node::index)?,
        index: node
            .field("index", "an integer")?
            .integer(i64::MIN..=i64::MAX)?,
    })
}

fn user_type(node: &Node<'_, '_>) -> Result<Option<UserType>> {
    let is_user = match node.optional("user")? {
        Some(user) => user.bool()?,
        None => false,
    };
    if !is_user {
        return Ok(None);
    }
    let methods = node.field("methods", "names and values")?.named_values()?;
    let layout = match node.optional("slots")? {
        Some(slots) => AttributeLayout::Slots(slots.strings()?),
        None => {
            AttributeLayout::InlineKeys(node.field("inline_keys", "names (or slots)")?.strings()?)
        }
    };
    Ok(Some(UserType { methods, layout }))
}

fn places(node: &Node<'_, '_>, name: &'static str) -> Result<Vec<Option<ValueIndex>>> {
    node.field(name, "values")?
        .items(|item| item.nullable(Node::index))
}

fn state(node: Node<'_, '_>) -> Result<State> {
    Ok(State {
        code: node.field("code", "a code")?.index()?,
        function: node.field("function", "a value")?.index()?,
        locals: places(&node, "locals")?,
        stack: places(&node, "stack")?,
    })
}

fn expected(node: Node<'_, '_>) -> Result<Expected> {
    Ok(Expected {
        executor: node.field("executor", "an executor")?.index()?,
        uop: node.field("uop", "a uop")?.index()?,
        op: node.field("op", "the name of a uop")?.string()?,
        from: node.field("from", "a uop or null")?.nullable(Node::index)?,
        from_op: node
            .field("from_op", "the name of a uop or null")?
            .nullable(Node::string)?,
        code: node.field("code", "a code")?.index()?,
        target: node.field("target", "a bytecode offset")?.u32()?,
        error: node.optional("error")?.map(error).transpose()?,
        locals: places(&node, "locals")?,
        stack: places(&node, "stack")?,
        values: node.field("values", "the objects")?.items(|node| {
            Ok(ExpectedValue {
                value: value(&node)?,
                origin: node.optional("in")?.map(|node| node.index()).transpose()?,
            })
        })?,
    })
}

fn error(node: Node<'_, '_>) -> Result<ExpectedError> {
    Ok(ExpectedError {
        class: node.field("type", "the name of a class")?.string()?,
        message: node.field("message", "a text")?.string()?,
    })
}

fn stats(node: Node<'_, '_>) -> Result<Stats> {
    let counts = |name| {
        node.field(name, "a count per executor")?
            .items(|item| item.u64())
    };
    Ok(Stats {
        uops_executed: node.field("uops_executed", "an integer")?.u64()?,
        executor_entries: counts("executor_entries")?,
        jump_to_top: counts("jump_to_top")?,
        uops_reached: counts("uops_reached")?,
    })
}
