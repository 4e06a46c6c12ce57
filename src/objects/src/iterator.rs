//! Iteration over any object, and the iterators over ranges, lists, tuples and strings, with the state that CPython's
//! have and generated code changes.

use crate::adapters;
use crate::dict::Part;
use crate::error::{PyError, Result};
use crate::heap;
use crate::hooks::unless_hooked;
use crate::int::{self, IntView};
use crate::limits;
use crate::object::{Header, Kind, Ref, View};
use crate::range::{Range, small_length};
use crate::str;
use num_bigint::BigInt;
use num_traits::Signed;
use std::cell::{Cell, RefCell};

/// An iterator over a range whose ints, and the one behind the last, fit a machine word.
#[repr(C)]
pub struct RangeIterator {
    header: Header,
    pub(crate) next: Cell<i64>,
    pub(crate) step: Cell<i64>,
    pub(crate) remaining: Cell<i64>,
}

impl RangeIterator {
    /// The int that comes next, if any is left.
    pub fn next_value(&self) -> i64 {
        self.next.get()
    }

    /// The difference of neighbours.
    pub fn step(&self) -> i64 {
        self.step.get()
    }

    /// How many are left; none if it is not positive.
    pub fn remaining(&self) -> i64 {
        self.remaining.get()
    }

    fn advance(&self) -> Option<Ref> {
        if self.remaining.get() <= 0 {
            return None;
        }
        let value = self.next.get();
        self.next.set(value.wrapping_add(self.step.get()));
        self.remaining.set(self.remaining.get() - 1);
        Some(Ref::int(value))
    }
}

/// An iterator over any other range.
#[repr(C)]
pub struct BigRangeIterator {
    header: Header,
    state: RefCell<BigRangeState>,
}

struct BigRangeState {
    next: BigInt,
    step: BigInt,
    remaining: BigInt,
}

impl BigRangeIterator {
    fn advance(&self) -> Option<Ref> {
        let state = &mut *self.state.borrow_mut();
        if !state.remaining.is_positive() {
            return None;
        }
        let value = state.next.clone();
        state.next += &state.step;
        state.remaining -= 1;
        Some(Ref::big(value))
    }
}

/// An iterator over a list, a tuple or a string.
#[repr(C)]
pub struct SequenceIterator {
    header: Header,
    /// Null once exhausted.
    pub(crate) sequence: Cell<Option<Ref>>,
    /// Of the next item. An exhausted list iterator has -1.
    pub(crate) index: Cell<i64>,
}

/// Flag of an iterator over an ASCII string, whose type has a name of its own.
const FLAG_ASCII: u32 = str::FLAG_ASCII;

impl SequenceIterator {
    /// The sequence, unless it was dropped because it is exhausted.
    pub fn sequence(&self) -> Option<Ref> {
        let sequence = self.sequence.take();
        self.sequence.set(sequence.clone());
        sequence
    }

    /// The index of the next item.
    pub fn index(&self) -> i64 {
        self.index.get()
    }

    /// Whether this is an iterator over an ASCII string.
    pub(crate) fn is_ascii(&self) -> bool {
        self.header.flags.get() & FLAG_ASCII != 0
    }

    /// The next item. At the end the sequence is dropped, so that the iterator stays exhausted when a list grows. A
    /// negative index, which generated code sets at the end of a list, ends it too but drops nothing.
    fn advance(&self) -> Option<Ref> {
        let index = usize::try_from(self.index.get()).ok()?;
        let sequence = self.sequence.take()?;
        let item = match sequence.view() {
            View::List(list) => list.get(index),
            View::Tuple(tuple) => tuple.items().get(index).cloned(),
            View::Str(string) => string.get(index).map(str::single),
            _ => None,
        };
        if item.is_some() {
            self.index.set(self.index.get() + 1);
            self.sequence.set(Some(sequence));
        } else if self.header.kind.get() == Kind::ListIterator as u32 {
            self.index.set(-1);
        }
        item
    }
}

impl Ref {
    /// An iterator over `remaining` ints from `next` on.
    pub fn range_iterator(next: i64, step: i64, remaining: i64) -> Self {
        heap::allocate(RangeIterator {
            header: Header::new(Kind::RangeIterator, 0),
            next: Cell::new(next),
            step: Cell::new(step),
            remaining: Cell::new(remaining),
        })
    }

    /// An iterator over a list; `None` if it has dropped its list.
    ///
    /// # Errors
    /// Gives the sequence back if it is not a list.
    pub fn list_iterator(sequence: Option<Ref>, index: i64) -> std::result::Result<Self, Ref> {
        sequence_iterator(Kind::List, Kind::ListIterator, sequence, index)
    }

    /// An iterator over a tuple; `None` if it has dropped its tuple.
    ///
    /// # Errors
    /// Gives the sequence back if it is not a tuple.
    pub fn tuple_iterator(sequence: Option<Ref>, index: i64) -> std::result::Result<Self, Ref> {
        sequence_iterator(Kind::Tuple, Kind::TupleIterator, sequence, index)
    }

    /// An iterator over a string; `None` if it has dropped its string, which then was an ASCII one.
    ///
    /// # Errors
    /// Gives the sequence back if it is not a string.
    pub fn str_iterator(sequence: Option<Ref>, index: i64) -> std::result::Result<Self, Ref> {
        sequence_iterator(Kind::Str, Kind::StrIterator, sequence, index)
    }
}

fn sequence_iterator(
    of: Kind,
    kind: Kind,
    sequence: Option<Ref>,
    index: i64,
) -> std::result::Result<Ref, Ref> {
    let mut flags = if kind == Kind::StrIterator {
        FLAG_ASCII
    } else {
        0
    };
    if let Some(sequence) = &sequence {
        if sequence.kind() != of {
            return Err(sequence.clone());
        }
        if let View::Str(string) = sequence.view()
            && !string.is_ascii()
        {
            flags = 0;
        }
    }
    Ok(heap::allocate(SequenceIterator {
        header: Header::new(kind, flags),
        sequence: Cell::new(sequence),
        index: Cell::new(index),
    }))
}

/// `iter(object)`
///
/// # Errors
/// `TypeError` if the object is not iterable.
pub fn iterate(object: &Ref) -> Result<Ref> {
    let made = match object.view() {
        View::List(_) => Ref::list_iterator(Some(object.clone()), 0),
        View::Tuple(_) => Ref::tuple_iterator(Some(object.clone()), 0),
        View::Str(_) => Ref::str_iterator(Some(object.clone()), 0),
        View::Range(range) => Ok(iterate_range(range)),
        View::Bytes(_) => Ok(Ref::bytes_iterator(object.clone())),
        View::Dict(_) => Ref::dict_iterator(object.clone(), Part::Key, false),
        View::DictView(view) => Ref::dict_iterator(view.object().clone(), view.part(), false),
        View::Set(_) => Ref::set_iterator(object.clone()),
        _ if is_iterator(object) => Ok(object.clone()),
        _ => Err(object.clone()),
    };
    made.map_err(|object| {
        let message = format!("'{}' object is not iterable", object.type_name());
        unless_hooked(
            &object,
            &["__iter__", "__getitem__"],
            PyError::type_error(message),
        )
    })
}

/// Whether [`next`] works on the object.
pub fn is_iterator(object: &Ref) -> bool {
    matches!(
        object.view(),
        View::RangeIterator(_)
            | View::BigRangeIterator(_)
            | View::ListIterator(_)
            | View::TupleIterator(_)
            | View::StrIterator(_)
            | View::Enumerate(_)
            | View::Zip(_)
            | View::Reversed(_)
            | View::Map(_)
            | View::Filter(_)
            | View::DictIterator(_)
            | View::SetIterator(_)
    )
}

/// The next item; `None` if the iterator is exhausted.
///
/// # Errors
/// `TypeError` if the object is not an iterator, `RuntimeError` if what is iterated over has changed.
pub fn next(iterator: &Ref) -> Result<Option<Ref>> {
    match iterator.view() {
        View::RangeIterator(iterator) => Ok(iterator.advance()),
        View::BigRangeIterator(iterator) => Ok(iterator.advance()),
        View::ListIterator(iterator)
        | View::TupleIterator(iterator)
        | View::StrIterator(iterator) => Ok(iterator.advance()),
        View::DictIterator(iterator) => iterator.advance(),
        View::SetIterator(iterator) => iterator.advance(),
        _ => adapters::next(iterator).unwrap_or_else(|| {
            let message = format!("'{}' object is not an iterator", iterator.type_name());
            Err(unless_hooked(
                iterator,
                &["__next__"],
                PyError::type_error(message),
            ))
        }),
    }
}

/// The items that iterating over the object gives, as they come; an error ends the iteration.
///
/// # Errors
/// `TypeError` if the object is not iterable.
pub fn items(object: &Ref) -> Result<impl Iterator<Item = Result<Ref>> + use<>> {
    let iterator = iterate(object)?;
    let mut has_failed = false;
    Ok(std::iter::from_fn(move || {
        if has_failed {
            return None;
        }
        let item = next(&iterator).transpose()?;
        has_failed = item.is_err();
        Some(item)
    }))
}

/// All items of an iterable.
///
/// # Errors
/// `TypeError` if the object is not iterable, `MemoryError` if there are too many, or the iteration's own.
pub fn collect(object: &Ref) -> Result<Vec<Ref>> {
    match object.view() {
        View::List(list) => Ok(list.to_vec()),
        View::Tuple(tuple) => Ok(tuple.items().to_vec()),
        _ => limits::collect(items(object)?),
    }
}

fn iterate_range(range: &Range) -> Ref {
    if let (Some(start), Some(stop), Some(step)) = (
        range.start().to_i64(),
        range.stop().to_i64(),
        range.step().to_i64(),
    ) && stop.checked_add(step - step.signum()).is_some()
        && let Ok(remaining) = i64::try_from(small_length(start, stop, step))
    {
        return Ref::range_iterator(start, step, remaining);
    }
    let plain = |value: IntView<'_>| value.to_big().into_owned();
    let state = BigRangeState {
        next: plain(range.start()),
        step: plain(range.step()),
        remaining: range.len(),
    };
    heap::allocate(BigRangeIterator {
        header: Header::new(Kind::BigRangeIterator, 0),
        state: RefCell::new(state),
    })
}

/// How many items a sequence has, as an int.
///
/// # Errors
/// `TypeError` if the object has no length, `OverflowError` if it does not fit a machine word.
pub fn length(object: &Ref) -> Result<Ref> {
    let length = match object.view() {
        View::Str(string) => string.len(),
        View::List(list) => list.len(),
        View::Tuple(tuple) => tuple.items().len(),
        View::Bytes(bytes) => bytes.data().len(),
        View::Dict(dict) => dict.len(),
        View::DictView(view) => view.len(),
        View::Set(set) => set.len(),
        View::Range(range) => {
            let length = Ref::big(range.len());
            return match length.as_int().and_then(IntView::to_i64) {
                Some(_) => Ok(length),
                None => Err(PyError::overflow(
                    "Python int too large to convert to C ssize_t",
                )),
            };
        }
        _ => {
            let message = format!("object of type '{}' has no len()", object.type_name());
            return Err(unless_hooked(
                object,
                &["__len__"],
                PyError::type_error(message),
            ));
        }
    };
    Ok(int::from_usize(length))
}
