//! What LLVM ends the process for when it makes code: what it has no instructions for, and what it only finds out then. It is
//! refused before.

use super::instructions;
use crate::error::IrProblem;
use crate::module::collector;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::module::Module;
use inkwell::values::{
    AnyValue, CallSiteValue, FunctionValue, InstructionOpcode, InstructionValue,
};

/// The intrinsics, without `llvm.`, for which there is code on any x86-64: these, and what follows one of them after a dot.
const KNOWN: &[&str] = &[
    "abs",
    "acos",
    "addressofreturnaddress",
    "allow.runtime.check",
    "allow.ubsan.check",
    "annotation",
    "asin",
    "assume",
    "atan",
    "bitreverse",
    "bswap",
    "canonicalize",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "ctlz",
    "ctpop",
    "cttz",
    "dbg",
    "debugtrap",
    "donothing",
    "exp",
    "exp10",
    "exp2",
    "expect",
    "experimental.noalias.scope.decl",
    "fabs",
    "floor",
    "fma",
    "fmuladd",
    "fptosi.sat",
    "fptoui.sat",
    "frameaddress",
    "frexp",
    "fshl",
    "fshr",
    "invariant.end",
    "invariant.start",
    "is.constant",
    "is.fpclass",
    "launder.invariant.group",
    "ldexp",
    "lifetime.end",
    "lifetime.start",
    "llrint",
    "llround",
    "load.relative",
    "log",
    "log10",
    "log2",
    "lrint",
    "lround",
    "masked",
    "maximum",
    "maxnum",
    "memcpy",
    "memmove",
    "memset",
    "minimum",
    "minnum",
    "nearbyint",
    "objectsize",
    "pow",
    "powi",
    "prefetch",
    "ptr.annotation",
    "ptrmask",
    "readcyclecounter",
    "returnaddress",
    "rint",
    "round",
    "roundeven",
    "sadd.sat",
    "sadd.with.overflow",
    "scmp",
    "sideeffect",
    "sin",
    "sinh",
    "smax",
    "smin",
    "smul.with.overflow",
    "sqrt",
    "sshl.sat",
    "ssub.sat",
    "ssub.with.overflow",
    "stackrestore",
    "stacksave",
    "strip.invariant.group",
    "tan",
    "tanh",
    "threadlocal.address",
    "trap",
    "trunc",
    "uadd.sat",
    "uadd.with.overflow",
    "ubsantrap",
    "ucmp",
    "umax",
    "umin",
    "umul.with.overflow",
    "ushl.sat",
    "usub.sat",
    "usub.with.overflow",
    "va_copy",
    "va_end",
    "va_start",
    "var.annotation",
    "vector.reduce",
    "x86.rdtsc",
    "x86.rdtscp",
    "x86.sse",
    "x86.sse2",
];

/// Checks all functions of a module of which code is to be made.
///
/// # Errors
/// The function that holds what LLVM would end the process for, and what that is.
pub(crate) fn check_selectable(module: &Module<'_>) -> Result<(), (String, IrProblem)> {
    for function in module.get_functions() {
        check(function).map_err(|problem| {
            let name = function.get_name().to_string_lossy().into_owned();
            (name, problem)
        })?;
    }
    Ok(())
}

/// Checks a function before LLVM optimises it.
///
/// # Errors
/// It is of a kind that LLVM cannot compile for x86-64, or see [`check_selectable`].
pub(super) fn check_kind(function: FunctionValue<'_>) -> Result<(), IrProblem> {
    let unfit = |found: &str, reason| {
        let found = found.to_owned();
        Err(IrProblem::Unfit { found, reason })
    };
    let naked = Attribute::get_named_enum_kind_id("naked");
    if function
        .get_enum_attribute(AttributeLoc::Function, naked)
        .is_some()
    {
        return unfit("is naked", "it has parameters and a frame");
    }
    if function.count_basic_blocks() > 0 {
        let text = function.print_to_string().to_string();
        for (found, what) in [
            ("<vscale x ", "has vectors whose size is not known"),
            ("x86_amx", "has AMX tiles"),
            ("target(\"", "has types of another machine"),
        ] {
            if text.contains(found) {
                return unfit(what, "not every x86-64 has them");
            }
        }
    }
    check(function)
}

/// Takes out what only says what does not overlap: its operands are no values.
pub(super) fn forget_scopes(module: &Module<'_>) {
    let scopes: Vec<InstructionValue<'_>> = module
        .get_functions()
        .flat_map(instructions)
        .filter(|found| {
            let call = CallSiteValue::try_from(*found).ok();
            let callee = call.and_then(|call| call.get_called_fn_value());
            callee.is_some_and(|callee| {
                let name = callee.get_name().to_bytes();
                name == b"llvm.experimental.noalias.scope.decl"
            })
        })
        .collect();
    for scope in scopes {
        scope.erase_from_basic_block();
    }
}

fn check(function: FunctionValue<'_>) -> Result<(), IrProblem> {
    if let Some(name) = collector(function) {
        return Err(IrProblem::Unfit {
            found: format!("has the garbage collector {name:?}"),
            reason: "there are no stack maps of traces",
        });
    }
    for call in instructions(function) {
        if call.get_opcode() != InstructionOpcode::Call {
            continue;
        }
        let callee = CallSiteValue::try_from(call)
            .ok()
            .and_then(|call| call.get_called_fn_value());
        match callee {
            Some(callee) => {
                let name = callee.get_name().to_string_lossy();
                if name
                    .strip_prefix("llvm.")
                    .is_some_and(|name| !is_known(name))
                {
                    return Err(IrProblem::Intrinsic(name.into_owned()));
                }
            }
            None => check_assembly(call)?,
        }
    }
    Ok(())
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| {
        let rest = name.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Checks how assembly names its operands. What else is wrong with it LLVM reports.
fn check_assembly(call: InstructionValue<'_>) -> Result<(), IrProblem> {
    let text = call.print_to_string().to_string();
    let Some((_, assembly)) = text.split_once(" asm ") else {
        return Ok(());
    };
    // sideeffect and the like, the text, a comma, the constraints; quotes within are written as numbers.
    let mut quoted = assembly.split('"').skip(1).step_by(2);
    let (Some(code), Some(constraints)) = (quoted.next(), quoted.next()) else {
        return Ok(());
    };
    let operands = constraints
        .split(',')
        .filter(|constraint| !constraint.is_empty() && !constraint.starts_with('~'))
        .count();
    match names_operands(code, operands) {
        true => Ok(()),
        false => Err(IrProblem::Assembly {
            text: code.to_owned(),
            operands,
        }),
    }
}

/// Whether every `$` is of an operand that there is (`$0`, `${1:k}`), of an alternative (`$(`, `$|`, `$)`), of what LLVM fills in
/// (`${:uid}`), or a dollar (`$$`).
fn names_operands(code: &str, operands: usize) -> bool {
    let is_operand = |number: &str| {
        let number = number.parse::<usize>();
        number.is_ok_and(|number| number < operands)
    };
    let mut rest = code;
    while let Some((_, after)) = rest.split_once('$') {
        rest = match after.chars().next() {
            Some('$' | '(' | '|' | ')') => &after[1..],
            Some('{') => {
                let Some((inside, behind)) = after[1..].split_once('}') else {
                    return false;
                };
                let fits = match inside.split_once(':') {
                    Some(("", filled)) => matches!(filled, "uid" | "comment" | "private"),
                    Some((number, modifier)) => is_operand(number) && modifier.len() == 1,
                    None => is_operand(inside),
                };
                if !fits {
                    return false;
                }
                behind
            }
            _ => {
                let end = after
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(after.len());
                let (number, behind) = after.split_at(end);
                if !is_operand(number) {
                    return false;
                }
                behind
            }
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_of_assembly_are_there() {
        for fits in [
            "nop",
            "movq $1, $0",
            "movl $$5, ${0:k}",
            "$(movl$|mov$) $1",
            ".L${:uid}:",
            "mov $2,%eax",
        ] {
            assert!(names_operands(fits, 3), "{fits}");
        }
        for wrong in [
            "mov $3, $0",
            "mov $",
            "mov $x",
            "${0",
            "${x}",
            "${:what}",
            "${0:kk}",
            "${7:k}",
        ] {
            assert!(!names_operands(wrong, 3), "{wrong}");
        }
    }

    #[test]
    fn names_of_intrinsics_are_whole() {
        assert!(is_known("memcpy.p0.p0.i64"));
        assert!(is_known("trap"));
        assert!(!is_known("traps"));
        assert!(!is_known("x86.avx2.pmadd.wd"));
        assert!(!is_known("instrprof.increment"));
    }
}
