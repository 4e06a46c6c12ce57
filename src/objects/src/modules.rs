//! The modules whose functions are built in: `math` and `operator`.

use crate::builtin::FunctionEntry;
use crate::immortal;
use crate::math;
use crate::object::Ref;
use crate::operator;

/// A module: name, functions, and attributes that are floats.
type Module = (
    &'static str,
    &'static [FunctionEntry],
    &'static [(&'static str, f64)],
);

const MODULES: &[Module] = &[
    ("math", math::FUNCTIONS, math::CONSTANTS),
    ("operator", operator::FUNCTIONS, &[]),
];

/// How many functions there are, so many objects of them a thread may have.
pub(crate) const FUNCTION_COUNT: usize = {
    let mut count = 0;
    let mut index = 0;
    while index < MODULES.len() {
        count += MODULES[index].1.len();
        index += 1;
    }
    count
};

/// The functions of all modules, in the order of their numbers.
fn functions() -> impl Iterator<Item = (&'static str, &'static FunctionEntry)> {
    MODULES
        .iter()
        .flat_map(|(module, functions, _)| functions.iter().map(move |entry| (*module, entry)))
}

/// The table entry of the function with this number, below [`FUNCTION_COUNT`].
pub(crate) fn entry(number: usize) -> &'static FunctionEntry {
    let entry = functions().nth(number).map(|(_, entry)| entry);
    entry.unwrap_or_else(|| unreachable!("there is no function {number}"))
}

/// The function with this qualified name, such as `math.sqrt`.
pub fn function(name: &str) -> Option<Ref> {
    let (module, function) = name.split_once('.')?;
    // CPython calls the built-in part of `operator` by another name.
    let module = module.trim_start_matches('_');
    let number = functions().position(|(of, entry)| of == module && entry.name == function)?;
    Some(immortal::module_function(number))
}

/// The module that a function belongs to.
pub(crate) fn of_function(entry: &FunctionEntry) -> Option<&'static str> {
    let mut functions = functions();
    let found = functions.find(|(_, other)| std::ptr::eq(*other, entry));
    found.map(|(module, _)| module)
}

/// The attributes of a module, functions and others; `None` if it is not built in.
pub fn attributes(module: &str) -> Option<Vec<(&'static str, Ref)>> {
    let (_, _, constants) = MODULES.iter().find(|(name, ..)| *name == module)?;
    let constants = constants
        .iter()
        .map(|&(name, value)| (name, Ref::float(value)));
    let functions = functions()
        .enumerate()
        .filter(|(_, (of, _))| *of == module)
        .map(|(number, (_, entry))| (entry.name, immortal::module_function(number)));
    Some(functions.chain(constants).collect())
}
