//! The methods of tuples.

use super::MethodEntry;
use super::list;
use crate::call::CallKind::{Fast, One};
use crate::error::{PyError, Result};
use crate::int;
use crate::object::{Ref, View};

pub(super) const METHODS: &[MethodEntry] = &[
    MethodEntry {
        name: "count",
        kind: One,
        call: |tuple, arguments| list::count(this(tuple)?.iter().cloned(), &arguments[0]),
    },
    MethodEntry {
        name: "index",
        kind: Fast,
        call: |tuple, arguments| {
            let items = this(tuple)?;
            let found = list::index(|index| items.get(index).cloned(), items.len(), arguments)?;
            found
                .map(int::from_usize)
                .ok_or_else(|| PyError::value("tuple.index(x): x not in tuple"))
        },
    },
];

fn this(receiver: &Ref) -> Result<&[Ref]> {
    match receiver.view() {
        View::Tuple(tuple) => Ok(tuple.items()),
        _ => Err(PyError::type_error("the method of a tuple needs a tuple")),
    }
}
