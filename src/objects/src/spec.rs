//! The language of format specifications: `format(object, specification)`, as in f-strings.

use crate::error::{PyError, Result};
use crate::float;
use crate::format;
use crate::hooks::refuse_hooks;
use crate::int::{self, IntView};
use crate::limits;
use crate::methods::argument_type;
use crate::numeral::float_text;
use crate::object::{Ref, View};
use crate::str::{self, Str};
use num_bigint::Sign;

/// A specification: `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) fill: u32,
    /// `<`, `>`, `^` or `=`; `None` leaves it to the type of the object.
    pub(crate) align: Option<char>,
    /// `+`, `-` or a space.
    pub(crate) sign: Option<char>,
    /// Whether a zero loses its sign.
    no_negative_zero: bool,
    pub(crate) alternate: bool,
    pub(crate) width: usize,
    /// `,` or `_`.
    grouping: Option<char>,
    pub(crate) precision: Option<usize>,
    /// The presentation type.
    pub(crate) code: Option<u32>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            fill: u32::from(' '),
            align: None,
            sign: None,
            no_negative_zero: false,
            alternate: false,
            width: 0,
            grouping: None,
            precision: None,
            code: None,
        }
    }
}

/// `format(object, specification)`
///
/// # Errors
/// `ValueError` for a specification that the type of the object does not have, `TypeError` for a type that has none,
/// and those of `str(object)`.
pub(crate) fn format(object: &Ref, specification: &Str) -> Result<Ref> {
    refuse_hooks(&[object], &["__format__"])?;
    if specification.is_empty() {
        return format::str(object);
    }
    match (object.view(), object.as_int()) {
        (View::Str(text), _) => {
            let spec = parse(specification, object, '<')?;
            format_str(&spec, text, object)
        }
        (View::Float(value), _) => {
            let spec = parse(specification, object, '>')?;
            format_float(&spec, value, object)
        }
        (_, Some(value)) => {
            let spec = parse(specification, object, '>')?;
            format_int(&spec, value, object)
        }
        _ => Err(PyError::type_error(format!(
            "unsupported format string passed to {}.__format__",
            object.type_name()
        ))),
    }
}

/// `format(object, specification)` for a specification that must be a string.
///
/// # Errors
/// `TypeError` if it is not, otherwise as [`format()`].
pub(crate) fn format_object(object: &Ref, specification: &Ref) -> Result<Ref> {
    match specification.view() {
        View::Str(text) => format(object, text),
        _ => Err(PyError::type_error(format!(
            "format() argument 2 must be str, not {}",
            argument_type(specification)
        ))),
    }
}

struct Parser<'a> {
    rest: &'a [u32],
}

impl Parser<'_> {
    fn peek(&self, at: usize) -> Option<char> {
        self.rest.get(at).copied().and_then(char::from_u32)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let found = self.peek(0).filter(|&c| wanted(c))?;
        self.rest = &self.rest[1..];
        Some(found)
    }

    /// A number, `None` without digits.
    fn number(&mut self) -> Result<Option<usize>> {
        let mut number = None;
        while let Some(digit) = self.next_if(|c| c.is_ascii_digit()) {
            let digit = digit as usize - '0' as usize;
            let longer = number
                .unwrap_or(0_usize)
                .checked_mul(10)
                .and_then(|number| number.checked_add(digit))
                .filter(|&number| number <= isize::MAX as usize);
            number = Some(
                longer.ok_or_else(|| PyError::value("Too many decimal digits in format string"))?,
            );
        }
        Ok(number)
    }
}

fn parse(specification: &Str, object: &Ref, default_align: char) -> Result<Spec> {
    let code_points: Vec<u32> = specification.code_points().collect();
    let mut parser = Parser { rest: &code_points };
    let mut spec = Spec::default();
    let is_align = |c: char| matches!(c, '<' | '>' | '=' | '^');
    let mut has_fill = false;
    if let Some(align) = parser.peek(1).filter(|&c| is_align(c)) {
        spec.fill = code_points[0];
        spec.align = Some(align);
        has_fill = true;
        parser.rest = &code_points[2..];
    } else {
        spec.align = parser.next_if(is_align);
    }
    spec.sign = parser.next_if(|c| matches!(c, '+' | '-' | ' '));
    spec.no_negative_zero = parser.next_if(|c| c == 'z').is_some();
    spec.alternate = parser.next_if(|c| c == '#').is_some();
    if !has_fill && parser.next_if(|c| c == '0').is_some() {
        spec.fill = u32::from('0');
        if spec.align.is_none() && default_align == '>' {
            spec.align = Some('=');
        }
    }
    spec.width = parser.number()?.unwrap_or(0);
    spec.grouping = grouping(&mut parser)?;
    if parser.next_if(|c| c == '.').is_some() {
        let precision = parser.number()?;
        spec.precision =
            Some(precision.ok_or_else(|| PyError::value("Format specifier missing precision"))?);
    }
    if parser.rest.len() > 1 {
        return Err(PyError::value(format!(
            "Invalid format specifier '{specification}' for object of type '{}'",
            object.type_name()
        )));
    }
    spec.code = parser.rest.first().copied();
    check_grouping(&spec)?;
    Ok(spec)
}

fn grouping(parser: &mut Parser<'_>) -> Result<Option<char>> {
    let comma = parser.next_if(|c| c == ',');
    let underscore = parser.next_if(|c| c == '_');
    let is_both = comma.is_some() && underscore.is_some()
        || underscore.is_some() && parser.peek(0) == Some(',');
    if is_both {
        return Err(PyError::value("Cannot specify both ',' and '_'."));
    }
    Ok(comma.or(underscore))
}

fn check_grouping(spec: &Spec) -> Result<()> {
    let Some(separator) = spec.grouping else {
        return Ok(());
    };
    let is_fine = match code_of(spec) {
        None | Some('d' | 'e' | 'f' | 'g' | 'E' | 'G' | '%' | 'F') => true,
        Some('b' | 'o' | 'x' | 'X') => separator == '_',
        _ => false,
    };
    if is_fine {
        return Ok(());
    }
    Err(cannot_group(separator, spec.code.unwrap_or(0)))
}

fn cannot_group(separator: char, code: u32) -> PyError {
    PyError::value(match printable(code) {
        Some(code) => format!("Cannot specify '{separator}' with '{code}'."),
        None => format!("Cannot specify '{separator}' with '\\x{code:x}'."),
    })
}

fn printable(code: u32) -> Option<char> {
    char::from_u32(code).filter(|&c| c > ' ' && c < '\u{80}')
}

fn code_of(spec: &Spec) -> Option<char> {
    spec.code
        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn unknown_code(code: u32, object: &Ref) -> PyError {
    let of = object.type_name();
    PyError::value(match printable(code) {
        Some(code) => format!("Unknown format code '{code}' for object of type '{of}'"),
        None => format!("Unknown format code '\\x{code:x}' for object of type '{of}'"),
    })
}

fn format_str(spec: &Spec, text: &Str, object: &Ref) -> Result<Ref> {
    if let Some(code) = spec.code
        && code != u32::from('s')
    {
        return Err(unknown_code(code, object));
    }
    let not_allowed = match spec.sign {
        Some(' ') => Some("Space not allowed in string format specifier"),
        Some(_) => Some("Sign not allowed in string format specifier"),
        None if spec.no_negative_zero => {
            Some("Negative zero coercion (z) not allowed in string format specifier")
        }
        None if spec.alternate => Some("Alternate form (#) not allowed in string format specifier"),
        None if spec.align == Some('=') => {
            Some("'=' alignment not allowed in string format specifier")
        }
        None => None,
    };
    if let Some(message) = not_allowed {
        return Err(PyError::value(message));
    }
    if let Some(separator) = spec.grouping {
        return Err(cannot_group(separator, u32::from('s')));
    }
    let length = spec.precision.unwrap_or(usize::MAX).min(text.len());
    let text: Vec<u32> = text.code_points().take(length).collect();
    pad(spec, spec.align.unwrap_or('<'), &[], text)
}

/// Pads a text, of which the first part stays to the left of padding that is put behind it for `=`.
fn pad(spec: &Spec, align: char, prefix: &[u32], body: Vec<u32>) -> Result<Ref> {
    let length = prefix.len() + body.len();
    let padding = spec.width.saturating_sub(length);
    limits::check_items(length.saturating_add(padding))?;
    let (left, middle, right) = match align {
        '<' => (0, 0, padding),
        '^' => (padding / 2, 0, padding - padding / 2),
        '=' => (0, padding, 0),
        _ => (padding, 0, 0),
    };
    let fill = |count| std::iter::repeat_n(spec.fill, count);
    let padded: Vec<u32> = fill(left)
        .chain(prefix.iter().copied())
        .chain(fill(middle))
        .chain(body)
        .chain(fill(right))
        .collect();
    Ok(str::from_code_points(padded.into_iter()))
}

fn code_points(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

fn format_int(spec: &Spec, value: IntView<'_>, object: &Ref) -> Result<Ref> {
    match code_of(spec) {
        None | Some('b' | 'c' | 'd' | 'o' | 'x' | 'X' | 'n') => {}
        Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
            return format_float(spec, value.to_float()?, object);
        }
        Some(_) => return Err(unknown_code(spec.code.unwrap_or(0), object)),
    }
    if spec.precision.is_some() {
        return Err(PyError::value(
            "Precision not allowed in integer format specifier",
        ));
    }
    if spec.no_negative_zero {
        return Err(PyError::value(
            "Negative zero coercion (z) not allowed in integer format specifier",
        ));
    }
    if code_of(spec) == Some('c') {
        return format_character(spec, value);
    }
    let (radix, prefix) = match code_of(spec) {
        Some('b') => (2, "0b"),
        Some('o') => (8, "0o"),
        Some('x') => (16, "0x"),
        Some('X') => (16, "0X"),
        _ => (10, ""),
    };
    let digits = magnitude_text(value, radix)?;
    let digits = match code_of(spec) {
        Some('X') => digits.to_uppercase(),
        _ => digits,
    };
    let mut start = sign_text(spec.sign, value.is_negative()).to_owned();
    if spec.alternate {
        start.push_str(prefix);
    }
    number_text(spec, &start, &digits, "")
}

/// The digits of an int without its sign.
pub(crate) fn magnitude_text(value: IntView<'_>, radix: u32) -> Result<String> {
    Ok(match radix {
        10 => int::to_text(value)?.trim_start_matches('-').to_owned(),
        _ => value.to_big().magnitude().to_str_radix(radix),
    })
}

fn sign_text(wanted: Option<char>, is_negative: bool) -> &'static str {
    match wanted {
        _ if is_negative => "-",
        Some('+') => "+",
        Some(' ') => " ",
        _ => "",
    }
}

fn format_character(spec: &Spec, value: IntView<'_>) -> Result<Ref> {
    if spec.sign.is_some() {
        let message = "Sign not allowed with integer format specifier 'c'";
        return Err(PyError::value(message));
    }
    if spec.alternate {
        let message = "Alternate form (#) not allowed with integer format specifier 'c'";
        return Err(PyError::value(message));
    }
    if value.to_i64().is_none() {
        return Err(PyError::overflow(
            "Python int too large to convert to C long",
        ));
    }
    match u32::try_from(value.saturate()) {
        Ok(code_point) if code_point < 0x11_0000 => {
            pad(spec, spec.align.unwrap_or('>'), &[], vec![code_point])
        }
        _ => Err(PyError::overflow("%c arg not in range(0x110000)")),
    }
}

fn format_float(spec: &Spec, value: f64, object: &Ref) -> Result<Ref> {
    let code = match code_of(spec) {
        None => None,
        // The locale is C's.
        Some('n') => Some('g'),
        Some(code @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) => Some(code),
        Some(_) => return Err(unknown_code(spec.code.unwrap_or(0), object)),
    };
    let text = float_digits(code, value.abs(), spec.precision, spec.alternate)?;
    let is_zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0') && value.is_finite();
    let mantissa_is_zero = is_zero
        || text
            .split(['e', 'E'])
            .next()
            .is_some_and(|mantissa| !mantissa.contains(|c: char| matches!(c, '1'..='9')))
            && value.is_finite();
    let is_negative =
        value.is_sign_negative() && !value.is_nan() && !(spec.no_negative_zero && mantissa_is_zero);
    let start = sign_text(spec.sign, is_negative);
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(whole);
    number_text(spec, start, digits, rest)
}

/// The text of a float that is not negative, in one of the presentation types of floats; without one as `repr`, or
/// where there is a precision as `g` with a point.
pub(crate) fn float_digits(
    code: Option<char>,
    value: f64,
    precision: Option<usize>,
    alternate: bool,
) -> Result<String> {
    let code = match (code, precision) {
        (None, None) => {
            let text = float_text(value);
            let is_plain = alternate && value.is_finite() && !text.contains('.');
            return Ok(match text.split_once('e') {
                Some((mantissa, exponent)) if is_plain => format!("{mantissa}.e{exponent}"),
                _ => text,
            });
        }
        (code, _) => code,
    };
    if !value.is_finite() {
        let text = float_text(value);
        let is_upper = code.is_some_and(|code| code.is_ascii_uppercase());
        let text = if is_upper { text.to_uppercase() } else { text };
        return Ok(if code == Some('%') { text + "%" } else { text });
    }
    let precision = precision.unwrap_or(6);
    if precision > i32::MAX as usize {
        return Err(PyError::value("precision too big"));
    }
    limits::check_items(precision)?;
    let point = if alternate && precision == 0 { "." } else { "" };
    let text = match code {
        Some('f' | 'F') => fixed(value, precision) + point,
        Some('%') => fixed(value * 100.0, precision) + point + "%",
        Some('e' | 'E') => {
            let (mantissa, exponent) = scientific(value, precision);
            with_exponent(mantissa + point, exponent)
        }
        _ => general(value, precision.max(1), alternate, code.is_none()),
    };
    Ok(match code {
        Some('E' | 'G') => text.to_uppercase(),
        _ => text,
    })
}

/// How many decimals a float can have at most, so that more are zeros.
const MOST_DECIMALS: usize = 1080;

fn fixed(value: f64, decimals: usize) -> String {
    if value.is_infinite() {
        return "inf".to_owned();
    }
    let computed = decimals.min(MOST_DECIMALS);
    let mut text = format!("{value:.computed$}");
    text.extend(std::iter::repeat_n('0', decimals - computed));
    text
}

/// The mantissa with so many decimals, and the exponent.
fn scientific(value: f64, decimals: usize) -> (String, i32) {
    let computed = decimals.min(MOST_DECIMALS);
    let text = format!("{value:.computed$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut mantissa = mantissa.to_owned();
    mantissa.extend(std::iter::repeat_n('0', decimals - computed));
    (mantissa, exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: String, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// So many significant digits, with an exponent if it is below -4 or not below their number, without the zeros at the
/// end of the decimals unless `keep_zeros`. `with_point` says that there must be a decimal, so that the number is seen
/// to be a float; a number with an exponent needs none, and gets one earlier.
fn general(value: f64, digits: usize, keep_zeros: bool, with_point: bool) -> String {
    let (mantissa, exponent) = scientific(value, digits - 1);
    let limit = digits as i64 - i64::from(with_point);
    let has_exponent = i64::from(exponent) < -4 || i64::from(exponent) >= limit;
    let (mut text, last) = if has_exponent {
        (mantissa, Some(exponent))
    } else {
        let decimals = (digits as i64 - 1 - i64::from(exponent)) as usize;
        (fixed(value, decimals), None)
    };
    if keep_zeros {
        if !text.contains('.') {
            text.push('.');
        }
    } else if text.contains('.') {
        let kept = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(kept);
    }
    if with_point && last.is_none() {
        if !text.contains('.') {
            text.push('.');
        }
        if text.ends_with('.') {
            text.push('0');
        }
    }
    match last {
        Some(exponent) => with_exponent(text, exponent),
        None => text,
    }
}

/// Groups the digits and pads the number: `start`, which are sign and prefix, then `digits`, then `rest`.
fn number_text(spec: &Spec, start: &str, digits: &str, rest: &str) -> Result<Ref> {
    limits::check_items(spec.width)?;
    let align = spec.align.unwrap_or('>');
    let pads_digits = spec.fill == u32::from('0') && align == '=';
    let taken = start.len() + rest.len();
    let least = if pads_digits {
        spec.width.saturating_sub(taken)
    } else {
        0
    };
    let grouped = match spec.grouping {
        Some(separator) if !digits.is_empty() => {
            let size = match code_of(spec) {
                Some('b' | 'o' | 'x' | 'X') => 4,
                _ => 3,
            };
            group(digits, separator, size, least)
        }
        _ => digits.to_owned(),
    };
    let body = code_points(&format!("{grouped}{rest}"));
    pad(spec, align, &code_points(start), body)
}

/// Digits with a separator between groups, with zeros before them until there are `least` characters.
fn group(digits: &str, separator: char, size: usize, least: usize) -> String {
    let mut reversed = String::new();
    let mut digits = digits.chars().rev();
    let mut count = 0;
    loop {
        let digit = digits.next();
        let is_short = reversed.len() < least;
        if digit.is_none() && !is_short {
            break;
        }
        if count > 0 && count % size == 0 {
            reversed.push(separator);
        }
        reversed.push(digit.unwrap_or('0'));
        count += 1;
    }
    reversed.chars().rev().collect()
}

/// A number as `%` formats it: sign and digits padded by width and flags.
pub(crate) fn padded_number(spec: &Spec, start: &str, digits: &str) -> Result<Ref> {
    pad(
        spec,
        spec.align.unwrap_or('>'),
        &code_points(start),
        code_points(digits),
    )
}

/// A text as `%` formats it.
pub(crate) fn padded_text(spec: &Spec, text: &Str) -> Result<Ref> {
    let length = spec.precision.unwrap_or(usize::MAX).min(text.len());
    let text = text.code_points().take(length).collect();
    pad(spec, spec.align.unwrap_or('>'), &[], text)
}

/// The sign of a number as flags ask for it.
pub(crate) fn sign(spec: &Spec, is_negative: bool) -> &'static str {
    sign_text(spec.sign, is_negative)
}

/// The sign of a big number, for which zero is positive.
pub(crate) fn is_negative(value: IntView<'_>) -> bool {
    value.to_big().sign() == Sign::Minus
}

/// A float that is not negative as `%` formats it.
pub(crate) fn float_for_percent(spec: &Spec, code: char, value: f64) -> Result<String> {
    debug_assert!(!float::is_negative(value));
    float_digits(Some(code), value, spec.precision, spec.alternate)
}
