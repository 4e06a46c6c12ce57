//! Objects as text: `str()`, `repr()` and `ascii()`.

use crate::attribute::refuse_hook;
use crate::dict::Dict;
use crate::error::Result;
use crate::exception::Exception;
use crate::instance::Instance;
use crate::int;
use crate::limits;
use crate::method::Method;
use crate::nesting;
use crate::numeral::float_text;
use crate::object::{Ref, View};
use crate::range::Range;
use crate::set::Set;
use crate::str::Str;
use std::fmt::Write;

/// `str(object)`; an f-string's `{object}` is the same.
///
/// # Errors
/// `ValueError` for an int of too many digits, `RecursionError` for an object nested too deeply, `MemoryError` for a
/// container whose text would be too long.
pub fn str(object: &Ref) -> Result<Ref> {
    match object.view() {
        View::Str(_) => Ok(object.clone()),
        View::Instance(instance) => {
            refuse_hook(Some(instance.class()), "__str__")?;
            repr(object)
        }
        View::Exception(exception) => {
            refuse_hook(exception.of().class(), "__str__")?;
            exception.text()
        }
        _ => repr(object),
    }
}

/// `repr(object)`
///
/// # Errors
/// As [`str()`].
pub fn repr(object: &Ref) -> Result<Ref> {
    repr_text(object).map(|text| Ref::str(&text))
}

/// `ascii(object)`
///
/// # Errors
/// As [`str()`].
pub fn ascii(object: &Ref) -> Result<Ref> {
    let mut text = String::new();
    for c in repr_text(object)?.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            push_escaped(&mut text, c.into());
        }
    }
    Ok(Ref::str(&text))
}

/// The text of `repr(object)`.
///
/// # Errors
/// As [`str()`].
pub fn repr_text(object: &Ref) -> Result<String> {
    let mut printer = Printer::default();
    printer.object(object)?;
    Ok(printer.text)
}

/// The text of `str(object)`.
pub(crate) fn text(object: &Ref) -> Result<String> {
    match object.view() {
        View::Str(string) => Ok(string.to_string()),
        _ => repr_text(object),
    }
}

/// The text of `repr(string)`.
pub(crate) fn str_repr(string: &Str) -> String {
    let mut printer = Printer::default();
    printer.string(string);
    printer.text
}

/// Writes objects one into another.
#[derive(Default)]
struct Printer {
    text: String,
    /// The containers that are being written: one that contains itself is cut short.
    open: Vec<Ref>,
}

impl Printer {
    fn object(&mut self, object: &Ref) -> Result<()> {
        match object.view() {
            View::List(list) => self.items(object, ["[", "]"], list.iter()),
            View::Dict(dict) => self.dict(object, dict),
            View::DictView(view) => {
                let open = format!("{}([", object.type_name());
                self.wrapped(object, "...", [&open, "])"], view.iter())
            }
            View::Set(set) => self.set(object, set),
            View::Tuple(tuple) => {
                let close = if tuple.items().len() == 1 { ",)" } else { ")" };
                self.items(object, ["(", close], tuple.items().iter().cloned())
            }
            View::Slice(slice) => {
                let bounds = [slice.start(), slice.stop(), slice.step()].map(Ref::clone);
                self.items(object, ["slice(", ")"], bounds.into_iter())
            }
            View::Method(method) => self.method(method),
            View::Exception(exception) => self.exception(exception),
            _ => self.simple(object),
        }
    }

    /// Writes an object that is no container. What is here takes no room on the stack while one is written.
    #[inline(never)]
    fn simple(&mut self, object: &Ref) -> Result<()> {
        match object.view() {
            View::None => self.text.push_str("None"),
            View::Bool(value) => self.text.push_str(if value { "True" } else { "False" }),
            View::Int(value) => self.text.push_str(&int::to_text(value)?),
            View::Float(value) => self.text.push_str(&float_text(value)),
            View::Str(string) => self.string(string),
            View::Range(range) => return self.range(range),
            View::Function(function) => {
                let name = function.qualified_name();
                self.push(format_args!("<function {name} at {:p}>", object.as_ptr()));
            }
            View::Builtin(function) => {
                self.push(format_args!("<built-in function {}>", function.name()));
            }
            View::Bytes(bytes) => self.text.push_str(&bytes.repr()),
            View::MethodDescriptor(method) => {
                let (name, of) = (method.name(), method.of().name());
                self.push(format_args!("<method '{name}' of '{of}' objects>"));
            }
            View::BoundBuiltin(method) => {
                let (name, receiver) = (method.name(), method.receiver());
                let of = receiver.type_name();
                self.push(format_args!(
                    "<built-in method {name} of {of} object at {:p}>",
                    receiver.as_ptr()
                ));
            }
            View::Type(of) => {
                let module = if of.class().is_some() {
                    "__main__."
                } else {
                    ""
                };
                self.push(format_args!("<class '{module}{}'>", of.name()));
            }
            View::Instance(instance) => return self.instance(object, instance),
            View::Module(module) => {
                self.push(format_args!("<module '{}' (built-in)>", module.name()));
            }
            // Iterators, and whatever else has no text of its own.
            _ => {
                let name = object.type_name();
                self.push(format_args!("<{name} object at {:p}>", object.as_ptr()));
            }
        }
        Ok(())
    }

    fn dict(&mut self, object: &Ref, dict: &Dict) -> Result<()> {
        self.container(object, "{...}", |printer| {
            printer.text.push('{');
            printer.separated(dict.iter(), |printer, (key, value)| {
                printer.object(&key)?;
                printer.text.push_str(": ");
                printer.object(&value)
            })?;
            printer.text.push('}');
            Ok(())
        })
    }

    fn method(&mut self, method: &Method) -> Result<()> {
        let name = match method.function().view() {
            View::Function(function) => function.qualified_name().to_owned(),
            _ => method.function().type_name().to_owned(),
        };
        self.push(format_args!("<bound method {name} of "));
        let _nested = nesting::enter(" while getting the repr of an object")?;
        self.object(method.instance())?;
        self.text.push('>');
        Ok(())
    }

    fn exception(&mut self, exception: &Exception) -> Result<()> {
        refuse_hook(exception.of().class(), "__repr__")?;
        let _nested = nesting::enter(" while getting the repr of an object")?;
        self.text.push_str(&exception.repr()?);
        Ok(())
    }

    fn instance(&mut self, object: &Ref, instance: &Instance) -> Result<()> {
        refuse_hook(Some(instance.class()), "__repr__")?;
        let name = instance.class().name();
        self.push(format_args!(
            "<__main__.{name} object at {:p}>",
            object.as_ptr()
        ));
        Ok(())
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(text);
    }

    fn items(
        &mut self,
        container: &Ref,
        [open, close]: [&str; 2],
        items: impl Iterator<Item = Ref>,
    ) -> Result<()> {
        // CPython leaves the comma of a one-item tuple out here.
        let cut = format!("{open}...{}", close.trim_start_matches(','));
        self.wrapped(container, &cut, [open, close], items)
    }

    fn set(&mut self, object: &Ref, set: &Set) -> Result<()> {
        let name = object.type_name();
        if set.is_empty() {
            self.push(format_args!("{name}()"));
            return Ok(());
        }
        let cut = format!("{name}(...)");
        let open = format!("{name}({{");
        let around = if set.is_frozen() {
            [open.as_str(), "})"]
        } else {
            ["{", "}"]
        };
        self.wrapped(object, &cut, around, set.iter())
    }

    /// Writes items between two texts.
    fn wrapped(
        &mut self,
        container: &Ref,
        cut: &str,
        [open, close]: [&str; 2],
        items: impl Iterator<Item = Ref>,
    ) -> Result<()> {
        self.container(container, cut, |printer| {
            printer.text.push_str(open);
            printer.separated(items, |printer, item| printer.object(&item))?;
            printer.text.push_str(close);
            Ok(())
        })
    }

    /// Writes a container, or `cut` inside of itself.
    fn container(
        &mut self,
        container: &Ref,
        cut: &str,
        write: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if self.open.iter().any(|other| other.is(container)) {
            self.text.push_str(cut);
            return Ok(());
        }
        let _nested = nesting::enter(" while getting the repr of an object")?;
        self.open.push(container.clone());
        write(self)?;
        self.open.pop();
        Ok(())
    }

    fn separated<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            write(self, item)?;
            // Lists that share items may print longer than anything that is in memory.
            limits::check_items(self.text.len())?;
        }
        Ok(())
    }

    fn range(&mut self, range: &Range) -> Result<()> {
        let (start, stop) = (int::to_text(range.start())?, int::to_text(range.stop())?);
        let step = int::to_text(range.step())?;
        if step == "1" {
            self.push(format_args!("range({start}, {stop})"));
        } else {
            self.push(format_args!("range({start}, {stop}, {step})"));
        }
        Ok(())
    }

    fn string(&mut self, string: &Str) {
        let has = |quote: char| string.code_points().any(|c| c == u32::from(quote));
        let quote = if has('\'') && !has('"') { '"' } else { '\'' };
        self.text.push(quote);
        for code_point in string.code_points() {
            match char::from_u32(code_point) {
                Some(c) if c == quote || c == '\\' => self.text.extend(['\\', c]),
                Some('\t') => self.text.push_str("\\t"),
                Some('\n') => self.text.push_str("\\n"),
                Some('\r') => self.text.push_str("\\r"),
                Some(c) if is_printable(c) => self.text.push(c),
                _ => push_escaped(&mut self.text, code_point),
            }
        }
        self.text.push(quote);
    }
}

/// `str.isprintable()` of a character: everything but controls, formats, surrogates, private and unassigned
/// characters, and separators other than the space.
///
/// The standard library's `Debug` of a string escapes the same characters. It knows of the characters of a newer
/// Unicode than CPython 3.13's 15.1.
pub(crate) fn is_printable_code(code_point: u32) -> bool {
    char::from_u32(code_point).is_some_and(is_printable)
}

fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // A character that extends a grapheme is escaped where it comes first.
    let mut buffer = [b'a'; 5];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(c)
}

/// Writes a code point as the shortest of `\xhh`, `\uhhhh` and `\Uhhhhhhhh`.
fn push_escaped(text: &mut String, code_point: u32) {
    let escape = match code_point {
        ..0x100 => format!("\\x{code_point:02x}"),
        0x100..0x1_0000 => format!("\\u{code_point:04x}"),
        _ => format!("\\U{code_point:08x}"),
    };
    text.push_str(&escape);
}
