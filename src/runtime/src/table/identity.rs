//! Which table something belongs to. Tables with the same bytes are the same table, however often they are loaded: ids of
//! the one are ids of the other, and a trace of the one is a trace of the other.
//!
//! Ids carry their table's checksum, and tables are compared by their headers, which hold the checksum, the digest and all
//! lengths. Somebody can make two tables on purpose that have one header; so no check of a trace by the one is relied on
//! where the other is used: a trace is checked by the table whose code it is made of.

use super::{StencilTable, UopId};
use crate::interpreter::hexadecimal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use zerocopy::IntoBytes;

/// The uop sets of the tables that are loaded, by checksum.
static NAMES: Mutex<Option<HashMap<u32, Weak<str>>>> = Mutex::new(None);

/// Makes the name of a table known by its checksum, as long as what is returned lives.
pub(super) fn register(checksum: u32, set: &str) -> Arc<str> {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(name) = names.get(&checksum).and_then(Weak::upgrade) {
        return name;
    }
    // Tables come and go in some programs; the names of those that went are not kept.
    if names.len() == names.capacity() {
        names.retain(|_, name| name.strong_count() > 0);
    }
    let name = Arc::from(set);
    names.insert(checksum, Arc::downgrade(&name));
    name
}

/// The uop set of the table with this checksum, if it is loaded.
fn name(checksum: u32) -> Option<Arc<str>> {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.as_ref()?.get(&checksum)?.upgrade()
}

impl StencilTable {
    /// The checksum in the header, which loading has compared.
    #[inline]
    pub(super) fn checksum(&self) -> u32 {
        self.header.checksum.get()
    }

    /// Whether both are the same table, by their headers.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.header.as_bytes() == other.header.as_bytes()
    }

    /// The first thing in which two tables differ that are not the same, as an error says it of this one and the other.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let facts = |table: &Self| {
            let (major, minor, patch) = table.llvm_version();
            [
                ("uop set", table.set().to_owned()),
                ("number of uops", table.uop_count().to_string()),
                ("version of LLVM", format!("{major}.{minor}.{patch}")),
                ("CPU", table.cpu().to_owned()),
                ("digest of the templates", hexadecimal(table.digest())),
                ("length in bytes", table.as_bytes().len().to_string()),
                ("checksum", format!("{:#010x}", table.checksum())),
            ]
        };
        let mut pairs = facts(self).into_iter().zip(facts(other));
        let differs = pairs.find(|(found, expected)| found != expected);
        differs.map_or_else(
            || "header".to_owned(),
            |((what, found), (_, expected))| format!("{what} {found}, expected {expected}"),
        )
    }

    /// What errors call the table that an id belongs to, and this one.
    pub(crate) fn names_of(&self, id: UopId) -> [String; 2] {
        self.names(id.table)
    }

    fn names(&self, found: u32) -> [String; 2] {
        let expected = self.checksum();
        match name(found) {
            Some(name) if *name != *self.set() => [name.to_string(), self.set().to_owned()],
            name => {
                let name = name
                    .as_deref()
                    .unwrap_or("that is no longer loaded")
                    .to_owned();
                [
                    format!("{name} (checksum {found:#010x})"),
                    format!("{} (checksum {expected:#010x})", self.set()),
                ]
            }
        }
    }

    /// # Panics
    /// The table with this checksum is another one.
    pub(super) fn assert_own(&self, what: &str, found: u32) {
        if found != self.checksum() {
            let [found, expected] = self.names(found);
            panic!("a {what} of the table {found} was asked of the table {expected}");
        }
    }
}
