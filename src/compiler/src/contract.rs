//! Templates from IR to stencils that somebody's C code copies and patches: each is code in one piece, which falls through
//! to the next one's, and data. The contract says how the code is entered and left and what its holes are filled with;
//! what is made of it here is for any of them.
//!
//! As the table's stencils, these are optimised and emitted on several threads, extracted, and checked. They differ in
//! that C computes what fills a hole (see [`Expression`]), so that numbers of any kind become immediates; and in that
//! addresses of functions and data, which may be anywhere, stand in words of the data.

use crate::addresses::{save_words, sink_addresses};
use crate::arguments::make_words;
use crate::codegen::{
    blame, in_parallel, not_built, object_of_ir, optimise, optimised_without_address_tables,
};
use crate::counts::mark_counts;
use crate::error::{CompileError, IrProblem};
use crate::expression::Expression;
use crate::extract::{ExtractError, ExtractProblem, ObjectReader, SymbolNames};
use crate::fold::{Numbers, Style, fold};
use crate::hoist::compute_early;
use crate::ir::{
    Entered, IrFunction, IrSource, Purpose, check_selectable, forbid_jump_tables, forbid_tables,
    lower_alignments, lower_locals, make_templates, name_constants,
};
use crate::module::pad_frame;
use crate::symbol::SymbolMeanings;
use crate::target;
use crate::verify::{Report, VerifyError, check_c_entry, check_c_stencil};
use inkwell::GlobalVisibility;
use inkwell::attributes::AttributeLoc;
use inkwell::builder::BuilderError;
use inkwell::context::Context;
use inkwell::module::{Linkage, Module};
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::TargetMachine;
use inkwell::values::InstructionOpcode;
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Stencil, StencilGroup, StencilGroupBuf};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::rc::Rc;

/// What fills a place, but for the addend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filling {
    /// The value of a hole: an address of code, or of the stencil's data.
    Value(HoleValue),
    /// A number.
    Number(Expression),
    /// The address of this function or data.
    Address(String),
}

/// A place to patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Bytes from the start of the code or data.
    pub offset: u32,
    /// How the value becomes bytes.
    pub kind: RelocationKind,
    /// What fills it.
    pub filling: Filling,
    /// What is added.
    pub addend: i64,
    /// Whether it is the way to a word of the data with an address, in an instruction that could have the address itself
    /// if that is near: the psABI's R_X86_64_GOTPCRELX and R_X86_64_REX_GOTPCRELX.
    pub relaxable: bool,
}

/// Code or data of a stencil.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CBytes {
    /// The bytes to copy; those to patch are zero.
    pub bytes: Vec<u8>,
    /// What the address must be a multiple of; a power of two.
    pub align: u32,
    /// Ascending by offset.
    pub patches: Vec<Patch>,
}

/// A stencil that C code copies and patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CStencil {
    /// What it is called.
    pub name: String,
    /// The code.
    pub code: CBytes,
    /// The data, which the code refers to.
    pub data: CBytes,
}

/// LLVM's passes for templates from IR. Each is a function in which much is inlined: unlike those that the builder makes,
/// they are worth all that there is. What is given stands where variables are numbers and loops are simple.
macro_rules! pipeline {
    ($before:literal, $behind:literal) => {
        concat!(
            "globaldce,",
            "cgscc(devirt<4>(inline,function(sroa<modify-cfg>,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>))),",
            "function(jump-threading,correlated-propagation,simplifycfg,instcombine<no-verify-fixpoint>,gvn,dse,",
            $before,
            "jump-threading,correlated-propagation,sccp,bdce,adce,instcombine<no-verify-fixpoint>,",
            $behind,
            "simplifycfg<sink-common-insts;hoist-common-insts;switch-to-lookup>,sink)"
        )
    };
}

/// The passes for stencils of a table.
pub(crate) const PIPELINE: &str = pipeline!("", "");

/// The passes for stencils that C code patches: a loop that runs once or twice is none, and two words are copied as one.
const C_PIPELINE: &str = pipeline!(
    "loop-simplify,lcssa,loop(loop-unroll-full),instcombine<no-verify-fixpoint>,simplifycfg,gvn,",
    "slp-vectorizer,instcombine<no-verify-fixpoint>,"
);

/// What a stencil is entered with, in r12, r13 and r14: the function's parameters at these positions. Whatever is at r12
/// takes a byte more than others in every address, and at r13 where nothing is added; so the stack pointer is in r14, and
/// the thread, which is used least, in r12.
const ORDER: [usize; 3] = [2, 0, 1];

/// Stencils per module. Every module is read whole, whatever part of it is wanted; two let two threads work.
const STENCILS_PER_MODULE: usize = 120;

/// Where addresses of functions and data stand that instructions cannot have as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// In words of the data, unless the code is not longer without one.
    InData,
    /// In the code, as immediates of 64 bits; only what is called in words of the data.
    InCode,
}

/// Compiles functions of a module to stencils, in the order in which they are given; the first is that of `entry`, if there
/// is one, through which C enters the others.
///
/// The entry calls the continuation, which is where the first stencil stands. Stencils are entered with rsp at 0 mod 16, and
/// use rbp; so the entry saves rbp, and its own calls of C functions have an odd number of words on the stack.
///
/// # Errors
/// The module is not what it should be, the linked LLVM is not the one this build is for, the entry does not call the
/// continuation in one place, or a stencil breaks a rule. The error names the stencil.
pub fn compile_stencils(
    source: &IrSource,
    entry: Option<&IrFunction>,
    functions: &[IrFunction],
    holes: &SymbolMeanings,
    addresses: Addresses,
    threads: NonZeroUsize,
) -> Result<Vec<CStencil>, CompileError> {
    target::check_version()?;
    let chunks = functions.chunks(STENCILS_PER_MODULE).map(Work::Stencils);
    // The large ones first: who is done with them has time for the small one.
    let work: Vec<Work<'_>> = chunks.chain(entry.map(Work::Entry)).collect();
    let mut compiled = in_parallel(&work, threads, |work| match work {
        Work::Stencils(functions) => compile_module(source, functions, holes, addresses),
        Work::Entry(function) => Ok(vec![compile_entry(source, function, holes, addresses)?]),
    })?;
    if entry.is_some() {
        compiled.rotate_right(1);
    }
    Ok(compiled.into_iter().flatten().collect())
}

/// What one thread does at a time.
enum Work<'a> {
    Stencils(&'a [IrFunction]),
    Entry(&'a IrFunction),
}

fn compile_entry(
    source: &IrSource,
    function: &IrFunction,
    holes: &SymbolMeanings,
    addresses: Addresses,
) -> Result<CStencil, CompileError> {
    let emitted = emit_as_possible(source, &[function], holes, Entered::FromC, addresses)
        .map_err(|error| match error.names_none() {
            true => error.of_template(&function.stencil),
            false => error,
        })?
        .swap_remove(0);
    emitted.check(check_c_entry)?;
    Ok(emitted.into_stencil())
}

fn compile_module(
    source: &IrSource,
    functions: &[IrFunction],
    holes: &SymbolMeanings,
    addresses: Addresses,
) -> Result<Vec<CStencil>, CompileError> {
    let functions: Vec<&IrFunction> = functions.iter().collect();
    let emit = |functions: &[&IrFunction]| {
        emit_as_possible(source, functions, holes, Entered::AsStencil, addresses)
    };
    let emitted = emit(&functions).map_err(|error| {
        let name = |function: &IrFunction| function.stencil.clone();
        let alone = |functions: &[&IrFunction]| emit(functions).err();
        blame(&functions, &name, error, &alone)
    })?;
    emitted
        .into_iter()
        .map(|emitted| {
            emitted.check(check_c_stencil)?;
            Ok(emitted.into_stencil())
        })
        .collect()
}

/// A stencil as it was extracted.
struct Emitted {
    name: String,
    group: StencilGroupBuf,
    symbols: SymbolNames,
    numbers: Rc<Numbers>,
}

/// A check of the [checker](crate::verify).
type Check = fn(&str, StencilGroup<'_>, &[&str]) -> Result<Report, VerifyError>;

impl Emitted {
    fn check(&self, check: Check) -> Result<Report, VerifyError> {
        let symbols: Vec<&str> = self.symbols.names().iter().map(String::as_str).collect();
        check(&self.name, self.group.as_group(), &symbols)
    }

    fn into_stencil(self) -> CStencil {
        stencil(&self.name, &self.group, &self.symbols, &self.numbers)
    }
}

fn emit_as_possible(
    source: &IrSource,
    functions: &[&IrFunction],
    holes: &SymbolMeanings,
    entered: Entered,
    addresses: Addresses,
) -> Result<Vec<Emitted>, CompileError> {
    match compile_functions(source, functions, holes, entered, addresses, true) {
        // LLVM put a number where only a positive one fits: then none are operands but those that are.
        Err(CompileError::Extract(ExtractError { problem, .. }))
            if matches!(*problem, ExtractProblem::Narrow { .. }) =>
        {
            compile_functions(source, functions, holes, entered, addresses, false)
        }
        result => result,
    }
}

/// The stages from IR to stencils that call C functions with an aligned stack; `wide_operands` as in [`Style::Numbers`].
fn compile_functions(
    source: &IrSource,
    functions: &[&IrFunction],
    holes: &SymbolMeanings,
    entered: Entered,
    addresses: Addresses,
    wide_operands: bool,
) -> Result<Vec<Emitted>, CompileError> {
    let context = Context::create();
    let machine = target::position_independent_machine()?;
    let of_function = |(function, problem): (String, IrProblem)| {
        let wanted = functions.iter().find(|wanted| wanted.function == function);
        let name = wanted.map_or(&function, |wanted| &wanted.stencil);
        CompileError::ir(source.name(), Some(name), problem)
    };
    let build = |without_tables: &BTreeSet<String>| {
        let module = source.parse(&context)?;
        module.strip_debug_info();
        let purpose = Purpose::Contract {
            entered,
            order: &ORDER,
        };
        make_templates(&module, source.name(), functions, holes, purpose)?;
        forget_saved_registers(&module);
        forbid_tables(&module, without_tables);
        Ok(module)
    };
    let module = optimised_without_address_tables(&machine, C_PIPELINE, build, of_function)?;
    mark_counts(&module).map_err(|error| CompileError::Llvm {
        stage: "mark what counts",
        message: error.to_string(),
    })?;
    let options = PassBuilderOptions::create();
    optimise(&machine, &module, "function(gvn,simplifycfg)", options)?;
    compute_early(&module).map_err(not_built)?;
    make_words(&module, entered == Entered::FromC).map_err(not_built)?;
    if entered == Entered::FromC {
        save_rbp(&module).map_err(not_built)?;
    }
    forbid_jump_tables(&module);
    save_words(&module, addresses).map_err(not_built)?;
    if entered == Entered::AsStencil {
        lower_locals(&module);
        lower_alignments(&module);
    }
    let style = Style::Numbers {
        wide_operands,
        addresses,
    };
    check_selectable(&module).map_err(of_function)?;
    let numbers = fold(&module, &machine.get_target_data(), holes, style).map_err(of_function)?;
    let numbers = Rc::new(numbers);
    sink_addresses(&module).map_err(not_built)?;
    end_where_nobody_comes(&module).map_err(not_built)?;
    name_constants(&module);
    // Emitting changes a module.
    let spare = module.clone();
    let mut emitted = emit(&machine, &module, source, functions, holes, &numbers)?;
    if entered == Entered::FromC {
        call_next(source, functions, &mut emitted)?;
    }
    let check = match entered {
        Entered::AsStencil => check_c_stencil,
        Entered::FromC => check_c_entry,
    };
    // A word of stack may also leave LLVM with more registers, and so with a word less.
    for words in 1..=MAX_PADDING {
        let misaligned: Vec<usize> = (0..emitted.len())
            .filter(|&index| {
                let checked = emitted[index].check(check);
                checked.is_err_and(|error| error.is_misaligned_call())
            })
            .collect();
        if misaligned.is_empty() {
            break;
        }
        let again: Vec<&IrFunction> = misaligned.iter().map(|&index| functions[index]).collect();
        let module = spare.clone();
        leave_padded(&machine, &module, &again, words)?;
        let mut padded = emit(&machine, &module, source, &again, holes, &numbers)?;
        if entered == Entered::FromC {
            call_next(source, &again, &mut padded)?;
        }
        for (index, padded) in misaligned.into_iter().zip(padded) {
            emitted[index] = padded;
        }
    }
    Ok(emitted)
}

/// Lets the code through which C enters stencils call the first one, which stands at its end.
fn call_next(
    source: &IrSource,
    functions: &[&IrFunction],
    emitted: &mut [Emitted],
) -> Result<(), CompileError> {
    for (emitted, function) in emitted.iter_mut().zip(functions) {
        let wrong = |calls| {
            let problem = IrProblem::Entry { calls };
            CompileError::ir(source.name(), Some(&function.stencil), problem)
        };
        let code = &mut emitted.group.hot;
        let continues = |hole: &&Hole| hole.value() == HoleValue::Continue;
        let places: Vec<Hole> = code.holes.iter().filter(continues).copied().collect();
        let [call] = places[..] else {
            return Err(wrong(places.len()));
        };
        let (start, end) = (call.offset() as usize, call.end() as usize);
        let opcode = start.checked_sub(1).and_then(|at| code.bytes.get(at));
        if opcode != Some(&0xe8) {
            return Err(wrong(0));
        }
        let distance = (code.bytes.len() - end) as u32;
        code.bytes[start..end].copy_from_slice(&distance.to_le_bytes());
        code.holes.retain(|hole| *hole != call);
    }
    Ok(())
}

/// Stencils use rbp, whether LLVM knows that or not: so the entry saves it.
fn save_rbp(module: &Module<'_>) -> Result<(), BuilderError> {
    let context = module.get_context();
    let builder = context.create_builder();
    let signature = context.void_type().fn_type(&[], false);
    for function in module.get_functions() {
        let first = function
            .get_first_basic_block()
            .and_then(|entry| entry.get_first_instruction());
        if let Some(first) = first {
            let (text, clobbers) = (String::new(), "~{rbp}".to_owned());
            let uses =
                context.create_inline_asm(signature, text, clobbers, true, false, None, false);
            builder.position_before(&first);
            builder.build_indirect_call(signature, uses, &[], "")?;
        }
    }
    Ok(())
}

/// Puts an instruction behind calls of functions that do not return: LLVM would put nothing there, and the code run on into
/// whatever follows, for all that the checker can see. A function that is nothing but such a call needs none.
fn end_where_nobody_comes(module: &Module<'_>) -> Result<(), BuilderError> {
    let context = module.get_context();
    let builder = context.create_builder();
    let signature = context.void_type().fn_type(&[], false);
    for function in module.get_functions() {
        if function.count_basic_blocks() < 2 {
            continue;
        }
        for block in function.get_basic_blocks() {
            let Some(end) = block.get_terminator() else {
                continue;
            };
            if end.get_opcode() == InstructionOpcode::Unreachable {
                let (text, none) = ("ud2".to_owned(), String::new());
                let trap =
                    context.create_inline_asm(signature, text, none, true, false, None, false);
                builder.position_before(&end);
                builder.build_indirect_call(signature, trap, &[], "")?;
            }
        }
    }
    Ok(())
}

/// The most words of stack that a stencil gets so that its calls find the stack aligned.
const MAX_PADDING: u32 = 3;

/// Leaves these functions in a module, each with words of stack more than it needs.
fn leave_padded(
    machine: &TargetMachine,
    module: &Module<'_>,
    functions: &[&IrFunction],
    words: u32,
) -> Result<(), CompileError> {
    let context = module.get_context();
    let builder = context.create_builder();
    for function in module.get_functions() {
        let name = function.get_name().to_string_lossy();
        match functions.iter().any(|wanted| wanted.function == name) {
            true => pad_frame(context, &builder, function, words).map_err(not_built)?,
            false if function.count_basic_blocks() > 0 => {
                let global = function.as_global_value();
                global.set_visibility(GlobalVisibility::Default);
                function.set_linkage(Linkage::Internal);
            }
            false => {}
        }
    }
    optimise(machine, module, "globaldce", PassBuilderOptions::create())
}

/// Emits a module to an object file, and extracts the stencils.
fn emit(
    machine: &TargetMachine,
    module: &Module<'_>,
    source: &IrSource,
    functions: &[&IrFunction],
    holes: &SymbolMeanings,
    numbers: &Rc<Numbers>,
) -> Result<Vec<Emitted>, CompileError> {
    module.verify().map_err(|message| {
        let problem = IrProblem::Invalid(message.to_string());
        CompileError::ir(source.name(), None, problem)
    })?;
    let object = object_of_ir(machine, module, source.name())?;
    let reader = ObjectReader::new(object.as_slice())?.with_meanings(with_numbers(holes, numbers));
    functions
        .iter()
        .map(|function| {
            let mut symbols = SymbolNames::default();
            let extracted = reader.extract_whole(&function.stencil, &mut symbols)?;
            Ok(Emitted {
                name: function.stencil.clone(),
                group: extracted.group,
                symbols,
                numbers: Rc::clone(numbers),
            })
        })
        .collect()
}

/// Lets stencils use rbp, which the entry saves for all of them.
fn forget_saved_registers(module: &Module<'_>) {
    let context = module.get_context();
    for function in module.get_functions() {
        let attribute = context.create_string_attribute("no_callee_saved_registers", "");
        if function.get_call_conventions() == target::PRESERVE_NONE {
            function.add_attribute(AttributeLoc::Function, attribute);
        }
    }
}

/// The holes' meanings, and those of the numbers.
fn with_numbers(holes: &SymbolMeanings, numbers: &Numbers) -> SymbolMeanings {
    let mut meanings = holes.clone();
    for (name, expression) in numbers {
        let range = expression.range();
        let narrow = |end: i128| i64::try_from(end).ok();
        let range = match (narrow(*range.start()), narrow(*range.end())) {
            (Some(start), Some(end)) => start..=end,
            _ => i64::MIN..=i64::MAX,
        };
        meanings = meanings.number(name, range);
    }
    meanings
}

fn stencil(
    name: &str,
    group: &StencilGroupBuf,
    symbols: &SymbolNames,
    numbers: &Numbers,
) -> CStencil {
    let group = group.as_group();
    let filling = |hole: &Hole| match hole.value() {
        HoleValue::Symbol => {
            let name = symbols.names().get(hole.symbol() as usize);
            let name = name.map(String::as_str).unwrap_or_default();
            match numbers.get(name) {
                Some(number) => Filling::Number(number.clone()),
                None => Filling::Address(name.to_owned()),
            }
        }
        value => Filling::Value(value),
    };
    let part = |stencil: Stencil<'_>, is_code: bool| CBytes {
        bytes: stencil.bytes.to_vec(),
        align: stencil.align,
        patches: stencil
            .holes
            .iter()
            .map(|hole| Patch {
                offset: hole.offset(),
                kind: hole.kind(),
                filling: filling(hole),
                addend: hole.addend().into(),
                relaxable: is_code && is_relaxable(stencil.bytes, hole, group.data),
            })
            .collect(),
    };
    CStencil {
        name: name.to_owned(),
        code: part(group.hot, true),
        data: part(group.data, false),
    }
}

/// Whether the instruction loads, calls or jumps through the word of the data that the hole leads to, and that word is
/// filled with an address: `mov r64, [rip + x]`, `call [rip + x]`, `jmp [rip + x]`.
fn is_relaxable(code: &[u8], hole: &Hole, data: Stencil<'_>) -> bool {
    let place = hole.offset() as usize;
    let Some(word) = hole
        .addend()
        .checked_add(4)
        .and_then(|at| u32::try_from(at).ok())
    else {
        return false;
    };
    let is_word =
        hole.value() == HoleValue::Data && data.holes.iter().any(|hole| hole.offset() == word);
    let before = |back: usize| place.checked_sub(back).and_then(|at| code.get(at)).copied();
    let modrm = before(1).unwrap_or_default();
    let form = match (before(3), before(2)) {
        (Some(0x48..=0x4f), Some(0x8b)) => modrm & 0xc7 == 0x05,
        (_, Some(0xff)) => matches!(modrm, 0x15 | 0x25),
        _ => false,
    };
    is_word && form
}

#[cfg(test)]
mod tests;
