//! Binding: which parameter of a function gets which argument of a call, and what is said of the wrong ones.

use crate::code::{VARARGS, VARKEYWORDS, name_text};
use crate::error::{PyError, Result};
use crate::function::Function;
use crate::object::{Ref, View};

/// The locals with which a call with these positional arguments starts, up to the last parameter's.
///
/// # Errors
/// `TypeError` where arguments are missing or there are too many.
pub(crate) fn bind(
    function: &Function,
    arguments: impl ExactSizeIterator<Item = Ref>,
) -> Result<Vec<Option<Ref>>> {
    let code = function.code();
    let positional = code.argument_count() as usize;
    let given = arguments.len();
    let mut arguments = arguments.into_iter();
    let mut locals: Vec<Option<Ref>> = arguments.by_ref().take(positional).map(Some).collect();
    let rest: Vec<Ref> = arguments.collect();
    if !rest.is_empty() && code.flags() & VARARGS == 0 {
        return Err(too_many(function, given));
    }
    add_defaults(function, &mut locals)?;
    add_keyword_defaults(function, &mut locals)?;
    if code.flags() & VARARGS != 0 {
        locals.push(Some(Ref::tuple(rest)));
    }
    if code.flags() & VARKEYWORDS != 0 {
        locals.push(Some(Ref::dict()));
    }
    Ok(locals)
}

/// The last positional parameters have defaults.
fn add_defaults(function: &Function, locals: &mut Vec<Option<Ref>>) -> Result<()> {
    let (given, positional) = (locals.len(), function.code().argument_count() as usize);
    let defaults = function.defaults();
    let defaults = match defaults.as_ref().map(Ref::view) {
        Some(View::Tuple(defaults)) => defaults.items(),
        _ => &[],
    };
    let required = positional.saturating_sub(defaults.len());
    if given < required {
        let names = &function.code().local_names()[given..required];
        return Err(missing(function, "positional", names));
    }
    // Where there are more defaults than parameters, the last ones count.
    let first = (given + defaults.len()).saturating_sub(positional);
    let added = defaults.get(first..).unwrap_or_default();
    locals.extend(added.iter().cloned().map(Some));
    Ok(())
}

/// Keyword-only parameters have their defaults in a dict.
fn add_keyword_defaults(function: &Function, locals: &mut Vec<Option<Ref>>) -> Result<()> {
    let code = function.code();
    let first = code.argument_count() as usize;
    let names = &code.local_names()[first..first + code.keyword_only() as usize];
    if names.is_empty() {
        return Ok(());
    }
    let defaults = function.keyword_defaults();
    let default_of = |name: &Ref| match defaults.as_ref().map(Ref::view) {
        Some(View::Dict(defaults)) => defaults.get(name),
        _ => Ok(None),
    };
    let mut without = Vec::new();
    for name in names {
        let default = default_of(name)?;
        if default.is_none() {
            without.push(name.clone());
        }
        locals.push(default);
    }
    match without.as_slice() {
        [] => Ok(()),
        names => Err(missing(function, "keyword-only", names)),
    }
}

fn missing(function: &Function, kind: &str, names: &[Ref]) -> PyError {
    let count = names.len();
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("'{}'", name_text(name)))
        .collect();
    let listed = match quoted.as_slice() {
        [first, last] => format!("{first} and {last}"),
        [before @ .., last] if !before.is_empty() => format!("{}, and {last}", before.join(", ")),
        _ => quoted.join(""),
    };
    PyError::type_error(format!(
        "{}() missing {count} required {kind} argument{}: {listed}",
        function.qualified_name(),
        plural(count),
    ))
}

fn too_many(function: &Function, given: usize) -> PyError {
    let most = function.code().argument_count() as usize;
    let defaults = function.defaults();
    let with_default = match defaults.as_ref().map(Ref::view) {
        Some(View::Tuple(defaults)) => defaults.items().len(),
        _ => 0,
    };
    let (takes, ending) = match with_default {
        0 => (most.to_string(), plural(most)),
        _ => (
            format!("from {} to {most}", most as i64 - with_default as i64),
            "s",
        ),
    };
    PyError::type_error(format!(
        "{}() takes {takes} positional argument{ending} but {given} {} given",
        function.qualified_name(),
        if given == 1 { "was" } else { "were" },
    ))
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
