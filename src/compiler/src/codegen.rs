//! Template set to table contents: modules of templates are built, optimised and emitted to object files in memory on
//! several threads, extracted, checked, and put together. The driver, [`compile`], is the list of the stages.
//!
//! What goes into a module does not depend on the number of threads, and results are put together in the order of the
//! names: the same templates give the same bytes.

use crate::builder::{Facts, Mode};
use crate::error::CompileError;
use crate::extract::{Extracted, ObjectReader, SymbolNames};
use crate::module::{BuiltModule, Externals, Padded, build_module};
use crate::target;
use crate::template::{Template, TemplateSet};
use crate::verify;
use inkwell::context::Context;
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::module::Module;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{FileType, TargetMachine};
use mimeo::form::RegisterSet;
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::{Part, StencilGroupBuf, UopFlags};
use mimeo::table::{TableContents, UopContents};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// LLVM's passes for templates, which are short and hold no loops to speak of. Measured on the standard set: the whole of
/// `default<O2>` takes as long within the noise, and its code is 7 bytes in 6,312 smaller.
const PIPELINE: &str =
    "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)";

/// Templates per module. One module for all of them costs half as much a template as a module each; several let several
/// threads work.
pub(crate) const TEMPLATES_PER_MODULE: usize = 64;

/// How to compile.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many threads work at once. The result does not depend on it.
    pub threads: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// Compiles a template set to the contents of its table. Every stencil has passed the [checker](crate::verify).
///
/// # Errors
/// A template is wrong, the linked LLVM is not the one this build is for, or a stencil breaks a rule. The error names
/// the uop.
pub fn compile(set: &TemplateSet, options: Options) -> Result<TableContents, CompileError> {
    let llvm_version = target::check_version()?;
    let templates = sorted(set)?;
    let modules: Vec<&[&Template]> = templates.chunks(TEMPLATES_PER_MODULE).collect();
    let mut compiled = in_parallel(&modules, options.threads, |templates| {
        compile_module(set, templates)
    })?;
    let mut externals = Externals::default();
    for module in &mut compiled {
        externals.merge(std::mem::take(&mut module.externals))?;
    }
    let digest = digest(set, llvm_version, &compiled);
    let (symbols, uops) = join(compiled);
    let version = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Ok(TableContents {
        set: set.name.clone(),
        cpu: target::CPU.to_owned(),
        llvm_version: (
            version(llvm_version.0),
            version(llvm_version.1),
            version(llvm_version.2),
        ),
        digest,
        symbols,
        uops,
        variants: Vec::new(),
    })
}

/// [`compile`], to the bytes of a table.
///
/// # Errors
/// As [`compile`]; besides, the contents may not fit the table's format.
pub fn compile_to_bytes(set: &TemplateSet, options: Options) -> Result<Vec<u8>, CompileError> {
    Ok(compile(set, options)?.to_bytes()?)
}

/// The templates' code as LLVM sees it before any optimisation, as text: for reading and for tests.
///
/// # Errors
/// A template is wrong.
pub fn ir_text(set: &TemplateSet) -> Result<String, CompileError> {
    target::check_version()?;
    let context = Context::create();
    let built = build_module(&context, set, &sorted(set)?, &Padded::new(), Mode::Stencils)?;
    Ok(built.module.print_to_string().to_string())
}

pub(crate) fn sorted(set: &TemplateSet) -> Result<Vec<&Template>, CompileError> {
    let mut templates: Vec<&Template> = set.templates.iter().collect();
    templates.sort_by(|a, b| a.name().cmp(b.name()));
    match templates
        .windows(2)
        .find(|pair| pair[0].name() == pair[1].name())
    {
        Some(pair) => Err(CompileError::Duplicate(pair[0].name().to_owned())),
        None => Ok(templates),
    }
}

/// Runs `work` on every item, several at once; the results, or the first error, are in the order of the items.
pub(crate) fn in_parallel<T: Sync, R: Send, E: Send>(
    items: &[T],
    threads: NonZeroUsize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<R, E>>>> =
        items.iter().map(|_| Mutex::new(None)).collect();
    let worker = || {
        while let Some((item, result)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).zip(results.get(index))
        } {
            let done = work(item);
            *result
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.get().min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    results
        .into_iter()
        .filter_map(|result| {
            result
                .into_inner()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        })
        .collect()
}

/// One uop, with where its cold functions start.
struct CompiledUop {
    contents: UopContents,
    cold_starts: Vec<u32>,
}

/// One module's uops, with symbols numbered within the module.
struct CompiledModule {
    uops: Vec<UopContents>,
    symbols: SymbolNames,
    externals: Externals,
    ir: String,
}

fn compile_module(
    set: &TemplateSet,
    templates: &[&Template],
) -> Result<CompiledModule, CompileError> {
    let context = Context::create();
    let machine = target::machine()?;
    let mut symbols = SymbolNames::default();
    let built = build_module(&context, set, templates, &Padded::new(), Mode::Stencils)?;
    let ir = built.module.print_to_string().to_string();
    let compiled = stencils(&machine, &built, templates, &mut symbols)?;
    let mut uops = Vec::with_capacity(compiled.len());
    for (template, mut uop) in templates.iter().zip(compiled) {
        let mut padded = Padded::new();
        while let Some(function) = misaligned(&uop, &symbols, &padded)? {
            padded.insert(function);
            let built = build_module(&context, set, &[template], &padded, Mode::Stencils)?;
            uop = stencils(&machine, &built, &[template], &mut symbols)?.swap_remove(0);
        }
        uops.push(uop.contents);
    }
    Ok(CompiledModule {
        uops,
        symbols,
        externals: built.externals,
        ir,
    })
}

/// The stencils of a module.
fn stencils(
    machine: &TargetMachine,
    built: &BuiltModule<'_>,
    templates: &[&Template],
    symbols: &mut SymbolNames,
) -> Result<Vec<CompiledUop>, CompileError> {
    let object = object_file(machine, &built.module)?;
    let reader = ObjectReader::new(object.as_slice())?;
    let mut uops = Vec::with_capacity(templates.len());
    for (template, facts) in templates.iter().zip(&built.facts) {
        uops.push(describe(
            template,
            facts,
            reader.extract(template.name(), symbols, RegisterSet::default())?,
        ));
    }
    Ok(uops)
}

/// Optimises and emits a module.
pub(crate) fn object_file(
    machine: &TargetMachine,
    module: &Module<'_>,
) -> Result<MemoryBuffer<'static>, CompileError> {
    optimise(machine, module)?;
    machine
        .write_to_memory_buffer(module, FileType::Object)
        .map_err(|message| CompileError::Llvm {
            stage: "emit an object file",
            message: message.to_string(),
        })
}

fn optimise(machine: &TargetMachine, module: &Module<'_>) -> Result<(), CompileError> {
    module
        .run_passes(PIPELINE, machine, PassBuilderOptions::create())
        .map_err(|message| CompileError::Llvm {
            stage: "optimise a module",
            message: message.to_string(),
        })
}

/// The metadata is what the template declares, what it was seen to do, and what its code turned out to need.
fn describe(template: &Template, facts: &Facts, extracted: Extracted) -> CompiledUop {
    let mut flags = template.flags();
    for hole in extracted.group.as_group().holes() {
        flags |= match hole.value() {
            value @ (HoleValue::Oparg | HoleValue::Operand | HoleValue::Target) => {
                UopFlags::announcing(value)
            }
            // What a template may do it declares itself.
            _ => UopFlags::empty(),
        };
    }
    let effect = template.effect();
    let depends_on_oparg = !effect.popped.is_fixed() || !effect.pushed.is_fixed();
    if depends_on_oparg || flags.contains(UopFlags::LOCAL) {
        flags |= UopFlags::OPARG;
    }
    let oparg_limit = u64::from(u16::MAX);
    let contents = UopContents {
        name: template.name().to_owned(),
        effect,
        leaving_effect: facts.leaving_effect.unwrap_or_default(),
        flags,
        oparg_max: extracted.oparg_max.unwrap_or(oparg_limit).min(oparg_limit) as u32,
        operand_max: extracted.operand_max.unwrap_or(u64::MAX),
        locals: template.locals(),
        group: extracted.group,
    };
    CompiledUop {
        contents,
        cold_starts: extracted.cold_starts,
    }
}

/// Checks a uop. The function that calls C with a misaligned stack is returned, unless it was padded already.
fn misaligned(
    uop: &CompiledUop,
    symbols: &SymbolNames,
    padded: &Padded,
) -> Result<Option<usize>, CompileError> {
    let names: Vec<&str> = symbols.names().iter().map(String::as_str).collect();
    let contents = &uop.contents;
    match verify::check_group(&contents.info(), contents.group.as_group(), &names) {
        Ok(_) => Ok(None),
        Err(error) => {
            let function = match error.part {
                Part::Cold => uop
                    .cold_starts
                    .partition_point(|&start| start <= error.offset),
                Part::Hot | Part::Data => 0,
            };
            if error.is_misaligned_call() && !padded.contains(&function) {
                return Ok(Some(function));
            }
            Err(error.into())
        }
    }
}

/// Puts the modules' uops together, with the symbols of all of them sorted by name.
fn join(modules: Vec<CompiledModule>) -> (Vec<String>, Vec<UopContents>) {
    let mut names: Vec<String> = modules
        .iter()
        .flat_map(|module| module.used_symbols())
        .collect();
    names.sort();
    names.dedup();
    let mut uops = Vec::new();
    for module in modules {
        let renumbered: Vec<u32> = module
            .symbols
            .names()
            .iter()
            .map(|name| {
                names
                    .binary_search(name)
                    .map_or(u32::MAX, |index| index as u32)
            })
            .collect();
        uops.extend(module.uops.into_iter().map(|mut uop| {
            renumber(&mut uop.group, &renumbered);
            uop
        }));
    }
    (names, uops)
}

impl CompiledModule {
    /// A stencil that was compiled twice may have referred to more the first time.
    fn used_symbols(&self) -> Vec<String> {
        let holes = self
            .uops
            .iter()
            .flat_map(|uop| uop.group.as_group().holes().copied().collect::<Vec<_>>());
        holes
            .filter(|hole| hole.value() == HoleValue::Symbol)
            .filter_map(|hole| self.symbols.names().get(hole.symbol() as usize).cloned())
            .collect()
    }
}

fn renumber(group: &mut StencilGroupBuf, numbers: &[u32]) {
    for part in [&mut group.hot, &mut group.cold, &mut group.data] {
        for hole in &mut part.holes {
            if hole.value() == HoleValue::Symbol {
                *hole = Hole::with_symbol(*hole, numbers[hole.symbol() as usize]);
            }
        }
    }
}

/// BLAKE3 of everything the stencils depend on: the templates' unoptimised IR, what they declare, the LLVM and how it
/// is used, and the set's environment.
fn digest(
    set: &TemplateSet,
    llvm_version: (u32, u32, u32),
    modules: &[CompiledModule],
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(set.name.as_bytes());
    part(format!("{:?}", set.frame).as_bytes());
    part(&set.environment);
    part(
        format!(
            "LLVM {llvm_version:?} {} {} {PIPELINE}",
            target::TRIPLE,
            target::CPU
        )
        .as_bytes(),
    );
    for module in modules {
        part(module.ir.as_bytes());
        for uop in &module.uops {
            part(format!("{:?}", uop.info()).as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}
