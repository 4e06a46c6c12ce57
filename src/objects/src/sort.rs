//! Sorting, with the comparisons that CPython 3.13 makes of a short list, in its order: where values have no order, as
//! with NaN or with values of different types, the outcome depends on them.

use crate::compare::{Comparison, compare};
use crate::error::Result;
use crate::object::Ref;

/// CPython sorts shorter lists in one run: `MAX_MINRUN`.
const SHORT: usize = 64;

/// Sorts stably by `<` alone, as Python promises. A short list is sorted by insertion behind the run that it starts
/// with; of a longer one, halves are sorted and merged.
pub(crate) fn sort(mut items: Vec<Ref>) -> Result<Vec<Ref>> {
    if items.len() < SHORT {
        if items.len() > 1 {
            let sorted = make_run(&mut items)?;
            insert_rest(&mut items, sorted)?;
        }
        return Ok(items);
    }
    let right = items.split_off(items.len().div_ceil(2));
    let (left, right) = (sort(items)?, sort(right)?);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    for item in right {
        while let Some(first) = left.peek()
            && !is_less(&item, first)?
        {
            merged.extend(left.next());
        }
        merged.push(item);
    }
    merged.extend(left);
    Ok(merged)
}

fn is_less(left: &Ref, right: &Ref) -> Result<bool> {
    compare(Comparison::Less, left, right)
}

/// How far items ascend from the start, `sorted` of them being known to.
fn ascending(items: &[Ref], mut sorted: usize) -> Result<usize> {
    while sorted < items.len() && !is_less(&items[sorted], &items[sorted - 1])? {
        sorted += 1;
    }
    Ok(sorted)
}

/// Turns the run that the items start with, if it descends, and returns its length. Items of a descending run that are
/// equal keep their order.
fn make_run(items: &mut [Ref]) -> Result<usize> {
    let mut length = ascending(items, 1)?;
    if length == items.len() {
        return Ok(length);
    }
    if length > 1 {
        if is_less(&items[0], &items[length - 1])? {
            return Ok(length);
        }
        // All equal, so that the next one makes it a descending run.
        items[..length].reverse();
    }
    length += 1;
    // How many items at the end of the run equal the one before them.
    let mut equal = 0;
    while length < items.len() {
        if is_less(&items[length], &items[length - 1])? {
            reverse_equal(items, length, equal);
            equal = 0;
        } else if is_less(&items[length - 1], &items[length])? {
            break;
        } else {
            equal += 1;
        }
        length += 1;
    }
    reverse_equal(items, length, equal);
    items[..length].reverse();
    ascending(items, length)
}

/// Turns the last `equal` items of a run and the one before them, as the whole run is turned again later.
fn reverse_equal(items: &mut [Ref], length: usize, equal: usize) {
    if equal > 0 {
        items[length - equal - 1..length].reverse();
    }
}

/// Inserts each item behind those that are sorted, behind all that are not greater.
fn insert_rest(items: &mut [Ref], sorted: usize) -> Result<()> {
    for index in sorted..items.len() {
        let (mut low, mut high) = (0, index);
        while low < high {
            let middle = (low + high) / 2;
            match is_less(&items[index], &items[middle])? {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        items[low..=index].rotate_right(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::repr_text;

    fn sorted(items: Vec<Ref>) -> String {
        sort(items).map_or_else(
            |error| error.to_string(),
            |items| repr_text(&Ref::list(items)).unwrap(),
        )
    }

    #[test]
    fn what_has_no_order_stays_where_cpython_leaves_it() {
        let floats = |values: &[f64]| values.iter().map(|&value| Ref::float(value)).collect();
        assert_eq!(sorted(floats(&[8.5, f64::NAN, 2.25])), "[8.5, nan, 2.25]");
        assert_eq!(
            sorted(floats(&[3.0, 2.0, f64::NAN, 1.0])),
            "[2.0, nan, 1.0, 3.0]"
        );
        assert_eq!(
            sorted(vec![Ref::int(1), Ref::str("a")]),
            "TypeError: '<' not supported between instances of 'str' and 'int'"
        );
    }

    #[test]
    fn equal_items_keep_their_order() {
        for length in [2, 3, 5, 63, 64, 65, 200] {
            for runs in 1..8 {
                // True and 1 are equal, as are False and 0.
                let item = |index: usize| match index / runs % 4 {
                    0 => Ref::int(1),
                    1 => Ref::bool(false),
                    2 => Ref::bool(true),
                    _ => Ref::int(0),
                };
                let items: Vec<Ref> = (0..length).map(item).collect();
                let mut expected = items.clone();
                expected
                    .sort_by_key(|item| compare(Comparison::Equal, item, &Ref::int(1)).unwrap());
                let found = sort(items).unwrap();
                assert!(
                    found
                        .iter()
                        .zip(&expected)
                        .all(|(a, b)| a.kind() == b.kind()),
                    "{length} {runs}"
                );
            }
        }
    }
}
