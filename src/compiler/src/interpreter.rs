//! Template set to interpreter image: the templates built once more as handlers that read instruction records, compiled
//! and checked as stencils are, and put together to one piece of code that needs no relocation. See
//! [`mimeo::interpreter`] for how it runs.

use crate::builder::Mode;
use crate::codegen::{
    Options, STENCILS_PER_MODULE, added, function_to_pad, in_parallel, object_file, sorted,
};
use crate::error::CompileError;
use crate::extract::{ObjectReader, SymbolNames};
use crate::forms::Job;
use crate::module::{Padded, build_module};
use crate::target;
use crate::template::{Template, TemplateSet};
use crate::verify::check_handler;
use inkwell::context::Context;
use inkwell::targets::TargetMachine;
use mimeo::form::RegisterSet;
use mimeo::hole::{Hole, HoleValue};
use mimeo::interpreter::{CODE_ALIGN, HANDLER_ALIGN, ImageContents};
use mimeo::stencil::{StencilGroupBuf, UopInfo};

/// Compiles a template set to the image of its interpreter; `digest` is that of the set's table. Every handler has passed
/// [`check_handler`].
///
/// # Errors
/// A template is wrong, the linked LLVM is not the one this build is for, or a handler breaks a rule. The error names
/// the uop.
pub fn compile_interpreter(
    set: &TemplateSet,
    digest: &[u8; 32],
    options: Options,
) -> Result<ImageContents, CompileError> {
    target::check_version()?;
    let added = added(set);
    let templates = sorted(set, &added)?;
    let symbols = symbols(set, &templates)?;
    let modules: Vec<&[&Template]> = templates.chunks(STENCILS_PER_MODULE).collect();
    let handlers = in_parallel(&modules, options.threads, |templates| {
        compile_module(set, templates, &symbols)
    })?
    .concat();
    let (code, entries) = link(&handlers);
    Ok(ImageContents {
        set: set.name.clone(),
        digest: *digest,
        symbols,
        entries,
        code,
    })
}

/// The names of the symbols that templates use, in the order of the table through which handlers find them.
fn symbols(set: &TemplateSet, templates: &[&Template]) -> Result<Vec<String>, CompileError> {
    let context = Context::create();
    let built = build_module(
        &context,
        set,
        &base_forms(templates),
        &Padded::new(),
        Mode::Stencils,
    )?;
    Ok(built.externals.names())
}

fn base_forms<'t>(templates: &[&'t Template]) -> Vec<Job<'t>> {
    templates.iter().copied().map(Job::base).collect()
}

fn compile_module(
    set: &TemplateSet,
    templates: &[&Template],
    symbols: &[String],
) -> Result<Vec<StencilGroupBuf>, CompileError> {
    let machine = target::machine()?;
    let build = |templates: &[&Template], padded: &Padded| {
        handlers(&machine, set, templates, padded, symbols)
    };
    let mut compiled = build(templates, &Padded::new())?;
    for (template, handler) in templates.iter().zip(&mut compiled) {
        let mut padded = Padded::new();
        while let Some(function) = misaligned(template, handler, &padded)? {
            padded.insert(function);
            *handler = build(&[template], &padded)?.swap_remove(0);
        }
    }
    Ok(compiled.into_iter().map(|handler| handler.group).collect())
}

/// A handler, with where its cold functions start.
struct Handler {
    group: StencilGroupBuf,
    cold_starts: Vec<u32>,
}

fn handlers(
    machine: &TargetMachine,
    set: &TemplateSet,
    templates: &[&Template],
    padded: &Padded,
    symbols: &[String],
) -> Result<Vec<Handler>, CompileError> {
    let context = Context::create();
    let mode = Mode::Interpreter(symbols);
    let built = build_module(&context, set, &base_forms(templates), padded, mode)?;
    let object = object_file(machine, &built.module)?;
    let reader = ObjectReader::new(object.as_slice())?;
    // The checker refuses every reference to a symbol.
    let mut names = SymbolNames::default();
    templates
        .iter()
        .map(|template| {
            let extracted = reader.extract(template.name(), &mut names, RegisterSet::default())?;
            Ok(Handler {
                group: extracted.group,
                cold_starts: extracted.cold_starts,
            })
        })
        .collect()
}

/// Checks a handler. The function that calls C with a misaligned stack is returned, unless it was padded already.
fn misaligned(
    template: &Template,
    handler: &Handler,
    padded: &Padded,
) -> Result<Option<usize>, CompileError> {
    let uop = UopInfo {
        name: template.name(),
        flags: template.flags(),
        ..UopInfo::default()
    };
    match check_handler(&uop, handler.group.as_group()) {
        Ok(_) => Ok(None),
        Err(error) => function_to_pad(error, &handler.cold_starts, padded).map(Some),
    }
}

/// Puts hot code, cold code and constants of all handlers one behind the other and fills the distances between them.
/// Returns the code, and where each handler's hot code starts.
fn link(handlers: &[StencilGroupBuf]) -> (Vec<u8>, Vec<u32>) {
    let mut code = Vec::new();
    let mut append = |bytes: &[u8], align: usize| {
        // Control never gets to what stands between handlers.
        code.resize(code.len().next_multiple_of(align), INT3);
        code.extend_from_slice(bytes);
        (code.len() - bytes.len()) as u32
    };
    let groups = || handlers.iter().map(StencilGroupBuf::as_group);
    let hot: Vec<u32> = groups()
        .map(|group| append(group.hot.bytes, HANDLER_ALIGN))
        .collect();
    let cold: Vec<u32> = groups().map(|group| append(group.cold.bytes, 1)).collect();
    append(&[], CODE_ALIGN);
    let data: Vec<u32> = groups()
        .map(|group| append(group.data.bytes, group.data.align.max(1) as usize))
        .collect();
    for (index, group) in groups().enumerate() {
        let place_of = |value| match value {
            HoleValue::Code => hot[index],
            HoleValue::Cold => cold[index],
            // The checker has seen no other.
            _ => data[index],
        };
        for (part, start) in [(group.hot, hot[index]), (group.cold, cold[index])] {
            for hole in part.holes {
                fill(&mut code, hole, start, place_of(hole.value()));
            }
        }
    }
    (code, hot)
}

/// int3, which is one byte and therefore traps wherever a stray jump lands in it.
const INT3: u8 = 0xcc;

/// S + A - P: the distance from a hole, in the part at `start`, to `destination`. All lie within one piece of code.
fn fill(code: &mut [u8], hole: &Hole, start: u32, destination: u32) {
    let place = start + hole.offset();
    let distance = (destination as i32)
        .wrapping_add(hole.addend())
        .wrapping_sub(place as i32);
    let place = place as usize;
    code[place..place + 4].copy_from_slice(&distance.to_le_bytes());
}
