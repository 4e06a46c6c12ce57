//! Methods of the program that an operation on objects would have to call.
//!
//! Calling them is the business of uops: an operation that finds one is `NotSupported`, so that it never gives the answer
//! of an object without the method.

use crate::class::Class;
use crate::error::{PyError, Result};
use crate::object::{Ref, View};

/// Fails if a class defines this method.
pub(crate) fn refuse_hook(class: Option<&Class>, name: &str) -> Result<()> {
    match class.filter(|class| class.defines(name)) {
        Some(class) => Err(PyError::not_supported(format_args!(
            "calling {name} of '{}'",
            class.name()
        ))),
        None => Ok(()),
    }
}

/// Fails if the class of one of the objects defines one of these methods.
pub(crate) fn refuse_hooks(objects: &[&Ref], names: &[&str]) -> Result<()> {
    for object in objects {
        let class = class_of(object);
        names.iter().try_for_each(|name| refuse_hook(class, name))?;
    }
    Ok(())
}

/// The error of an operation that an object does not take, unless its class defines one of the methods that would have
/// been called.
pub(crate) fn unless_hooked(object: &Ref, names: &[&str], error: PyError) -> PyError {
    refuse_hooks(&[object], names).err().unwrap_or(error)
}

/// The class of the program that an object is an instance of.
pub(crate) fn class_of(object: &Ref) -> Option<&Class> {
    match object.view() {
        View::Instance(instance) => Some(instance.class()),
        View::Exception(exception) => exception.of().class(),
        _ => None,
    }
}
