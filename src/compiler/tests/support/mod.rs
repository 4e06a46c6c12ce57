//! What the tests of compilation share: small sets, and their tables' uops.

#![allow(dead_code, reason = "each test file uses its part")]

use inkwell::IntPredicate;
use inkwell::values::IntValue;
use mimeo::stencil::Part;
use mimeo::table::{TableContents, UopContents};
use mimeo_compiler::builder::{Done, TemplateBuilder};
use mimeo_compiler::codegen::{Options, compile};
use mimeo_compiler::disassemble::disassemble;
use mimeo_compiler::error::{CompileError, TemplateError};
use mimeo_compiler::template::{FrameLayout, Helper, Template, TemplateSet, Type};
use std::num::NonZeroUsize;

pub(crate) type Path = Result<Done, TemplateError>;
pub(crate) type Built<T> = Result<T, TemplateError>;
pub(crate) type Builder<'t, 'ctx> = TemplateBuilder<'t, 'ctx>;

pub(crate) const P: Type = Type::Pointer;
/// A helper that takes and returns a word.
pub(crate) const WORD: Helper = Helper::new("helper_word", &[Type::I64], Type::I64);
/// A helper without a result.
pub(crate) const TOUCH: Helper = Helper::without_result("helper_touch", &[P]);

/// Local 0 stands this many bytes into the frame.
pub(crate) const LOCALS: u32 = 48;

pub(crate) fn set(templates: impl IntoIterator<Item = Template>) -> TemplateSet {
    TemplateSet::new("test", FrameLayout { locals: LOCALS }).with(templates)
}

pub(crate) fn threads(count: usize) -> Options {
    Options {
        threads: NonZeroUsize::new(count).unwrap(),
    }
}

pub(crate) fn compile_set(set: &TemplateSet) -> Result<TableContents, CompileError> {
    compile(set, threads(1))
}

/// The one uop of a set of one template.
pub(crate) fn uop(template: Template) -> (UopContents, Vec<String>) {
    let mut contents = compile_set(&set([template])).unwrap_or_else(|error| panic!("{error}"));
    (contents.uops.remove(0), contents.symbols)
}

/// A part as text: an instruction a line, its holes behind it.
pub(crate) fn text(uop: &UopContents, symbols: &[String], part: Part) -> String {
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let (_, stencil) = uop.group.as_group().parts()[part as usize];
    let lines = disassemble(stencil, part, &symbols);
    let lines = lines.into_iter().map(|line| match line.holes.is_empty() {
        true => line.text,
        false => format!("{} ; {}", line.text, line.holes.join(", ")),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether an i64 is zero.
pub(crate) fn is_zero<'ctx>(b: &Builder<'_, 'ctx>, value: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_compare(IntPredicate::EQ, value, b.i64(0), "")?)
}
