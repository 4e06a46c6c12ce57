//! Templates that come as IR to stencils of a table: the functions of a module are made templates in memory, optimised
//! together with what they inline, and emitted; extraction and the checker are those of all stencils.

use super::{
    Compiled, CompiledModule, Known, Options, Padded, STENCILS_PER_MODULE, blame, describe_base,
    in_parallel, misaligned, not_built, object_of_ir, optimised_without_address_tables,
};
use crate::arguments::make_words;
use crate::contract::PIPELINE;
use crate::error::{CompileError, IrProblem};
use crate::extract::{ObjectReader, SymbolNames};
use crate::fold::{Style, fold};
use crate::ir::{
    IrFunction, IrTemplates, Purpose, align_locals, check_selectable, forbid_jump_tables,
    forbid_tables, is_number, lower_alignments, make_templates, name_constants, not_inlined, seen,
};
use crate::module::{Externals, pad_frame};
use crate::symbol::SymbolMeanings;
use crate::target;
use crate::template::{Template, TemplateSet};
use inkwell::context::Context;
use inkwell::module::Module;
use inkwell::targets::TargetMachine;
use mimeo::form::RegisterSet;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Compiles templates that come as IR, in groups of one module each.
///
/// # Errors
/// As [`compile`](super::compile).
pub(super) fn compile(
    set: &TemplateSet,
    templates: &[&Template],
    options: Options,
) -> Result<Vec<CompiledModule>, CompileError> {
    let groups = groups(templates);
    in_parallel(&groups, options.threads, |group| compile_group(set, group))
}

/// The modules before optimisation, as text.
///
/// # Errors
/// One is not what it should be.
pub(super) fn text(set: &TemplateSet, templates: &[&Template]) -> Result<String, CompileError> {
    let machine = target::position_independent_machine()?;
    groups(templates)
        .iter()
        .map(|group| {
            check(set, group)?;
            let context = Context::create();
            let module = group.module(&context, &machine, &group.functions)?;
            Ok(module.print_to_string().to_string())
        })
        .collect()
}

/// Templates of one module.
struct Group<'t> {
    ir: &'t IrTemplates,
    functions: Vec<IrFunction>,
    templates: Vec<&'t Template>,
}

/// Puts templates of one module together, in their order. A function that is several templates is in several groups.
fn groups<'t>(templates: &[&'t Template]) -> Vec<Group<'t>> {
    let mut groups: Vec<Group<'t>> = Vec::new();
    for &template in templates {
        let Some((ir, function)) = template.ir() else {
            continue;
        };
        let wanted = IrFunction {
            function: function.to_owned(),
            stencil: template.name().to_owned(),
        };
        let has_room = |group: &&mut Group<'t>| {
            group.ir.is(ir)
                && group.functions.len() < STENCILS_PER_MODULE
                && group
                    .functions
                    .iter()
                    .all(|other| other.function != function)
        };
        match groups.iter_mut().find(has_room) {
            Some(group) => {
                group.functions.push(wanted);
                group.templates.push(template);
            }
            None => groups.push(Group {
                ir,
                functions: vec![wanted],
                templates: vec![template],
            }),
        }
    }
    groups
}

fn check(set: &TemplateSet, group: &Group<'_>) -> Result<(), CompileError> {
    for template in &group.templates {
        template
            .check(set.frame, set.registers)
            .map_err(|source| CompileError::Template {
                template: template.name().to_owned(),
                source,
            })?;
    }
    Ok(())
}

fn compile_group(set: &TemplateSet, group: &Group<'_>) -> Result<CompiledModule, CompileError> {
    check(set, group)?;
    let machine = target::position_independent_machine()?;
    let mut symbols = SymbolNames::default();
    let mut ir = format!("{PIPELINE}\n");
    for (name, hole) in group.ir.holes().holes() {
        ir += &format!("{name} {hole}\n");
    }
    let all: Vec<usize> = (0..group.functions.len()).collect();
    let compiled = group
        .emit(&machine, &all, false, &mut symbols, Some(&mut ir))
        .map_err(|error| {
            let name = |index: usize| group.functions[index].stencil.clone();
            let alone = |indices: &[usize]| {
                let symbols = &mut SymbolNames::default();
                let emitted = group.emit(&machine, indices, false, symbols, None);
                emitted.err()
            };
            blame(&all, &name, error, &alone)
        })?;
    let mut contents = Vec::with_capacity(compiled.len());
    for (index, mut stencil) in compiled.into_iter().enumerate() {
        let mut padded = Padded::new();
        while let Some(function) = check_stencil(&stencil, &symbols, &padded)? {
            padded.insert(function);
            stencil = group
                .emit(&machine, &[index], true, &mut symbols, None)?
                .swap_remove(0);
        }
        contents.push(stencil.contents);
    }
    Ok(CompiledModule {
        contents,
        facts: Vec::new(),
        symbols,
        externals: Externals::default(),
        ir,
    })
}

fn check_stencil(
    stencil: &Compiled,
    symbols: &SymbolNames,
    padded: &Padded,
) -> Result<Option<usize>, CompileError> {
    misaligned(
        stencil,
        &Known::default(),
        RegisterSet::default(),
        symbols,
        padded,
    )
}

impl Group<'_> {
    /// The module with these functions as templates, not optimised. What a file or a front end is called is not in it, so
    /// that the same code is the same wherever it comes from.
    fn module<'ctx>(
        &self,
        context: &'ctx Context,
        machine: &TargetMachine,
        functions: &[IrFunction],
    ) -> Result<Module<'ctx>, CompileError> {
        let source = self.ir.source();
        let module = source.parse(context)?;
        module.set_name("");
        module.set_source_file_name("");
        module.strip_debug_info();
        let functions: Vec<&IrFunction> = functions.iter().collect();
        let holes = self.ir.holes();
        make_templates(&module, source.name(), &functions, holes, Purpose::Table)?;
        module.set_triple(&machine.get_triple());
        module.set_data_layout(&machine.get_target_data().get_data_layout());
        Ok(module)
    }

    /// A problem of the function with this name.
    fn of_function(&self, (function, problem): (String, IrProblem)) -> CompileError {
        let wanted = self
            .functions
            .iter()
            .find(|wanted| wanted.function == function);
        let name = wanted.map_or(&function, |wanted| &wanted.stencil);
        CompileError::ir(self.ir.source().name(), Some(name), problem)
    }

    /// Compiles the templates with these indices; `text` gets the module as it was before optimisation.
    fn emit(
        &self,
        machine: &TargetMachine,
        indices: &[usize],
        padded: bool,
        symbols: &mut SymbolNames,
        text: Option<&mut String>,
    ) -> Result<Vec<Compiled>, CompileError> {
        let source = self.ir.source().name();
        let functions: Vec<IrFunction> = indices
            .iter()
            .filter_map(|&index| self.functions.get(index).cloned())
            .collect();
        let context = Context::create();
        let unoptimised = RefCell::new(None);
        let build = |without_tables: &BTreeSet<String>| {
            let module = self.module(&context, machine, &functions)?;
            forbid_tables(&module, without_tables);
            unoptimised.replace(text.as_ref().map(|_| module.print_to_string()));
            Ok(module)
        };
        let module = optimised_without_address_tables(machine, PIPELINE, build, |error| {
            self.of_function(error)
        })?;
        if let (Some(text), Some(unoptimised)) = (text, unoptimised.take()) {
            *text += &unoptimised.to_string();
        }
        make_words(&module, false).map_err(not_built)?;
        if let Some(left) = not_inlined(&module, &functions) {
            return Err(CompileError::ir(source, None, IrProblem::NotInlined(left)));
        }
        forbid_jump_tables(&module);
        align_locals(&module, &machine.get_target_data()).map_err(not_built)?;
        lower_alignments(&module);
        name_constants(&module);
        let holes = self.ir.holes();
        check_selectable(&module).map_err(|error| self.of_function(error))?;
        fold(&module, &machine.get_target_data(), holes, Style::Holes)
            .map_err(|error| self.of_function(error))?;
        if padded {
            pad(&context, &module, &functions)?;
        }
        module.verify().map_err(|message| {
            let problem = IrProblem::Invalid(message.to_string());
            CompileError::ir(source, None, problem)
        })?;
        let object = object_of_ir(machine, &module, source)?;
        let reader = ObjectReader::new(object.as_slice())?.with_meanings(addresses(holes));
        let mut compiled = Vec::with_capacity(indices.len());
        for (wanted, &index) in functions.iter().zip(indices) {
            let Some((function, template)) = module
                .get_function(&wanted.function)
                .zip(self.templates.get(index))
            else {
                let problem = IrProblem::NoFunction(wanted.function.clone());
                return Err(CompileError::ir(source, Some(&wanted.stencil), problem));
            };
            let facts = seen(function, holes, template);
            facts
                .check(template)
                .map_err(|source| CompileError::Template {
                    template: template.name().to_owned(),
                    source,
                })?;
            let extracted = reader.extract(&wanted.stencil, symbols, RegisterSet::default())?;
            compiled.push(describe_base(template, &facts, extracted));
        }
        Ok(compiled)
    }
}

/// The holes that have the caller's names in the object file: numbers have the names of [`crate::symbol`] there.
fn addresses(holes: &SymbolMeanings) -> SymbolMeanings {
    let addresses = holes.holes().filter(|(_, hole)| !is_number(hole.value));
    addresses.fold(SymbolMeanings::default(), |meanings, (name, hole)| {
        meanings.hole(name, hole)
    })
}

/// Gives functions a word of stack more than they need.
fn pad(
    context: &Context,
    module: &Module<'_>,
    functions: &[IrFunction],
) -> Result<(), CompileError> {
    let builder = context.create_builder();
    for function in functions {
        if let Some(function) = module.get_function(&function.function) {
            pad_frame(module.get_context(), &builder, function, 1).map_err(not_built)?;
        }
    }
    Ok(())
}
