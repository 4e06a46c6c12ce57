//! The contract between the header and `jit.c`. It changes from one version of CPython to the next, and between two commits
//! that call themselves alike; so it is not looked up by version but read from the tree, feature by feature. The known
//! features, and the trees that were tried, are data.

use super::CPythonError;
use super::digest::Recipe;
use crate::symbol::HoleSymbol;
#[cfg(llvm)]
use crate::symbol::SymbolMeanings;
use mimeo::hole::HoleValue;
use std::path::Path;

/// Where the template is.
pub(super) const TEMPLATE: &str = "Tools/jit/template.c";

/// Where the program is that compiles traces.
const JIT: &str = "Python/jit.c";

/// Where CPython's own generator decides which files it writes.
const BUILD: &str = "Tools/jit/build.py";

/// Where CPython's own generator computes the digest.
const TARGETS: &str = "Tools/jit/_targets.py";

/// How the template gets the case of a uop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cases {
    /// It includes the file of all cases, inside a `switch`.
    Included,
    /// It has a word in the place of one case.
    Inserted,
}

/// Where C enters stencils.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// `trampoline.c`, with the function `_ENTRY`.
    Trampoline,
    /// `shim.c`, with the function `_JIT_ENTRY`.
    Shim,
}

impl Entry {
    const ALL: [Self; 2] = [Self::Trampoline, Self::Shim];

    /// What the group is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trampoline => "trampoline",
            Self::Shim => "shim",
        }
    }

    /// The file.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Trampoline => "Tools/jit/trampoline.c",
            Self::Shim => "Tools/jit/shim.c",
        }
    }

    /// The function in it.
    #[cfg(llvm)]
    pub(super) const fn function(self) -> &'static str {
        match self {
            Self::Trampoline => "_ENTRY",
            Self::Shim => "_JIT_ENTRY",
        }
    }
}

/// What the functions of the header are given besides code, data, executor and instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The array of where code starts.
    Starts,
    /// A `jit_state` with that array; groups then have a mask of trampolines, and there is a map of their symbols: both for
    /// other machines than x86-64.
    Jit,
}

/// Which files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// `jit_stencils.h`.
    One,
    /// `jit_stencils-TRIPLE.h`, and `jit_stencils.h`, which includes it on that platform.
    Guarded,
}

/// A symbol that is a hole, what fills it, and how C says that.
struct Symbol {
    name: &'static str,
    hole: HoleSymbol,
    c: C,
}

/// A value in C.
enum C {
    /// An expression.
    Is(&'static str),
    /// The start of the code of the instruction with this index.
    Start(&'static str),
}

const fn address(name: &'static str, value: HoleValue, c: C) -> Symbol {
    let hole = HoleSymbol::address(value);
    Symbol { name, hole, c }
}

const fn number(name: &'static str, value: HoleValue, bits: u8, c: &'static str) -> Symbol {
    let hole = HoleSymbol::number(value, bits);
    Symbol {
        name,
        hole,
        c: C::Is(c),
    }
}

/// The symbols of all versions. Addresses have 64 bits, and so have operands.
static SYMBOLS: [Symbol; 11] = [
    address(
        "_JIT_CONTINUE",
        HoleValue::Continue,
        C::Is("(uintptr_t)code + sizeof(code_body)"),
    ),
    address(
        "_JIT_ERROR_TARGET",
        HoleValue::ErrorTarget,
        C::Start("instruction->error_target"),
    ),
    address(
        "_JIT_EXECUTOR",
        HoleValue::Executor,
        C::Is("(uintptr_t)executor"),
    ),
    number(
        "_JIT_EXIT_INDEX",
        HoleValue::ExitIndex,
        16,
        "instruction->exit_index",
    ),
    address(
        "_JIT_JUMP_TARGET",
        HoleValue::JumpTarget,
        C::Start("instruction->jump_target"),
    ),
    number("_JIT_OPARG", HoleValue::Oparg, 16, "instruction->oparg"),
    number(
        "_JIT_OPERAND",
        HoleValue::Operand,
        64,
        "instruction->operand",
    ),
    number(
        "_JIT_OPERAND0",
        HoleValue::Operand,
        64,
        "instruction->operand0",
    ),
    number(
        "_JIT_OPERAND1",
        HoleValue::Operand1,
        64,
        "instruction->operand1",
    ),
    number("_JIT_TARGET", HoleValue::Target, 32, "instruction->target"),
    address("_JIT_TOP", HoleValue::Top, C::Start("1")),
];

/// What begins like a hole and is none: names of the template, and the halves of operands on machines of 32 bits.
const NO_HOLES: [&str; 8] = [
    "_JIT_ENTRY",
    "_JIT_OPCODE",
    "_JIT_OPERAND_HI",
    "_JIT_OPERAND_LO",
    "_JIT_OPERAND0_HI",
    "_JIT_OPERAND0_LO",
    "_JIT_OPERAND1_HI",
    "_JIT_OPERAND1_LO",
];

/// The parameters of stencils, as the template declares them, without their types.
const PARAMETERS: [&str; 3] = ["frame", "stack_pointer", "tstate"];

/// What a tree expects of its header.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) cases: Cases,
    pub(super) entry: Entry,
    pub(super) state: State,
    pub(super) files: Files,
    pub(super) digest: Recipe,
    /// Whether addresses stand in the code, as CPython's own generator has them: no stencil is to need more data than its.
    #[cfg(llvm)]
    pub(super) has_addresses_in_code: bool,
    symbols: Vec<&'static Symbol>,
}

impl std::fmt::Debug for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The trees that headers were made for and that were built and tested with them, by what they have.
#[derive(Debug)]
pub(super) struct Known {
    /// Their versions.
    pub(super) trees: &'static str,
    cases: Cases,
    entry: Entry,
    state: State,
    files: Files,
    operands: &'static str,
    /// In its digest: cflags, and names sorted and without those of `__pycache__`.
    digest: (bool, bool),
}

/// A row a form of the contract.
pub(super) static KNOWN: [Known; 6] = [
    Known {
        trees: "3.13.5 to 3.13.11",
        cases: Cases::Included,
        entry: Entry::Trampoline,
        state: State::Starts,
        files: Files::One,
        operands: "_JIT_OPERAND",
        digest: (false, false),
    },
    Known {
        trees: "3.13.12 to 3.13.15",
        cases: Cases::Included,
        entry: Entry::Trampoline,
        state: State::Starts,
        files: Files::One,
        operands: "_JIT_OPERAND",
        digest: (false, true),
    },
    Known {
        trees: "3.14.0a1+ of October 2024 to 8 November 2024",
        cases: Cases::Inserted,
        entry: Entry::Shim,
        state: State::Jit,
        files: Files::One,
        operands: "_JIT_OPERAND",
        digest: (false, false),
    },
    Known {
        trees: "3.14.0a1+ from 9 November 2024 on, and 3.14.0a2",
        cases: Cases::Inserted,
        entry: Entry::Shim,
        state: State::Jit,
        files: Files::One,
        operands: "_JIT_OPERAND0",
        digest: (false, false),
    },
    Known {
        trees: "3.14.0 to 3.14.2",
        cases: Cases::Inserted,
        entry: Entry::Shim,
        state: State::Jit,
        files: Files::Guarded,
        operands: "_JIT_OPERAND0",
        digest: (true, false),
    },
    Known {
        trees: "3.14.3 to 3.14.7",
        cases: Cases::Inserted,
        entry: Entry::Shim,
        state: State::Jit,
        files: Files::Guarded,
        operands: "_JIT_OPERAND0",
        digest: (true, true),
    },
];

/// The versions of all known trees.
pub(super) fn known_trees() -> String {
    KNOWN.each_ref().map(|known| known.trees).join(", ")
}

impl Contract {
    /// What the tree in this directory, whose template this is, expects.
    ///
    /// # Errors
    /// A file is not there, or has a feature that is not known.
    pub(super) fn of(source: &Path, template: &str) -> Result<Self, CPythonError> {
        let feature = |path: &str, feature: &str, found: String, expected| {
            Err(CPythonError::Feature {
                path: source.join(path),
                feature: feature.to_owned(),
                found,
                expected,
            })
        };
        let read = |path| super::tree::read(&source.join(path));
        let cases = match (has_word(template, CASE), template.contains(INCLUDE)) {
            (true, false) => Cases::Inserted,
            (false, true) => Cases::Included,
            (both, _) => {
                let found = if both { "both" } else { "neither" };
                return feature(
                    TEMPLATE,
                    "the place of the uops' cases",
                    found.to_owned(),
                    "the word `CASE`, or `#include \"executor_cases.c.h\"`".to_owned(),
                );
            }
        };
        check_parameters(source, template)?;
        let entries = Entry::ALL.map(|entry| source.join(entry.path()).is_file());
        let entry = match entries {
            [true, false] => Entry::Trampoline,
            [false, true] => Entry::Shim,
            [both, _] => {
                let found = if both { "both" } else { "neither" };
                return feature(
                    "Tools/jit",
                    "where C enters stencils",
                    found.to_owned(),
                    "either trampoline.c or shim.c".to_owned(),
                );
            }
        };
        let jit = read(JIT)?;
        let state = match (
            has_word(&jit, "jit_state"),
            has_word(&jit, "instruction_starts"),
        ) {
            (true, _) => State::Jit,
            (false, true) => State::Starts,
            (false, false) => {
                return feature(
                    JIT,
                    "what it hands to the header's functions",
                    "neither".to_owned(),
                    "`jit_state`, or `instruction_starts`".to_owned(),
                );
            }
        };
        let masks = ["trampoline_mask", "symbols_map"].map(|name| has_word(&jit, name));
        if masks != [state == State::Jit; 2] {
            return feature(
                JIT,
                "what it expects in groups",
                format!("trampoline_mask: {}, symbols_map: {}", masks[0], masks[1]),
                "both with `jit_state`, none without".to_owned(),
            );
        }
        let files = match read(BUILD)?.contains("jit_stencils-{") {
            true => Files::Guarded,
            false => Files::One,
        };
        let targets = read(TARGETS)?;
        let digest = Recipe::read(&source.join(TARGETS), &targets)?;
        #[cfg(llvm)]
        let has_addresses_in_code = targets.contains("-mcmodel=medium");
        let mut symbols = Vec::new();
        for (path, text) in [(TEMPLATE, template), (entry.path(), &read(entry.path())?)] {
            for name in words(text).filter(|word| word.starts_with("_JIT_")) {
                match SYMBOLS.iter().find(|symbol| symbol.name == name) {
                    Some(symbol) => symbols.push(symbol),
                    None if NO_HOLES.contains(&name) => {}
                    None => return unknown_symbol(&source.join(path), name),
                }
            }
        }
        symbols.sort_by_key(|symbol| symbol.name);
        symbols.dedup_by_key(|symbol| symbol.name);
        Ok(Self {
            cases,
            entry,
            state,
            files,
            digest,
            #[cfg(llvm)]
            has_addresses_in_code,
            symbols,
        })
    }

    /// A contract with all symbols but `_JIT_OPERAND0`, for tests of what is written.
    #[cfg(all(test, llvm))]
    pub(super) fn with_state(state: State) -> Self {
        Self {
            cases: Cases::Included,
            entry: Entry::Trampoline,
            state,
            files: Files::One,
            digest: Recipe::default(),
            has_addresses_in_code: false,
            symbols: SYMBOLS
                .iter()
                .filter(|symbol| symbol.name != "_JIT_OPERAND0")
                .collect(),
        }
    }

    /// The known trees of which this is the contract; `None` where each feature is known and their combination is not.
    pub(super) fn trees(&self) -> Option<&'static str> {
        let is_it = |known: &&Known| {
            let declares = |name| self.symbols.iter().any(|symbol| symbol.name == name);
            let (cflags, is_sorted) = known.digest;
            let digest = &self.digest;
            known.cases == self.cases
                && known.entry == self.entry
                && known.state == self.state
                && known.files == self.files
                && declares(known.operands)
                && digest.has_cflags == cflags
                && [digest.is_sorted, digest.skips_caches] == [is_sorted; 2]
        };
        KNOWN.iter().find(is_it).map(|known| known.trees)
    }

    /// The parameters of the functions that copy and patch.
    #[cfg(llvm)]
    pub(super) const fn parameters(&self) -> [&'static str; 2] {
        let instruction = match self.state {
            State::Starts => "const _PyUOpInstruction *instruction, uintptr_t instruction_starts[]",
            State::Jit => "const _PyUOpInstruction *instruction, jit_state *state",
        };
        [
            "unsigned char *code, unsigned char *data, _PyExecutorObject *executor,",
            instruction,
        ]
    }

    /// The members of a stencil group behind the sizes, each with its initialiser.
    pub(super) const fn members(&self) -> &'static [(&'static str, &'static str)] {
        match self.state {
            State::Starts => &[],
            State::Jit => &[("symbol_mask trampoline_mask", "{0}")],
        }
    }

    /// What stands behind the groups.
    #[cfg(llvm)]
    pub(super) const fn footer(&self) -> &'static [&'static str] {
        match self.state {
            State::Starts => &[],
            State::Jit => &[
                "",
                "static const void * const symbols_map[1] = {",
                "    0",
                "};",
            ],
        }
    }

    /// Which symbols are holes.
    #[cfg(llvm)]
    pub(super) fn holes(&self) -> SymbolMeanings {
        let symbols = self.symbols.iter();
        symbols.fold(SymbolMeanings::default(), |meanings, symbol| {
            meanings.hole(symbol.name, symbol.hole)
        })
    }

    /// What fills a hole, in C; `None` where nothing of this contract does.
    pub(super) fn value(&self, value: HoleValue, data: &str) -> Option<String> {
        match value {
            HoleValue::Code => return Some("(uintptr_t)code".to_owned()),
            HoleValue::Data => return Some(format!("(uintptr_t){data}")),
            _ => {}
        }
        let symbol = self
            .symbols
            .iter()
            .find(|symbol| symbol.hole.value == value)?;
        let starts = match self.state {
            State::Starts => "instruction_starts",
            State::Jit => "state->instruction_starts",
        };
        Some(match symbol.c {
            C::Is(expression) => expression.to_owned(),
            C::Start(index) => format!("{starts}[{index}]"),
        })
    }

    /// Whether a value is the instruction's, of which two stencils have none.
    #[cfg(llvm)]
    pub(super) fn is_of_instruction(value: HoleValue) -> bool {
        matches!(
            value,
            HoleValue::Oparg
                | HoleValue::Operand
                | HoleValue::Operand1
                | HoleValue::Target
                | HoleValue::ExitIndex
                | HoleValue::JumpTarget
                | HoleValue::ErrorTarget
        )
    }
}

/// What stands in a template for the case of a uop.
pub(super) const CASE: &str = "CASE";

/// How a template includes all cases.
pub(super) const INCLUDE: &str = "#include \"executor_cases.c.h\"\n";

/// The identifiers and numbers of a text in C.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(move |c| !is_part(c))
        .filter(|word| !word.is_empty())
}

fn has_word(text: &str, wanted: &str) -> bool {
    words(text).any(|word| word == wanted)
}

fn unknown_symbol<T>(path: &Path, name: &str) -> Result<T, CPythonError> {
    let known = SYMBOLS.each_ref().map(|symbol| symbol.name);
    Err(CPythonError::Feature {
        path: path.to_owned(),
        feature: "a hole".to_owned(),
        found: name.to_owned(),
        expected: known.join(", "),
    })
}

/// Stencils hand three pointers on. Others are no smaller matter: the entry and the order of registers depend on it.
fn check_parameters(source: &Path, template: &str) -> Result<(), CPythonError> {
    let declared = template
        .split_once("\n_JIT_ENTRY(")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(parameters, _)| parameters.split_whitespace().collect::<Vec<_>>().join(" "));
    let is_known = declared.as_deref().is_some_and(|declared| {
        let parameters: Vec<&str> = declared.split(',').collect();
        let names = parameters
            .iter()
            .filter(|parameter| parameter.contains('*'));
        names
            .filter_map(|parameter| words(parameter).last())
            .eq(PARAMETERS)
            && parameters.len() == PARAMETERS.len()
    });
    match is_known {
        true => Ok(()),
        false => Err(CPythonError::Feature {
            path: source.join(TEMPLATE),
            feature: "the definition of _JIT_ENTRY".to_owned(),
            found: match declared {
                Some(declared) => format!("({declared})"),
                None => "none".to_owned(),
            },
            expected: format!("three pointers, {}", PARAMETERS.join(", ")),
        }),
    }
}
