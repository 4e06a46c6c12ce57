//! Whether a header belongs to a tree: it was made of it, it has what `jit.c` looks for, and, where it is one of ours, its
//! code keeps the rules of stencils that C code copies.
//!
//! The C around the bytes is not compiled. What fills holes is told from its text; of numbers the checker sees that they are
//! numbers, not how large.

use super::contract::{Contract, Files, words};
use super::digest::{digest, inputs};
use super::tree::{CASES, Tree, directory};
use super::{CPythonError, HEADER, INPUTS, Sources, WITHOUT_INSTRUCTION, guarded};
use crate::c_header::{Header, HeaderGroup, HeaderHole, HeaderPart, MAX_LENGTH};
use crate::verify::{check_c_entry, check_c_stencil};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{StencilBuf, StencilGroupBuf};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What was found of a header.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The file that has the stencils, or the one that should have led to it.
    pub path: PathBuf,
    /// CPython's version, in full.
    pub version: String,
    /// The versions whose contract the tree has; `None` where each of its features is known and their combination is not.
    pub contract: Option<&'static str>,
    /// The digest of the tree.
    pub digest: String,
    /// How many stencils the tree's header has, the entry among them.
    pub expected: usize,
    /// How many of them this one has.
    pub found: usize,
    /// How many of those keep the rules; `None` where they are another program's, whose convention is not known.
    pub sound: Option<usize>,
    /// Why it is not the tree's header: each names the file, and the stencil where it is about one.
    pub problems: Vec<String>,
}

/// Checks the header in a directory.
///
/// # Errors
/// The directories do not hold what they should, the tree has a feature that is not known, or a file cannot be read. A header
/// that is not there, or is none, is no error.
pub fn check(sources: &Sources, header: &Path) -> Result<Checked, CPythonError> {
    let tree = Tree::open(sources)?;
    let mut checked = Checked {
        path: header.join(HEADER),
        version: tree.version.clone(),
        contract: tree.contract.trees(),
        digest: digest(&tree)?,
        expected: tree.uops.len() + 1,
        found: 0,
        sound: None,
        problems: Vec::new(),
    };
    directory(header)?;
    if let Some(header) = checked.read(&tree, header)? {
        checked.is_made_of(&tree, &header)?;
        checked.is_complete(&tree, &header);
        if header.comments.iter().any(|comment| is_ours(comment)) {
            checked.is_sound(&tree, &header);
        }
    }
    Ok(checked)
}

/// Another version of this program might follow another convention.
fn is_ours(comment: &str) -> bool {
    comment.starts_with(concat!("mimeo ", env!("CARGO_PKG_VERSION"), " "))
}

impl Checked {
    fn refuse(&mut self, problem: impl std::fmt::Display) {
        let path = self.path.display();
        self.problems.push(format!("{path}: {problem}"));
    }

    /// The header, in one file or behind its guard.
    fn read(&mut self, tree: &Tree, directory: &Path) -> Result<Option<Header>, CPythonError> {
        let Some(mut file) = self.read_file()? else {
            return Ok(None);
        };
        let expected = match tree.contract.files {
            Files::One => None,
            Files::Guarded => Some(guarded(tree)),
        };
        match (Header::guarded(&file), expected) {
            (Err(error), _) => {
                self.refuse(error);
                return Ok(None);
            }
            (Ok(Some((found, _))), Some(expected)) if found == expected => {
                self.path = directory.join(expected);
                match self.read_file()? {
                    Some(included) => file = included,
                    None => return Ok(None),
                }
            }
            (Ok(None), None) => {}
            (Ok(found), expected) => {
                let include = |name: &str| format!("a guard that includes {name}");
                let text = |name: Option<&str>| name.map_or("the stencils".to_owned(), include);
                let found = text(found.map(|(name, _)| name));
                self.refuse(format!(
                    "it has {found}, expected {}",
                    text(expected.as_deref())
                ));
                return Ok(None);
            }
        }
        match Header::parse(&file) {
            Ok(header) => Ok(Some(header)),
            Err(error) => {
                self.problems
                    .push(format!("{}:{error}", self.path.display()));
                Ok(None)
            }
        }
    }

    /// A file, which may not be there.
    fn read_file(&mut self) -> Result<Option<Vec<u8>>, CPythonError> {
        let mut bytes = Vec::new();
        // One byte too many is enough to be refused.
        let read = File::open(&self.path)
            .and_then(|file| file.take(MAX_LENGTH + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.refuse("there is no such file");
                Ok(None)
            }
            Err(error) => Err(CPythonError::io(&self.path, error)),
        }
    }

    /// The digest is the tree's, and so is each input that the header names.
    fn is_made_of(&mut self, tree: &Tree, header: &Header) -> Result<(), CPythonError> {
        let is_current = header.digest.as_ref() == Some(&self.digest);
        if !is_current {
            let found = header.digest.as_deref().unwrap_or("none");
            self.refuse(format!("the digest is {found}, expected {}", self.digest));
        }
        let Some(listed) = header
            .comments
            .iter()
            .find_map(|line| line.strip_prefix(INPUTS))
        else {
            return Ok(());
        };
        let mut differ = false;
        for (name, digest) in inputs(tree)? {
            if !listed
                .split(", ")
                .any(|input| input == format!("{name} {digest}"))
            {
                differ = true;
                self.refuse(format!("it was made of {}", tree.other(name)));
            }
        }
        if !is_current && !differ {
            self.refuse(match tree.contract.digest.is_sorted {
                true => "its inputs are the same, but the digest is computed in another way",
                false => "its inputs are the same, but Tools/jit has its files in another order, or those of a cache",
            });
        }
        Ok(())
    }

    /// There is the entry, and one group of each uop.
    fn is_complete(&mut self, tree: &Tree, header: &Header) {
        let entry = tree.contract.entry.name();
        let uops: BTreeSet<&str> = tree.uops.iter().map(String::as_str).collect();
        let of = |groups: &'_ [HeaderGroup]| -> BTreeSet<String> {
            groups.iter().map(|group| group.name.clone()).collect()
        };
        let (groups, others) = (of(&header.groups), of(&header.others));
        for uop in &uops {
            match groups.contains(*uop) {
                true => self.found += 1,
                false => self.refuse(format!("{uop} has no stencil")),
            }
        }
        for name in groups.iter().filter(|name| !uops.contains(name.as_str())) {
            self.refuse(format!("{name} is no uop of {CASES}"));
        }
        match others.contains(entry) {
            true => self.found += 1,
            false => self.refuse(format!("there is no {entry}, through which C enters")),
        }
        for name in others.iter().filter(|name| *name != entry) {
            self.refuse(format!("{name} is in no array, and is not {entry}"));
        }
        let members: Vec<&str> = tree
            .contract
            .members()
            .iter()
            .map(|member| member.1)
            .collect();
        for group in header.groups.iter().chain(&header.others) {
            if group.extra != members {
                let name = &group.name;
                let [found, expected] = [group.extra.join(", "), members.join(", ")];
                self.refuse(format!(
                    "the group of {name} has {{{found}}} behind its sizes, expected {{{expected}}}"
                ));
            }
        }
    }

    /// The code of each group keeps the rules.
    fn is_sound(&mut self, tree: &Tree, header: &Header) {
        let entry = tree.contract.entry.name();
        let mut sound = 0;
        for group in header.groups.iter().chain(&header.others) {
            let is_entry = group.name == entry;
            match check_group(&tree.contract, group, is_entry) {
                Ok(()) => sound += 1,
                Err(problem) => self.refuse(problem),
            }
        }
        self.sound = Some(sound);
    }
}

impl Tree {
    /// What a header was made of, of which this tree has another.
    fn other(&self, input: &str) -> String {
        match input {
            "target" => {
                let debug = if self.debug { "a" } else { "no" };
                format!("another target than {}, {debug} debug build", self.triple)
            }
            "flags" => format!("other flags than {:?}", self.cflags),
            "pyconfig.h" => format!("another {}", self.build.join(input).display()),
            _ => format!("another {}", self.source.join(input).display()),
        }
    }
}

/// Checks a group's code as it is checked when it is made.
fn check_group(contract: &Contract, group: &HeaderGroup, is_entry: bool) -> Result<(), String> {
    let mut symbols = Vec::new();
    let mut stencils = StencilGroupBuf::default();
    let in_group = |problem| format!("{}: {problem}", group.name);
    let needs_instruction =
        |hole: &HeaderHole| words(&hole.value).any(|word| word == "instruction");
    for part in &group.parts {
        let without = is_entry || group.name == WITHOUT_INSTRUCTION;
        if without && part.holes.iter().any(needs_instruction) {
            return Err(in_group(
                "it depends on its instruction, but jit.c has none for it".to_owned(),
            ));
        }
        let stencil = stencil(contract, part, &mut symbols).map_err(in_group)?;
        match part.name.as_str() {
            "code" => stencils.hot = stencil,
            "data" => stencils.data = stencil,
            other => {
                return Err(in_group(format!(
                    "it has a part {other}, expected code and data"
                )));
            }
        }
    }
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let check = if is_entry {
        check_c_entry
    } else {
        check_c_stencil
    };
    match check(&group.name, stencils.as_group(), &symbols) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// What x86-64 asks of no access is no alignment that anything depends on.
const UNALIGNED: u32 = 8;

/// A part as the checker takes it, with the names of what fills its holes.
fn stencil(
    contract: &Contract,
    part: &HeaderPart,
    symbols: &mut Vec<String>,
) -> Result<StencilBuf, String> {
    let is_code = part.name == "code";
    let holes = part.holes.iter().map(|hole| {
        self::hole(contract, hole, symbols)
            .map_err(|problem| format!("{} at {:#x}: {problem}", part.name, hole.offset))
    });
    let holes = holes.collect::<Result<Vec<_>, _>>()?;
    Ok(StencilBuf {
        bytes: part.bytes.clone(),
        holes,
        align: match is_code {
            true => 1,
            // Moved by less than the alignment.
            false => UNALIGNED.max(part.room + 1),
        },
    })
}

fn hole(contract: &Contract, hole: &HeaderHole, symbols: &mut Vec<String>) -> Result<Hole, String> {
    use HoleValue::{Code, Continue, Data, ErrorTarget, JumpTarget, Symbol, Top};
    let kind = match hole.function.as_str() {
        "patch_64" => RelocationKind::Abs64,
        "patch_32r" | "patch_x86_64_32rx" => RelocationKind::Pc32,
        // Any field of four bytes takes a signed number.
        "patch_32" => RelocationKind::Abs32S,
        other => return Err(format!("{other} is no patch of stencils")),
    };
    let (base, addend) = match hole.value.rsplit_once(" + ") {
        Some((base, text)) => match number(text) {
            Some(addend) => (base, addend),
            None => (hole.value.as_str(), 0),
        },
        None => (hole.value.as_str(), 0),
    };
    let is = |value: &HoleValue| {
        let is_data = *value == Data && base == "(uintptr_t)aligned";
        is_data || contract.value(*value, "data").as_deref() == Some(base)
    };
    let places = [Code, Continue, Data, ErrorTarget, JumpTarget, Top];
    match places.into_iter().find(is) {
        Some(value) => Ok(Hole::new(hole.offset, kind, value, addend)),
        None => {
            symbols.push(hole.value.clone());
            let symbol = symbols.len() as u32 - 1;
            Ok(Hole::new(hole.offset, kind, Symbol, 0).with_symbol(symbol))
        }
    }
}

/// An addend as it is written behind a value.
fn number(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = i64::from_str_radix(digits.strip_prefix("0x")?, 16).ok()?;
    i32::try_from(if digits == text { number } else { -number }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::hex;
    use sha2::{Digest, Sha256};

    /// A tree with two uops, whose digest is of nothing but the triple.
    const TREE: [(&str, &str); 8] = [
        ("Include/patchlevel.h", "#define PY_VERSION \"3.14.99\"\n"),
        (
            CASES,
            "        case _NOP: {\n        }\n\n        case _JUMP: {\n        }\n",
        ),
        (
            "Tools/jit/template.c",
            "_JIT_OPARG _JIT_JUMP_TARGET\n\nint\n_JIT_ENTRY(F *frame, V *stack_pointer, T *tstate)\n{ CASE _JIT_CONTINUE }\n",
        ),
        ("Tools/jit/shim.c", "_JIT_CONTINUE"),
        ("Tools/jit/build.py", ""),
        (
            "Tools/jit/_targets.py",
            "def _compute_digest(self):\nhasher = hashlib.sha256()\nhasher.update(self.triple.encode())\nreturn hasher.hexdigest()\n",
        ),
        ("Python/jit.c", "jit_state trampoline_mask symbols_map"),
        ("pyconfig.h", ""),
    ];

    fn header() -> String {
        let function = |name: &str, code: &str, patches: &str| {
            format!(
                "void\nemit_{name}(unsigned char *code, unsigned char *data)\n{{\n    const unsigned char code_body[] = {{{code}}};\n    \
                 memcpy(code, code_body, sizeof(code_body));\n    {patches}\n}}\n"
            )
            .replace("code_body[]", &format!("code_body[{}]", code.split(", ").count()))
        };
        let jump =
            "patch_32r(code + 0x1, state->instruction_starts[instruction->jump_target] + -0x4);";
        format!(
            "// {}\n// mimeo {} with LLVM\n{}{}void emit__NOP(unsigned char *code) {{ }}\n\
             typedef struct {{ void (*emit)(void); size_t code_size; size_t data_size; symbol_mask mask; }} StencilGroup;\n\
             static const StencilGroup shim = {{emit_shim, 1, 0, {{0}}}};\n\
             static const StencilGroup stencil_groups[] = {{\n    [_JUMP] = {{emit__JUMP, 5, 0, {{0}}}},\n    \
             [_NOP] = {{emit__NOP, 0, 0, {{0}}}},\n}};\n",
            hex(&Sha256::digest("x86_64-pc-linux-gnu")),
            env!("CARGO_PKG_VERSION"),
            function("shim", "0xc3", ""),
            function("_JUMP", "0xe9, 0x00, 0x00, 0x00, 0x00", jump),
        )
    }

    /// What is wrong with a header, without where it is.
    fn problems(header: &str) -> Vec<String> {
        let root = tempfile::tempdir().expect("a directory of our own");
        for (file, text) in TREE.into_iter().chain([(HEADER, header)]) {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            std::fs::write(path, text).expect("it is ours");
        }
        let sources = Sources {
            source: root.path().to_owned(),
            build: root.path().to_owned(),
            debug: false,
            cflags: None,
        };
        let checked = check(&sources, root.path()).expect("everything is there");
        let path = checked.path.display().to_string();
        checked
            .problems
            .iter()
            .map(|problem| problem.replace(&path, "H"))
            .collect()
    }

    #[test]
    fn a_header_is_checked_without_llvm() {
        assert_eq!(problems(&header()), [""; 0]);
        let rows: [(&str, &str, &[&str]); 8] = [
            (
                "[_NOP] =",
                "[_NAP] =",
                &["H: _NOP has no stencil", "H: _NAP is no uop of"],
            ),
            (
                "5, 0, {0}",
                "5, 0, {1}",
                &["H: the group of _JUMP has {{1}} behind its sizes, expected {{0}}"],
            ),
            (
                "{emit__JUMP, 5",
                "{emit__JUMP, 6",
                &["H:21:28: group _JUMP says 6 bytes of code, but code_body has 5"],
            ),
            ("0xe9, 0x00", "0xe9, 0x01", &["H: _JUMP, hot code at 0x1: "]),
            ("0xe9,", "0xff,", &["H: _JUMP, hot code at 0x"]),
            (
                "->jump_target] + -0x4",
                "->jump_target] + 0x3",
                &["H: _JUMP, hot code at 0x0"],
            ),
            (
                "state->instruction_starts[instruction->jump_target]",
                "instruction->oparg",
                &["H: _JUMP, hot code at 0x0"],
            ),
            (
                "patch_32r",
                "patch_aarch64_26r",
                &["H: _JUMP: code at 0x1: patch_aarch64_26r is no patch"],
            ),
        ];
        for (from, to, expected) in rows {
            let changed = header().replace(from, to);
            assert!(changed != header(), "{from}");
            let found = problems(&changed);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{found:?}");
            }
        }
    }

    #[test]
    fn addends_are_numbers() {
        let rows = [
            ("0x10", Some(16)),
            ("-0x4", Some(-4)),
            ("-0x80000000", Some(i32::MIN)),
            ("0x80000000", None),
            ("--0x4", None),
            ("sizeof(code_body)", None),
            ("4", None),
        ];
        for (text, expected) in rows {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
