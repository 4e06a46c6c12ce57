//! The contract between the header and `jit.c`, by version of CPython. That it changes between versions is no reason for
//! code: what differs is data.

use crate::symbol::{HoleSymbol, SymbolMeanings};
use mimeo::hole::HoleValue;

/// What a version of `jit.c` expects of its header.
#[derive(Debug)]
pub struct Version {
    /// The version's first two numbers.
    pub name: &'static str,
    /// The parameters of the functions that copy and patch.
    pub(super) parameters: [&'static str; 2],
    /// Where code starts, by index of the instruction.
    pub(super) starts: &'static str,
    /// The members of a stencil group behind the sizes, each with its initialiser: for other machines than x86-64.
    pub(super) members: &'static [(&'static str, &'static str)],
    /// What stands behind the groups.
    pub(super) footer: &'static [&'static str],
    /// The symbols that are holes, each with what fills it.
    holes: &'static [(&'static str, HoleSymbol)],
}

const fn number(value: HoleValue, bits: u8) -> HoleSymbol {
    HoleSymbol::number(value, bits)
}

/// As `template.c` declares them; those that are addresses have 64 bits.
const HOLES: &[(&str, HoleSymbol)] = &[
    ("_JIT_CONTINUE", HoleSymbol::address(HoleValue::Continue)),
    (
        "_JIT_ERROR_TARGET",
        HoleSymbol::address(HoleValue::ErrorTarget),
    ),
    ("_JIT_EXECUTOR", HoleSymbol::address(HoleValue::Executor)),
    ("_JIT_EXIT_INDEX", number(HoleValue::ExitIndex, 16)),
    (
        "_JIT_JUMP_TARGET",
        HoleSymbol::address(HoleValue::JumpTarget),
    ),
    ("_JIT_OPARG", number(HoleValue::Oparg, 16)),
    ("_JIT_OPERAND", HoleSymbol::address(HoleValue::Operand)),
    ("_JIT_TARGET", number(HoleValue::Target, 32)),
    ("_JIT_TOP", HoleSymbol::address(HoleValue::Top)),
];

const VERSIONS: [Version; 2] = [
    Version {
        name: "3.13",
        parameters: [
            "unsigned char *code, unsigned char *data, _PyExecutorObject *executor,",
            "const _PyUOpInstruction *instruction, uintptr_t instruction_starts[]",
        ],
        starts: "instruction_starts",
        members: &[],
        footer: &[],
        holes: HOLES,
    },
    Version {
        name: "3.14",
        parameters: [
            "unsigned char *code, unsigned char *data, _PyExecutorObject *executor,",
            "const _PyUOpInstruction *instruction, jit_state *state",
        ],
        starts: "state->instruction_starts",
        members: &[("symbol_mask trampoline_mask", "{0}")],
        // What trampolines there are for: none on x86-64.
        footer: &[
            "",
            "static const void * const symbols_map[1] = {",
            "    0",
            "};",
        ],
        holes: HOLES,
    },
];

static KNOWN: [Version; 2] = VERSIONS;

impl Version {
    /// The contract of a version, by its first two numbers.
    pub fn find(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|version| version.name == name)
    }

    /// The names of all that there are.
    pub fn names() -> String {
        KNOWN.each_ref().map(|version| version.name).join(" and ")
    }

    /// Which symbols are holes.
    pub fn holes(&self) -> SymbolMeanings {
        let holes = self.holes.iter();
        holes.fold(SymbolMeanings::default(), |meanings, &(name, hole)| {
            meanings.hole(name, hole)
        })
    }

    /// What fills a hole, in C; `None` where nothing of this contract does.
    pub(super) fn value(&self, value: HoleValue, data: &str) -> Option<String> {
        let starts = self.starts;
        Some(match value {
            HoleValue::Oparg => "instruction->oparg".to_owned(),
            HoleValue::Operand => "instruction->operand".to_owned(),
            HoleValue::Target => "instruction->target".to_owned(),
            HoleValue::ExitIndex => "instruction->exit_index".to_owned(),
            HoleValue::Executor => "(uintptr_t)executor".to_owned(),
            HoleValue::Code => "(uintptr_t)code".to_owned(),
            HoleValue::Continue => "(uintptr_t)code + sizeof(code_body)".to_owned(),
            HoleValue::Data => format!("(uintptr_t){data}"),
            HoleValue::JumpTarget => format!("{starts}[instruction->jump_target]"),
            HoleValue::ErrorTarget => format!("{starts}[instruction->error_target]"),
            HoleValue::Top => format!("{starts}[1]"),
            _ => return None,
        })
    }

    /// Whether a value is the instruction's, of which two stencils have none.
    pub(super) fn is_of_instruction(value: HoleValue) -> bool {
        matches!(
            value,
            HoleValue::Oparg
                | HoleValue::Operand
                | HoleValue::Target
                | HoleValue::ExitIndex
                | HoleValue::JumpTarget
                | HoleValue::ErrorTarget
        )
    }
}
