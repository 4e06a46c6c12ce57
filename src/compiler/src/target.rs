//! The LLVM that is linked, and the machine it compiles for.

use crate::error::CompileError;
use inkwell::OptimizationLevel;
use inkwell::targets::{
    CodeModel, InitializationConfig, RelocMode, Target, TargetMachine, TargetTriple,
};
use std::sync::Once;

/// The major version of LLVM that this build is for: the one of the cargo feature.
pub const LLVM_MAJOR: u32 = match u32::from_str_radix(env!("MIMEO_LLVM_MAJOR"), 10) {
    Ok(major) => major,
    Err(_) => panic!("the build script sets a number"),
};

/// `preserve_none`: every register but rsp and rbp may be clobbered, and the first twelve integer arguments travel in
/// registers, r12 to r15 first, which C functions preserve. LLVM 19 is the first to have it.
pub const PRESERVE_NONE: u32 = 21;

/// The target triple of every table.
pub const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The CPU that the stencils may assume: the baseline, so that a table runs on every x86-64 machine.
pub const CPU: &str = "x86-64";

/// The version of the linked LLVM library: major, minor, patch.
pub fn linked_version() -> (u32, u32, u32) {
    inkwell::support::get_llvm_version()
}

/// Checks that the linked LLVM is the one this build was made for.
///
/// # Errors
/// [`CompileError::LlvmVersion`] where it is not. llvm-sys alone would accept a newer one silently.
pub fn check_version() -> Result<(u32, u32, u32), CompileError> {
    let found = linked_version();
    if found.0 != LLVM_MAJOR {
        return Err(CompileError::LlvmVersion {
            expected: LLVM_MAJOR,
            found: format!("{}.{}.{}", found.0, found.1, found.2),
        });
    }
    Ok(found)
}

/// A machine to compile for; one per thread.
///
/// Code is not position independent (a stencil's place is known when it is patched), and the small code model gives
/// 32-bit displacements, which the runtime keeps within reach.
///
/// # Errors
/// The linked LLVM was built without x86-64.
pub(crate) fn machine() -> Result<TargetMachine, CompileError> {
    machine_at(OptimizationLevel::Default)
}

/// [`machine`], for code that does not know where its data is.
///
/// # Errors
/// As [`machine`].
pub(crate) fn position_independent_machine() -> Result<TargetMachine, CompileError> {
    machine_with(OptimizationLevel::Default, RelocMode::PIC)
}

/// [`machine`], with a code generator that tries more or less hard.
///
/// # Errors
/// As [`machine`].
pub(crate) fn machine_at(level: OptimizationLevel) -> Result<TargetMachine, CompileError> {
    machine_with(level, RelocMode::Static)
}

fn machine_with(
    level: OptimizationLevel,
    relocations: RelocMode,
) -> Result<TargetMachine, CompileError> {
    static INITIALIZE: Once = Once::new();
    INITIALIZE.call_once(|| Target::initialize_x86(&InitializationConfig::default()));
    let triple = TargetTriple::create(TRIPLE);
    let target = Target::from_triple(&triple).map_err(|message| CompileError::Llvm {
        stage: "find the x86-64 target",
        message: message.to_string(),
    })?;
    target
        .create_target_machine(&triple, CPU, "", level, relocations, CodeModel::Small)
        .ok_or_else(|| CompileError::Llvm {
            stage: "make a target machine",
            message: format!("none for {TRIPLE}, CPU {CPU}"),
        })
}
