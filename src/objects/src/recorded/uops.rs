//! What CPython 3.13's uop metadata says of each uop: its stack effect, and which targets a recorded one carries.
//!
//! Uops that are not listed are not rejected here. Nothing is known of them, so the checks that need to know say so.

use super::format::{Document, Executor, Operand, Uop, Value};
use mimeo::stencil::{Count, StackEffect};

/// What happens to the operands when a uop raises an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPop {
    /// They are gone: the `_ERROR_POP_N` that follows drops their places from the stack.
    Operands,
    /// They stay: the `_ERROR_POP_N` drops nothing.
    Nothing,
}

/// The metadata of one uop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The stack effect on the way to the next uop. Operands that are only looked at are popped and pushed again.
    pub effect: StackEffect,
    /// Whether it may leave through `jump_target` (HAS_EXIT or HAS_DEOPT).
    pub jumps: bool,
    /// Whether its operands are gone when it does: the `_POP` guards.
    pub pops_before_jump: bool,
    /// How it leaves through `error_target`, where it can (HAS_ERROR).
    pub error: Option<ErrorPop>,
}

impl Facts {
    const fn of(popped: Count, pushed: Count) -> Self {
        Self {
            effect: StackEffect { popped, pushed },
            jumps: false,
            pops_before_jump: false,
            error: None,
        }
    }

    const fn fixed(popped: u8, pushed: u8) -> Self {
        Self::of(Count::fixed(popped), Count::fixed(pushed))
    }

    const fn jumps(self) -> Self {
        Self {
            jumps: true,
            ..self
        }
    }

    const fn pops_then_jumps(self) -> Self {
        Self {
            jumps: true,
            pops_before_jump: true,
            ..self
        }
    }

    const fn raises(self) -> Self {
        Self {
            error: Some(ErrorPop::Operands),
            ..self
        }
    }

    const fn raises_keeping(self) -> Self {
        Self {
            error: Some(ErrorPop::Nothing),
            ..self
        }
    }
}

/// How a uop uses a local variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalAccess {
    /// `_LOAD_FAST`: pushes it; it is bound.
    Load,
    /// `_LOAD_FAST_CHECK`: pushes it or raises an error.
    LoadChecked,
    /// `_LOAD_FAST_AND_CLEAR`: pushes it, bound or not, and unbinds it.
    LoadAndClear,
    /// `_STORE_FAST`: pops a value, or the NULL of a `_LOAD_FAST_AND_CLEAR`, into it.
    Store,
    /// `_DELETE_FAST`: unbinds it.
    Delete,
}

/// The use of a local that a uop of this name makes; its oparg is the local's index.
pub fn local_access(op: &str) -> Option<LocalAccess> {
    match without_number(op) {
        "_LOAD_FAST" => Some(LocalAccess::Load),
        "_LOAD_FAST_CHECK" => Some(LocalAccess::LoadChecked),
        "_LOAD_FAST_AND_CLEAR" => Some(LocalAccess::LoadAndClear),
        "_STORE_FAST" => Some(LocalAccess::Store),
        "_DELETE_FAST" => Some(LocalAccess::Delete),
        _ => None,
    }
}

/// Whether the oparg of a uop is the index of a local, or of a cell, which are locals as well.
pub fn names_local(op: &str) -> bool {
    local_access(op).is_some() || names_cell(op) || op == "_MAKE_CELL"
}

/// Whether the oparg of a uop is the index of a local that holds a cell.
pub fn names_cell(op: &str) -> bool {
    matches!(
        op,
        "_LOAD_DEREF" | "_STORE_DEREF" | "_DELETE_DEREF" | "_LOAD_FROM_DICT_OR_DEREF"
    )
}

/// Families with one variant for each small oparg: prefix of the variants, and the first oparg without one.
const NUMBERED: [(&str, u16); 3] = [
    ("_LOAD_FAST_", 8),
    ("_STORE_FAST_", 8),
    ("_INIT_CALL_PY_EXACT_ARGS_", 5),
];

/// The oparg that the name of a variant stands for: 3 for `_LOAD_FAST_3`.
pub fn fixed_oparg(op: &str) -> Option<u16> {
    NUMBERED.iter().find_map(|&(prefix, limit)| {
        let number = op.strip_prefix(prefix)?;
        (0..limit).find(|n| number == n.to_string())
    })
}

/// The name of the family of a variant, or `op` itself.
pub fn without_number(op: &str) -> &str {
    if fixed_oparg(op).is_none() {
        return op;
    }
    op.rsplit_once('_').map_or(op, |(family, _)| family)
}

/// Whether control never goes on to the uop behind this one.
pub fn is_terminal(op: &str) -> bool {
    matches!(
        op,
        "_EXIT_TRACE"
            | "_DEOPT"
            | "_ERROR_POP_N"
            | "_JUMP_TO_TOP"
            | "_DYNAMIC_EXIT"
            | "_COLD_EXIT"
            | "_FATAL_ERROR"
    )
}

/// Whether a uop may stand between the one that makes the frame of a call and the one that enters it.
pub fn leaves_made_frame(op: &str) -> bool {
    matches!(
        op,
        "_SAVE_RETURN_OFFSET" | "_PUSH_FRAME" | "_SET_IP" | "_NOP"
    )
}

/// The code of the frame that the uop at `made` makes: that of the function which the `_PUSH_FRAME` behind it enters.
///
/// Where CPython's optimizer does not go into the function, because it calls itself or is not known, `_PUSH_FRAME` has no
/// operand, and the trace is left right behind it: in the frame that was entered, so that the way out says of which code
/// that is.
pub fn entered_code(executor: &Executor, document: &Document, made: usize) -> Option<usize> {
    let behind = executor.uops.get(made + 1..)?;
    let push = behind
        .iter()
        .take_while(|uop| leaves_made_frame(&uop.op))
        .position(|uop| uop.op == "_PUSH_FRAME")?;
    let Some(operand) = &behind[push].operand else {
        return behind.get(push + 1).map(|uop| uop.code);
    };
    match operand {
        Operand::Code(code) => Some(*code),
        Operand::Function(value) => match document.values.get(*value)? {
            Value::Function { code, .. } => Some(*code),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a `jump_target` may name a uop of this name.
pub fn is_exit(op: &str) -> bool {
    matches!(op, "_EXIT_TRACE" | "_DEOPT")
}

/// The opargs that mean something to a uop, where only some do.
pub fn oparg_range(op: &str) -> Option<std::ops::RangeInclusive<u16>> {
    match op {
        "_BINARY_OP" => Some(0..=25),
        // The operator is in the bits above the low five.
        "_COMPARE_OP" | "_COMPARE_OP_INT" | "_COMPARE_OP_FLOAT" | "_COMPARE_OP_STR" => {
            Some(0..=(5 << 5 | 31))
        }
        "_COPY" | "_LIST_APPEND" | "_LIST_EXTEND" | "_SET_ADD" | "_SET_UPDATE" | "_DICT_UPDATE"
        | "_DICT_MERGE" | "_MAP_ADD" => Some(1..=u16::MAX),
        "_SWAP" => Some(2..=u16::MAX),
        "_CONVERT_VALUE" => Some(1..=3),
        "_IS_OP" | "_CONTAINS_OP" | "_CONTAINS_OP_SET" | "_CONTAINS_OP_DICT" => Some(0..=1),
        "_BUILD_SLICE" => Some(2..=3),
        "_UNPACK_SEQUENCE_TWO_TUPLE" => Some(2..=2),
        _ => fixed_oparg(op).map(|n| n..=n),
    }
}

/// The values that `_UNPACK_EX` pushes behind the list: CPython's oparg has those before it in its low byte.
pub fn unpacked_before(uop: &Uop) -> Option<u16> {
    (uop.op == "_UNPACK_EX").then_some(uop.oparg & 0xff)
}

/// The oparg that a uop's stack effect counts with, and that the table's uop has.
pub fn counted_oparg(uop: &Uop) -> u16 {
    match unpacked_before(uop) {
        Some(before) => before + (uop.oparg >> 8),
        None => uop.oparg,
    }
}

/// The kind of the operand that a uop cannot do without, where there is one. CPython leaves an operand out only when
/// it is 0, and no object and no version in use is.
pub fn operand_kind(op: &str) -> Option<&'static str> {
    match op {
        "_LOAD_CONST_INLINE"
        | "_LOAD_CONST_INLINE_BORROW"
        | "_LOAD_CONST_INLINE_WITH_NULL"
        | "_LOAD_CONST_INLINE_BORROW_WITH_NULL"
        | "_POP_TOP_LOAD_CONST_INLINE_BORROW"
        | "_LOAD_ATTR_CLASS_0"
        | "_LOAD_ATTR_CLASS_1"
        | "_LOAD_ATTR_NONDESCRIPTOR_NO_DICT"
        | "_LOAD_ATTR_NONDESCRIPTOR_WITH_VALUES"
        | "_LOAD_ATTR_METHOD_LAZY_DICT"
        | "_LOAD_ATTR_METHOD_NO_DICT"
        | "_LOAD_ATTR_METHOD_WITH_VALUES" => Some("object"),
        "_CHECK_FUNCTION"
        | "_CHECK_FUNCTION_VERSION"
        | "_CHECK_FUNCTION_EXACT_ARGS"
        | "_CHECK_METHOD_VERSION" => Some("function_version"),
        "_GUARD_TYPE_VERSION" | "_CHECK_ATTR_CLASS" => Some("type_version"),
        "_LOAD_ATTR_INSTANCE_VALUE_0"
        | "_LOAD_ATTR_INSTANCE_VALUE_1"
        | "_LOAD_ATTR_SLOT_0"
        | "_LOAD_ATTR_SLOT_1"
        | "_LOAD_ATTR_MODULE"
        | "_STORE_ATTR_INSTANCE_VALUE"
        | "_STORE_ATTR_SLOT" => Some("index"),
        "_SET_IP" | "_CHECK_VALIDITY_AND_SET_IP" => Some("ip"),
        "_START_EXECUTOR" => Some("executor"),
        _ => None,
    }
}

const fn oparg_plus(fixed: u8) -> Count {
    Count::oparg_plus(fixed)
}

/// One value, and a NULL for an odd oparg.
const ONE_AND_NULL: Count = Count {
    fixed: 1,
    per_oparg: 0,
    low_bit: 1,
};

const TWICE_OPARG: Count = Count {
    fixed: 0,
    per_oparg: 2,
    low_bit: 0,
};

/// The metadata of the uop of this name, or `None` where nothing is known of it.
pub fn facts(op: &str) -> Option<Facts> {
    let name = without_number(op);
    neutral(name)
        .or_else(|| stack(name))
        .or_else(|| operators(name))
        .or_else(|| iteration(name))
        .or_else(|| containers(name))
        .or_else(|| attributes(name))
        .or_else(|| calls(name))
        .or_else(|| exceptions(name))
}

/// Uops that leave the stack alone.
fn neutral(op: &str) -> Option<Facts> {
    Some(match op {
        "_NOP"
        | "_SET_IP"
        | "_CHECK_PERIODIC"
        | "_SAVE_RETURN_OFFSET"
        | "_JUMP_TO_TOP"
        | "_EXIT_TRACE"
        | "_DEOPT"
        | "_COLD_EXIT"
        | "_DYNAMIC_EXIT"
        | "_FATAL_ERROR" => Facts::fixed(0, 0),
        "_START_EXECUTOR"
        | "_TIER2_RESUME_CHECK"
        | "_RESUME_CHECK"
        | "_CHECK_VALIDITY"
        | "_CHECK_VALIDITY_AND_SET_IP"
        | "_CHECK_PEP_523"
        | "_CHECK_STACK_SPACE_OPERAND"
        | "_CHECK_RECURSION_REMAINING"
        | "_CHECK_FUNCTION"
        | "_GUARD_GLOBALS_VERSION"
        | "_GUARD_BUILTINS_VERSION" => Facts::fixed(0, 0).jumps(),
        "_COPY_FREE_VARS" => Facts::fixed(0, 0),
        "_DELETE_FAST" | "_SETUP_ANNOTATIONS" => Facts::fixed(0, 0).raises(),
        "_MAKE_CELL" | "_DELETE_DEREF" | "_DELETE_GLOBAL" | "_DELETE_NAME" => {
            Facts::fixed(0, 0).raises_keeping()
        }
        "_ERROR_POP_N" => Facts::of(oparg_plus(0), Count::fixed(0)),
        _ => return None,
    })
}

/// Constants, locals, and moves on the stack.
fn stack(op: &str) -> Option<Facts> {
    Some(match op {
        "_LOAD_FAST"
        | "_LOAD_FAST_AND_CLEAR"
        | "_LOAD_CONST"
        | "_LOAD_CONST_INLINE"
        | "_LOAD_CONST_INLINE_BORROW"
        | "_PUSH_NULL"
        | "_LOAD_ASSERTION_ERROR" => Facts::fixed(0, 1),
        "_LOAD_FAST_CHECK" | "_LOAD_DEREF" | "_LOAD_LOCALS" | "_LOAD_BUILD_CLASS" => {
            Facts::fixed(0, 1).raises()
        }
        "_LOAD_FROM_DICT_OR_DEREF" | "_MAKE_FUNCTION" => Facts::fixed(1, 1).raises_keeping(),
        "_SET_FUNCTION_ATTRIBUTE" | "_END_SEND" => Facts::fixed(2, 1),
        "_STORE_DEREF" | "_INTERNAL_INCREMENT_OPT_COUNTER" => Facts::fixed(1, 0),
        "_STORE_GLOBAL" | "_STORE_NAME" => Facts::fixed(1, 0).raises(),
        "_LOAD_CONST_INLINE_WITH_NULL" | "_LOAD_CONST_INLINE_BORROW_WITH_NULL" => {
            Facts::fixed(0, 2)
        }
        "_POP_TOP_LOAD_CONST_INLINE_BORROW" => Facts::fixed(1, 1),
        "_STORE_FAST" | "_POP_TOP" => Facts::fixed(1, 0),
        "_COPY" => Facts::of(oparg_plus(0), oparg_plus(1)),
        "_SWAP" => Facts::of(oparg_plus(0), oparg_plus(0)),
        _ => return None,
    })
}

/// Arithmetic, comparison, truth, text, and the guards on their operands.
fn operators(op: &str) -> Option<Facts> {
    Some(match op {
        "_BINARY_OP"
        | "_COMPARE_OP"
        | "_CONTAINS_OP"
        | "_BINARY_OP_ADD_INT"
        | "_BINARY_OP_SUBTRACT_INT"
        | "_BINARY_OP_MULTIPLY_INT"
        | "_BINARY_OP_ADD_UNICODE"
        | "_FORMAT_WITH_SPEC" => Facts::fixed(2, 1).raises(),
        "_BINARY_OP_ADD_FLOAT"
        | "_BINARY_OP_SUBTRACT_FLOAT"
        | "_BINARY_OP_MULTIPLY_FLOAT"
        | "_COMPARE_OP_FLOAT"
        | "_COMPARE_OP_STR"
        | "_IS_OP" => Facts::fixed(2, 1),
        "_COMPARE_OP_INT" => Facts::fixed(2, 1).jumps(),
        "_CONTAINS_OP_SET" | "_CONTAINS_OP_DICT" => Facts::fixed(2, 1).jumps().raises(),
        "_UNARY_NEGATIVE" | "_UNARY_INVERT" | "_TO_BOOL" | "_FORMAT_SIMPLE" | "_CONVERT_VALUE" => {
            Facts::fixed(1, 1).raises()
        }
        "_UNARY_NOT" | "_REPLACE_WITH_TRUE" | "_IS_NONE" => Facts::fixed(1, 1),
        "_TO_BOOL_BOOL" | "_TO_BOOL_INT" | "_TO_BOOL_LIST" | "_TO_BOOL_NONE" | "_TO_BOOL_STR" => {
            Facts::fixed(1, 1).jumps()
        }
        "_GUARD_BOTH_INT"
        | "_GUARD_BOTH_FLOAT"
        | "_GUARD_BOTH_UNICODE"
        | "_GUARD_NOS_INT"
        | "_GUARD_NOS_FLOAT" => Facts::fixed(2, 2).jumps(),
        "_GUARD_TOS_INT" | "_GUARD_TOS_FLOAT" => Facts::fixed(1, 1).jumps(),
        "_GUARD_IS_TRUE_POP"
        | "_GUARD_IS_FALSE_POP"
        | "_GUARD_IS_NONE_POP"
        | "_GUARD_IS_NOT_NONE_POP" => Facts::fixed(1, 0).pops_then_jumps(),
        _ => return None,
    })
}

fn iteration(op: &str) -> Option<Facts> {
    Some(match op {
        "_GET_ITER" => Facts::fixed(1, 1).raises(),
        "_ITER_CHECK_RANGE"
        | "_ITER_CHECK_LIST"
        | "_ITER_CHECK_TUPLE"
        | "_GUARD_NOT_EXHAUSTED_RANGE"
        | "_GUARD_NOT_EXHAUSTED_LIST"
        | "_GUARD_NOT_EXHAUSTED_TUPLE" => Facts::fixed(1, 1).jumps(),
        "_ITER_NEXT_LIST" | "_ITER_NEXT_TUPLE" => Facts::fixed(1, 2),
        "_ITER_NEXT_RANGE" => Facts::fixed(1, 2).raises(),
        "_FOR_ITER_TIER_TWO" => Facts::fixed(1, 2).jumps().raises_keeping(),
        _ => return None,
    })
}

/// Subscripts, building and unpacking.
fn containers(op: &str) -> Option<Facts> {
    Some(match op {
        "_BINARY_SUBSCR" => Facts::fixed(2, 1).raises(),
        "_BINARY_SUBSCR_DICT" => Facts::fixed(2, 1).jumps().raises(),
        "_BINARY_SUBSCR_LIST_INT" | "_BINARY_SUBSCR_STR_INT" | "_BINARY_SUBSCR_TUPLE_INT" => {
            Facts::fixed(2, 1).jumps()
        }
        "_BINARY_SLICE" => Facts::fixed(3, 1).raises(),
        "_STORE_SLICE" => Facts::fixed(4, 0).raises(),
        "_STORE_SUBSCR" => Facts::fixed(3, 0).raises(),
        "_STORE_SUBSCR_LIST_INT" => Facts::fixed(3, 0).jumps(),
        "_STORE_SUBSCR_DICT" => Facts::fixed(3, 0).jumps().raises(),
        "_DELETE_SUBSCR" => Facts::fixed(2, 0).raises(),
        "_LIST_APPEND" | "_LIST_EXTEND" | "_SET_ADD" | "_SET_UPDATE" | "_DICT_UPDATE" => {
            Facts::of(oparg_plus(1), oparg_plus(0)).raises()
        }
        "_MAP_ADD" => Facts::of(oparg_plus(2), oparg_plus(0)).raises(),
        "_BUILD_TUPLE" | "_BUILD_LIST" | "_BUILD_STRING" | "_BUILD_SLICE" => {
            Facts::of(oparg_plus(0), Count::fixed(1)).raises()
        }
        "_BUILD_MAP" => Facts::of(TWICE_OPARG, Count::fixed(1)).raises(),
        "_BUILD_CONST_KEY_MAP" => Facts::of(oparg_plus(1), Count::fixed(1)).raises(),
        "_DICT_MERGE" => Facts::of(oparg_plus(4), oparg_plus(3)).raises(),
        "_GET_LEN" => Facts::fixed(1, 2).raises(),
        "_MATCH_MAPPING" | "_MATCH_SEQUENCE" => Facts::fixed(1, 2),
        "_MATCH_KEYS" => Facts::fixed(2, 3).raises(),
        "_MATCH_CLASS" => Facts::fixed(3, 1).raises(),
        "_UNPACK_EX" => Facts::of(Count::fixed(1), oparg_plus(1)).raises(),
        "_UNPACK_SEQUENCE" => Facts::of(Count::fixed(1), oparg_plus(0)).raises(),
        "_UNPACK_SEQUENCE_TWO_TUPLE" | "_UNPACK_SEQUENCE_TUPLE" | "_UNPACK_SEQUENCE_LIST" => {
            Facts::of(Count::fixed(1), oparg_plus(0)).jumps()
        }
        _ => return None,
    })
}

/// Attributes and globals.
fn attributes(op: &str) -> Option<Facts> {
    Some(match op {
        "_LOAD_GLOBAL" => Facts::of(Count::fixed(0), ONE_AND_NULL).raises(),
        "_LOAD_GLOBAL_MODULE" | "_LOAD_GLOBAL_BUILTINS" => {
            Facts::of(Count::fixed(0), ONE_AND_NULL).jumps()
        }
        "_LOAD_ATTR" => Facts::of(Count::fixed(1), ONE_AND_NULL).raises(),
        "_LOAD_ATTR_MODULE" | "_LOAD_ATTR_WITH_HINT" => {
            Facts::of(Count::fixed(1), ONE_AND_NULL).jumps()
        }
        "_GUARD_TYPE_VERSION"
        | "_GUARD_KEYS_VERSION"
        | "_CHECK_ATTR_CLASS"
        | "_CHECK_ATTR_MODULE"
        | "_CHECK_ATTR_METHOD_LAZY_DICT"
        | "_CHECK_ATTR_WITH_HINT"
        | "_CHECK_MANAGED_OBJECT_HAS_VALUES"
        | "_GUARD_DORV_NO_DICT"
        | "_GUARD_DORV_VALUES_INST_ATTR_FROM_DICT" => Facts::fixed(1, 1).jumps(),
        "_LOAD_ATTR_INSTANCE_VALUE_0" | "_LOAD_ATTR_SLOT_0" => Facts::fixed(1, 1).jumps(),
        "_LOAD_ATTR_INSTANCE_VALUE_1" | "_LOAD_ATTR_SLOT_1" => Facts::fixed(1, 2).jumps(),
        "_LOAD_ATTR_CLASS_0"
        | "_LOAD_ATTR_NONDESCRIPTOR_NO_DICT"
        | "_LOAD_ATTR_NONDESCRIPTOR_WITH_VALUES" => Facts::fixed(1, 1),
        "_LOAD_ATTR_CLASS_1"
        | "_LOAD_ATTR_METHOD_LAZY_DICT"
        | "_LOAD_ATTR_METHOD_NO_DICT"
        | "_LOAD_ATTR_METHOD_WITH_VALUES" => Facts::fixed(1, 2),
        "_LOAD_SUPER_ATTR_ATTR" => Facts::fixed(3, 1).jumps().raises(),
        "_LOAD_SUPER_ATTR_METHOD" => Facts::fixed(3, 2).jumps().raises(),
        "_DELETE_ATTR" => Facts::fixed(1, 0).raises(),
        "_STORE_ATTR" => Facts::fixed(2, 0).raises(),
        "_STORE_ATTR_INSTANCE_VALUE" | "_STORE_ATTR_SLOT" => Facts::fixed(2, 0),
        _ => return None,
    })
}

/// Calls: a callable, `self` or NULL, and oparg arguments.
fn calls(op: &str) -> Option<Facts> {
    let call = Facts::of(oparg_plus(2), Count::fixed(1));
    let check = Facts::of(oparg_plus(2), oparg_plus(2));
    Some(match op {
        "_CALL_NON_PY_GENERAL" => call.raises(),
        "_CALL_BUILTIN_CLASS"
        | "_CALL_BUILTIN_O"
        | "_CALL_BUILTIN_FAST"
        | "_CALL_BUILTIN_FAST_WITH_KEYWORDS"
        | "_CALL_METHOD_DESCRIPTOR_O"
        | "_CALL_METHOD_DESCRIPTOR_NOARGS"
        | "_CALL_METHOD_DESCRIPTOR_FAST"
        | "_CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS" => call.jumps().raises(),
        "_CALL_LEN" | "_CALL_ISINSTANCE" => call.jumps().raises_keeping(),
        "_CALL_STR_1" | "_CALL_TUPLE_1" => Facts::fixed(3, 1).jumps().raises(),
        "_CALL_TYPE_1" => Facts::fixed(3, 1).jumps(),
        "_CHECK_FUNCTION_VERSION"
        | "_CHECK_FUNCTION_EXACT_ARGS"
        | "_CHECK_METHOD_VERSION"
        | "_CHECK_CALL_BOUND_METHOD_EXACT_ARGS"
        | "_CHECK_IS_NOT_PY_CALLABLE"
        | "_CHECK_STACK_SPACE" => check.jumps(),
        "_EXPAND_METHOD" | "_INIT_CALL_BOUND_METHOD_EXACT_ARGS" => check,
        // The one result is the new frame, which only _PUSH_FRAME takes.
        "_INIT_CALL_PY_EXACT_ARGS" => call,
        "_PY_FRAME_GENERAL" => call.raises_keeping(),
        "_PUSH_FRAME" => Facts::fixed(1, 0),
        "_POP_FRAME" => Facts::fixed(1, 1),
        _ => return None,
    })
}

/// Exceptions, and intrinsic functions.
fn exceptions(op: &str) -> Option<Facts> {
    Some(match op {
        "_CHECK_EXC_MATCH" | "_CHECK_EG_MATCH" => Facts::fixed(2, 2).raises(),
        "_PUSH_EXC_INFO" => Facts::fixed(1, 2),
        "_POP_EXCEPT" => Facts::fixed(1, 0),
        "_WITH_EXCEPT_START" => Facts::fixed(4, 5).raises(),
        "_EXIT_INIT_CHECK" => Facts::fixed(1, 0).raises_keeping(),
        "_CALL_INTRINSIC_1" => Facts::fixed(1, 1).raises(),
        "_CALL_INTRINSIC_2" => Facts::fixed(2, 1).raises(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_share_the_facts_of_their_family() {
        assert_eq!(without_number("_LOAD_FAST_7"), "_LOAD_FAST");
        assert_eq!(without_number("_LOAD_FAST_8"), "_LOAD_FAST_8");
        assert_eq!(without_number("_LOAD_ATTR_CLASS_0"), "_LOAD_ATTR_CLASS_0");
        assert_eq!(
            facts("_INIT_CALL_PY_EXACT_ARGS_4"),
            facts("_INIT_CALL_PY_EXACT_ARGS")
        );
        assert_eq!(facts("_STORE_FAST_9"), None);
        assert_eq!(oparg_range("_STORE_FAST_5"), Some(5..=5));
        assert_eq!(local_access("_STORE_FAST_5"), Some(LocalAccess::Store));
        assert_eq!(
            local_access("_LOAD_FAST_AND_CLEAR"),
            Some(LocalAccess::LoadAndClear)
        );
    }

    /// CPython's own metadata: name, code and data bytes, holes, values popped, flags.
    const CPYTHON: &str = include_str!("../../tests/cpython-3.13.tsv");

    /// Uops of which nothing is said here: those of generators and coroutines, and those that no trace holds.
    const UNKNOWN: [&str; 12] = [
        "_COLD_EXIT",
        "_DYNAMIC_EXIT",
        "_FATAL_ERROR",
        "_FOR_ITER_GEN_FRAME",
        "_GET_AITER",
        "_GET_ANEXT",
        "_GET_AWAITABLE",
        "_GET_YIELD_FROM_ITER",
        "_RETURN_GENERATOR",
        "_SEND_GEN_FRAME",
        "_WITH_EXCEPT_START",
        "_YIELD_VALUE",
    ];

    /// What CPython's expression gives for an oparg.
    fn popped(expression: &str, oparg: u64) -> Option<u64> {
        let expression: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
        Some(match expression.as_str() {
            "oparg" => oparg,
            "oparg*2" => 2 * oparg,
            "1+oparg" => 1 + oparg,
            "2+oparg" => 2 + oparg,
            "2+(oparg-1)" => 1 + oparg,
            "3+(oparg-1)" => 2 + oparg,
            "5+(oparg-1)" => 4 + oparg,
            "1+(oparg-1)" => oparg,
            "2+(oparg-2)" => oparg,
            "2+((oparg==3)?1:0)" => 2 + u64::from(oparg == 3),
            fixed => fixed.parse().ok()?,
        })
    }

    #[test]
    fn facts_are_those_of_cpython() {
        let rows = CPYTHON.lines().filter(|line| line.starts_with('_'));
        let mut unknown = Vec::new();
        let mut checked = 0;
        for row in rows {
            let columns: Vec<&str> = row.split('\t').collect();
            let [op, _, _, _, expression, flags] = columns[..] else {
                panic!("{row}")
            };
            let Some(facts) = facts(op) else {
                unknown.push(op);
                continue;
            };
            let flags: Vec<&str> = flags.split('|').collect();
            let has = |flag: &str| flags.contains(&flag);
            assert_eq!(facts.jumps, has("deopt") || has("exit"), "{op} jumps");
            let error = match (has("error"), has("error_no_pop")) {
                (false, _) => None,
                (true, false) => Some(ErrorPop::Operands),
                (true, true) => Some(ErrorPop::Nothing),
            };
            assert_eq!(facts.error, error, "{op} error");
            let oparg = fixed_oparg(op).unwrap_or(2).into();
            if op == "_ERROR_POP_N" {
                continue;
            }
            assert_eq!(
                Some(facts.effect.popped.of(oparg)),
                popped(expression, oparg.into()),
                "{op} pops {expression}"
            );
            checked += 1;
        }
        unknown.sort_unstable();
        assert!(unknown.iter().all(|op| UNKNOWN.contains(op)), "{unknown:?}");
        assert!(checked > 200, "{checked}");
    }

    #[test]
    fn effects_that_depend_on_the_oparg() {
        for (op, oparg, popped, pushed) in [
            ("_COPY", 3, 3, 4),
            ("_SWAP", 2, 2, 2),
            ("_BUILD_MAP", 2, 4, 1),
            ("_LIST_APPEND", 2, 3, 2),
            ("_LOAD_GLOBAL", 5, 0, 2),
            ("_LOAD_GLOBAL", 4, 0, 1),
            ("_CALL_LEN", 1, 3, 1),
            ("_UNPACK_SEQUENCE", 4, 1, 4),
        ] {
            let effect = facts(op).unwrap().effect;
            assert_eq!(
                (effect.popped.of(oparg), effect.pushed.of(oparg)),
                (popped, pushed),
                "{op} {oparg}"
            );
        }
    }
}
