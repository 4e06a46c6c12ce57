//! The standard set: CPython 3.13's uops.

use crate::{
    NAME, attributes, calls, cells, compare, constants, containers, control, dicts, exceptions,
    float, globals, guards, int, iteration, locals, matching, operators, py_calls, stack, str,
    subscripts, supernodes, text, truth,
};
use mimeo_compiler::template::{FrameLayout, Registers, TemplateSet};
use mimeo_objects::layout;

/// The templates that the standard table is made of.
pub fn standard_templates() -> TemplateSet {
    let frame = FrameLayout {
        locals: layout::FRAME_LOCALS as u32,
    };
    TemplateSet::new(NAME, frame)
        .with_registers(Registers::Slots)
        .with_supernodes(supernodes::of(supernodes::PYTHON))
        .with_sources(text::python())
        .with(locals::templates())
        .with(constants::templates())
        .with(stack::templates())
        .with(int::templates())
        .with(float::templates())
        .with(str::templates())
        .with(operators::templates())
        .with(truth::templates())
        .with(compare::templates())
        .with(guards::templates())
        .with(iteration::templates())
        .with(subscripts::templates())
        .with(containers::templates())
        .with(dicts::templates())
        .with(calls::templates())
        .with(py_calls::templates())
        .with(cells::templates())
        .with(globals::templates())
        .with(attributes::templates())
        .with(exceptions::templates())
        .with(matching::templates())
        .with(control::templates())
}
