//! Templates that come as LLVM IR, from any front end: a module, as text or bitcode, whose functions are templates and whose
//! undefined symbols are holes. Which symbol is which hole is a table that the caller gives.
//!
//! A front end knows nothing of stencils. So the module is made what the builder would have made of it, in memory: the
//! functions get their calling convention, sections and attributes; holes that are jumped to become functions of that
//! convention; and a hole that is a number becomes the result of a function that nobody defines. LLVM would else take
//! the symbol for an address, which is not null, different from any other, and aligned. After optimisation `fold` puts
//! the numbers where they are used.
//!
//! [`Template::from_ir`](crate::template::Template::from_ir) makes templates of a table of such functions:
//!
//! - A function takes three pointers: frame, stack pointer (one past the top value; values have 8 bytes) and thread state.
//!   It returns nothing, or, where the front end wants that for its tail calls, a pointer. All that are compiled together
//!   return alike.
//! - Every path ends in a tail call (`musttail`) of the continuation, the jump target, the error target or the top; or of
//!   the address that is loaded from the exit record right there, `((Entry *)_JIT_EXIT)(frame, sp, thread)` with
//!   `extern void *_JIT_EXIT`, where the record's address is put into its register. The checker refuses what returns.
//! - Oparg, operand, target and exit index are the addresses of symbols, used as numbers. What is computed with them is
//!   known when a trace is patched: an oparg that is an index becomes a displacement. Such a symbol is declared as weak and of
//!   one byte, in C `extern char _JIT_OPARG[] __attribute__((weak))`: of any other, a front end that optimises believes that
//!   its address is not 0, and `OPARG == 0` would be gone before it can be seen here. A module with `llvm.ident` in which a
//!   front end has optimised and a number is another symbol is refused. What was never optimised, or written by hand, may
//!   declare it as it likes; but clang decides even then whether an address is null that is no number in between, as in
//!   `(char *)&_JIT_OPARG ? 1 : 2`.
//! - The executor's header is the data at a symbol.
//! - Other undefined symbols are functions and data of the program. They are reached directly, whatever code model the front
//!   end had in mind.
//! - Locals may be aligned to any power of two.
//! - Static functions must be inlined, and constants go into the stencil's data. Data that changes is refused.
//!
//! What leaves through an exit record must be optimised to the point where the record's address is no longer in a variable;
//! clang's `-O1` does that. The stack
//! effects are declared as the builder's are, and the checker compares, as far as the code shows it. A stack effect on the
//! way to jump target or exit is declared by
//! [`leaving_stack`](crate::template::Template::leaving_stack), where it is not "as at entry".
//!
//! There are base forms only: register variants, fused sequences, handlers for
//! [`compile_interpreter`](crate::interpreter::compile_interpreter) and [`limit`](crate::limit) all need the builder, and asking
//! for them is an error that names the template.
//!
//! ```
//! use mimeo::hole::HoleValue;
//! use mimeo::table::StencilTable;
//! use mimeo_compiler::codegen::{Options, compile_to_bytes};
//! use mimeo_compiler::ir::{IrSource, IrTemplates};
//! use mimeo_compiler::symbol::{HoleSymbol, SymbolMeanings};
//! use mimeo_compiler::template::{FrameLayout, Template, TemplateSet};
//!
//! let text = "
//!     declare void @_JIT_CONTINUE(ptr, ptr, ptr)
//!     @_JIT_OPARG = external global i8
//!
//!     define void @push_small(ptr %frame, ptr %sp, ptr %thread) {
//!       store i64 ptrtoint (ptr @_JIT_OPARG to i64), ptr %sp
//!       %next = getelementptr i64, ptr %sp, i64 1
//!       musttail call void @_JIT_CONTINUE(ptr %frame, ptr %next, ptr %thread)
//!       ret void
//!     }";
//! let holes = SymbolMeanings::default()
//!     .hole("_JIT_CONTINUE", HoleSymbol::address(HoleValue::Continue))
//!     .hole("_JIT_OPARG", HoleSymbol::number(HoleValue::Oparg, 16));
//! let module = IrTemplates::new(IrSource::from_bytes("uops.ll", text), holes);
//! let push = Template::from_ir("PUSH_SMALL", &module, "push_small").stack(0, 1);
//!
//! let set = TemplateSet::new("small", FrameLayout::default()).with([push]);
//! let table = StencilTable::from_bytes(compile_to_bytes(&set, Options::default())?)?;
//!
//! // The oparg is the immediate of a store, and there is no jump to the next uop.
//! let push = table.find("PUSH_SMALL").expect("it was just compiled");
//! assert_eq!(table.group(push).hot.holes.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod locals;
mod selectable;
mod spread;
mod table;

pub(crate) use locals::align_locals;
pub(crate) use selectable::check_selectable;
use selectable::{check_kind, forget_scopes};
pub use table::IrTemplates;
pub(crate) use table::{is_number, name_constants, not_inlined, seen};

use crate::error::{CompileError, IrProblem};
use crate::module::hot_section;
use crate::symbol::{HoleSymbol, PREFIX, SymbolMeanings};
use crate::target::PRESERVE_NONE;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::builder::Builder;
use inkwell::context::{Context, ContextRef};
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::module::{FlagBehavior, Linkage, Module};
use inkwell::types::{AnyTypeEnum, FunctionType};
use inkwell::values::{
    AnyValue, AnyValueEnum, BasicValue, BasicValueEnum, BasicValueUse, CallSiteValue,
    FunctionValue, GlobalValue, InstructionOpcode, InstructionValue, IntValue, LLVMTailCallKind,
    PointerValue,
};
use inkwell::{DLLStorageClass, GlobalVisibility};
use mimeo::hole::HoleValue;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What the names of functions begin with whose results are holes.
pub(crate) const OPAQUE: &str = "mimeo.hole.";

/// A module of IR, as text or as bitcode.
#[derive(Clone)]
pub struct IrSource {
    name: Arc<str>,
    bytes: Arc<[u8]>,
}

impl IrSource {
    /// A module in memory; the name is for messages.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into().into(),
            bytes: bytes.into().into(),
        }
    }

    /// A module in a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, CompileError> {
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Ok(Self::from_bytes(name, bytes)),
            Err(error) => Err(CompileError::ir(&name, None, IrProblem::Unreadable(error))),
        }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text or the bitcode.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the module.
    ///
    /// # Errors
    /// It is neither text nor bitcode that this LLVM reads, or not valid.
    pub(crate) fn parse<'ctx>(&self, context: &'ctx Context) -> Result<Module<'ctx>, CompileError> {
        let buffer = MemoryBuffer::create_from_memory_range_copy(&self.bytes, &self.name);
        let invalid = |message: String| {
            CompileError::ir(&self.name, None, IrProblem::Invalid(message.trim().into()))
        };
        let module = context
            .create_module_from_ir(buffer)
            .map_err(|message| invalid(message.to_string()))?;
        module
            .verify()
            .map_err(|message| invalid(message.to_string()))?;
        Ok(module)
    }
}

impl fmt::Debug for IrSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IrSource({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// A function of a module that is a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IrFunction {
    /// The function's name in the module.
    pub function: String,
    /// What its stencil is called.
    pub stencil: String,
}

/// A string attribute that keeps LLVM from jumps through tables, which would be data with relocations into the code.
const NO_JUMP_TABLES: &str = "no-jump-tables";

/// Lets a module's templates have no jump tables. It would also keep LLVM from tables of numbers, and so is only said
/// where code is made.
pub(crate) fn forbid_jump_tables(module: &Module<'_>) {
    let context = module.get_context();
    for function in module.get_functions() {
        if function.count_basic_blocks() > 0 {
            let attribute = context.create_string_attribute(NO_JUMP_TABLES, "true");
            function.add_attribute(AttributeLoc::Function, attribute);
        }
    }
}

/// Lets these functions have no tables. It is for those in which LLVM would make one of addresses, which is data with
/// relocations, of what a `switch` chooses.
pub(crate) fn forbid_tables(module: &Module<'_>, functions: &BTreeSet<String>) {
    let context = module.get_context();
    for function in functions
        .iter()
        .filter_map(|name| module.get_function(name))
    {
        let attribute = context.create_string_attribute(NO_JUMP_TABLES, "true");
        function.add_attribute(AttributeLoc::Function, attribute);
    }
}

/// The functions of an optimised module for which LLVM made a table of addresses.
pub(crate) fn with_tables_of_addresses(module: &Module<'_>) -> BTreeSet<String> {
    module
        .get_globals()
        .filter(|global| global.get_name().to_bytes().starts_with(b"switch.table"))
        .filter(|global| match global.get_value_type() {
            AnyTypeEnum::ArrayType(table) => table.get_element_type().is_pointer_type(),
            _ => false,
        })
        .filter_map(|table| function_using(table.as_pointer_value()))
        .collect()
}

/// How functions are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// As stencils, with rsp at 0 mod 16.
    AsStencil,
    /// As C functions, with rsp at 8 mod 16.
    FromC,
}

/// What templates are made for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// Stencils of a table: see `table`.
    Table,
    /// Stencils that somebody's C code patches.
    Contract {
        entered: Entered,
        /// In which order parameters are handed over.
        order: &'a [usize],
    },
}

impl Purpose<'_> {
    fn entered(self) -> Entered {
        match self {
            Self::Table => Entered::AsStencil,
            Self::Contract { entered, .. } => entered,
        }
    }

    fn is_table(self) -> bool {
        matches!(self, Self::Table)
    }
}

/// Makes the functions of a module templates, and the module's other functions and the symbols what templates need.
///
/// Functions that are not templates are kept for those to call, and go when nobody does.
///
/// # Errors
/// A function is not there or has another signature, or a symbol is used in a way that a hole cannot be.
pub(crate) fn make_templates<'ctx>(
    module: &Module<'ctx>,
    source: &str,
    functions: &[&IrFunction],
    holes: &SymbolMeanings,
    purpose: Purpose<'_>,
) -> Result<(), CompileError> {
    let names: BTreeSet<&str> = functions.iter().map(|f| f.function.as_str()).collect();
    let templates: Vec<(&IrFunction, FunctionValue<'ctx>)> = functions
        .iter()
        .map(|&wanted| {
            let found = module
                .get_function(&wanted.function)
                .filter(|found| found.count_basic_blocks() > 0);
            let missing = || {
                let function = wanted.function.clone();
                CompileError::ir(
                    source,
                    Some(&wanted.stencil),
                    IrProblem::NoFunction(function),
                )
            };
            Ok((wanted, found.ok_or_else(missing)?))
        })
        .collect::<Result<_, CompileError>>()?;
    if purpose.is_table() {
        table::check(module, source, &templates, holes)?;
        let mut checked = BTreeSet::new();
        for (wanted, template) in &templates {
            for name in reached([*template].into_iter()) {
                let function = module.get_function(&name);
                if let Some(function) = function
                    && checked.insert(name)
                {
                    check_kind(function).map_err(|problem| {
                        CompileError::ir(source, Some(&wanted.stencil), problem)
                    })?;
                }
            }
        }
        forget_scopes(module);
    }
    let signature = match templates.first() {
        Some((_, first)) => first.get_type(),
        None => return Ok(()),
    };
    let error = |stencil: &str, problem| CompileError::ir(source, Some(stencil), problem);
    for (wanted, function) in &templates {
        if function.get_type() != signature {
            let found = function.get_type().print_to_string().to_string();
            let expected = signature.print_to_string().to_string();
            let problem = IrProblem::Signature { found, expected };
            return Err(error(&wanted.stencil, problem));
        }
    }
    let keep = |name: &str| names.contains(name);
    leave_to_templates(module, &keep);
    let unit = Unit {
        module,
        context: module.get_context(),
        builder: module.get_context().create_builder(),
        signature,
    };
    let entered = purpose.entered();
    unit.align_stack();
    let mut declared = Declared::default();
    unit.declare_holes(source, holes, purpose, &mut declared)?;
    for (wanted, function) in &templates {
        unit.make_template(*function, &wanted.stencil, entered)
            .and_then(|()| unit.convert_calls(*function, &declared))
            .and_then(|()| match purpose {
                Purpose::Contract { order, .. } => {
                    unit.reorder_parameters(*function, entered, order)
                }
                Purpose::Table => Ok(()),
            })
            .map_err(|problem| error(&wanted.stencil, problem))?;
    }
    if purpose.is_table() {
        let functions: Vec<_> = templates.iter().map(|(_, function)| *function).collect();
        unit.fit_for_table(&functions, &declared)
            .map_err(|(function, problem)| error(&stencil_of(&templates, function), problem))?;
    }
    if !purpose.is_table() {
        lower_locals(module);
    }
    lower_alignments(module);
    let functions = templates.iter().map(|(_, function)| *function);
    unit.make_opaque(&declared.numbers, &reached(functions))
        .map_err(|(function, problem)| error(&stencil_of(&templates, function), problem))?;
    module.verify().map_err(|message| {
        let problem = IrProblem::Invalid(message.to_string().trim().into());
        CompileError::ir(source, None, problem)
    })
}

/// The names of these functions and of those that they call, directly or not.
fn reached<'ctx>(functions: impl Iterator<Item = FunctionValue<'ctx>>) -> BTreeSet<String> {
    let mut next: Vec<FunctionValue<'ctx>> = functions.collect();
    let mut names = BTreeSet::new();
    while let Some(function) = next.pop() {
        if names.insert(function.get_name().to_string_lossy().into_owned()) {
            let calls = instructions(function).filter_map(|f| CallSiteValue::try_from(f).ok());
            next.extend(calls.filter_map(|call| call.get_called_fn_value()));
        }
    }
    names
}

/// What a function's stencil is called; a function that is no template has its own name.
fn stencil_of(
    templates: &[(&IrFunction, FunctionValue<'_>)],
    function: FunctionValue<'_>,
) -> String {
    let wanted = templates.iter().find(|(_, template)| *template == function);
    match wanted {
        Some((wanted, _)) => wanted.stencil.clone(),
        None => function.get_name().to_string_lossy().into_owned(),
    }
}

/// What the stack of stencils is aligned to.
const WORD: u32 = 8;

/// Has locals aligned no further than the stack of stencils.
pub(crate) fn lower_locals(module: &Module<'_>) {
    for local in module.get_functions().flat_map(instructions) {
        if local.get_opcode() == InstructionOpcode::Alloca
            && local
                .get_alignment()
                .is_ok_and(|alignment| alignment > WORD)
        {
            // The only failure is one of an instruction that has none.
            let _ = local.set_alignment(WORD);
        }
    }
}

fn instructions(function: FunctionValue<'_>) -> impl Iterator<Item = InstructionValue<'_>> {
    let blocks = function.get_basic_blocks().into_iter();
    blocks.flat_map(|block| block.get_instructions())
}

/// The stack of stencils is aligned to words. What a front end or LLVM held for aligned further because it lies there is not.
/// Nor need string literals be: a front end may align them, but nobody can ask for it. They are private to the module, and
/// what has a name, and perhaps an alignment that was asked for, is not.
pub(crate) fn lower_alignments(module: &Module<'_>) {
    for global in module.get_globals() {
        let is_text = matches!(
            global.get_initializer(),
            Some(BasicValueEnum::ArrayValue(array)) if array.get_type().get_element_type().is_int_type()
        );
        let is_literal = is_text && global.get_linkage() == Linkage::Private;
        if is_literal && global.get_alignment() > WORD {
            global.set_alignment(1);
        }
    }
    for instruction in module.get_functions().flat_map(instructions) {
        use InstructionOpcode as Op;
        let opcode = instruction.get_opcode();
        if let Ok(alignment) = instruction.get_alignment()
            && matches!(opcode, Op::Load | Op::Store)
            && alignment > WORD
        {
            // The only failure is one of an instruction that has none.
            let _ = instruction.set_alignment(WORD);
        }
        if opcode == Op::Call
            && let Ok(call) = CallSiteValue::try_from(instruction)
            && call
                .get_called_fn_value()
                .is_some_and(|callee| callee.get_name().to_bytes().starts_with(b"llvm.mem"))
        {
            let kind = Attribute::get_named_enum_kind_id("align");
            for parameter in 0..2 {
                call.remove_enum_attribute(AttributeLoc::Param(parameter), kind);
            }
        }
    }
}

/// What nobody outside needs: functions that are not kept are for those that are, and become part of them, for a stencil
/// has no others.
fn leave_to_templates(module: &Module<'_>, keep: &impl Fn(&str) -> bool) {
    let context = module.get_context();
    for function in module.get_functions() {
        let name = function.get_name().to_string_lossy();
        if function.count_basic_blocks() == 0 || keep(&name) {
            continue;
        }
        function.set_linkage(Linkage::Internal);
        let global = function.as_global_value();
        global.set_visibility(GlobalVisibility::Default);
        for unwanted in ["noinline", "optnone"] {
            let kind = Attribute::get_named_enum_kind_id(unwanted);
            function.remove_enum_attribute(AttributeLoc::Function, kind);
        }
        let kind = Attribute::get_named_enum_kind_id("alwaysinline");
        let attribute = context.create_enum_attribute(kind, 0);
        function.add_attribute(AttributeLoc::Function, attribute);
    }
}

/// The holes that a module uses.
#[derive(Default)]
struct Declared<'ctx> {
    /// Those that are jumped to, as functions.
    control: BTreeMap<String, FunctionValue<'ctx>>,
    numbers: BTreeMap<String, (GlobalValue<'ctx>, HoleSymbol)>,
    /// Those of tables that are addresses of data.
    addresses: BTreeMap<String, (GlobalValue<'ctx>, HoleSymbol)>,
}

struct Unit<'m, 'ctx> {
    module: &'m Module<'ctx>,
    context: ContextRef<'ctx>,
    builder: Builder<'ctx>,
    /// That of all templates.
    signature: FunctionType<'ctx>,
}

impl<'ctx> Unit<'_, 'ctx> {
    /// Tells LLVM what the stack is aligned to: see `module`.
    fn align_stack(&self) {
        let alignment = self.context.i32_type().const_int(8, false);
        let behavior = FlagBehavior::Override;
        self.module
            .add_basic_value_flag("override-stack-alignment", behavior, alignment);
    }

    /// Finds the module's holes, and declares those that are jumped to as functions.
    ///
    /// # Errors
    /// A symbol that has the prefix of a hole is not declared, or is defined.
    fn declare_holes(
        &self,
        source: &str,
        holes: &SymbolMeanings,
        purpose: Purpose<'_>,
        declared: &mut Declared<'ctx>,
    ) -> Result<(), CompileError> {
        let functions = self.module.get_functions();
        let functions = functions.map(|function| function.as_global_value());
        let globals: Vec<GlobalValue<'ctx>> = self.module.get_globals().chain(functions).collect();
        for global in globals {
            let name = global.get_name().to_string_lossy().into_owned();
            let hole = holes.holes().find(|(hole, _)| *hole == name);
            let Some((_, hole)) = hole else {
                if name.starts_with(PREFIX) && global.is_declaration() {
                    let user = function_using(global.as_pointer_value());
                    let known = holes.holes().map(|(name, _)| name.to_owned()).collect();
                    let problem = IrProblem::UnknownHole {
                        symbol: name,
                        known,
                    };
                    return Err(CompileError::ir(source, user.as_deref(), problem));
                }
                continue;
            };
            if !global.is_declaration() {
                let problem = IrProblem::Hole {
                    symbol: name,
                    reason: "it is defined".to_owned(),
                };
                return Err(CompileError::ir(source, None, problem));
            }
            match hole.value.is_control() {
                true => {
                    let function = self.control_hole(&name, hole.value, global);
                    declared.control.insert(name, function);
                }
                false if purpose.is_table() && table::is_address(hole.value) => {
                    global.set_visibility(GlobalVisibility::Hidden);
                    declared.addresses.insert(name, (global, hole));
                }
                false => {
                    declared.numbers.insert(name, (global, hole));
                }
            }
        }
        Ok(())
    }

    /// A hole that is jumped to, as a function with the templates' signature.
    fn control_hole(
        &self,
        name: &str,
        hole: HoleValue,
        global: GlobalValue<'ctx>,
    ) -> FunctionValue<'ctx> {
        global.set_name(&format!("{name}.declared"));
        let function = self
            .module
            .add_function(name, self.signature, Some(Linkage::External));
        function.set_call_conventions(PRESERVE_NONE);
        // Hidden means that it is reached without a global offset table.
        let address = function.as_global_value();
        address.set_visibility(GlobalVisibility::Hidden);
        if matches!(hole, HoleValue::ErrorTarget | HoleValue::JumpTarget) {
            // What leads there is rare.
            let kind = Attribute::get_named_enum_kind_id("cold");
            let cold = self.context.create_enum_attribute(kind, 0);
            function.add_attribute(AttributeLoc::Function, cold);
        }
        global
            .as_pointer_value()
            .replace_all_uses_with(address.as_pointer_value());
        function
    }

    fn make_template(
        &self,
        function: FunctionValue<'ctx>,
        stencil: &str,
        entered: Entered,
    ) -> Result<(), IrProblem> {
        function.set_linkage(Linkage::External);
        let global = function.as_global_value();
        global.set_visibility(GlobalVisibility::Hidden);
        global.set_dll_storage_class(DLLStorageClass::Default);
        function.set_section(Some(&hot_section(stencil)));
        if entered == Entered::AsStencil {
            function.set_call_conventions(PRESERVE_NONE);
        }
        for unwanted in [
            "minsize",
            "optnone",
            "uwtable",
            "alwaysinline",
            "sspstrong",
            "ssp",
        ] {
            let kind = Attribute::get_named_enum_kind_id(unwanted);
            function.remove_enum_attribute(AttributeLoc::Function, kind);
        }
        for wanted in ["optsize", "nounwind", "noredzone"] {
            let kind = Attribute::get_named_enum_kind_id(wanted);
            let attribute = self.context.create_enum_attribute(kind, 0);
            function.add_attribute(AttributeLoc::Function, attribute);
        }
        for unwanted in [
            "target-cpu",
            "target-features",
            "tune-cpu",
            "patchable-function-entry",
            "patchable-function-prefix",
            "fentry-call",
            "instrument-function-entry",
            "instrument-function-entry-inlined",
            "instrument-function-exit-inlined",
            "function-instrument",
        ] {
            function.remove_string_attribute(AttributeLoc::Function, unwanted);
        }
        for (key, value) in [("frame-pointer", "none"), ("no-builtins", "")] {
            let attribute = self.context.create_string_attribute(key, value);
            function.add_attribute(AttributeLoc::Function, attribute);
        }
        Ok(())
    }

    /// Calls of holes that are jumped to, and calls that must be tail calls, have the stencils' convention.
    fn convert_calls(
        &self,
        function: FunctionValue<'ctx>,
        declared: &Declared<'ctx>,
    ) -> Result<(), IrProblem> {
        let instructions = function
            .get_basic_blocks()
            .into_iter()
            .flat_map(|block| block.get_instructions());
        for instruction in instructions {
            let Ok(call) = CallSiteValue::try_from(instruction) else {
                continue;
            };
            let callee = call.get_called_fn_value();
            let hole = callee.filter(|callee| declared.control.values().any(|f| f == callee));
            let must_tail = instruction
                .get_tail_call_kind()
                .is_ok_and(|kind| kind == LLVMTailCallKind::LLVMTailCallKindMustTail);
            if hole.is_some() || must_tail {
                call.set_call_convention(PRESERVE_NONE);
            }
        }
        Ok(())
    }

    /// Hands the parameters over in another order, in the function as in its calls of others like it: the one at each
    /// position is what was at `order`'s.
    fn reorder_parameters(
        &self,
        function: FunctionValue<'ctx>,
        entered: Entered,
        order: &[usize],
    ) -> Result<(), IrProblem> {
        let parameters = function.get_params();
        let kinds: Vec<_> = parameters
            .iter()
            .map(|parameter| parameter.get_type())
            .collect();
        let is_permutation = order.len() == kinds.len()
            && (0..kinds.len()).all(|index| order.contains(&index))
            && order
                .iter()
                .zip(&kinds)
                .all(|(&from, kind)| kinds.get(from) == Some(kind));
        if !is_permutation {
            let found = function.get_type().print_to_string().to_string();
            let count = order.len();
            return Err(IrProblem::Parameters { found, count });
        }
        let instructions: Vec<InstructionValue<'ctx>> = function
            .get_basic_blocks()
            .into_iter()
            .flat_map(|block| block.get_instructions())
            .collect();
        let moved = |value: BasicValueEnum<'ctx>| {
            let from = parameters
                .iter()
                .position(|&parameter| parameter == value)?;
            let to = order.iter().position(|&index| index == from)?;
            parameters.get(to).copied()
        };
        for instruction in instructions {
            if entered == Entered::AsStencil {
                for index in 0..instruction.get_num_operands() {
                    let operand = instruction.get_operand(index).and_then(|used| used.value());
                    if let Some(other) = operand.and_then(moved) {
                        instruction.set_operand(index, other);
                    }
                }
            }
            let is_template = CallSiteValue::try_from(instruction)
                .is_ok_and(|call| call.get_call_convention() == PRESERVE_NONE);
            if is_template {
                let arguments: Vec<_> = (0..order.len() as u32)
                    .filter_map(|index| instruction.get_operand(index)?.value())
                    .collect();
                for (index, &from) in order.iter().enumerate() {
                    if let Some(&argument) = arguments.get(from) {
                        instruction.set_operand(index as u32, argument);
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes every use of the holes' addresses the result of functions that depend on nothing.
    ///
    /// # Errors
    /// The function with a use that cannot be one of a number, and what the use is.
    fn make_opaque(
        &self,
        numbers: &BTreeMap<String, (GlobalValue<'ctx>, HoleSymbol)>,
        reached: &BTreeSet<String>,
    ) -> Result<(), (FunctionValue<'ctx>, IrProblem)> {
        let holes: Vec<Number<'_, 'ctx>> = numbers
            .iter()
            .map(|(name, &(global, hole))| Number {
                name,
                address: global.as_pointer_value(),
                hole,
                opaque: self.opaque_function(name),
            })
            .collect();
        let mut known: BTreeMap<[String; 2], IntValue<'ctx>> = BTreeMap::new();
        let mut at_entry = |function: FunctionValue<'ctx>, number: &Number<'_, 'ctx>| {
            let function_name = function.get_name().to_string_lossy().into_owned();
            let key = [function_name, number.name.to_owned()];
            match known.entry(key) {
                Entry::Occupied(known) => Ok(*known.get()),
                Entry::Vacant(place) => self
                    .call_at_entry(function, number.opaque, number.hole)
                    .map(|new| *place.insert(new)),
            }
        };
        let find = |address| holes.iter().find(|hole| hole.address == address);
        // What no template needs goes, whatever it does with holes.
        let is_reached = |function: FunctionValue<'ctx>| {
            reached.contains(&*function.get_name().to_string_lossy())
        };
        for function in self.module.get_functions().filter(|f| is_reached(*f)) {
            self.spread_constants(
                function,
                &|address| find(address).is_some(),
                &mut |address| {
                    let number = find(address).ok_or("it is no hole")?;
                    at_entry(function, number)
                },
            )
            .map_err(|(address, reason)| {
                let symbol = find(address).map_or("", |number| number.name).to_owned();
                (function, IrProblem::Hole { symbol, reason })
            })?;
        }
        for number in &holes {
            for Use {
                user,
                value,
                type_bits,
            } in uses(number.address)
            {
                let Some(function) = user.get_parent().and_then(|block| block.get_parent()) else {
                    continue;
                };
                if !is_reached(function) {
                    continue;
                }
                let refuse = |reason: &str| {
                    let symbol = number.name.to_owned();
                    let reason = format!("{reason}: {}", user.print_to_string());
                    (function, IrProblem::Hole { symbol, reason })
                };
                let new = at_entry(function, number).map_err(|reason| refuse(&reason))?;
                match value {
                    Some(value) => self
                        .replace_operand(user, value, new, type_bits)
                        .map_err(|reason| refuse(&reason))?,
                    None => return Err(refuse("it is used in a constant that is not understood")),
                }
            }
        }
        Ok(())
    }

    fn opaque_function(&self, name: &str) -> FunctionValue<'ctx> {
        let signature = self.context.i64_type().fn_type(&[], false);
        let function = self.module.add_function(
            &format!("{OPAQUE}{name}"),
            signature,
            Some(Linkage::External),
        );
        // Zero is "no memory".
        for wanted in [
            "memory",
            "nounwind",
            "willreturn",
            "speculatable",
            "nocallback",
        ] {
            let kind = Attribute::get_named_enum_kind_id(wanted);
            let attribute = self.context.create_enum_attribute(kind, 0);
            function.add_attribute(AttributeLoc::Function, attribute);
        }
        function
    }

    fn call_at_entry(
        &self,
        function: FunctionValue<'ctx>,
        opaque: FunctionValue<'ctx>,
        hole: HoleSymbol,
    ) -> Result<IntValue<'ctx>, String> {
        let entry = function.get_first_basic_block().ok_or("no code")?;
        match entry.get_first_instruction() {
            Some(first) => self.builder.position_before(&first),
            None => self.builder.position_at_end(entry),
        }
        let call = self
            .builder
            .build_call(opaque, &[], "")
            .map_err(|error| error.to_string())?;
        let number = call.try_as_basic_value().basic().ok_or("no value")?;
        if hole.bits < 64
            && !hole.signed
            && let Some(instruction) = number.as_instruction_value()
        {
            let word = self.context.i64_type();
            let range = [
                word.const_zero().into(),
                word.const_int(hole.max() + 1, false).into(),
            ];
            let range = self.context.metadata_node(&range);
            instruction
                .set_metadata(range, self.context.get_kind_id("range"))
                .map_err(|error| error.to_string())?;
        }
        Ok(number.into_int_value())
    }

    fn replace_operand(
        &self,
        user: InstructionValue<'ctx>,
        old: BasicValueEnum<'ctx>,
        number: IntValue<'ctx>,
        type_bits: Option<u32>,
    ) -> Result<(), String> {
        self.builder.position_before(&user);
        let text = |error: inkwell::builder::BuilderError| error.to_string();
        let new: BasicValueEnum<'ctx> = match type_bits {
            None => {
                let pointer = self.context.ptr_type(Default::default());
                self.builder
                    .build_int_to_ptr(number, pointer, "")
                    .map_err(text)?
                    .into()
            }
            Some(64) => number.into(),
            Some(bits) if bits < 64 => {
                let kind = match old.get_type() {
                    inkwell::types::BasicTypeEnum::IntType(kind) => kind,
                    _ => return Err("it is no number".to_owned()),
                };
                self.builder
                    .build_int_truncate(number, kind, "")
                    .map_err(text)?
                    .into()
            }
            Some(bits) => return Err(format!("it has {bits} bits")),
        };
        for index in 0..user.get_num_operands() {
            let operand = user.get_operand(index).and_then(|operand| operand.value());
            if operand == Some(old) {
                user.set_operand(index, new);
            }
        }
        Ok(())
    }
}

/// A hole that is a number.
struct Number<'a, 'ctx> {
    name: &'a str,
    address: PointerValue<'ctx>,
    hole: HoleSymbol,
    /// The function whose result it is.
    opaque: FunctionValue<'ctx>,
}

/// A use of a hole's address by an instruction.
struct Use<'ctx> {
    user: InstructionValue<'ctx>,
    /// The operand: the address, or the address as a number. `None` is a constant of another kind.
    value: Option<BasicValueEnum<'ctx>>,
    /// How many bits the number has; `None` for the address itself.
    type_bits: Option<u32>,
}

/// The uses of a hole's address, those inside constants included.
fn uses(address: PointerValue<'_>) -> Vec<Use<'_>> {
    let mut found = Vec::new();
    for used in each_use(address.get_first_use()) {
        match user(used) {
            User::Instruction(user) => found.push(Use {
                user,
                value: Some(address.into()),
                type_bits: None,
            }),
            User::Number(number) => {
                let type_bits = Some(number.get_type().get_bit_width());
                for used in each_use(number.get_first_use()) {
                    if let User::Instruction(user) = user(used) {
                        found.push(Use {
                            user,
                            value: Some(number.into()),
                            type_bits,
                        });
                    } else if let Some(pointer) = same_address(used) {
                        let users = each_use(pointer.get_first_use()).map(user);
                        found.extend(users.filter_map(|user| match user {
                            User::Instruction(user) => Some(Use {
                                user,
                                value: Some(pointer.into()),
                                type_bits: None,
                            }),
                            _ => None,
                        }));
                    } else {
                        found.extend(innermost(used).map(|user| Use {
                            user,
                            value: None,
                            type_bits: None,
                        }));
                    }
                }
            }
            User::Other => found.extend(innermost(used).map(|user| Use {
                user,
                value: None,
                type_bits: None,
            })),
        }
    }
    found
}

/// The constant that makes an address of the number that was made of one: from LLVM 22 on it is not the address itself.
fn same_address(used: BasicValueUse<'_>) -> Option<PointerValue<'_>> {
    match used.get_user() {
        AnyValueEnum::PointerValue(value) if value.as_instruction_value().is_none() => {
            let text = value.print_to_string().to_string();
            text.starts_with("ptr inttoptr (i64 ptrtoint (ptr @")
                .then_some(value)
        }
        _ => None,
    }
}

/// An instruction that uses a constant of another kind, somewhere.
fn innermost(used: BasicValueUse<'_>) -> Option<InstructionValue<'_>> {
    let next = match used.get_user() {
        AnyValueEnum::PointerValue(value) => value.get_first_use(),
        AnyValueEnum::IntValue(value) => value.get_first_use(),
        AnyValueEnum::ArrayValue(value) => value.get_first_use(),
        AnyValueEnum::StructValue(value) => value.get_first_use(),
        _ => None,
    };
    match (user(used), next) {
        (User::Instruction(user), _) => Some(user),
        (_, Some(next)) => innermost(next),
        (_, None) => None,
    }
}

enum User<'ctx> {
    Instruction(InstructionValue<'ctx>),
    /// A constant: the address, converted to a number.
    Number(IntValue<'ctx>),
    Other,
}

fn user(used: BasicValueUse<'_>) -> User<'_> {
    match used.get_user() {
        AnyValueEnum::InstructionValue(user) => User::Instruction(user),
        AnyValueEnum::IntValue(value) => match value.as_instruction_value() {
            Some(user) => User::Instruction(user),
            None if value
                .print_to_string()
                .to_string()
                .contains(" ptrtoint (ptr @") =>
            {
                User::Number(value)
            }
            None => User::Other,
        },
        AnyValueEnum::PointerValue(value) => match value.as_instruction_value() {
            Some(user) => User::Instruction(user),
            None => User::Other,
        },
        AnyValueEnum::FloatValue(value) => match value.as_instruction_value() {
            Some(user) => User::Instruction(user),
            None => User::Other,
        },
        AnyValueEnum::StructValue(value) => match value.as_instruction_value() {
            Some(user) => User::Instruction(user),
            None => User::Other,
        },
        AnyValueEnum::PhiValue(value) => User::Instruction(value.as_instruction()),
        _ => User::Other,
    }
}

fn each_use<'ctx>(first: Option<BasicValueUse<'ctx>>) -> impl Iterator<Item = BasicValueUse<'ctx>> {
    std::iter::successors(first, |used| used.get_next_use())
        .collect::<Vec<_>>()
        .into_iter()
}

/// The function that uses a symbol first.
pub(crate) fn function_using(address: PointerValue<'_>) -> Option<String> {
    let user = innermost(address.get_first_use()?)?;
    let function = user.get_parent()?.get_parent()?;
    Some(function.get_name().to_string_lossy().into_owned())
}
