//! Built-in functions: their objects and what they do.

use crate::attribute;
use crate::call::{CallKind, FLAG_FUNCTION, check_count, wrong_index};
use crate::compare::{Comparison, NESTING_LIMIT, compare};
use crate::error::{ErrorKind, PyError, Result};
use crate::exception::is_subclass;
use crate::float;
use crate::format;
use crate::hash::hash;
use crate::hooks::{class_of, refuse_hooks, unless_hooked};
use crate::immortal;
use crate::int::{self, IntView};
use crate::iterator;
use crate::modules;
use crate::object::{Header, Kind, Ref, View};
use crate::ops::{self, BinaryOperator};
use crate::sort::sort;
use crate::spec;
use crate::str;
use crate::types::Type;
use std::io::Write;

/// A built-in function.
#[derive(Debug)]
pub(crate) struct FunctionEntry {
    pub(crate) name: &'static str,
    pub(crate) kind: CallKind,
    /// Called with the arguments. How many there are is checked before for [`CallKind::NoArguments`] and
    /// [`CallKind::One`] only.
    pub(crate) call: fn(&[Ref]) -> Result<Ref>,
}

macro_rules! builtins {
    ($($variant:ident = $name:literal, $kind:ident, $call:expr;)+) => {
        /// A built-in function. The numbers are part of the contract with generated code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum BuiltinId {
            $(#[doc = concat!("`", $name, "`")] $variant),+
        }

        impl BuiltinId {
            /// Every function, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The function's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        const ENTRIES: &[FunctionEntry] = &[$(
            FunctionEntry { name: $name, kind: CallKind::$kind, call: $call }
        ),+];
    };
}

builtins! {
    Abs = "abs", One, |arguments| ops::absolute(&arguments[0]);
    All = "all", One, |arguments| all(&arguments[0]);
    Any = "any", One, |arguments| any(&arguments[0]);
    Ascii = "ascii", One, |arguments| format::ascii(&arguments[0]);
    Bin = "bin", One, |arguments| radix_text(&arguments[0], "0b", 2);
    Callable = "callable", One, |arguments| callable(&arguments[0]);
    Chr = "chr", One, |arguments| chr(&arguments[0]);
    DelAttr = "delattr", Fast, |arguments| {
        let [object, name] = attribute_of("delattr", arguments)?;
        attribute::delete(object, &name_of(name)?).map(|()| Ref::none())
    };
    Divmod = "divmod", Fast, divmod;
    Format = "format", Fast, format_with;
    GetAttr = "getattr", Fast, get_attribute;
    HasAttr = "hasattr", Fast, has_attribute;
    Hash = "hash", One, |arguments| hash(&arguments[0]).map(Ref::int);
    Hex = "hex", One, |arguments| radix_text(&arguments[0], "0x", 16);
    Id = "id", One, |arguments| Ok(int::from_usize(arguments[0].as_ptr().addr()));
    IsInstance = "isinstance", Fast, isinstance;
    IsSubclass = "issubclass", Fast, issubclass;
    Iter = "iter", Fast, iter;
    Len = "len", One, |arguments| iterator::length(&arguments[0]);
    Max = "max", FastWithKeywords, |arguments| extreme("max", Comparison::Greater, arguments);
    Min = "min", FastWithKeywords, |arguments| extreme("min", Comparison::Less, arguments);
    Next = "next", Fast, next;
    Oct = "oct", One, |arguments| radix_text(&arguments[0], "0o", 8);
    Ord = "ord", One, |arguments| ord(&arguments[0]);
    Pow = "pow", FastWithKeywords, pow;
    Print = "print", FastWithKeywords, print;
    Repr = "repr", One, |arguments| format::repr(&arguments[0]);
    Round = "round", FastWithKeywords, round;
    SetAttr = "setattr", Fast, |arguments| {
        check_count("setattr", arguments, 3..=3)?;
        let name = name_of(&arguments[1])?;
        attribute::set(&arguments[0], &name, arguments[2].clone()).map(|()| Ref::none())
    };
    Sorted = "sorted", FastWithKeywords, sorted;
    Sum = "sum", FastWithKeywords, sum;
}

impl BuiltinId {
    /// The function with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.name() == name)
    }

    pub(crate) fn entry(self) -> &'static FunctionEntry {
        &ENTRIES[self as usize]
    }
}

/// A built-in function's object.
#[repr(C)]
pub struct Builtin {
    header: Header,
    /// The function's [`BuiltinId`], or [`OF_MODULE`](Self::OF_MODULE).
    pub(crate) id: u32,
    entry: &'static FunctionEntry,
}

impl Builtin {
    /// The number of every function that belongs to a module.
    pub(crate) const OF_MODULE: u32 = u32::MAX;

    pub(crate) fn new(id: u32, entry: &'static FunctionEntry) -> Self {
        Self {
            header: Header::new(Kind::Builtin, FLAG_FUNCTION | entry.kind as u32),
            id,
            entry,
        }
    }

    /// Which function it is; `None` for that of a module.
    pub fn id(&self) -> Option<BuiltinId> {
        BuiltinId::ALL.get(self.id as usize).copied()
    }

    /// The function's name.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The name, after that of the module if the function belongs to one.
    pub fn qualified_name(&self) -> String {
        match modules::of_function(self.entry) {
            Some(module) => format!("{module}.{}", self.entry.name),
            None => self.entry.name.to_owned(),
        }
    }

    /// How the function is called.
    pub fn call_kind(&self) -> CallKind {
        self.entry.kind
    }

    /// Calls the function.
    ///
    /// # Errors
    /// CPython's for these arguments, or `NotSupported`.
    pub(crate) fn invoke(&self, arguments: &[Ref]) -> Result<Ref> {
        if let Some(expected) = self.entry.kind.exact_count()
            && expected != arguments.len()
        {
            // CPython's errors call the built-in part of `operator` by its own name.
            let name = self.qualified_name().replace("operator.", "_operator.");
            return Err(self.entry.kind.wrong_count(&name, arguments.len()));
        }
        (self.entry.call)(arguments)
    }
}

impl Ref {
    /// The object of a built-in function.
    pub fn builtin(id: BuiltinId) -> Self {
        immortal::builtin(id)
    }
}

/// The error of a function without the argument that stands at this position, from 1.
fn missing(function: &str, argument: &str, position: usize) -> PyError {
    PyError::type_error(format!(
        "{function}() missing required argument '{argument}' (pos {position})"
    ))
}

/// The error of a function that takes at most this many arguments.
fn too_many(function: &str, most: usize, given: usize) -> PyError {
    PyError::type_error(format!(
        "{function}() takes at most {most} arguments ({given} given)"
    ))
}

fn all(items: &Ref) -> Result<Ref> {
    for item in iterator::items(items)? {
        if !ops::truth(&item?)? {
            return Ok(Ref::bool(false));
        }
    }
    Ok(Ref::bool(true))
}

fn any(items: &Ref) -> Result<Ref> {
    for item in iterator::items(items)? {
        if ops::truth(&item?)? {
            return Ok(Ref::bool(true));
        }
    }
    Ok(Ref::bool(false))
}

fn callable(object: &Ref) -> Result<Ref> {
    let is_callable = matches!(
        object.view(),
        View::Type(_)
            | View::Builtin(_)
            | View::Function(_)
            | View::Method(_)
            | View::MethodDescriptor(_)
            | View::BoundBuiltin(_)
            | View::StaticMethod(_)
    );
    let is_hooked = class_of(object).is_some_and(|class| class.defines("__call__"));
    Ok(Ref::bool(is_callable || is_hooked))
}

/// The two arguments of a function of an object and the name of an attribute.
fn attribute_of<'a>(function: &str, arguments: &'a [Ref]) -> Result<[&'a Ref; 2]> {
    check_count(function, arguments, 2..=2)?;
    Ok([&arguments[0], &arguments[1]])
}

/// An argument that is the name of an attribute.
fn name_of(name: &Ref) -> Result<String> {
    match name.view() {
        View::Str(name) => Ok(name.to_string_lossy()),
        _ => Err(PyError::type_error(format!(
            "attribute name must be string, not '{}'",
            name.type_name()
        ))),
    }
}

fn get_attribute(arguments: &[Ref]) -> Result<Ref> {
    check_count("getattr", arguments, 2..=3)?;
    let found = attribute::get(&arguments[0], &name_of(&arguments[1])?);
    match (found, arguments.get(2)) {
        (Err(error), Some(default)) if error.kind == ErrorKind::AttributeError => {
            Ok(default.clone())
        }
        (found, _) => found,
    }
}

fn has_attribute(arguments: &[Ref]) -> Result<Ref> {
    let [object, name] = attribute_of("hasattr", arguments)?;
    match attribute::get(object, &name_of(name)?) {
        Ok(_) => Ok(Ref::bool(true)),
        Err(error) if error.kind == ErrorKind::AttributeError => Ok(Ref::bool(false)),
        Err(error) => Err(error),
    }
}

fn chr(code_point: &Ref) -> Result<Ref> {
    let value = code_point.as_int().ok_or_else(|| wrong_index(code_point))?;
    match u32::try_from(value.saturate()) {
        Ok(code_point) if code_point < 0x11_0000 => Ok(str::single(code_point)),
        _ => Err(PyError::value("chr() arg not in range(0x110000)")),
    }
}

fn ord(character: &Ref) -> Result<Ref> {
    if let View::Bytes(bytes) = character.view() {
        return match bytes.data() {
            [byte] => Ok(Ref::int((*byte).into())),
            several => Err(PyError::type_error(format!(
                "ord() expected a character, but string of length {} found",
                several.len()
            ))),
        };
    }
    let View::Str(string) = character.view() else {
        return Err(PyError::type_error(format!(
            "ord() expected string of length 1, but {} found",
            character.type_name()
        )));
    };
    match string.as_code_point() {
        Some(code_point) => Ok(Ref::int(code_point.into())),
        None => Err(PyError::type_error(format!(
            "ord() expected a character, but string of length {} found",
            string.len()
        ))),
    }
}

fn divmod(arguments: &[Ref]) -> Result<Ref> {
    check_count("divmod", arguments, 2..=2)?;
    ops::divide_with_remainder(&arguments[0], &arguments[1])
}

/// The text of an int in base 2, 8 or 16.
fn radix_text(object: &Ref, prefix: &str, radix: u32) -> Result<Ref> {
    let value = object.as_int().ok_or_else(|| wrong_index(object))?;
    let digits = value.to_big().magnitude().to_str_radix(radix);
    let sign = if value.is_negative() { "-" } else { "" };
    Ok(Ref::str(&format!("{sign}{prefix}{digits}")))
}

fn isinstance(arguments: &[Ref]) -> Result<Ref> {
    check_count("isinstance", arguments, 2..=2)?;
    is_instance(&arguments[0], &arguments[1]).map(Ref::bool)
}

/// Whether an object is an instance of a type, or of one of a tuple of types.
pub(crate) fn is_instance(object: &Ref, class: &Ref) -> Result<bool> {
    is_instance_of(object, class, 0)
}

fn is_instance_of(object: &Ref, class: &Ref, depth: u32) -> Result<bool> {
    if depth > NESTING_LIMIT {
        let message = "maximum recursion depth exceeded in __instancecheck__";
        return Err(PyError::new(ErrorKind::RecursionError, message));
    }
    match class.view() {
        View::Type(_) => Ok(is_subclass(&object.class_of(), class)),
        View::Tuple(classes) => {
            for class in classes.items() {
                if is_instance_of(object, class, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(PyError::type_error(
            "isinstance() arg 2 must be a type, a tuple of types, or a union",
        )),
    }
}

fn iter(arguments: &[Ref]) -> Result<Ref> {
    check_count("iter", arguments, 1..=2)?;
    match arguments {
        [iterable] => iterator::iterate(iterable),
        _ => Err(PyError::not_supported("iter() with a sentinel")),
    }
}

fn next(arguments: &[Ref]) -> Result<Ref> {
    check_count("next", arguments, 1..=2)?;
    match (iterator::next(&arguments[0])?, arguments.get(1)) {
        (Some(item), _) => Ok(item),
        (None, Some(default)) => Ok(default.clone()),
        (None, None) => Err(PyError::new(ErrorKind::StopIteration, "")),
    }
}

/// `min` and `max`: the first item that no later one is beyond.
fn extreme(name: &str, beyond: Comparison, arguments: &[Ref]) -> Result<Ref> {
    let found = match arguments {
        [] => {
            return Err(PyError::type_error(format!(
                "{name} expected at least 1 argument, got 0"
            )));
        }
        [iterable] => extreme_of(beyond, iterator::items(iterable)?)?,
        _ => extreme_of(beyond, arguments.iter().cloned().map(Ok))?,
    };
    found.ok_or_else(|| PyError::value(format!("{name}() iterable argument is empty")))
}

fn extreme_of(
    beyond: Comparison,
    mut items: impl Iterator<Item = Result<Ref>>,
) -> Result<Option<Ref>> {
    let Some(mut best) = items.next().transpose()? else {
        return Ok(None);
    };
    for item in items {
        let item = item?;
        if compare(beyond, &item, &best)? {
            best = item;
        }
    }
    Ok(Some(best))
}

fn pow(arguments: &[Ref]) -> Result<Ref> {
    match arguments {
        [] => Err(missing("pow", "base", 1)),
        [_] => Err(missing("pow", "exp", 2)),
        [base, exponent] => ops::binary(BinaryOperator::Power, base, exponent),
        [base, exponent, modulus] => match (base.as_int(), exponent.as_int(), modulus.view()) {
            (_, _, View::None) => ops::binary(BinaryOperator::Power, base, exponent),
            (Some(base), Some(exponent), _) if modulus.as_int().is_some() => int::modular_power(
                base,
                exponent,
                modulus.as_int().unwrap_or(IntView::Small(0)),
            ),
            _ => Err(wrong_modular_power(base, exponent, modulus)),
        },
        _ => Err(too_many("pow", 3, arguments.len())),
    }
}

fn wrong_modular_power(base: &Ref, exponent: &Ref, modulus: &Ref) -> PyError {
    let operands = [base, exponent, modulus];
    if operands.iter().any(|operand| operand.kind() == Kind::Float) {
        return PyError::type_error(
            "pow() 3rd argument not allowed unless all arguments are integers",
        );
    }
    if let Err(error) = refuse_hooks(&operands, &["__pow__", "__rpow__"]) {
        return error;
    }
    let [a, b, c] = operands.map(Ref::type_name);
    PyError::type_error(format!(
        "unsupported operand type(s) for ** or pow(): '{a}', '{b}', '{c}'"
    ))
}

fn print(arguments: &[Ref]) -> Result<Ref> {
    let mut line = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        if let View::Str(string) = format::str(argument)?.view() {
            line.push_str(&encodable(string)?);
        }
    }
    line.push('\n');
    let failed = |error: std::io::Error| PyError::new(ErrorKind::OSError, error.to_string());
    std::io::stdout()
        .lock()
        .write_all(line.as_bytes())
        .map_err(failed)?;
    Ok(Ref::none())
}

/// The text of a string that UTF-8 can say.
fn encodable(string: &str::Str) -> Result<String> {
    let lone = string
        .code_points()
        .enumerate()
        .find(|&(_, c)| char::from_u32(c).is_none());
    if let Some((position, code_point)) = lone {
        return Err(PyError::new(
            ErrorKind::UnicodeEncodeError,
            format!(
                "'utf-8' codec can't encode character '\\u{code_point:04x}' in position {position}: \
                 surrogates not allowed"
            ),
        ));
    }
    Ok(string.to_string())
}

fn round(arguments: &[Ref]) -> Result<Ref> {
    let number = match arguments {
        [] => return Err(missing("round", "number", 1)),
        [number] => number,
        [number, digits] if matches!(digits.view(), View::None) => number,
        [number, digits] => return round_to(number, digits),
        _ => return Err(too_many("round", 2, arguments.len())),
    };
    match number.view() {
        View::Float(value) => int::from_float(value.round_ties_even()),
        _ => match number.as_int() {
            Some(value) => Ok(int::add(value, IntView::Small(0))),
            None => {
                let of = number.type_name();
                let message = format!("type {of} doesn't define __round__ method");
                Err(unless_hooked(
                    number,
                    &["__round__"],
                    PyError::type_error(message),
                ))
            }
        },
    }
}

/// `round(number, digits)`
fn round_to(number: &Ref, digits: &Ref) -> Result<Ref> {
    let is_number = number.as_int().is_some() || number.kind() == Kind::Float;
    if !is_number {
        return round(std::slice::from_ref(number));
    }
    let digits = digits.as_int().ok_or_else(|| wrong_index(digits))?;
    match (number.view(), number.as_int()) {
        (View::Float(value), _) => float::round_to(value, digits.saturate()).map(Ref::float),
        (_, Some(value)) => int::round_to(value, digits),
        _ => Err(wrong_index(number)),
    }
}

/// `format(object, specification)`
fn format_with(arguments: &[Ref]) -> Result<Ref> {
    check_count("format", arguments, 1..=2)?;
    let Some(specification) = arguments.get(1) else {
        return format::simple(&arguments[0]);
    };
    spec::format_object(&arguments[0], specification)
}

fn issubclass(arguments: &[Ref]) -> Result<Ref> {
    check_count("issubclass", arguments, 2..=2)?;
    let View::Type(class) = arguments[0].view() else {
        return Err(PyError::type_error("issubclass() arg 1 must be a class"));
    };
    is_subclass_of(class, &arguments[1], 0).map(Ref::bool)
}

fn is_subclass_of(class: &Type, base: &Ref, depth: u32) -> Result<bool> {
    if depth > NESTING_LIMIT {
        let message = "maximum recursion depth exceeded in __subclasscheck__";
        return Err(PyError::new(ErrorKind::RecursionError, message));
    }
    match base.view() {
        View::Type(base) => Ok(class.is_subtype_of(base)),
        View::Tuple(bases) => {
            for base in bases.items() {
                if is_subclass_of(class, base, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(PyError::type_error(
            "issubclass() arg 2 must be a class, a tuple of classes, or a union",
        )),
    }
}

fn sorted(arguments: &[Ref]) -> Result<Ref> {
    check_count("sorted", arguments, 1..=1)?;
    sort(iterator::collect(&arguments[0])?).map(Ref::list)
}

fn sum(arguments: &[Ref]) -> Result<Ref> {
    let (items, start) = match arguments {
        [] => {
            return Err(PyError::type_error(
                "sum() takes at least 1 positional argument (0 given)",
            ));
        }
        [items] => (items, Ref::int(0)),
        [items, start] => (items, start.clone()),
        _ => return Err(too_many("sum", 2, arguments.len())),
    };
    let mut items = iterator::items(items)?;
    let joined = match start.view() {
        View::Str(_) => Some(("strings", "''")),
        View::Bytes(_) => Some(("bytes", "b''")),
        _ => None,
    };
    if let Some((what, empty)) = joined {
        return Err(PyError::type_error(format!(
            "sum() can't sum {what} [use {empty}.join(seq) instead]"
        )));
    }
    let mut total = start;
    while let View::Int(IntView::Small(_)) = total.view() {
        let Some(item) = items.next().transpose()? else {
            return Ok(total);
        };
        total = ops::binary(BinaryOperator::Add, &total, &item)?;
    }
    match total.view() {
        View::Float(start) => sum_floats(start, items),
        _ => sum_plainly(total, items),
    }
}

fn sum_plainly(start: Ref, mut items: impl Iterator<Item = Result<Ref>>) -> Result<Ref> {
    items.try_fold(start, |sum, item| {
        ops::binary(BinaryOperator::Add, &sum, &item?)
    })
}

/// Adds floats, and ints that fit a machine word, with compensation; anything else from there on without.
fn sum_floats(start: f64, mut items: impl Iterator<Item = Result<Ref>>) -> Result<Ref> {
    let mut total = float::CompensatedSum::new(start);
    while let Some(item) = items.next().transpose()? {
        match (item.view(), item.as_int()) {
            (View::Float(value), _) => total.add(value),
            (_, Some(IntView::Small(value))) => total.add_exactly(value as f64),
            _ => {
                let sum = Ref::float(total.value());
                return sum_plainly(ops::binary(BinaryOperator::Add, &sum, &item)?, items);
            }
        }
    }
    Ok(Ref::float(total.value()))
}
