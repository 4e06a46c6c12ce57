//! Construction: what calling a type gives.

use crate::adapters;
use crate::bytes::Bytes;
use crate::call::{check_count, is_index, wrong_index};
use crate::codec;
use crate::dict;
use crate::error::{ErrorKind, PyError, Result};
use crate::format;
use crate::hooks::{refuse_hooks, unless_hooked};
use crate::int::{self, IntView};
use crate::iterator;
use crate::limits;
use crate::methods::{bytes_of_items, str::encoding_arguments};
use crate::numeral;
use crate::object::{Kind, Ref, View};
use crate::ops;
use crate::set;
use crate::str;
use crate::types::TypeId;

/// `type(*arguments)`
///
/// # Errors
/// CPython's for these arguments, or `NotSupported`.
pub(crate) fn construct(id: TypeId, arguments: &[Ref]) -> Result<Ref> {
    match id {
        TypeId::Bool => {
            check_count("bool", arguments, 0..=1)?;
            let truth = arguments.first().map_or(Ok(false), ops::truth);
            truth.map(Ref::bool)
        }
        TypeId::Int => int(arguments),
        TypeId::Float => float(arguments),
        TypeId::Str => str(arguments),
        TypeId::List => {
            check_count("list", arguments, 0..=1)?;
            Ok(Ref::list(items(arguments)?))
        }
        TypeId::Tuple => tuple(arguments),
        TypeId::Dict => dict::construct(arguments),
        TypeId::Set => set::construct(Kind::Set, arguments),
        TypeId::FrozenSet => set::construct(Kind::FrozenSet, arguments),
        TypeId::Range => range(arguments),
        TypeId::Slice => slice(arguments),
        TypeId::Type => type_of(arguments),
        TypeId::Bytes => bytes(arguments),
        TypeId::Enumerate => adapters::enumerate(arguments),
        TypeId::Zip => adapters::zip(arguments),
        TypeId::Map => adapters::map(arguments),
        TypeId::Filter => adapters::filter(arguments),
        TypeId::Reversed => adapters::reversed(arguments),
        TypeId::None if arguments.is_empty() => Ok(Ref::none()),
        TypeId::None => Err(PyError::type_error("NoneType takes no arguments")),
        TypeId::Object | TypeId::Function | TypeId::Super => Err(PyError::not_supported(
            format_args!("calling '{}'", id.name()),
        )),
        _ => Err(PyError::type_error(format!(
            "cannot create '{}' instances",
            id.name()
        ))),
    }
}

/// The items of the only argument, if there is one.
fn items(arguments: &[Ref]) -> Result<Vec<Ref>> {
    arguments.first().map_or(Ok(Vec::new()), iterator::collect)
}

fn tuple(arguments: &[Ref]) -> Result<Ref> {
    check_count("tuple", arguments, 0..=1)?;
    match arguments.first() {
        Some(argument) if matches!(argument.view(), View::Tuple(_)) => Ok(argument.clone()),
        _ => Ok(Ref::tuple(items(arguments)?)),
    }
}

fn int(arguments: &[Ref]) -> Result<Ref> {
    check_count("int", arguments, 0..=2)?;
    match arguments {
        [] => Ok(Ref::int(0)),
        [value] => match value.view() {
            View::Float(value) => int::from_float(value),
            View::Str(text) => numeral::parse_int(text, 10),
            View::Bytes(bytes) => int_of_bytes(bytes, 10),
            View::Int(_) => Ok(value.clone()),
            _ => value.as_int().map(plain_int).ok_or_else(|| {
                let error = PyError::type_error(format!(
                    "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                    value.type_name()
                ));
                unless_hooked(value, &["__int__", "__index__", "__trunc__"], error)
            }),
        },
        [value, base, ..] => {
            let base = base.as_int().ok_or_else(|| wrong_index(base))?.saturate();
            numeral::check_base(base)?;
            match value.view() {
                View::Str(text) => numeral::parse_int(text, base),
                View::Bytes(bytes) => int_of_bytes(bytes, base),
                _ => Err(PyError::type_error("int() can't convert non-string with explicit base")),
            }
        }
    }
}

/// The bytes of a numeral as a string.
fn numeral_of(bytes: &Bytes) -> Ref {
    str::from_code_points(bytes.data().iter().map(|&byte| byte.into()))
}

/// The error of a numeral in the words for bytes.
fn for_bytes(error: PyError, text: &Ref, bytes: &Bytes) -> PyError {
    let literal = format::repr_text(text).unwrap_or_default();
    PyError::new(error.kind, error.message.replace(&literal, &bytes.repr()))
}

fn int_of_bytes(bytes: &Bytes, base: i64) -> Result<Ref> {
    let text = numeral_of(bytes);
    let parsed = match text.view() {
        View::Str(string) if string.is_ascii() => numeral::parse_int(string, base),
        _ => Err(PyError::value(format!(
            "invalid literal for int() with base {base}: {}",
            bytes.repr()
        ))),
    };
    parsed.map_err(|error| for_bytes(error, &text, bytes))
}

fn float_of_bytes(bytes: &Bytes) -> Result<f64> {
    let text = numeral_of(bytes);
    let parsed = match text.view() {
        View::Str(string) if string.is_ascii() => numeral::parse_float(string),
        _ => Err(PyError::value(format!(
            "could not convert string to float: {}",
            bytes.repr()
        ))),
    };
    parsed.map_err(|error| for_bytes(error, &text, bytes))
}

/// `bytes(*arguments)`
fn bytes(arguments: &[Ref]) -> Result<Ref> {
    let (source, rest) = match arguments {
        [] => return Ok(Bytes::object(Vec::new())),
        [source, rest @ ..] if rest.len() <= 2 => (source, rest),
        _ => {
            return Err(PyError::type_error(format!(
                "bytes() takes at most 3 arguments ({} given)",
                arguments.len()
            )));
        }
    };
    let [encoding, errors] = encoding_arguments("bytes", rest)?;
    refuse_hooks(&[source], &["__bytes__", "__index__"])?;
    match (source.view(), source.as_int()) {
        (View::Str(_), _) if rest.is_empty() => {
            Err(PyError::type_error("string argument without an encoding"))
        }
        (View::Str(text), _) => codec::encode(text, &encoding, &errors).map(Bytes::object),
        _ if !rest.is_empty() => Err(PyError::type_error("encoding without a string argument")),
        (View::Bytes(_), _) => Ok(source.clone()),
        (_, Some(count)) => {
            let count = int::to_index(count, ErrorKind::OverflowError)?;
            let Ok(count) = usize::try_from(count) else {
                return Err(PyError::value("negative count"));
            };
            limits::check_items(count)?;
            Ok(Bytes::object(vec![0; count]))
        }
        _ => bytes_of_items(source).map(Bytes::object),
    }
}

/// An int that is not a bool.
fn plain_int(value: IntView<'_>) -> Ref {
    int::add(value, IntView::Small(0))
}

fn float(arguments: &[Ref]) -> Result<Ref> {
    check_count("float", arguments, 0..=1)?;
    let Some(value) = arguments.first() else {
        return Ok(Ref::float(0.0));
    };
    match value.view() {
        View::Float(_) => Ok(value.clone()),
        View::Str(text) => numeral::parse_float(text).map(Ref::float),
        View::Bytes(bytes) => float_of_bytes(bytes).map(Ref::float),
        _ => match value.as_int() {
            Some(value) => value.to_float().map(Ref::float),
            None => {
                let error = PyError::type_error(format!(
                    "float() argument must be a string or a real number, not '{}'",
                    value.type_name()
                ));
                Err(unless_hooked(value, &["__float__", "__index__"], error))
            }
        },
    }
}

fn str(arguments: &[Ref]) -> Result<Ref> {
    match arguments {
        [] => Ok(Ref::str("")),
        [object] => format::str(object),
        [object, rest @ ..] if rest.len() <= 2 => {
            for (argument, name) in rest.iter().zip(["encoding", "errors"]) {
                if !matches!(argument.view(), View::Str(_)) {
                    let found = argument.type_name();
                    let message = format!("str() argument '{name}' must be str, not {found}");
                    return Err(PyError::type_error(message));
                }
            }
            let [encoding, errors] = encoding_arguments("str", rest)?;
            match object.view() {
                View::Bytes(bytes) => codec::decode(bytes.data(), &encoding, &errors),
                View::Str(_) => Err(PyError::type_error("decoding str is not supported")),
                _ => Err(PyError::type_error(format!(
                    "decoding to str: need a bytes-like object, {} found",
                    object.type_name()
                ))),
            }
        }
        _ => check_count("str", arguments, 0..=3).map(|()| Ref::str("")),
    }
}

fn range(arguments: &[Ref]) -> Result<Ref> {
    check_count("range", arguments, 1..=3)?;
    if let Some(argument) = arguments.iter().find(|argument| !is_index(argument)) {
        return Err(wrong_index(argument));
    }
    let (zero, one) = (Ref::int(0), Ref::int(1));
    let made = match arguments {
        [stop] => Ref::range(&zero, stop, &one),
        [start, stop] => Ref::range(start, stop, &one),
        [start, stop, step, ..] => Ref::range(start, stop, step),
        [] => None,
    };
    made.ok_or_else(|| PyError::value("range() arg 3 must not be zero"))
}

fn slice(arguments: &[Ref]) -> Result<Ref> {
    check_count("slice", arguments, 1..=3)?;
    let argument = |index: usize| arguments.get(index).cloned().unwrap_or_else(Ref::none);
    Ok(match arguments.len() {
        1 => Ref::slice(Ref::none(), argument(0), Ref::none()),
        _ => Ref::slice(argument(0), argument(1), argument(2)),
    })
}

fn type_of(arguments: &[Ref]) -> Result<Ref> {
    match arguments {
        [object] => Ok(object.class_of()),
        [_, _, _] => Err(PyError::not_supported("making a class")),
        _ => Err(PyError::type_error("type() takes 1 or 3 arguments")),
    }
}
