//! Names that are not locals: globals, builtins, and those of a module's or class's own dict.

use crate::code::name_text;
use crate::dict::Dict;
use crate::error::{ErrorKind, PyError, Result};
use crate::function::Function;
use crate::object::{Ref, View};

/// The global or builtin with this name, a string.
///
/// # Errors
/// `NameError` if there is none.
pub fn load(function: &Function, name: &Ref) -> Result<Ref> {
    for names in [function.globals(), function.builtins()] {
        if let Some(value) = dict(names)?.get(name)? {
            return Ok(value);
        }
    }
    Err(undefined(name))
}

/// Sets a global.
///
/// # Errors
/// What the dict raises.
pub fn store(function: &Function, name: &Ref, value: Ref) -> Result<()> {
    dict(function.globals())?.insert(name.clone(), value)
}

/// Deletes a global.
///
/// # Errors
/// `NameError` if there is none.
pub fn delete(function: &Function, name: &Ref) -> Result<()> {
    let removed = dict(function.globals())?.remove(name)?;
    removed.map(drop).ok_or_else(|| undefined(name))
}

/// Sets a name in the dict of the running module or class.
///
/// # Errors
/// `SystemError` if the frame has none.
pub fn store_name(namespace: Option<&Ref>, name: &Ref, value: Ref) -> Result<()> {
    let namespace = namespace
        .ok_or_else(|| no_locals(&format!(" found when storing '{}'", name_text(name))))?;
    dict(namespace)?.insert(name.clone(), value)
}

/// Deletes a name from the dict of the running module or class.
///
/// # Errors
/// `NameError` if it is not there, `SystemError` if the frame has no dict.
pub fn delete_name(namespace: Option<&Ref>, name: &Ref) -> Result<()> {
    let namespace =
        namespace.ok_or_else(|| no_locals(&format!(" when deleting '{}'", name_text(name))))?;
    let removed = dict(namespace)?.remove(name)?;
    removed.map(drop).ok_or_else(|| undefined(name))
}

/// The dict of the running module or class.
///
/// # Errors
/// `SystemError` if the frame has none.
pub fn locals(namespace: Option<&Ref>) -> Result<Ref> {
    namespace.cloned().ok_or_else(|| no_locals(""))
}

/// Makes sure that the running module or class has a dict of annotations.
///
/// # Errors
/// `SystemError` if the frame has no dict.
pub fn set_up_annotations(namespace: Option<&Ref>) -> Result<()> {
    let namespace = namespace.ok_or_else(|| no_locals(" found when setting up annotations"))?;
    let names = dict(namespace)?;
    let name = Ref::str("__annotations__");
    match names.get(&name)? {
        Some(_) => Ok(()),
        None => names.insert(name, Ref::dict()),
    }
}

/// The entry of a dict whose keys are names.
///
/// # Errors
/// What the dict raises.
pub(crate) fn find(names: &Ref, name: &Ref) -> Result<Option<Ref>> {
    dict(names)?.get(name)
}

fn dict(names: &Ref) -> Result<&Dict> {
    match names.view() {
        View::Dict(dict) => Ok(dict),
        _ => Err(PyError::not_supported(format_args!(
            "names in a {}",
            names.type_name()
        ))),
    }
}

fn undefined(name: &Ref) -> PyError {
    PyError::new(
        ErrorKind::NameError,
        format!("name '{}' is not defined", name_text(name)),
    )
}

fn no_locals(what: &str) -> PyError {
    PyError::new(ErrorKind::SystemError, format!("no locals{what}"))
}
