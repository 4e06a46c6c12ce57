//! Loading: from the recorded values to objects, and from the recorded state to the frame in which the traces start.

use super::format::{Document, SequenceIterator, Value, ValueIndex};
use crate::builtin::BuiltinId;
use crate::code::{CodeSpec, OPTIMIZED};
use crate::frame::{FrameTooLarge, OwnedFrame, StackOverflow};
use crate::object::{Ref, View};
use crate::types::TypeId;

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
    /// The frame has more slots than a frame can have.
    #[error("state_in: {0}")]
    FrameTooLarge(#[from] FrameTooLarge),
    /// The stack has more values than its code has room for.
    #[error("state_in.stack: {0}")]
    StackOverflow(#[from] StackOverflow),
}

/// The objects of a document. One value index is one object, made when it is first asked for, so that a document may
/// hold values that are not supported as long as nobody needs them.
///
/// Lists may lead back to themselves; those that do are never freed, as everywhere.
pub struct Objects<'d> {
    document: &'d Document,
    made: Vec<Option<Ref>>,
    codes: Vec<Option<Ref>>,
    globals: Ref,
    builtins: Ref,
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
    pub fn get(&mut self, index: ValueIndex) -> Result<Ref, LoadError> {
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
    pub fn entry_frame(&mut self) -> Result<OwnedFrame, LoadError> {
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

    fn places(&mut self, places: &[Option<ValueIndex>]) -> Result<Vec<Option<Ref>>, LoadError> {
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

    /// Makes values in this order, fills the lists among them, and gives the object of `root`.
    fn make_all(&mut self, needed: &[ValueIndex], root: ValueIndex) -> Result<Ref, LoadError> {
        for &index in needed {
            let object = self
                .make(index)
                .ok_or_else(|| unsupported(self.document, index))?;
            self.made[index] = Some(object);
        }
        for &index in needed {
            self.fill(index);
        }
        self.made(root)
            .cloned()
            .ok_or_else(|| unsupported(self.document, root))
    }

    /// An object whose components have been made; a list is empty.
    fn make(&mut self, index: ValueIndex) -> Option<Ref> {
        let document = self.document;
        Some(match &document.values[index] {
            Value::None => Ref::none(),
            Value::Bool(value) => Ref::bool(*value),
            Value::Int(value) => Ref::big(value.clone()),
            Value::Float(value) => Ref::float(*value),
            Value::Str(text) => Ref::str(text),
            Value::List(_) => Ref::list(Vec::new()),
            Value::Tuple(items) => {
                let items: Option<Vec<Ref>> =
                    items.iter().map(|&item| self.made(item).cloned()).collect();
                Ref::tuple(items?)
            }
            Value::Range { start, stop, step } => {
                let [start, stop, step] = [start, stop, step].map(|bound| Ref::big(bound.clone()));
                Ref::range(&start, &stop, &step)?
            }
            Value::RangeIterator { start, step, len } => Ref::range_iterator(*start, *step, *len),
            Value::ListIterator(iterator) => {
                let sequence = self.sequence(iterator)?;
                Ref::list_iterator(sequence, iterator.index).ok()?
            }
            Value::TupleIterator(iterator) => {
                let sequence = self.sequence(iterator)?;
                Ref::tuple_iterator(sequence, iterator.index).ok()?
            }
            Value::StrAsciiIterator(iterator) => {
                let sequence = self.sequence(iterator)?;
                Ref::str_iterator(sequence, iterator.index).ok()?
            }
            Value::Function { code, .. } => {
                let code = self.code(*code)?;
                Ref::function(code, self.globals.clone(), self.builtins.clone())
            }
            Value::Type { name, user: None } => Ref::type_object(TypeId::named(name)?),
            Value::Builtin { name } => Ref::builtin(BuiltinId::named(name)?),
            _ => return None,
        })
    }

    /// The code object of `codes[index]`, unless its counts contradict each other.
    fn code(&mut self, index: usize) -> Option<Ref> {
        if let Some(code) = &self.codes[index] {
            return Some(code.clone());
        }
        let code = Ref::code(code_spec(self.document, index)).ok()?;
        self.codes[index] = Some(code.clone());
        Some(code)
    }

    /// The sequence of an iterator, `Some(None)` once dropped.
    fn sequence(&self, iterator: &SequenceIterator) -> Option<Option<Ref>> {
        match iterator.seq {
            Some(seq) => Some(Some(self.made(seq)?.clone())),
            None => Some(None),
        }
    }

    fn fill(&self, index: ValueIndex) {
        if let (Value::List(items), Some(list)) = (&self.document.values[index], self.made(index))
            && let View::List(list) = list.view()
        {
            items
                .iter()
                .filter_map(|&item| self.made(item))
                .for_each(|item| list.push(item.clone()));
        }
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
    CodeSpec {
        argument_count: count(body.argcount),
        keyword_only: count(body.kwonly),
        stack_size: count(body.stacksize),
        local_names: body.varnames.clone(),
        names: body.names.clone(),
        ..named
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
                json!({"t": "dict", "items": []}),
                "values[4]: objects of kind dict are not supported",
            ),
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
