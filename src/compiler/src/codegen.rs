//! Template set to table contents: modules of templates are built, optimised and emitted to object files in memory on
//! several threads, extracted, checked, and put together. The driver, [`compile`], is the list of the stages.
//!
//! The base forms come first: what is seen of the templates meanwhile says which variants there are.
//!
//! What goes into a module does not depend on the number of threads, and results are put together in the order of the
//! names: the same templates give the same bytes.

mod from_ir;

use crate::builder::{Facts, Mode};
use crate::constants;
use crate::error::{CompileError, IrProblem, TemplateError};
use crate::extract::{Extracted, ObjectReader, SymbolNames};
use crate::forms::{self, Entry, Job};
use crate::ir::with_tables_of_addresses;
use crate::module::{BuiltModule, Externals, Padded, build_module, diagnosed};
use crate::plumbing;
use crate::target;
use crate::template::{Registers, Template, TemplateSet};
use crate::verify::{self, Report, VariantInfo, VerifyError, Violation};
use inkwell::builder::BuilderError;
use inkwell::context::Context;
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::module::Module;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{FileType, TargetMachine};
use mimeo::form::{Form, OperandForm, RegisterSet};
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::{Part, StencilGroupBuf, UopFlags, UopInfo};
use mimeo::table::{TableContents, UopContents, VariantContents};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// LLVM's passes for templates, which are short and hold no loops to speak of. Measured on the standard set: the whole of
/// `default<O2>` takes as long within the noise, and its code is 7 bytes in 6,312 smaller.
const PIPELINE: &str =
    "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)";

/// Stencils per module. One module for all of them costs half as much a stencil as a module each; several let several
/// threads work.
pub(crate) const STENCILS_PER_MODULE: usize = 64;

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
    let added = added(set);
    let templates = sorted(set, &added)?;
    let (from_ir, templates): (Vec<&Template>, Vec<&Template>) = templates
        .into_iter()
        .partition(|template| template.ir().is_some());
    let base: Vec<Job<'_>> = templates.iter().copied().map(Job::base).collect();
    let mut modules = compile_jobs(set, &base, &Known::default(), options)?;
    let facts: Vec<Facts> = modules
        .iter_mut()
        .flat_map(|module| std::mem::take(&mut module.facts))
        .collect();
    let variants = forms::variants(set, &templates, &facts)?;
    let known = known(&modules);
    let variants = compile_jobs(set, &variants, &known, options)?;
    drop(known);
    modules.extend(from_ir::compile(set, &from_ir, options)?);
    modules.extend(variants);
    let mut externals = Externals::default();
    for module in &mut modules {
        externals.merge(std::mem::take(&mut module.externals))?;
    }
    let digest = digest(set, llvm_version, &modules);
    let Joined {
        symbols,
        uops,
        variants,
    } = join(modules);
    forms::check_sequences(set, &variants)?;
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
        sources: set.sources,
        symbols,
        uops,
        variants,
    })
}

/// The templates that the compiler adds.
pub(crate) fn added(set: &TemplateSet) -> Vec<Template> {
    match set.registers {
        Registers::Operands => plumbing::operand_templates(),
        Registers::Slots => vec![plumbing::slot_template()],
        Registers::None => Vec::new(),
    }
}

/// What is known of the uops when their variants are made.
type Known<'a> = BTreeMap<&'a str, UopInfo<'a>>;

fn known(modules: &[CompiledModule]) -> Known<'_> {
    let contents = modules.iter().flat_map(|module| &module.contents);
    let uops = contents.filter_map(|contents| match contents {
        Contents::Base(uop) => Some((uop.name.as_str(), uop.info())),
        Contents::Variant(_) => None,
    });
    uops.collect()
}

fn compile_jobs(
    set: &TemplateSet,
    jobs: &[Job<'_>],
    known: &Known<'_>,
    options: Options,
) -> Result<Vec<CompiledModule>, CompileError> {
    let modules: Vec<&[Job<'_>]> = jobs.chunks(STENCILS_PER_MODULE).collect();
    in_parallel(&modules, options.threads, |jobs| {
        compile_module(set, jobs, known)
    })
}

/// [`compile`], to the bytes of a table.
///
/// # Errors
/// As [`compile`]; besides, the contents may not fit the table's format.
pub fn compile_to_bytes(set: &TemplateSet, options: Options) -> Result<Vec<u8>, CompileError> {
    Ok(compile(set, options)?.to_bytes()?)
}

/// The templates' base forms as LLVM sees them before any optimisation, as text: for reading and for tests. Those that come
/// as IR stand behind those that the builder makes.
///
/// # Errors
/// A template is wrong.
pub fn ir_text(set: &TemplateSet) -> Result<String, CompileError> {
    target::check_version()?;
    let context = Context::create();
    let (from_ir, templates): (Vec<&Template>, Vec<&Template>) = sorted(set, &[])?
        .into_iter()
        .partition(|template| template.ir().is_some());
    let jobs: Vec<Job<'_>> = templates.into_iter().map(Job::base).collect();
    let built = build_module(&context, set, &jobs, &Padded::new(), Mode::Stencils)?;
    let text = built.module.print_to_string().to_string();
    Ok(text + &from_ir::text(set, &from_ir)?)
}

pub(crate) fn sorted<'t>(
    set: &'t TemplateSet,
    added: &'t [Template],
) -> Result<Vec<&'t Template>, CompileError> {
    let mut templates: Vec<&Template> = set.templates.iter().chain(added).collect();
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

/// One stencil group, with where its cold functions start.
struct Compiled {
    contents: Contents,
    cold_starts: Vec<u32>,
}

/// What becomes of a stencil group in the table.
enum Contents {
    Base(UopContents),
    Variant(VariantContents),
}

impl Contents {
    fn group(&self) -> &StencilGroupBuf {
        match self {
            Self::Base(uop) => &uop.group,
            Self::Variant(variant) => &variant.group,
        }
    }

    fn group_mut(&mut self) -> &mut StencilGroupBuf {
        match self {
            Self::Base(uop) => &mut uop.group,
            Self::Variant(variant) => &mut variant.group,
        }
    }
}

/// One module's stencils, with symbols numbered within the module.
struct CompiledModule {
    contents: Vec<Contents>,
    /// Of the base forms.
    facts: Vec<Facts>,
    symbols: SymbolNames,
    externals: Externals,
    ir: String,
}

fn compile_module(
    set: &TemplateSet,
    jobs: &[Job<'_>],
    known: &Known<'_>,
) -> Result<CompiledModule, CompileError> {
    let kept = match set.registers {
        Registers::Operands => verify::PINNED,
        Registers::None | Registers::Slots => RegisterSet::default(),
    };
    let context = Context::create();
    let machine = target::machine()?;
    let mut symbols = SymbolNames::default();
    let built = build_module(&context, set, jobs, &Padded::new(), Mode::Stencils)?;
    let ir = built.module.print_to_string().to_string();
    let compiled = stencils(&machine, &built, jobs, &mut symbols)?;
    let mut contents = Vec::with_capacity(compiled.len());
    for (job, stencil) in jobs.iter().zip(compiled) {
        let Some(mut stencil) = stencil else { continue };
        let mut padded = Padded::new();
        while let Some(function) = misaligned(&stencil, known, kept, &symbols, &padded)? {
            padded.insert(function);
            let job = std::slice::from_ref(job);
            let built = build_module(&context, set, job, &padded, Mode::Stencils)?;
            let again = stencils(&machine, &built, job, &mut symbols)?.swap_remove(0);
            let Some(again) = again else { break };
            stencil = again;
        }
        contents.push(stencil.contents);
    }
    Ok(CompiledModule {
        contents,
        facts: built.facts.into_iter().flatten().collect(),
        symbols,
        externals: built.externals,
        ir,
    })
}

/// Optimises and emits a module, and extracts its stencils: `None` for those that there are not.
fn stencils(
    machine: &TargetMachine,
    built: &BuiltModule<'_>,
    jobs: &[Job<'_>],
    symbols: &mut SymbolNames,
) -> Result<Vec<Option<Compiled>>, CompileError> {
    let object = object_file(machine, &built.module)?;
    let reader = ObjectReader::new(object.as_slice())?;
    let mut compiled = Vec::with_capacity(jobs.len());
    for (job, facts) in jobs.iter().zip(&built.facts) {
        compiled.push(match facts {
            Some(facts) => {
                let extracted = reader.extract(&job.name, symbols, job.placeholders())?;
                Some(describe(job, facts, extracted))
            }
            None => None,
        });
    }
    Ok(compiled)
}

/// Optimises and emits a module.
pub(crate) fn object_file(
    machine: &TargetMachine,
    module: &Module<'_>,
) -> Result<MemoryBuffer<'static>, CompileError> {
    optimise(machine, module, PIPELINE, PassBuilderOptions::create())?;
    constants::make_immediates(module).map_err(|source| CompileError::Template {
        template: module.get_name().to_string_lossy().into_owned(),
        source,
    })?;
    machine
        .write_to_memory_buffer(module, FileType::Object)
        .map_err(|message| CompileError::Llvm {
            stage: "emit an object file",
            message: message.to_string(),
        })
}

/// Emits a module of IR that somebody else made, in which LLVM may find what it cannot make code of.
///
/// # Errors
/// What it finds, without the template's name.
pub(crate) fn object_of_ir(
    machine: &TargetMachine,
    module: &Module<'_>,
    source: &str,
) -> Result<MemoryBuffer<'static>, CompileError> {
    let emit = || machine.write_to_memory_buffer(module, FileType::Object);
    let (object, messages) = diagnosed(module.get_context(), emit);
    let message = match object {
        Ok(object) if messages.is_empty() => return Ok(object),
        Ok(_) => messages.join("; "),
        Err(message) => message.to_string(),
    };
    let stage = "make code of it";
    Err(CompileError::ir(
        source,
        None,
        IrProblem::Llvm { stage, message },
    ))
}

/// Finds the template that an error is about which names none: it alone gives an error, too.
pub(crate) fn blame<T: Copy>(
    templates: &[T],
    name: &impl Fn(T) -> String,
    error: CompileError,
    compile: &impl Fn(&[T]) -> Option<CompileError>,
) -> CompileError {
    match templates {
        _ if !error.names_none() => error,
        [] => error,
        &[template] => error.of_template(&name(template)),
        _ => {
            let (first, second) = templates.split_at(templates.len() / 2);
            let failing = [first, second]
                .into_iter()
                .find_map(|half| Some((half, compile(half)?)));
            match failing {
                Some((half, error)) => blame(half, name, error, compile),
                None => error,
            }
        }
    }
}

/// Makes a module and runs LLVM's passes over it; anew where they make tables of addresses, without tables in those functions.
///
/// # Errors
/// As `build` says, LLVM's passes fail, or a table is there all the same, of which `error` is told.
pub(crate) fn optimised_without_address_tables<'ctx>(
    machine: &TargetMachine,
    passes: &str,
    build: impl Fn(&BTreeSet<String>) -> Result<Module<'ctx>, CompileError>,
    error: impl Fn((String, IrProblem)) -> CompileError,
) -> Result<Module<'ctx>, CompileError> {
    let mut without_tables = BTreeSet::new();
    loop {
        let module = build(&without_tables)?;
        optimise(machine, &module, passes, PassBuilderOptions::create())?;
        let found = with_tables_of_addresses(&module);
        if let Some(function) = found.intersection(&without_tables).next() {
            return Err(error((function.clone(), IrProblem::AddressTable)));
        }
        if found.is_empty() {
            return Ok(module);
        }
        without_tables.extend(found);
    }
}

/// What a builder of instructions refuses.
pub(crate) fn not_built(error: BuilderError) -> CompileError {
    CompileError::Llvm {
        stage: "build an instruction",
        message: error.to_string(),
    }
}

/// Runs LLVM's passes.
pub(crate) fn optimise(
    machine: &TargetMachine,
    module: &Module<'_>,
    pipeline: &str,
    options: PassBuilderOptions,
) -> Result<(), CompileError> {
    module
        .run_passes(pipeline, machine, options)
        .map_err(|message| CompileError::Llvm {
            stage: "optimise a module",
            message: message.to_string(),
        })
}

fn describe(job: &Job<'_>, facts: &Facts, extracted: Extracted) -> Compiled {
    match (&job.entry, job.templates.as_slice()) {
        (Entry::Base, [template]) => describe_base(template, facts, extracted),
        _ => describe_variant(job, facts, extracted),
    }
}

fn describe_variant(job: &Job<'_>, facts: &Facts, extracted: Extracted) -> Compiled {
    let form = match &job.entry {
        Entry::Base => Form::Slots {
            registers_in: 0,
            registers_out: 0,
        },
        Entry::Slots { registers_in, .. } => Form::Slots {
            registers_in: *registers_in,
            registers_out: facts.registers_out.unwrap_or_default(),
        },
        Entry::Operands { inputs, output } => Form::Operands(OperandForm {
            inputs: inputs.clone(),
            output: *output,
            intact: facts.intact.unwrap_or_default(),
            renameable: extracted.renameable,
        }),
    };
    let limits = (0..job.templates.len()).map(|element| facts.limits(element));
    let (oparg_max, operand_max, operand1_max) = limits.collect();
    let names = job.templates.iter().map(|template| template.name());
    Compiled {
        contents: Contents::Variant(VariantContents {
            uops: names.map(str::to_owned).collect(),
            form,
            oparg_max,
            operand_max,
            operand1_max,
            group: extracted.group,
            register_holes: extracted.register_holes,
        }),
        cold_starts: extracted.cold_starts,
    }
}

/// The metadata is what the template declares, what it was seen to do, and what its code turned out to need.
fn describe_base(template: &Template, facts: &Facts, extracted: Extracted) -> Compiled {
    let mut flags = template.flags();
    for hole in extracted.group.as_group().holes() {
        flags |= match hole.value() {
            value @ (HoleValue::Oparg
            | HoleValue::Operand
            | HoleValue::Operand1
            | HoleValue::Target) => UopFlags::announcing(value),
            // What a template may do it declares itself.
            _ => UopFlags::empty(),
        };
    }
    if facts.reads_operand1() {
        // The handler may read it where LLVM has found the stencil not to need it. Interpreted traces have a place for it
        // where the flag says so.
        flags |= UopFlags::OPERAND1;
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
        operand1_max: extracted.operand1_max.unwrap_or(u64::MAX),
        locals: template.locals(),
        group: extracted.group,
    };
    Compiled {
        contents: Contents::Base(contents),
        cold_starts: extracted.cold_starts,
    }
}

/// Checks a stencil group, of which base forms keep the registers `kept`. The function that calls C with a misaligned
/// stack is returned, unless it was padded already.
fn misaligned(
    stencil: &Compiled,
    known: &Known<'_>,
    kept: RegisterSet,
    symbols: &SymbolNames,
    padded: &Padded,
) -> Result<Option<usize>, CompileError> {
    let names: Vec<&str> = symbols.names().iter().map(String::as_str).collect();
    let checked = match &stencil.contents {
        Contents::Base(uop) => verify::check_base(&uop.info(), uop.group.as_group(), kept, &names),
        Contents::Variant(variant) => check_variant(variant, known, &names),
    };
    match checked {
        Ok(_) => Ok(None),
        Err(error) => function_to_pad(error, &stencil.cold_starts, padded).map(Some),
    }
}

/// The function in which a stencil or a handler calls C with a misaligned stack.
///
/// # Errors
/// Another rule is broken, or the function was padded already.
pub(crate) fn function_to_pad(
    error: VerifyError,
    cold_starts: &[u32],
    padded: &Padded,
) -> Result<usize, CompileError> {
    let function = match error.part {
        Part::Cold => cold_starts.partition_point(|&start| start <= error.offset),
        Part::Hot | Part::Data => 0,
    };
    match (&error.violation, error.is_misaligned_call()) {
        (_, true) if !padded.contains(&function) => Ok(function),
        // What it is declared to be is the template's own.
        (Violation::Role { .. }, _) => Err(CompileError::Template {
            template: error.uop,
            source: TemplateError::Misuse(error.violation.to_string()),
        }),
        _ => Err(error.into()),
    }
}

fn check_variant(
    variant: &VariantContents,
    known: &Known<'_>,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    let names = variant.uops.iter().enumerate();
    let uops: Vec<UopInfo<'_>> = names
        .filter_map(|(element, name)| {
            Some(UopInfo {
                oparg_max: *variant.oparg_max.get(element)?,
                operand_max: *variant.operand_max.get(element)?,
                operand1_max: *variant.operand1_max.get(element)?,
                ..*known.get(name.as_str())?
            })
        })
        .collect();
    let info = VariantInfo {
        uops: &uops,
        form: &variant.form,
    };
    let group = variant.group.as_group();
    verify::check_variant(&info, group, &variant.register_holes, symbols)
}

/// The modules put together.
struct Joined {
    symbols: Vec<String>,
    uops: Vec<UopContents>,
    variants: Vec<VariantContents>,
}

/// Puts the modules' stencils together, with the symbols of all of them sorted by name.
fn join(modules: Vec<CompiledModule>) -> Joined {
    let mut names: Vec<String> = modules
        .iter()
        .flat_map(|module| module.used_symbols())
        .collect();
    names.sort();
    names.dedup();
    let (mut uops, mut variants) = (Vec::new(), Vec::new());
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
        for mut contents in module.contents {
            renumber(contents.group_mut(), &renumbered);
            match contents {
                Contents::Base(uop) => uops.push(uop),
                Contents::Variant(variant) => variants.push(variant),
            }
        }
    }
    uops.sort_by(|a: &UopContents, b| a.name.cmp(&b.name));
    Joined {
        symbols: names,
        uops,
        variants,
    }
}

impl CompiledModule {
    /// A stencil that was compiled twice may have referred to more the first time.
    fn used_symbols(&self) -> Vec<String> {
        let holes = self.contents.iter().flat_map(|contents| {
            contents
                .group()
                .as_group()
                .holes()
                .copied()
                .collect::<Vec<_>>()
        });
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

/// What the digest covers of a uop's metadata. A second operand without a limit is left out, so that sets without second
/// operands keep the digests that they had before there were any.
fn metadata(info: &UopInfo<'_>) -> String {
    let unlimited = format!(" operand1_max: {},", u64::MAX);
    format!("{info:?}").replace(&unlimited, "")
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
    part(format!("{:?} {:?}", set.registers, set.supernodes).as_bytes());
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
        for contents in &module.contents {
            match contents {
                Contents::Base(uop) => part(metadata(&uop.info()).as_bytes()),
                Contents::Variant(variant) => {
                    part(format!("{:?} {:?}", variant.uops, variant.form).as_bytes());
                }
            }
        }
    }
    *hasher.finalize().as_bytes()
}
