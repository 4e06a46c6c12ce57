//! Iterators over iterators, `enumerate`, `zip`, `map` and `filter`, and those over sequences from their ends.

use crate::call::call;
use crate::error::{PyError, Result};
use crate::heap;
use crate::hooks::unless_hooked;
use crate::int::{self, IntView};
use crate::iterator;
use crate::object::{Header, Kind, Ref, View};
use crate::ops;
use crate::range::Range;
use crate::str;
use crate::types::TypeId;
use num_bigint::BigInt;
use std::cell::{Cell, RefCell};

/// `enumerate`
#[repr(C)]
pub struct Enumerate {
    header: Header,
    iterator: Ref,
    /// The index of the next item.
    next: RefCell<Ref>,
}

impl Enumerate {
    /// What is iterated over, an iterator.
    pub fn iterator(&self) -> &Ref {
        &self.iterator
    }

    /// The index of the next item, an int.
    pub fn next_index(&self) -> Ref {
        self.next.borrow().clone()
    }

    fn advance(&self) -> Result<Option<Ref>> {
        let Some(item) = iterator::next(&self.iterator)? else {
            return Ok(None);
        };
        let index = self.next_index();
        let following = int::add(
            index.as_int().unwrap_or(IntView::Small(0)),
            IntView::Small(1),
        );
        self.next.replace(following);
        Ok(Some(Ref::tuple(vec![index, item])))
    }
}

/// `zip`
#[repr(C)]
pub struct Zip {
    header: Header,
    iterators: Box<[Ref]>,
}

impl Zip {
    /// What is iterated over, iterators.
    pub fn iterators(&self) -> &[Ref] {
        &self.iterators
    }

    fn advance(&self) -> Result<Option<Ref>> {
        let items = next_of_all(&self.iterators)?;
        Ok(items.filter(|items| !items.is_empty()).map(Ref::tuple))
    }
}

/// The next item of each iterator, unless one has none.
fn next_of_all(iterators: &[Ref]) -> Result<Option<Vec<Ref>>> {
    let mut items = Vec::with_capacity(iterators.len());
    for iterator in iterators {
        match iterator::next(iterator)? {
            Some(item) => items.push(item),
            None => return Ok(None),
        }
    }
    Ok(Some(items))
}

/// `reversed`, the reverse iterator of a list, and the iterator over bytes: a sequence and the index of the next item.
#[repr(C)]
pub struct Reversed {
    header: Header,
    /// Null once exhausted.
    sequence: Cell<Option<Ref>>,
    index: Cell<i64>,
    /// 1 or -1.
    step: i64,
    of: TypeId,
}

impl Reversed {
    /// The sequence, unless it was dropped because the iterator is exhausted.
    pub fn sequence(&self) -> Option<Ref> {
        let sequence = self.sequence.take();
        self.sequence.set(sequence.clone());
        sequence
    }

    /// The index of the next item.
    pub fn index(&self) -> i64 {
        self.index.get()
    }

    pub(crate) fn type_id(&self) -> TypeId {
        self.of
    }

    fn advance(&self) -> Option<Ref> {
        let sequence = self.sequence.take()?;
        let index = usize::try_from(self.index.get()).ok()?;
        let item = match sequence.view() {
            View::List(list) => list.get(index),
            View::Tuple(tuple) => tuple.items().get(index).cloned(),
            View::Str(string) => string.get(index).map(str::single),
            View::Bytes(bytes) => bytes.data().get(index).map(|&byte| Ref::int(byte.into())),
            _ => None,
        }?;
        self.index.set(self.index.get() + self.step);
        self.sequence.set(Some(sequence));
        Some(item)
    }
}

/// `map`
#[repr(C)]
pub struct Map {
    header: Header,
    function: Ref,
    iterators: Box<[Ref]>,
}

impl Map {
    /// What is called.
    pub fn function(&self) -> &Ref {
        &self.function
    }

    /// What is iterated over, iterators.
    pub fn iterators(&self) -> &[Ref] {
        &self.iterators
    }

    fn advance(&self) -> Result<Option<Ref>> {
        let arguments = next_of_all(&self.iterators)?;
        arguments
            .map(|arguments| call(&self.function, &arguments))
            .transpose()
    }
}

/// `filter`
#[repr(C)]
pub struct Filter {
    header: Header,
    function: Ref,
    iterator: Ref,
}

impl Filter {
    /// What is called for each item; `None` asks for the truth of the items themselves.
    pub fn function(&self) -> &Ref {
        &self.function
    }

    /// What is iterated over, an iterator.
    pub fn iterator(&self) -> &Ref {
        &self.iterator
    }

    fn advance(&self) -> Result<Option<Ref>> {
        while let Some(item) = iterator::next(&self.iterator)? {
            let is_kept = match self.function.view() {
                View::None => ops::truth(&item)?,
                _ => ops::truth(&call(&self.function, std::slice::from_ref(&item))?)?,
            };
            if is_kept {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}

/// The next item of one of these iterators; `None` for any other object.
pub(crate) fn next(iterator: &Ref) -> Option<Result<Option<Ref>>> {
    Some(match iterator.view() {
        View::Enumerate(iterator) => iterator.advance(),
        View::Zip(iterator) => iterator.advance(),
        View::Reversed(iterator) => Ok(iterator.advance()),
        View::Map(iterator) => iterator.advance(),
        View::Filter(iterator) => iterator.advance(),
        _ => return None,
    })
}

impl Ref {
    /// `enumerate` of an iterator, from an index that is an int; `None` if it is not.
    pub fn enumerate(iterator: Ref, start: Ref) -> Option<Self> {
        start.as_int()?;
        Some(heap::allocate(Enumerate {
            header: Header::new(Kind::Enumerate, 0),
            iterator,
            next: RefCell::new(start),
        }))
    }

    /// `zip` of iterators.
    pub fn zip(iterators: Vec<Ref>) -> Self {
        heap::allocate(Zip {
            header: Header::new(Kind::Zip, 0),
            iterators: iterators.into(),
        })
    }

    /// `map` over iterators.
    pub fn map(function: Ref, iterators: Vec<Ref>) -> Self {
        heap::allocate(Map {
            header: Header::new(Kind::Map, 0),
            function,
            iterators: iterators.into(),
        })
    }

    /// `filter` of an iterator.
    pub fn filter(function: Ref, iterator: Ref) -> Self {
        heap::allocate(Filter {
            header: Header::new(Kind::Filter, 0),
            function,
            iterator,
        })
    }

    /// The reverse iterator over a list, tuple, string or bytes, whose next item is at this index; `None` for another
    /// object. An exhausted one has no sequence.
    pub fn reversed(sequence: Ref, index: i64) -> Option<Self> {
        let of = match sequence.kind() {
            Kind::List => TypeId::ListReverseIterator,
            Kind::Tuple | Kind::Str | Kind::Bytes => TypeId::Reversed,
            _ => return None,
        };
        Some(walk(sequence, index, -1, of))
    }

    /// The iterator over bytes.
    pub(crate) fn bytes_iterator(bytes: Ref) -> Self {
        walk(bytes, 0, 1, TypeId::BytesIterator)
    }
}

fn walk(sequence: Ref, index: i64, step: i64, of: TypeId) -> Ref {
    heap::allocate(Reversed {
        header: Header::new(Kind::Reversed, 0),
        sequence: Cell::new(Some(sequence)),
        index: Cell::new(index),
        step,
        of,
    })
}

/// `enumerate(iterable, start)`
pub(crate) fn enumerate(arguments: &[Ref]) -> Result<Ref> {
    let (iterable, start) = match arguments {
        [iterable] => (iterable, Ref::int(0)),
        [iterable, start] => (iterable, ops::index(start)?),
        [] => {
            return Err(PyError::type_error(
                "enumerate() missing required argument 'iterable'",
            ));
        }
        _ => {
            return Err(PyError::type_error(format!(
                "enumerate() takes at most 2 arguments ({} given)",
                arguments.len()
            )));
        }
    };
    let made = Ref::enumerate(iterator::iterate(iterable)?, start);
    made.ok_or_else(|| PyError::type_error("an index is an int"))
}

/// `zip(*iterables)`
pub(crate) fn zip(arguments: &[Ref]) -> Result<Ref> {
    let iterators: Result<Vec<Ref>> = arguments.iter().map(iterator::iterate).collect();
    iterators.map(Ref::zip)
}

/// `map(function, *iterables)`
pub(crate) fn map(arguments: &[Ref]) -> Result<Ref> {
    let [function, iterables @ ..] = arguments else {
        return Err(PyError::type_error(
            "map() must have at least two arguments.",
        ));
    };
    if iterables.is_empty() {
        return map(&[]);
    }
    let iterators: Result<Vec<Ref>> = iterables.iter().map(iterator::iterate).collect();
    Ok(Ref::map(function.clone(), iterators?))
}

/// `filter(function, iterable)`
pub(crate) fn filter(arguments: &[Ref]) -> Result<Ref> {
    crate::call::check_count("filter", arguments, 2..=2)?;
    let iterator = iterator::iterate(&arguments[1])?;
    Ok(Ref::filter(arguments[0].clone(), iterator))
}

/// `reversed(sequence)`
pub(crate) fn reversed(arguments: &[Ref]) -> Result<Ref> {
    crate::call::check_count("reversed", arguments, 1..=1)?;
    let sequence = &arguments[0];
    let length = match sequence.view() {
        View::List(list) => list.len(),
        View::Tuple(tuple) => tuple.items().len(),
        View::Str(string) => string.len(),
        View::Bytes(bytes) => bytes.data().len(),
        View::Range(range) => return Ok(reverse_range(range)),
        _ => 0,
    };
    Ref::reversed(sequence.clone(), length as i64 - 1).ok_or_else(|| {
        let message = format!("'{}' object is not reversible", sequence.type_name());
        let methods = ["__reversed__", "__getitem__"];
        unless_hooked(sequence, &methods, PyError::type_error(message))
    })
}

/// An iterator over a range from its end.
fn reverse_range(range: &Range) -> Ref {
    let step = -&*range.step().to_big();
    let start: BigInt = &*range.start().to_big() - &step * (range.len() - 1);
    let stop = &*range.start().to_big() + &step;
    let [start, stop, step] = [start, stop, step].map(Ref::big);
    // The step of a range is not zero, so its opposite is not.
    let reversed = Ref::range(&start, &stop, &step);
    let iterator = reversed.map(|range| iterator::iterate(&range));
    match iterator {
        Some(Ok(iterator)) => iterator,
        _ => Ref::none(),
    }
}
