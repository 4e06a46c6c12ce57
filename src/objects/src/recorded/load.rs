//! Loading: from the recorded values to objects, and from the recorded state to the frame in which the traces start.

use super::format::{
    AttributeLayout, Document, FunctionParts, Operand, SequenceIterator, UserType, Value,
    ValueIndex,
};
use super::surrogates;
use crate::attribute;
use crate::builtin::BuiltinId;
use crate::bytes::Bytes;
use crate::class::ClassSpec;
use crate::code::{self, BadCode, CodeSpec, OPTIMIZED};
use crate::dict::Dict;
use crate::error::PyError;
use crate::frame::{FrameTooLarge, OwnedFrame, StackOverflow};
use crate::object::{Ref, View};
use crate::str;
use crate::types::TypeId;
use crate::{methods, modules};
use std::collections::HashSet;

/// Why recorded values cannot become objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There are no objects of this kind.
    #[error("{path}: objects of kind {kind} are not supported")]
    Unsupported {
        /// Where the value is in the document.
        path: String,
        /// Its kind; for builtin functions and types with its name.
        kind: String,
    },
    /// A container cannot hold what the document puts there.
    #[error("{path}: {error}")]
    Contents {
        /// Where the container is in the document.
        path: String,
        /// What Python raises.
        error: PyError,
    },
    /// A code contradicts itself.
    #[error("codes[{code}]: {problem}")]
    Code {
        /// The code.
        code: usize,
        /// What is wrong.
        problem: BadCode,
    },
    /// The frame has more slots than a frame can have.
    #[error("state_in: {0}")]
    FrameTooLarge(#[from] FrameTooLarge),
    /// The stack has more values than its code has room for.
    #[error("state_in.stack: {0}")]
    StackOverflow(#[from] StackOverflow),
}

type Result<T, E = LoadError> = std::result::Result<T, E>;

/// The objects of a document. One value index is one object, made when it is first asked for, so that a document may
/// hold values that are not supported as long as nobody needs them.
///
/// Lists and other containers may lead back to themselves; those that do are never freed, as everywhere. Functions lead to
/// the globals, which lead back to them: the globals are emptied when this goes.
pub struct Objects<'d> {
    document: &'d Document,
    made: Vec<Option<Ref>>,
    codes: Vec<Option<Ref>>,
    globals: Ref,
    builtins: Ref,
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        for names in [&self.globals, &self.builtins] {
            dict(names).clear();
        }
        // A function may be in a cell of its own closure.
        for object in self.made.iter().flatten() {
            if let View::Cell(cell) = object.view() {
                drop(cell.replace(None));
            }
        }
    }
}

/// A dict of names, which nothing else is stored in its place.
fn dict(names: &Ref) -> &Dict {
    match names.view() {
        View::Dict(dict) => dict,
        _ => unreachable!("globals and builtins are dicts"),
    }
}

impl<'d> Objects<'d> {
    /// The objects of this document, none of which is made yet.
    pub fn new(document: &'d Document) -> Self {
        let made = vec![None; document.values.len()];
        let codes = vec![None; document.codes.len()];
        Self {
            document,
            made,
            codes,
            globals: Ref::dict(),
            builtins: Ref::dict(),
        }
    }

    /// The document.
    pub fn document(&self) -> &'d Document {
        self.document
    }

    /// The object of `values[index]`, with everything it refers to.
    ///
    /// # Errors
    ///
    /// [`LoadError::Unsupported`] if the value, or one that it leads to, is of a kind that there are no objects of.
    ///
    /// # Panics
    ///
    /// If `index` is not below the number of values. Every index in a [`Document`] is.
    pub fn get(&mut self, index: ValueIndex) -> Result<Ref> {
        if let Some(object) = &self.made[index] {
            return Ok(object.clone());
        }
        let needed = self.needed(index);
        match self.make_all(&needed, index) {
            Ok(object) => Ok(object),
            Err(error) => {
                // Lists among them have not been filled.
                for &value in &needed {
                    self.made[value] = None;
                }
                Err(error)
            }
        }
    }

    /// Makes the globals and builtins that the codes name, as far as there are objects of their kinds.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), but for kinds that are not supported.
    pub fn make_globals(&mut self) -> Result<()> {
        let document = self.document;
        let of_module = names_of_module(document);
        for (name, &value) in &document.globals {
            let object = match self.get(value) {
                Err(LoadError::Unsupported { .. }) => continue,
                object => object?,
            };
            let is_builtin =
                !of_module.contains(name.as_str()) && is_builtin(name, &document.values[value]);
            let names = if is_builtin {
                &self.builtins
            } else {
                &self.globals
            };
            dict(names).insert_str(name, object);
        }
        Ok(())
    }

    /// The place of a global among the entries of the globals.
    pub(crate) fn global_index(&self, name: &str) -> Option<usize> {
        dict(&self.globals).index_of(name)
    }

    /// The place of a builtin among the entries of the builtins.
    pub(crate) fn builtin_index(&self, name: &str) -> Option<usize> {
        dict(&self.builtins).index_of(name)
    }

    /// The version of the globals' keys.
    pub(crate) fn globals_version(&self) -> u32 {
        dict(&self.globals).keys_version()
    }

    /// The version of the builtins' keys.
    pub(crate) fn builtins_version(&self) -> u32 {
        dict(&self.builtins).keys_version()
    }

    /// The version of the functions of a code.
    pub(crate) fn code_version(&mut self, code: usize) -> Result<u32> {
        match self.code(code)?.view() {
            View::Code(code) => Ok(code.version()),
            _ => unreachable!("`code` gives nothing else"),
        }
    }

    /// The object of `values[index]`, if it has been made.
    pub fn made(&self, index: ValueIndex) -> Option<&Ref> {
        self.made.get(index)?.as_ref()
    }

    /// The objects that have been made, with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (ValueIndex, &Ref)> {
        let made = self.made.iter().enumerate();
        made.filter_map(|(index, object)| Some((index, object.as_ref()?)))
    }

    /// The frame at the entry: `state_in`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), for everything in the frame.
    pub fn entry_frame(&mut self) -> Result<OwnedFrame> {
        let state = &self.document.state_in;
        let function = self.get(state.function)?;
        let locals = self.places(&state.locals)?;
        let stack = self.places(&state.stack)?;
        let body = self.document.codes[state.code].body.as_ref();
        let stack_capacity = body.map_or(stack.len(), |body| body.stacksize);
        // A document has no room for more codes.
        let code = u32::try_from(state.code).unwrap_or(u32::MAX);
        let mut frame = OwnedFrame::new(code, Some(function), locals, stack_capacity)?;
        for value in stack {
            frame.push(value)?;
        }
        frame.set_instruction(self.document.entry.offset);
        Ok(frame)
    }

    fn places(&mut self, places: &[Option<ValueIndex>]) -> Result<Vec<Option<Ref>>> {
        places
            .iter()
            .map(|place| place.map(|value| self.get(value)).transpose())
            .collect()
    }

    /// The values to be made for `root`, each after its components.
    fn needed(&self, root: ValueIndex) -> Vec<ValueIndex> {
        let mut is_needed = vec![false; self.made.len()];
        let mut todo = vec![root];
        while let Some(value) = todo.pop() {
            if self.made[value].is_some() || std::mem::replace(&mut is_needed[value], true) {
                continue;
            }
            let value = &self.document.values[value];
            todo.extend(value.components());
            todo.extend(value.contents());
        }
        let order = self.document.creation_order.iter().copied();
        order.filter(|&value| is_needed[value]).collect()
    }

    /// Makes values in this order, fills the containers among them, and gives the object of `root`.
    fn make_all(&mut self, needed: &[ValueIndex], root: ValueIndex) -> Result<Ref> {
        for &index in needed {
            let object = self
                .make(index)?
                .ok_or_else(|| unsupported(self.document, index))?;
            self.made[index] = Some(object);
        }
        for &index in needed {
            self.fill(index).map_err(|error| LoadError::Contents {
                path: format!("values[{index}]"),
                error,
            })?;
        }
        self.made(root)
            .cloned()
            .ok_or_else(|| unsupported(self.document, root))
    }

    /// An object whose components have been made; a container that can change is empty. `None` if there are no objects
    /// of the kind.
    fn make(&mut self, index: ValueIndex) -> Result<Option<Ref>> {
        let document = self.document;
        let contents = |error| LoadError::Contents {
            path: format!("values[{index}]"),
            error,
        };
        Ok(match &document.values[index] {
            Value::None => Some(Ref::none()),
            Value::Bool(value) => Some(Ref::bool(*value)),
            Value::Int(value) => Some(Ref::big(value.clone())),
            Value::Float(value) => Some(Ref::float(*value)),
            Value::Str(text) => Some(str::from_code_points(surrogates::code_points(text))),
            Value::List(_) => Some(Ref::list(Vec::new())),
            Value::Dict(_) => Some(Ref::dict()),
            Value::Set(_) => Some(Ref::set()),
            Value::Cell(_) => Some(Ref::cell(None)),
            Value::Tuple(items) => self.all(items).map(Ref::tuple),
            Value::FrozenSet(items) => match self.all(items) {
                Some(items) => Some(Ref::frozen_set(items).map_err(contents)?),
                None => None,
            },
            Value::Range { start, stop, step } => {
                let [start, stop, step] = [start, stop, step].map(|bound| Ref::big(bound.clone()));
                Ref::range(&start, &stop, &step)
            }
            Value::RangeIterator { start, step, len } => {
                Some(Ref::range_iterator(*start, *step, *len))
            }
            Value::ListIterator(iterator) => {
                self.iterator(iterator, |seq, index| Ref::list_iterator(seq, index).ok())
            }
            Value::TupleIterator(iterator) => {
                self.iterator(iterator, |seq, index| Ref::tuple_iterator(seq, index).ok())
            }
            Value::StrAsciiIterator(iterator) => {
                self.iterator(iterator, |seq, index| Ref::str_iterator(seq, index).ok())
            }
            Value::Function { code, parts, .. } => Some(self.function(*code, parts)?),
            Value::Type { name, user: None } => TypeId::named(name).map(Ref::type_object),
            Value::Builtin { name } => BuiltinId::named(name).map(Ref::builtin),
            Value::Type {
                name,
                user: Some(user),
            } => self.class(name, user).map_err(contents)?,
            Value::Instance { class, .. } => match self.made(*class) {
                Some(class) => Some(Ref::instance(class, []).map_err(contents)?),
                None => None,
            },
            Value::MethodDescriptor { name } => methods::named(name),
            Value::ModuleFunction { name } => modules::function(name),
            Value::Module { name } => module(name),
            Value::Bytes(bytes) => Some(Bytes::object(bytes.clone())),
            Value::Method { func, receiver } => self.method(*func, *receiver),
            _ => None,
        })
    }

    /// Objects that have been made.
    fn all(&self, values: &[ValueIndex]) -> Option<Vec<Ref>> {
        let made = values.iter().map(|&value| self.made(value).cloned());
        made.collect()
    }

    /// An iterator over a sequence that has been made, or has been dropped.
    fn iterator(
        &self,
        iterator: &SequenceIterator,
        make: impl Fn(Option<Ref>, i64) -> Option<Ref>,
    ) -> Option<Ref> {
        let sequence = match iterator.seq {
            Some(seq) => Some(self.made(seq)?.clone()),
            None => None,
        };
        make(sequence, iterator.index)
    }

    fn function(&mut self, code: usize, parts: &FunctionParts) -> Result<Ref> {
        let code = self.code(code)?;
        let function = Ref::function(code, self.globals.clone(), self.builtins.clone());
        if let View::Function(view) = function.view() {
            let parts = [
                (1, parts.defaults),
                (2, parts.keyword_defaults),
                (8, parts.closure),
            ];
            for (part, value) in parts {
                if let Some(value) = value.and_then(|value| self.made(value)) {
                    view.complete(part, value.clone());
                }
            }
        }
        Ok(function)
    }

    /// A class of the program, whose methods have been made.
    fn class(&self, name: &str, user: &UserType) -> Result<Option<Ref>, PyError> {
        let namespace = user
            .methods
            .iter()
            .map(|(name, value)| Some((name.clone(), self.made(*value)?.clone())))
            .collect::<Option<Vec<_>>>();
        let Some(namespace) = namespace else {
            return Ok(None);
        };
        let (slots, inline_keys) = match &user.layout {
            AttributeLayout::Slots(names) => (Some(names.clone()), Vec::new()),
            AttributeLayout::InlineKeys(names) => (None, names.clone()),
        };
        let class = Ref::class(ClassSpec {
            name: name.rsplit('.').next().unwrap_or_default().to_owned(),
            bases: Vec::new(),
            namespace,
            slots,
            inline_keys,
        });
        class.map(Some)
    }

    fn method(&self, func: ValueIndex, receiver: ValueIndex) -> Option<Ref> {
        let function = self.made(func)?.clone();
        match function.view() {
            View::Function(_) => Some(Ref::method(function, self.made(receiver)?.clone())),
            _ => None,
        }
    }

    /// The code object of `codes[index]`.
    fn code(&mut self, index: usize) -> Result<Ref> {
        if let Some(code) = &self.codes[index] {
            return Ok(code.clone());
        }
        let code =
            Ref::code(code_spec(self.document, index)).map_err(|problem| LoadError::Code {
                code: index,
                problem,
            })?;
        self.codes[index] = Some(code.clone());
        Ok(code)
    }

    /// Puts into a container that has been made what belongs there.
    fn fill(&self, index: ValueIndex) -> Result<(), PyError> {
        let Some(object) = self.made(index) else {
            return Ok(());
        };
        let document = self.document;
        match (&document.values[index], object.view()) {
            (Value::List(items), View::List(list)) => items
                .iter()
                .filter_map(|&item| self.made(item))
                .for_each(|item| list.push(item.clone())),
            (Value::Set(items), View::Set(set)) => {
                for item in items.iter().filter_map(|&item| self.made(item)) {
                    set.add(item.clone())?;
                }
            }
            (Value::Dict(items), View::Dict(dict)) => {
                for &(key, value) in items {
                    if let (Some(key), Some(value)) = (self.made(key), self.made(value)) {
                        dict.insert(key.clone(), value.clone())?;
                    }
                }
            }
            (Value::Instance { attrs, .. }, View::Instance(instance)) => {
                for (name, value) in attrs {
                    if let Some(value) = self.made(*value)
                        && !instance.set_initial(name, value.clone())
                    {
                        return Err(attribute::no_dict(object, name));
                    }
                }
            }
            (Value::Cell(Some(contents)), View::Cell(cell)) => {
                drop(cell.replace(self.made(*contents).cloned()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Names that uops load from the globals of the module.
fn names_of_module(document: &Document) -> HashSet<&str> {
    let uops = document
        .executors
        .iter()
        .flat_map(|executor| &executor.uops);
    uops.filter(|uop| uop.op == "_LOAD_GLOBAL_MODULE")
        .filter_map(|uop| {
            if let Some(Operand::Index { name, .. }) = &uop.operand {
                return Some(name.as_str());
            }
            let body = document.codes.get(uop.code)?.body.as_ref()?;
            body.names
                .get(usize::from(uop.oparg >> 1))
                .map(String::as_str)
        })
        .collect()
}

/// Whether the object is the one that has this name among the builtins.
fn is_builtin(name: &str, value: &Value) -> bool {
    match value {
        Value::Builtin { name: own }
        | Value::Type {
            name: own,
            user: None,
        } => own == name,
        _ => false,
    }
}

fn code_spec(document: &Document, index: usize) -> CodeSpec {
    let code = &document.codes[index];
    // A document has no room for more.
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let named = CodeSpec {
        name: code.name.rsplit('.').next().unwrap_or_default().to_owned(),
        qualified_name: code.name.clone(),
        number: count(index),
        flags: OPTIMIZED,
        ..CodeSpec::default()
    };
    let Some(body) = &code.body else { return named };
    let (positional, keywords) = body.collects();
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    CodeSpec {
        argument_count: count(body.argcount),
        keyword_only: count(body.kwonly),
        flags: OPTIMIZED | flag(positional, code::VARARGS) | flag(keywords, code::VARKEYWORDS),
        stack_size: count(body.stacksize),
        local_names: body.varnames.clone(),
        free_count: count(free_variables(document, index)),
        names: body.names.clone(),
        ..named
    }
}

/// A module that is built in.
fn module(name: &str) -> Option<Ref> {
    let attributes = modules::attributes(name)?;
    let module = Ref::module(name);
    if let View::Module(view) = module.view() {
        for (name, value) in attributes {
            dict(view.dict()).insert_str(name, value);
        }
    }
    Some(module)
}

/// How many free variables a code has: as many as the closure of a function of it has cells.
fn free_variables(document: &Document, code: usize) -> usize {
    let closure = document.values.iter().find_map(|value| match value {
        Value::Function {
            code: of, parts, ..
        } if *of == code => parts.closure,
        _ => None,
    });
    match closure.and_then(|closure| document.values.get(closure)) {
        Some(Value::Tuple(cells)) => cells.len(),
        _ => 0,
    }
}

fn unsupported(document: &Document, index: ValueIndex) -> LoadError {
    let value = &document.values[index];
    let kind = match value {
        Value::Builtin { name } | Value::Type { name, .. } => format!("{} ({name})", value.kind()),
        _ => value.kind().to_owned(),
    };
    LoadError::Unsupported {
        path: format!("values[{index}]"),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap;
    use crate::recorded::fixtures::{document, edited};
    use serde_json::json;

    #[test]
    fn one_index_is_one_object() {
        let document = document("horner");
        let mut objects = Objects::new(&document);
        let frame = objects.entry_frame().unwrap();
        // Locals 2 and 5 are both values[11].
        let [Some(a), Some(b)] = [&frame.locals()[2], &frame.locals()[5]] else {
            panic!("unbound")
        };
        assert!(a.is(b));
        assert!(frame.locals()[6].is_none());
        // The iterator is over the list in local 0.
        let (Some(list), Some(iterator)) = (&frame.locals()[0], &frame.stack()[1]) else {
            panic!("unbound")
        };
        let View::ListIterator(iterator) = iterator.view() else {
            panic!("no list iterator")
        };
        assert!(iterator.sequence().unwrap().is(list));
        assert!(objects.get(1).unwrap().is(list));
        assert_eq!(frame.frame().instruction, document.entry.offset);
        assert_eq!(
            frame
                .function()
                .map(|function| function.is(objects.made(0).unwrap())),
            Some(true)
        );
    }

    #[test]
    fn what_is_not_supported_says_where_it_is() {
        for (value, expected) in [
            (
                json!({"t": "builtin", "name": "breakpoint"}),
                "values[4]: objects of kind builtin (breakpoint) are not supported",
            ),
            (
                json!({"t": "type", "name": "memoryview"}),
                "values[4]: objects of kind type (memoryview) are not supported",
            ),
            (
                json!({"t": "generator"}),
                "values[4]: objects of kind generator are not supported",
            ),
        ] {
            let edits = [
                ("/values/4", Some(value)),
                // The list is found first, and must not stay behind half made.
                ("/values/1", Some(json!({"t": "list", "items": [2, 4]}))),
                ("/expected/values/1", Some(json!({"t": "none"}))),
            ];
            let document = Document::parse(&edited("sum_squares", &edits)).unwrap();
            let mut objects = Objects::new(&document);
            let error = objects.entry_frame().unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(objects.made(1).is_none());
            assert!(objects.get(1).is_err());
            // Nobody needs it here.
            assert!(objects.get(3).is_ok());
        }
    }

    #[test]
    fn a_list_may_contain_itself() {
        let edits = [
            ("/values/4", Some(json!({"t": "list", "items": [5, 4, 1]}))),
            ("/values/5", Some(json!({"t": "tuple", "items": [4]}))),
        ];
        let document = Document::parse(&edited("sum_squares", &edits)).unwrap();
        let mut objects = Objects::new(&document);
        let object = objects.get(5).unwrap();
        let View::Tuple(tuple) = object.view() else {
            panic!("no tuple")
        };
        let View::List(list) = tuple.items()[0].view() else {
            panic!("no list")
        };
        assert!(list.get(0).unwrap().is(&object));
        assert!(list.get(1).unwrap().is(&tuple.items()[0]));
        assert_eq!(list.len(), 3);
        // Do not leak it.
        list.change(std::mem::take);
    }

    #[test]
    fn loading_leaks_nothing() {
        let document = document("pair_unpack");
        let before = heap::stats();
        for _ in 0..10 {
            let mut objects = Objects::new(&document);
            let frame = objects.entry_frame().unwrap();
            drop(objects);
            drop(frame);
        }
        let after = heap::stats();
        assert!(after.allocated > before.allocated);
        assert_eq!(
            after.allocated - before.allocated,
            after.freed - before.freed
        );
    }
}
