//! Slices: the objects, and how their bounds select from a sequence.

use crate::error::{PyError, Result};
use crate::heap;
use crate::hooks::unless_hooked;
use crate::object::{Header, Kind, Ref, View};

/// A slice.
#[repr(C)]
pub struct Slice {
    header: Header,
    start: Ref,
    stop: Ref,
    step: Ref,
}

impl Slice {
    /// `start`, an int or `None` where it is of use.
    pub fn start(&self) -> &Ref {
        &self.start
    }

    /// `stop`, as `start`.
    pub fn stop(&self) -> &Ref {
        &self.stop
    }

    /// `step`, as `start`.
    pub fn step(&self) -> &Ref {
        &self.step
    }

    /// What the slice selects from a sequence of this length.
    ///
    /// # Errors
    /// As [`Selection::new`].
    pub(crate) fn select(&self, length: usize) -> Result<Selection> {
        Selection::new(&self.start, &self.stop, &self.step, length)
    }
}

impl Ref {
    /// A slice.
    pub fn slice(start: Ref, stop: Ref, step: Ref) -> Self {
        heap::allocate(Slice {
            header: Header::new(Kind::Slice, 0),
            start,
            stop,
            step,
        })
    }
}

/// The indices that a slice selects: `start`, `start + step`, ..., `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) start: i64,
    /// The clipped bound, which may lie before `start` when nothing is selected.
    pub(crate) stop: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Selection {
    /// Clips bounds to a sequence of this length.
    ///
    /// # Errors
    /// `TypeError` for a bound that is neither an int nor `None`, `ValueError` if the step is zero.
    pub(crate) fn new(start: &Ref, stop: &Ref, step: &Ref, length: usize) -> Result<Self> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        // The smallest step is not negated without overflow; no sequence is that long.
        let step = bound(step)?.map_or(1, |step| step.max(-i64::MAX));
        if step == 0 {
            return Err(PyError::value("slice step cannot be zero"));
        }
        // A bound before the first item or behind the last one, as the direction sees it.
        let (lowest, highest) = if step > 0 {
            (0, length)
        } else {
            (-1, length - 1)
        };
        let clip = |bound: i64| {
            let bound = if bound < 0 {
                bound.saturating_add(length)
            } else {
                bound
            };
            bound.clamp(lowest, highest)
        };
        let (first, last) = if step > 0 {
            (lowest, highest)
        } else {
            (highest, lowest)
        };
        let start = bound(start)?.map_or(first, clip);
        let stop = bound(stop)?.map_or(last, clip);
        let distance = if step > 0 { stop - start } else { start - stop };
        let count = if distance > 0 {
            (distance - 1) / step.abs() + 1
        } else {
            0
        };
        Ok(Self {
            start,
            stop,
            step,
            count: usize::try_from(count).unwrap_or(0),
        })
    }

    /// The indices, which are in range of the sequence.
    pub(crate) fn indices(self) -> impl Iterator<Item = usize> + Clone {
        // The multiplication stays within the sequence for every index that is taken.
        (0..self.count).map(move |n| (self.start + n as i64 * self.step) as usize)
    }
}

/// A bound that is given, clipped to a machine word.
fn bound(bound: &Ref) -> Result<Option<i64>> {
    if let View::None = bound.view() {
        return Ok(None);
    }
    let Some(value) = bound.as_int() else {
        let message = "slice indices must be integers or None or have an __index__ method";
        return Err(unless_hooked(
            bound,
            &["__index__"],
            PyError::type_error(message),
        ));
    };
    Ok(Some(value.saturate()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections() {
        let bound = |bound: Option<i64>| bound.map_or_else(Ref::none, Ref::int);
        let rows: [([Option<i64>; 3], &[usize]); 10] = [
            ([None, None, None], &[0, 1, 2, 3, 4]),
            ([Some(1), Some(3), None], &[1, 2]),
            ([Some(-2), None, None], &[3, 4]),
            ([Some(3), Some(1), None], &[]),
            ([None, None, Some(2)], &[0, 2, 4]),
            ([None, None, Some(-2)], &[4, 2, 0]),
            ([Some(1), None, Some(-1)], &[1, 0]),
            ([Some(-9), Some(9), Some(i64::MAX)], &[0]),
            ([Some(9), Some(-9), Some(i64::MIN)], &[4]),
            ([Some(i64::MIN), Some(i64::MAX), Some(3)], &[0, 3]),
        ];
        for (bounds, expected) in rows {
            let [start, stop, step] = bounds.map(bound);
            let selection = Selection::new(&start, &stop, &step, 5).unwrap();
            let indices: Vec<usize> = selection.indices().collect();
            assert_eq!(indices, expected, "{bounds:?}");
        }
    }
}
