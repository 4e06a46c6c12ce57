//! A module compiled and loaded by LLVM's MCJIT.
//!
//! inkwell's own way to it asks for "the native target", which needs a C file compiled against LLVM's headers. The target
//! here is x86-64, which [`target`](crate::target) has set up, and the library has the rest.
#![allow(unsafe_code)]

use inkwell::OptimizationLevel;
use inkwell::llvm_sys::core::LLVMDisposeMessage;
use inkwell::llvm_sys::execution_engine::{
    LLVMAddGlobalMapping, LLVMCreateJITCompilerForModule, LLVMDisposeExecutionEngine,
    LLVMExecutionEngineRef, LLVMGetFunctionAddress, LLVMLinkInMCJIT,
};
use inkwell::module::Module;
use inkwell::values::{AsValueRef as _, FunctionValue};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr;

/// The code of a module, in memory until this is dropped.
pub(super) struct LoadedCode(LLVMExecutionEngineRef);

impl LoadedCode {
    /// Hands the module to a compiler. Nothing is compiled yet: that is when an address is asked for. The functions of
    /// `externals` are the module's and are elsewhere in memory.
    ///
    /// # Errors
    /// LLVM's message.
    pub(super) fn new(
        module: Module<'static>,
        level: OptimizationLevel,
        externals: &[(FunctionValue<'static>, usize)],
    ) -> Result<Self, String> {
        let mut engine = MaybeUninit::uninit();
        let mut message = ptr::null_mut();
        // SAFETY: the module is whole, and the places for results are this function's.
        let failed = unsafe {
            LLVMLinkInMCJIT();
            LLVMCreateJITCompilerForModule(
                engine.as_mut_ptr(),
                module.as_mut_ptr(),
                level as u32,
                &raw mut message,
            )
        };
        // The compiler has taken the module over, also where it failed: it is not to be disposed of again.
        std::mem::forget(module);
        if failed != 0 {
            return Err(take_message(message));
        }
        // SAFETY: it is set where the call did not fail.
        let code = Self(unsafe { engine.assume_init() });
        for (function, address) in externals {
            // SAFETY: the function is the module's, which lives in the engine.
            unsafe { LLVMAddGlobalMapping(code.0, function.as_value_ref(), *address as *mut _) };
        }
        Ok(code)
    }

    /// Compiles the module, where that has not been done, and tells where the function is.
    pub(super) fn address(&self, function: &str) -> Option<NonZeroUsize> {
        let name = CString::new(function).ok()?;
        // SAFETY: the engine lives as long as `self`, and the name is not kept.
        let address = unsafe { LLVMGetFunctionAddress(self.0, name.as_ptr()) };
        NonZeroUsize::new(usize::try_from(address).ok()?)
    }
}

/// A message of LLVM's, which is disposed of.
fn take_message(message: *mut std::ffi::c_char) -> String {
    if message.is_null() {
        return "LLVM gives no reason".to_owned();
    }
    // SAFETY: LLVM gives a string that ends with a zero byte, to be disposed of by this function and read before.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        LLVMDisposeMessage(message);
        text
    }
}

impl Drop for LoadedCode {
    fn drop(&mut self) {
        // SAFETY: it is this value's alone, and the context of its module is dropped after it.
        unsafe { LLVMDisposeExecutionEngine(self.0) };
    }
}
