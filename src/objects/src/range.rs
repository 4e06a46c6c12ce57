//! Ranges: arithmetic progressions of ints of any size.

use crate::error::{PyError, Result};
use crate::heap;
use crate::int::{self, IntView};
use crate::object::{Header, Kind, Ref};
use crate::slice::Slice;
use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// A range.
#[repr(C)]
pub struct Range {
    header: Header,
    start: Ref,
    stop: Ref,
    step: Ref,
}

impl Ref {
    /// A range of ints; `None` if one of them is not an int or the step is zero. Bools become ints.
    pub fn range(start: &Ref, stop: &Ref, step: &Ref) -> Option<Self> {
        let plain = |bound: &Ref| {
            bound
                .as_int()
                .map(|value| int::add(value, IntView::Small(0)))
        };
        if step.as_int()?.is_zero() {
            return None;
        }
        let (start, stop, step) = (plain(start)?, plain(stop)?, plain(step)?);
        Some(heap::allocate(Range {
            header: Header::new(Kind::Range, 0),
            start,
            stop,
            step,
        }))
    }
}

impl Range {
    /// The first int, if there is any.
    pub fn start(&self) -> IntView<'_> {
        int_of(&self.start)
    }

    /// The bound, which is not reached.
    pub fn stop(&self) -> IntView<'_> {
        int_of(&self.stop)
    }

    /// The difference of neighbours, not zero.
    pub fn step(&self) -> IntView<'_> {
        int_of(&self.step)
    }

    /// How many ints there are.
    pub fn len(&self) -> BigInt {
        if let (Some(start), Some(stop), Some(step)) = (
            self.start().to_i64(),
            self.stop().to_i64(),
            self.step().to_i64(),
        ) {
            return small_length(start, stop, step).into();
        }
        let (start, stop, step) = (
            self.start().to_big(),
            self.stop().to_big(),
            self.step().to_big(),
        );
        let distance = if step.is_negative() {
            &*start - &*stop
        } else {
            &*stop - &*start
        };
        if distance.is_positive() {
            (distance - 1) / step.abs() + 1
        } else {
            BigInt::zero()
        }
    }

    /// Whether there are no ints.
    pub fn is_empty(&self) -> bool {
        self.len().is_zero()
    }

    /// The int at this index, which may count from the end.
    ///
    /// # Errors
    /// `IndexError` if it is out of range.
    pub(crate) fn item(&self, index: IntView<'_>) -> Result<Ref> {
        let length = self.len();
        let mut index = index.to_big().into_owned();
        if index.is_negative() {
            index += &length;
        }
        if index.is_negative() || index >= length {
            return Err(PyError::index("range object index out of range"));
        }
        Ok(Ref::big(self.at(&index)))
    }

    fn at(&self, index: &BigInt) -> BigInt {
        &*self.start().to_big() + index * &*self.step().to_big()
    }

    /// Whether the int is among them.
    pub(crate) fn contains(&self, value: IntView<'_>) -> bool {
        let (value, step) = (value.to_big(), self.step().to_big());
        let (quotient, rest) = (&*value - &*self.start().to_big()).div_rem(&step);
        rest.is_zero() && !quotient.is_negative() && quotient < self.len()
    }

    /// Whether both are the same sequence.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let length = self.len();
        length == other.len()
            && (length.is_zero()
                || self.start().compare(other.start()).is_eq()
                    && (length.is_one() || self.step().compare(other.step()).is_eq()))
    }

    /// The range that a slice selects.
    ///
    /// # Errors
    /// As a slice of any other sequence.
    pub(crate) fn slice(&self, slice: &Slice) -> Result<Ref> {
        let length = self.len();
        let Some(length) = length
            .to_usize()
            .filter(|&length| length <= i64::MAX as usize)
        else {
            return Err(PyError::not_supported(
                "slicing a range longer than a machine word",
            ));
        };
        let selection = slice.select(length)?;
        let start = Ref::big(self.at(&selection.start.into()));
        let stop = Ref::big(self.at(&selection.stop.into()));
        let step = slice.step().as_int().unwrap_or(IntView::Small(1));
        let step = int::multiply(self.step(), step)?;
        Ref::range(&start, &stop, &step)
            .ok_or_else(|| PyError::value("range() arg 3 must not be zero"))
    }
}

/// How many ints a range within machine words has.
pub(crate) fn small_length(start: i64, stop: i64, step: i64) -> u64 {
    let distance = if step < 0 {
        start.wrapping_sub(stop)
    } else {
        stop.wrapping_sub(start)
    } as u64;
    let is_empty = if step < 0 {
        start <= stop
    } else {
        start >= stop
    };
    if is_empty {
        0
    } else {
        (distance - 1) / step.unsigned_abs() + 1
    }
}

fn int_of(object: &Ref) -> IntView<'_> {
    // A range is only made of ints.
    object.as_int().unwrap_or(IntView::Small(0))
}
