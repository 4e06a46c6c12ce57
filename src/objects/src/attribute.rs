//! Attributes: getting, setting and deleting them by name.
//!
//! An attribute is looked for as CPython's generic functions do: a descriptor of the type that sets, then what the object
//! itself has, then the type's other attributes, bound to the object where they are functions. What would call a function
//! of the program, a property say, is `NotSupported`.

use crate::call;
use crate::class::resolution_order;
use crate::error::{PyError, Result};
use crate::exception::Exception;
use crate::function::Function;
use crate::hooks::refuse_hook;
use crate::instance::Instance;
use crate::int::{self, IntView};
use crate::module::Module;
use crate::object::{Ref, View};
use crate::types::{Type, TypeId};

/// A callable and what goes before its arguments, if anything does.
pub type Callee = (Ref, Option<Ref>);

/// `object.name`
///
/// # Errors
/// `AttributeError` if there is no such attribute, otherwise that of a property; `NotSupported`.
pub fn get(object: &Ref, name: &str) -> Result<Ref> {
    let found = match object.view() {
        View::Instance(instance) => of_instance(object, instance, name),
        View::Type(of) => of_type(object, of, name),
        View::Module(module) => of_module(module, name),
        View::Exception(exception) => of_exception(object, exception, name),
        View::Method(method) => match built_in(object, name) {
            Some(value) => Ok(Some(value)),
            None => get(method.function(), name).map(Some),
        },
        _ => of_built_in(object, name),
    };
    found?.ok_or_else(|| missing(object, name))
}

/// `object.name` as a callee: a method of the type is not bound but given together with the object.
///
/// # Errors
/// As [`get`].
pub fn get_method(object: &Ref, name: &str) -> Result<Callee> {
    let class = object.class_of();
    if let View::Type(class) = class.view()
        && !has_own_attributes(object, name)
        && let Some(found) = class.lookup(name)
        && matches!(found.view(), View::Function(_) | View::MethodDescriptor(_))
    {
        return Ok((found, Some(object.clone())));
    }
    Ok((get(object, name)?, None))
}

/// Whether the object itself has an attribute that hides a method of its type. Types look elsewhere altogether.
fn has_own_attributes(object: &Ref, name: &str) -> bool {
    match object.view() {
        View::Instance(instance) => instance.own(name).is_some(),
        View::Exception(exception) => own_of_exception(exception, name).is_some(),
        View::Type(_) | View::Module(_) | View::Method(_) => true,
        _ => false,
    }
}

/// `object.name = value`
///
/// # Errors
/// `AttributeError` or `TypeError` if the object does not take the attribute; `NotSupported`.
pub fn set(object: &Ref, name: &str, value: Ref) -> Result<()> {
    store(object, name, Some(value))
}

/// `del object.name`
///
/// # Errors
/// As [`set`], and `AttributeError` if there is no such attribute.
pub fn delete(object: &Ref, name: &str) -> Result<()> {
    store(object, name, None)
}

fn of_instance(object: &Ref, instance: &Instance, name: &str) -> Result<Option<Ref>> {
    let class = instance.class();
    refuse_hook(Some(class), "__getattribute__")?;
    let found = match class.slot(name) {
        Some(slot) => instance.value(slot),
        None => {
            let in_class = instance.of().lookup(name);
            match (in_class, instance.own(name)) {
                (Some(found), _) if is_data_descriptor(&found) => Some(bind(&found, object)?),
                (_, Some(own)) => Some(own),
                (Some(found), None) => Some(bind(&found, object)?),
                (None, None) => of_any_instance(object, instance, name)?,
            }
        }
    };
    if found.is_none() {
        refuse_hook(Some(class), "__getattr__")?;
    }
    Ok(found)
}

/// What every instance has.
fn of_any_instance(object: &Ref, instance: &Instance, name: &str) -> Result<Option<Ref>> {
    match name {
        "__class__" => Ok(Some(object.class_of())),
        "__dict__" if instance.class().has_dict() => Ok(Some(instance.make_dict())),
        "__doc__" => Ok(Some(Ref::none())),
        "__dict__" => Ok(None),
        _ => refuse_special(object, name),
    }
}

fn of_exception(object: &Ref, exception: &Exception, name: &str) -> Result<Option<Ref>> {
    if let Some(found) = exception.of().lookup(name) {
        return match own_of_exception(exception, name) {
            Some(own) if !is_data_descriptor(&found) => Ok(Some(own)),
            _ => bind(&found, object).map(Some),
        };
    }
    if let Some(own) = own_of_exception(exception, name) {
        return Ok(Some(own));
    }
    match name {
        "args" => Ok(Some(exception.arguments().clone())),
        "__class__" => Ok(Some(object.class_of())),
        "__dict__" => Ok(Some(exception.dict())),
        _ => refuse_special(object, name),
    }
}

fn own_of_exception(exception: &Exception, name: &str) -> Option<Ref> {
    match exception.dict().view() {
        View::Dict(dict) => dict.get_str(name),
        _ => None,
    }
}

fn of_module(module: &Module, name: &str) -> Result<Option<Ref>> {
    let found = match module.dict().view() {
        View::Dict(dict) => dict.get_str(name),
        _ => None,
    };
    match (found, name) {
        (Some(found), _) => Ok(Some(found)),
        (None, "__name__") => Ok(Some(Ref::str(module.name()))),
        (None, "__dict__") => Ok(Some(module.dict().clone())),
        (None, "__class__") => Ok(Some(Ref::type_object(TypeId::Module))),
        (None, _) if is_special(name) => Err(unsupported_attribute("module", name)),
        (None, _) => Ok(None),
    }
}

/// What a type has itself; a class method comes bound to it.
fn of_type(object: &Ref, of: &Type, name: &str) -> Result<Option<Ref>> {
    if let Some(value) = of_any_type(object, of, name) {
        return Ok(Some(value));
    }
    if let Some(class) = of.class()
        && class.slot(name).is_some()
    {
        return Err(unsupported_attribute(of.name(), name));
    }
    if of.class().is_none()
        && let Some(found) = crate::methods::of_type(of.id(), name)
    {
        return Ok(Some(found));
    }
    match of.lookup(name) {
        Some(found) => match found.view() {
            View::ClassMethod(method) => {
                Ok(Some(Ref::method(method.function().clone(), object.clone())))
            }
            View::StaticMethod(method) => Ok(Some(method.function().clone())),
            View::Instance(other) => {
                refuse_hook(Some(other.class()), "__get__")?;
                Ok(Some(found.clone()))
            }
            _ => Ok(Some(found.clone())),
        },
        None if of.class().is_some() && name == "__doc__" => Ok(Some(Ref::none())),
        None if is_special(name) || is_known(of.id(), name) => {
            Err(unsupported_attribute(of.name(), name))
        }
        None => Ok(None),
    }
}

/// What every type has.
fn of_any_type(object: &Ref, of: &Type, name: &str) -> Option<Ref> {
    Some(match name {
        "__class__" => Ref::type_object(TypeId::Type),
        "__name__" => Ref::str(of.name()),
        "__mro__" => Ref::tuple(resolution_order(object)),
        "__bases__" => Ref::tuple(match of.class() {
            Some(class) => class.bases().to_vec(),
            None => of.id().base().map(Ref::type_object).into_iter().collect(),
        }),
        "__module__" if of.class().is_none() => Ref::str("builtins"),
        "__qualname__" if of.class().is_none() => Ref::str(of.name()),
        _ => return None,
    })
}

fn of_built_in(object: &Ref, name: &str) -> Result<Option<Ref>> {
    if let Some(value) = built_in(object, name) {
        return Ok(Some(value));
    }
    match crate::methods::find(object.type_id(), name) {
        Some(method) => bind(&method, object).map(Some),
        None => refuse_special(object, name),
    }
}

/// An attribute of a built-in type that is a value, not a method.
fn built_in(object: &Ref, name: &str) -> Option<Ref> {
    if name == "__class__" {
        return Some(object.class_of());
    }
    match object.view() {
        View::Bool(_) | View::Int(_) => match name {
            "real" | "numerator" => Some(match object.view() {
                View::Bool(value) => Ref::int(value.into()),
                _ => object.clone(),
            }),
            "imag" => Some(Ref::int(0)),
            "denominator" => Some(Ref::int(1)),
            _ => None,
        },
        View::Float(_) => match name {
            "real" => Some(object.clone()),
            "imag" => Some(Ref::float(0.0)),
            _ => None,
        },
        View::Range(_) | View::Slice(_) => of_bounds(object, name),
        View::Function(function) => match name {
            "__name__" => Some(Ref::str(function.name())),
            "__qualname__" => Some(Ref::str(function.qualified_name())),
            "__code__" => Some(function.code_object().clone()),
            "__globals__" => Some(function.globals().clone()),
            "__defaults__" => Some(function.defaults().unwrap_or_else(Ref::none)),
            "__kwdefaults__" => Some(function.keyword_defaults().unwrap_or_else(Ref::none)),
            "__closure__" => Some(function.closure().unwrap_or_else(Ref::none)),
            _ => None,
        },
        View::Method(method) => match name {
            "__func__" => Some(method.function().clone()),
            "__self__" => Some(method.instance().clone()),
            _ => None,
        },
        View::Builtin(function) if name == "__name__" => Some(Ref::str(function.name())),
        View::Property(property) => {
            let part = match name {
                "fget" => property.getter(),
                "fset" => property.setter(),
                "fdel" => property.deleter(),
                _ => return None,
            };
            Some(part.cloned().unwrap_or_else(Ref::none))
        }
        View::ClassMethod(method) if name == "__func__" => Some(method.function().clone()),
        View::StaticMethod(method) if name == "__func__" => Some(method.function().clone()),
        _ => None,
    }
}

fn of_bounds(object: &Ref, name: &str) -> Option<Ref> {
    let bounds = match object.view() {
        View::Range(range) => [range.start(), range.stop(), range.step()]
            .map(|bound| int::add(bound, IntView::Small(0))),
        View::Slice(slice) => [slice.start(), slice.stop(), slice.step()].map(Ref::clone),
        _ => return None,
    };
    let index = ["start", "stop", "step"]
        .iter()
        .position(|&bound| bound == name)?;
    bounds.into_iter().nth(index)
}

/// An attribute of a class as its instances have it.
fn bind(found: &Ref, object: &Ref) -> Result<Ref> {
    match found.view() {
        View::Function(_) => Ok(Ref::method(found.clone(), object.clone())),
        View::MethodDescriptor(method) => Ok(method.bind(object.clone())),
        View::ClassMethod(method) => Ok(Ref::method(method.function().clone(), object.class_of())),
        View::StaticMethod(method) => Ok(method.function().clone()),
        View::Property(property) => match property.getter() {
            Some(getter) => call::call(getter, std::slice::from_ref(object)),
            None => Err(PyError::attribute(format!(
                "property of '{}' object has no getter",
                object.type_name()
            ))),
        },
        View::Instance(other) => {
            refuse_hook(Some(other.class()), "__get__")?;
            Ok(found.clone())
        }
        _ => Ok(found.clone()),
    }
}

/// Whether an attribute of a class comes before what an instance itself has.
fn is_data_descriptor(found: &Ref) -> bool {
    match found.view() {
        View::Property(_) => true,
        View::Instance(other) => {
            other.class().defines("__set__") || other.class().defines("__delete__")
        }
        _ => false,
    }
}

/// Sets an attribute, or deletes it where there is no value.
fn store(object: &Ref, name: &str, value: Option<Ref>) -> Result<()> {
    if name == "__class__" {
        return Err(match value.as_ref().map(Ref::view) {
            None => PyError::type_error("can't delete __class__ attribute"),
            Some(View::Type(_)) => PyError::not_supported("changing the class of an object"),
            Some(_) => PyError::type_error(format!(
                "__class__ must be set to a class, not '{}' object",
                value.as_ref().map_or("", Ref::type_name)
            )),
        });
    }
    match object.view() {
        View::Instance(instance) => store_in_instance(object, instance, name, value),
        View::Type(_) if matches!(name, "__name__" | "__qualname__" | "__bases__" | "__dict__") => {
            Err(PyError::not_supported(format_args!("setting {name}")))
        }
        View::Type(of) => match value {
            Some(value) => of.set_attribute(name, value),
            None => of.delete_attribute(name),
        },
        View::Module(module) => store_in_dict(object, module.dict(), name, value),
        View::Exception(_) if is_special(name) || is_known(TypeId::BaseException, name) => {
            Err(PyError::not_supported(format_args!("setting {name}")))
        }
        View::Exception(exception) => store_in_dict(object, &exception.dict(), name, value),
        View::Function(function) => store_in_function(function, name, value),
        _ => Err(read_only(object, name)),
    }
}

fn store_in_function(function: &Function, name: &str, value: Option<Ref>) -> Result<()> {
    let value = value.filter(|value| !matches!(value.view(), View::None));
    let kind = value.as_ref().map(Ref::view);
    match (name, kind) {
        ("__defaults__", None | Some(View::Tuple(_))) => function.set_defaults(value),
        ("__kwdefaults__", None | Some(View::Dict(_))) => function.set_keyword_defaults(value),
        ("__defaults__", Some(_)) => {
            return Err(PyError::type_error(
                "__defaults__ must be set to a tuple object",
            ));
        }
        ("__kwdefaults__", Some(_)) => {
            return Err(PyError::type_error(
                "__kwdefaults__ must be set to a dict object",
            ));
        }
        _ => {
            return Err(PyError::not_supported(
                "setting this attribute of a function",
            ));
        }
    }
    Ok(())
}

fn store_in_instance(
    object: &Ref,
    instance: &Instance,
    name: &str,
    value: Option<Ref>,
) -> Result<()> {
    let class = instance.class();
    let hook = if value.is_some() {
        "__setattr__"
    } else {
        "__delattr__"
    };
    refuse_hook(Some(class), hook)?;
    if let Some(slot) = class.slot(name) {
        let deletes = value.is_none();
        let old = instance.replace_slot(slot, value);
        return match old {
            None if deletes => Err(missing(object, name)),
            _ => Ok(()),
        };
    }
    let in_class = instance.of().lookup(name);
    if let Some(found) = in_class.as_ref().filter(|found| is_data_descriptor(found)) {
        return store_through(found, object, name, value);
    }
    match value {
        _ if name == "__dict__" => Err(PyError::not_supported("setting __dict__")),
        Some(value) if class.has_dict() => {
            instance.set_own(name, value);
            Ok(())
        }
        None if class.has_dict() => match instance.delete_own(name)? {
            Some(_) => Ok(()),
            None => Err(missing(object, name)),
        },
        _ if in_class.is_some() => Err(PyError::attribute(format!(
            "'{}' object attribute '{name}' is read-only",
            object.type_name()
        ))),
        _ => Err(no_dict(object, name)),
    }
}

/// Sets or deletes through a descriptor.
fn store_through(found: &Ref, object: &Ref, name: &str, value: Option<Ref>) -> Result<()> {
    let View::Property(property) = found.view() else {
        return Err(PyError::not_supported(format_args!(
            "calling the descriptor {name}"
        )));
    };
    let (function, what) = match value {
        Some(_) => (property.setter(), "setter"),
        None => (property.deleter(), "deleter"),
    };
    let Some(function) = function else {
        return Err(PyError::attribute(format!(
            "property '{name}' of '{}' object has no {what}",
            object.type_name()
        )));
    };
    let arguments: Vec<Ref> = std::iter::once(object.clone()).chain(value).collect();
    call::call(function, &arguments).map(drop)
}

fn store_in_dict(object: &Ref, dict: &Ref, name: &str, value: Option<Ref>) -> Result<()> {
    let View::Dict(dict) = dict.view() else {
        return Ok(());
    };
    match value {
        Some(value) => dict.insert(Ref::str(name), value),
        None => match dict.remove(&Ref::str(name))? {
            Some(_) => Ok(()),
            None => Err(missing(object, name)),
        },
    }
}

/// `super(class, object).name`, as a callee: what comes behind `class` where the attributes of `object` are looked for.
///
/// # Errors
/// `TypeError` if `object` is neither an instance of `class` nor derived from it, otherwise as [`get`].
pub fn get_super(class: &Ref, object: &Ref, name: &str) -> Result<Callee> {
    let start = match object.view() {
        View::Type(_) if crate::exception::is_subclass(object, class) => object.clone(),
        _ => object.class_of(),
    };
    let order = resolution_order(&start);
    let Some(position) = order.iter().position(|of| of.is(class)) else {
        return Err(PyError::type_error(
            "super(type, obj): obj must be an instance or subtype of type",
        ));
    };
    let found = order[position + 1..].iter().find_map(|of| match of.view() {
        View::Type(of) => match of.class() {
            Some(class) => class.own(name),
            None => crate::methods::find(of.id(), name),
        },
        _ => None,
    });
    match found {
        Some(found) if start.is(object) => match found.view() {
            View::ClassMethod(_) | View::StaticMethod(_) => Ok((bind(&found, object)?, None)),
            _ => Ok((found.clone(), None)),
        },
        Some(found) if matches!(found.view(), View::Function(_) | View::MethodDescriptor(_)) => {
            Ok((found, Some(object.clone())))
        }
        Some(found) => Ok((bind(&found, object)?, None)),
        None if is_special(name) => Err(unsupported_attribute("super", name)),
        None => Err(PyError::attribute(format!(
            "'super' object has no attribute '{name}'"
        ))),
    }
}

/// A callee as one object: a function bound to what goes before its arguments.
///
/// # Errors
/// As [`get`].
pub fn bind_callee((function, receiver): Callee) -> Result<Ref> {
    match receiver {
        Some(receiver) => bind(&function, &receiver),
        None => Ok(function),
    }
}

/// Whether a name is one that CPython gives a meaning.
fn is_special(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

/// An attribute that CPython's objects of this type have and these have not must not be said to be missing.
fn refuse_special(object: &Ref, name: &str) -> Result<Option<Ref>> {
    if is_special(name) || is_known(object.class_of_id(), name) {
        return Err(unsupported_attribute(object.type_name(), name));
    }
    Ok(None)
}

/// Whether CPython's type has an attribute of this name, the special ones apart.
fn is_known(id: TypeId, name: &str) -> bool {
    let base = id.base().is_some_and(|base| is_known(base, name));
    base || known(id)
        .split_ascii_whitespace()
        .any(|known| known == name)
}

/// The attributes of CPython 3.13's built-in types that are not special, those of the types that they are derived from
/// left out.
const fn known(id: TypeId) -> &'static str {
    match id {
        TypeId::Int => {
            "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real \
             to_bytes"
        }
        TypeId::Float => "as_integer_ratio conjugate fromhex hex imag is_integer real",
        TypeId::Str => {
            "capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha \
             isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust \
             lower lstrip maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit \
             rstrip split splitlines startswith strip swapcase title translate upper zfill"
        }
        TypeId::Bytes => {
            "capitalize center count decode endswith expandtabs find fromhex hex index isalnum isalpha isascii isdigit \
             islower isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix removesuffix \
             replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title \
             translate upper zfill"
        }
        TypeId::List => "append clear copy count extend index insert pop remove reverse sort",
        TypeId::Tuple => "count index",
        TypeId::Range => "count index start step stop",
        TypeId::Slice => "indices start step stop",
        TypeId::Dict => "clear copy fromkeys get items keys pop popitem setdefault update values",
        TypeId::DictKeys | TypeId::DictItems => "isdisjoint mapping",
        TypeId::DictValues => "mapping",
        TypeId::Set => {
            "add clear copy difference difference_update discard intersection intersection_update isdisjoint issubset \
             issuperset pop remove symmetric_difference symmetric_difference_update union update"
        }
        TypeId::FrozenSet => {
            "copy difference intersection isdisjoint issubset issuperset symmetric_difference union"
        }
        TypeId::Type => "mro",
        TypeId::Code => {
            "co_argcount co_cellvars co_code co_consts co_exceptiontable co_filename co_firstlineno co_flags \
             co_freevars co_kwonlyargcount co_lines co_linetable co_lnotab co_name co_names co_nlocals co_positions \
             co_posonlyargcount co_qualname co_stacksize co_varnames replace"
        }
        TypeId::Cell => "cell_contents",
        TypeId::Property => "deleter fdel fget fset getter setter",
        TypeId::BaseException => "add_note args with_traceback",
        TypeId::StopIteration => "value",
        TypeId::OSError => "characters_written errno filename filename2 strerror",
        TypeId::NameError => "name",
        TypeId::AttributeError => "name obj",
        TypeId::UnicodeEncodeError | TypeId::UnicodeDecodeError => {
            "encoding end object reason start"
        }
        _ => "",
    }
}

fn unsupported_attribute(of: &str, name: &str) -> PyError {
    PyError::not_supported(format_args!("the attribute {name} of '{of}'"))
}

/// The error for an attribute that is not there.
fn missing(object: &Ref, name: &str) -> PyError {
    PyError::attribute(match object.view() {
        View::Type(of) => format!("type object '{}' has no attribute '{name}'", of.name()),
        View::Module(module) => format!("module '{}' has no attribute '{name}'", module.name()),
        _ => format!("'{}' object has no attribute '{name}'", object.type_name()),
    })
}

/// The error for setting or deleting an attribute for which an object has no place.
pub(crate) fn no_dict(object: &Ref, name: &str) -> PyError {
    PyError::attribute(format!(
        "'{}' object has no attribute '{name}' and no __dict__ for setting new attributes",
        object.type_name()
    ))
}

/// The error for setting or deleting an attribute of an object of a built-in type.
fn read_only(object: &Ref, name: &str) -> PyError {
    let of = object.type_name();
    if matches!(object.view(), View::Range(_) | View::Slice(_)) && of_bounds(object, name).is_some()
    {
        return PyError::attribute("readonly attribute");
    }
    if built_in(object, name).is_some() {
        return PyError::attribute(format!(
            "attribute '{name}' of '{of}' objects is not writable"
        ));
    }
    match refuse_special(object, name) {
        Err(error) if crate::methods::find(object.type_id(), name).is_none() => error,
        Err(_) => PyError::attribute(format!("'{of}' object attribute '{name}' is read-only")),
        Ok(_) => no_dict(object, name),
    }
}
