//! `string % arguments`.

use crate::error::{PyError, Result};
use crate::format;
use crate::hooks::{class_of, unless_hooked};
use crate::int;
use crate::object::{Kind, Ref, View};
use crate::spec::{self, Spec};
use crate::str::{self, Str};
use crate::subscript;

/// The arguments: a tuple's items one after the other, or a single object.
struct Arguments<'a> {
    all: &'a Ref,
    used: usize,
    /// Whether the last conversions named their argument.
    is_mapping: bool,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Ref> {
        let index = self.used;
        self.used += 1;
        let argument = match self.all.view() {
            View::Tuple(tuple) => tuple.items().get(index).cloned(),
            _ => (index == 0).then(|| self.all.clone()),
        };
        argument.ok_or_else(|| PyError::type_error("not enough arguments for format string"))
    }

    /// Whether an argument is left; a mapping need not be used up.
    fn is_left(&self) -> bool {
        match self.all.view() {
            View::Tuple(tuple) => self.used < tuple.items().len(),
            View::Dict(_) | View::List(_) | View::Range(_) | View::Bytes(_) => false,
            _ => self.used == 0 && !self.is_mapping,
        }
    }

    /// Whether the argument can be asked for its items by name.
    fn is_subscriptable(&self) -> bool {
        let is_hooked = class_of(self.all).is_some_and(|class| class.defines("__getitem__"));
        is_hooked
            || matches!(
                self.all.kind(),
                Kind::Dict | Kind::List | Kind::Range | Kind::Bytes
            )
    }
}

/// Where the format string is being read.
struct Format {
    text: Vec<u32>,
    at: usize,
}

impl Format {
    fn next(&mut self) -> Result<char> {
        let code_point = self.text.get(self.at).copied();
        self.at += 1;
        code_point
            .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
            .ok_or_else(|| PyError::value("incomplete format"))
    }
}

/// `string % arguments`
///
/// # Errors
/// `TypeError` or `ValueError` if the string and the arguments do not fit together, or those of the conversions.
pub(crate) fn format(string: &Str, arguments: &Ref) -> Result<Ref> {
    let mut format = Format {
        text: string.code_points().collect(),
        at: 0,
    };
    let mut arguments = Arguments {
        all: arguments,
        used: 0,
        is_mapping: false,
    };
    let mut pieces = Vec::new();
    while format.at < format.text.len() {
        let rest = &format.text[format.at..];
        let percent = rest.iter().position(|&c| c == u32::from('%'));
        let plain = percent.unwrap_or(rest.len());
        if plain > 0 {
            pieces.push(str::from_code_points(rest[..plain].iter().copied()));
        }
        format.at += plain;
        if percent.is_some() {
            format.at += 1;
            pieces.push(conversion(&mut format, &mut arguments)?);
        }
    }
    if arguments.is_left() {
        return Err(PyError::type_error(
            "not all arguments converted during string formatting",
        ));
    }
    str::join(&pieces)
}

/// Reads a conversion behind its percent sign and gives what it makes of its argument.
fn conversion(format: &mut Format, arguments: &mut Arguments<'_>) -> Result<Ref> {
    let mut spec = Spec::default();
    let mut c = format.next()?;
    if c == '%' {
        return Ok(Ref::str("%"));
    }
    let mut named = None;
    if c == '(' {
        named = Some(named_argument(format, arguments)?);
        c = format.next()?;
    }
    let (mut is_left, mut has_zero) = (false, false);
    loop {
        match c {
            '-' => is_left = true,
            '+' => spec.sign = Some('+'),
            ' ' => spec.sign = spec.sign.or(Some(' ')),
            '#' => spec.alternate = true,
            '0' => has_zero = true,
            _ => break,
        }
        c = format.next()?;
    }
    if c == '*' {
        let width = star(arguments, "ssize_t", i64::MAX)?;
        is_left |= width < 0;
        spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        c = format.next()?;
    } else {
        (spec.width, c) = number(format, c, "width too big")?;
    }
    if c == '.' {
        c = format.next()?;
        if c == '*' {
            let precision = star(arguments, "int", i32::MAX.into())?;
            spec.precision = Some(usize::try_from(precision).unwrap_or(0));
            c = format.next()?;
        } else {
            let precision;
            (precision, c) = number(format, c, "precision too big")?;
            spec.precision = Some(precision);
        }
    }
    if matches!(c, 'h' | 'l' | 'L') {
        c = format.next()?;
    }
    let argument = match named {
        Some(argument) => argument,
        None => arguments.next()?,
    };
    let is_number = matches!(
        c,
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G'
    );
    spec.align = Some('>');
    if is_left {
        spec.align = Some('<');
    } else if has_zero && is_number {
        spec.align = Some('=');
        spec.fill = u32::from('0');
    }
    convert(
        c,
        &spec,
        &argument,
        format.at - 1,
        format.text[format.at - 1],
    )
}

/// The argument of a conversion `%(name)...`.
fn named_argument(format: &mut Format, arguments: &mut Arguments<'_>) -> Result<Ref> {
    if !arguments.is_subscriptable() {
        return Err(PyError::type_error("format requires a mapping"));
    }
    let start = format.at;
    let mut depth = 1;
    while depth > 0 {
        match format.text.get(format.at).copied().and_then(char::from_u32) {
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some(_) => {}
            None if format.at < format.text.len() => {}
            None => return Err(PyError::value("incomplete format key")),
        }
        format.at += 1;
    }
    let name = &format.text[start..format.at - 1];
    arguments.is_mapping = true;
    subscript::get(arguments.all, &str::from_code_points(name.iter().copied()))
}

/// A width or precision that is an argument, which must fit a number of C.
fn star(arguments: &mut Arguments<'_>, c_type: &str, most: i64) -> Result<i64> {
    let argument = arguments.next()?;
    let value = argument
        .as_int()
        .ok_or_else(|| PyError::type_error("* wants int"))?;
    let value = value
        .to_i64()
        .filter(|value| (-most - 1..=most).contains(value));
    value.ok_or_else(|| PyError::overflow(format!("Python int too large to convert to C {c_type}")))
}

/// The number that starts with a character, and the character behind it.
fn number(format: &mut Format, first: char, too_big: &str) -> Result<(usize, char)> {
    let (mut number, mut c) = (0_usize, first);
    while let Some(digit) = c.to_digit(10) {
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(digit as usize))
            .filter(|&number| number <= isize::MAX as usize)
            .ok_or_else(|| PyError::value(too_big))?;
        c = format.next()?;
    }
    Ok((number, c))
}

fn convert(code: char, spec: &Spec, argument: &Ref, at: usize, unit: u32) -> Result<Ref> {
    match code {
        's' | 'r' | 'a' => {
            let text = match code {
                's' => format::str(argument)?,
                'r' => format::repr(argument)?,
                _ => format::ascii(argument)?,
            };
            match text.view() {
                View::Str(text) => spec::padded_text(spec, text),
                _ => Ok(text),
            }
        }
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' => convert_int(code, spec, argument),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => convert_float(code, spec, argument),
        'c' => convert_character(spec, argument),
        _ => {
            let shown = if (0x20..0x7f).contains(&unit) {
                code
            } else {
                '?'
            };
            Err(PyError::value(format!(
                "unsupported format character '{shown}' ({unit:#x}) at index {at}"
            )))
        }
    }
}

fn convert_int(code: char, spec: &Spec, argument: &Ref) -> Result<Ref> {
    let is_decimal = matches!(code, 'd' | 'i' | 'u');
    let truncated;
    let value = match (argument.as_int(), argument.view()) {
        (Some(value), _) => value,
        (None, View::Float(value)) if is_decimal => {
            truncated = int::from_float(value)?;
            truncated.as_int().unwrap_or(int::IntView::Small(0))
        }
        _ => {
            let wanted = if is_decimal {
                "a real number"
            } else {
                "an integer"
            };
            let message = format!(
                "%{code} format: {wanted} is required, not {}",
                argument.type_name()
            );
            let methods = ["__int__", "__index__"];
            return Err(unless_hooked(
                argument,
                &methods,
                PyError::type_error(message),
            ));
        }
    };
    let (radix, prefix) = match code {
        'o' => (8, "0o"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    };
    let mut digits = spec::magnitude_text(value, radix)?;
    if code == 'X' {
        digits = digits.to_uppercase();
    }
    let least = spec.precision.unwrap_or(0);
    crate::limits::check_items(least)?;
    if digits.len() < least {
        digits.insert_str(0, &"0".repeat(least - digits.len()));
    }
    let mut start = spec::sign(spec, spec::is_negative(value)).to_owned();
    if spec.alternate {
        start.push_str(prefix);
    }
    spec::padded_number(spec, &start, &digits)
}

fn convert_float(code: char, spec: &Spec, argument: &Ref) -> Result<Ref> {
    let value = match (argument.view(), argument.as_int()) {
        (View::Float(value), _) => value,
        (_, Some(value)) => value.to_float()?,
        _ => {
            let message = format!("must be real number, not {}", argument.type_name());
            let methods = ["__float__", "__index__"];
            return Err(unless_hooked(
                argument,
                &methods,
                PyError::type_error(message),
            ));
        }
    };
    let digits = spec::float_for_percent(spec, code, value.abs())?;
    let is_negative = value.is_sign_negative() && !value.is_nan();
    spec::padded_number(spec, spec::sign(spec, is_negative), &digits)
}

fn convert_character(spec: &Spec, argument: &Ref) -> Result<Ref> {
    let wrong = || PyError::type_error("%c requires int or char");
    let code_point = match (argument.view(), argument.as_int()) {
        (View::Str(text), _) => text.as_code_point().ok_or_else(wrong)?,
        (_, Some(value)) => u32::try_from(value.saturate())
            .ok()
            .filter(|&c| c < 0x11_0000)
            .ok_or_else(|| PyError::overflow("%c arg not in range(0x110000)"))?,
        _ => return Err(wrong()),
    };
    let character = str::single(code_point);
    let mut spec = spec.clone();
    spec.precision = None;
    match character.view() {
        View::Str(text) => spec::padded_text(&spec, text),
        _ => Ok(character),
    }
}
