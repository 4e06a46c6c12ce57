//! Templates from IR to stencils that somebody's C code copies and patches: each is code in one piece, which falls through
//! to the next one's, and data. The contract says how the code is entered and left and what its holes are filled with;
//! what is made of it here is for any of them.
//!
//! As the table's stencils, these are optimised and emitted on several threads, extracted, and checked. They differ in
//! that C computes what fills a hole (see [`Expression`]), so that numbers of any kind become immediates; and in that
//! addresses of functions and data, which may be anywhere, stand in words of the data.

use crate::codegen::{in_parallel, optimise};
use crate::error::{CompileError, IrProblem};
use crate::expression::Expression;
use crate::extract::{ExtractError, ExtractProblem, ObjectReader, SymbolNames};
use crate::fold::{Numbers, Style, fold};
use crate::ir::{Entered, IrFunction, IrSource, make_templates};
use crate::symbol::SymbolMeanings;
use crate::target;
use inkwell::context::Context;
use inkwell::targets::FileType;
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Stencil, StencilGroupBuf};
use std::num::NonZeroUsize;

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

/// LLVM's passes for templates of a contract. Each is a function in which much is inlined: unlike those for tables, they
/// are worth all that there is.
const PIPELINE: &str = "default<O3>";

/// Stencils per module: see [`crate::codegen`].
const STENCILS_PER_MODULE: usize = 64;

/// Compiles functions of a module to stencils, in the order in which they are given.
///
/// # Errors
/// The module is not what it should be, the linked LLVM is not the one this build is for, or a stencil breaks a rule. The
/// error names the stencil.
pub fn compile_stencils(
    source: &IrSource,
    functions: &[IrFunction],
    holes: &SymbolMeanings,
    threads: NonZeroUsize,
) -> Result<Vec<CStencil>, CompileError> {
    target::check_version()?;
    let chunks: Vec<&[IrFunction]> = functions.chunks(STENCILS_PER_MODULE).collect();
    let compiled = in_parallel(&chunks, threads, |functions| {
        let wanted: Vec<&IrFunction> = functions.iter().collect();
        compile_module(source, &wanted, holes)
    })?;
    Ok(compiled.into_iter().flatten().collect())
}

fn compile_module(
    source: &IrSource,
    functions: &[&IrFunction],
    holes: &SymbolMeanings,
) -> Result<Vec<CStencil>, CompileError> {
    match emit(source, functions, holes, true) {
        // LLVM put a number where only a positive one fits: then none are operands but those that are.
        Err(CompileError::Extract(ExtractError { problem, .. }))
            if matches!(*problem, ExtractProblem::Narrow { .. }) =>
        {
            emit(source, functions, holes, false)
        }
        result => result,
    }
}

fn emit(
    source: &IrSource,
    functions: &[&IrFunction],
    holes: &SymbolMeanings,
    wide_operands: bool,
) -> Result<Vec<CStencil>, CompileError> {
    let context = Context::create();
    let machine = target::position_independent_machine()?;
    let module = source.parse(&context)?;
    make_templates(&module, source.name(), functions, holes, Entered::AsStencil)?;
    optimise(&machine, &module, PIPELINE)?;
    let style = Style::Numbers { wide_operands };
    let numbers = fold(&module, &machine.get_target_data(), holes, style)
        .map_err(|(function, problem)| CompileError::ir(source.name(), Some(&function), problem))?;
    module.verify().map_err(|message| {
        let problem = IrProblem::Invalid(message.to_string());
        CompileError::ir(source.name(), None, problem)
    })?;
    if std::env::var_os("MIMEO_DUMP").is_some() {
        eprintln!("{}", module.print_to_string().to_string());
    }
    let object = machine
        .write_to_memory_buffer(&module, FileType::Object)
        .map_err(|message| CompileError::Llvm {
            stage: "emit an object file",
            message: message.to_string(),
        })?;
    let reader =
        ObjectReader::new(object.as_slice())?.with_meanings(with_numbers(holes, &numbers));
    functions
        .iter()
        .map(|function| {
            let mut symbols = SymbolNames::default();
            let extracted = reader.extract_whole(&function.stencil, &mut symbols)?;
            Ok(stencil(&function.stencil, &extracted.group, &symbols, &numbers))
        })
        .collect()
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
    let Some(word) = hole.addend().checked_add(4).and_then(|at| u32::try_from(at).ok()) else {
        return false;
    };
    let is_word = hole.value() == HoleValue::Data
        && data.holes.iter().any(|hole| hole.offset() == word);
    let before = |back: usize| place.checked_sub(back).and_then(|at| code.get(at)).copied();
    let modrm = before(1).unwrap_or_default();
    let form = match (before(3), before(2)) {
        (Some(0x48..=0x4f), Some(0x8b)) => modrm & 0xc7 == 0x05,
        (_, Some(0xff)) => matches!(modrm, 0x15 | 0x25),
        _ => false,
    };
    is_word && form
}
