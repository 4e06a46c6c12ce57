//! CPython 3.13's own uops: their metadata, the size of the machine code that its own JIT has for them, and why the standard
//! set does not have those that it lacks.

/// The uops of CPython, a line each.
static CPYTHON: &str = include_str!("../cpython-3.13.tsv");

/// The uops of CPython that are not in the standard set, a line each. Reviewed by hand: a test holds it against the table.
static MISSING: &str = include_str!("../missing.tsv");

/// A uop of CPython 3.13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its name.
    pub name: &'static str,
    /// Bytes of machine code in CPython's own stencil (3.13.15, x86-64, LLVM 19).
    pub code_bytes: usize,
    /// Bytes of data beside it.
    pub data_bytes: usize,
    /// Places to patch in both.
    pub holes: usize,
    /// How many values it pops, as CPython's metadata says: a number, or a term in C with `oparg` in it.
    pub popped: &'static str,
    flags: &'static str,
}

impl Reference {
    /// Flags as CPython's metadata has them, in lower case and without `HAS_`.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        self.flags.split('|').filter(|flag| !flag.is_empty())
    }
}

/// All uops of CPython 3.13, sorted by name.
pub fn references() -> impl Iterator<Item = Reference> {
    rows(CPYTHON).filter_map(|row| {
        let mut fields = row.split('\t');
        let number = |field: Option<&str>| field?.parse().ok();
        Some(Reference {
            name: fields.next()?,
            code_bytes: number(fields.next())?,
            data_bytes: number(fields.next())?,
            holes: number(fields.next())?,
            popped: fields.next()?,
            flags: fields.next()?,
        })
    })
}

/// The uops of CPython 3.13 that the standard set does not have, with the reason, sorted by name.
pub fn missing() -> impl Iterator<Item = (&'static str, &'static str)> {
    rows(MISSING).filter_map(|row| row.split_once('\t'))
}

/// The lines behind the comments and the heading.
fn rows(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| line.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standard_table;
    use mimeo::stencil::UopFlags;

    /// Uops whose flags of leaving differ from CPython's: what CPython's are, and why ours are right.
    const OTHER_FLAGS: [(&str, &str, &str); 2] = [
        (
            "_ITER_NEXT_RANGE",
            "error",
            "an int is always to be had: memory that runs out ends the program",
        ),
        ("_MAKE_CELL", "error", "so is a cell"),
    ];

    #[test]
    fn every_uop_is_there_or_has_a_reason() {
        let table = standard_table().unwrap();
        let names: Vec<&str> = references().map(|reference| reference.name).collect();
        assert_eq!(names.len(), 235);
        assert!(names.is_sorted());
        let lacking: Vec<&str> = names
            .into_iter()
            .filter(|name| table.find(name).is_none())
            .collect();
        let explained: Vec<&str> = missing().map(|(name, _)| name).collect();
        assert_eq!(explained, lacking, "missing.tsv (left) against the table");
        assert!(missing().all(|(_, reason)| !reason.is_empty()));
    }

    #[test]
    fn ways_out_are_those_of_cpython() {
        let table = standard_table().unwrap();
        let mut differences = Vec::new();
        for reference in references() {
            let Some(uop) = table.find(reference.name) else {
                continue;
            };
            let flags = table.uop(uop).flags;
            let ours: Vec<&str> = [
                ("deopt", UopFlags::DEOPT),
                ("error", UopFlags::ERROR),
                ("exit", UopFlags::EXIT),
            ]
            .into_iter()
            .filter(|&(_, flag)| flags.contains(flag))
            .map(|(name, _)| name)
            .collect();
            let theirs: Vec<&str> = reference
                .flags()
                .filter(|flag| matches!(*flag, "deopt" | "error" | "exit"))
                .collect();
            if ours != theirs {
                differences.push((reference.name, theirs.join("|")));
            }
        }
        let explained = OTHER_FLAGS.map(|(name, theirs, _)| (name, theirs.to_owned()));
        assert_eq!(differences, explained);
    }
}
