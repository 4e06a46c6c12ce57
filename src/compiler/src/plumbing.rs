//! The uops that the compiler adds to sets with variants, for selection to move values with: between registers, to and
//! from the stack, and out of the trace.
//!
//! Sets with slots have `_SPILL`, whose variants `_rIO` take I values in registers and store all but the top O.
//!
//! Sets with operand forms have more. Where one names a stack slot, the oparg is the slot's distance from the stack pointer plus 2^15, and the stack pointer
//! is the register as it is, wherever the values in memory end.
//!
//! | uop | operand forms |
//! |---|---|
//! | `_MOVE_I64`, `_MOVE_F64` | a register to another |
//! | `_SPILL_I64`, `_SPILL_F64` | a register, or a constant, to the stack slot |
//! | `_RELOAD_I64`, `_RELOAD_F64` | the stack slot to a register |
//! | `_ADJUST_STACK` | the stack pointer to the stack slot |
//! | `_JUMP` | to the jump target |
//! | `_LEAVE` | to the code of the exit record whose address is in the first value register |
//!
//! Nobody needs the base forms, which every uop has. They do what the stack effect says and nothing else, so that a trace
//! that names them does no harm.

use crate::builder::Done;
use crate::error::TemplateError;
use crate::template::{Template, Type};

/// The name of each, with the type where there is one.
const MOVE: [(&str, Type); 2] = [("_MOVE_I64", Type::I64), ("_MOVE_F64", Type::F64)];
const SPILL: [(&str, Type); 2] = [("_SPILL_I64", Type::I64), ("_SPILL_F64", Type::F64)];
const RELOAD: [(&str, Type); 2] = [("_RELOAD_I64", Type::I64), ("_RELOAD_F64", Type::F64)];
const ADJUST_STACK: &str = "_ADJUST_STACK";
const JUMP: &str = "_JUMP";
const LEAVE: &str = "_LEAVE";
const SPILL_SLOTS: &str = "_SPILL";

/// Whether a template is one of those of sets with operand forms.
pub(crate) fn is_plumbing(template: &Template) -> bool {
    let name = template.name();
    let typed = [MOVE, SPILL, RELOAD].into_iter().flatten();
    typed
        .map(|(name, _)| name)
        .chain([ADJUST_STACK, JUMP, LEAVE])
        .any(|known| known == name)
}

/// Whether a template only moves a value, so that it has no form that leaves it where it is.
pub(crate) fn moves(template: &Template) -> bool {
    MOVE.iter().any(|(name, _)| *name == template.name())
}

/// What sets with slots have.
pub(crate) fn slot_template() -> Template {
    Template::new(SPILL_SLOTS, |b| b.continue_())
}

/// Whether a template stores values from registers as slots.
pub(crate) fn spills_slots(template: &Template) -> bool {
    template.name() == SPILL_SLOTS
}

/// What sets with operand forms have.
pub(crate) fn operand_templates() -> Vec<Template> {
    let mut templates = vec![
        Template::new(ADJUST_STACK, |b| match b.has_operands() {
            true => {
                let stack = b.biased_slot()?;
                b.continue_with_stack(stack)
            }
            false => b.continue_(),
        })
        .reads_oparg(),
        Template::new(JUMP, |b| b.jump()).jumps().terminal(),
        Template::new(LEAVE, leave).jumps().terminal(),
    ];
    templates.extend(MOVE.map(|(name, kind)| {
        Template::new(name, move |mut b| {
            let value = b.pop(kind)?;
            b.push(value)?;
            b.continue_()
        })
        .stack(1, 1)
    }));
    templates.extend(SPILL.map(|(name, kind)| {
        Template::new(name, move |mut b| {
            let value = b.pop(kind)?;
            if b.has_operands() {
                b.store(value, b.biased_slot()?, 0)?;
            }
            b.continue_()
        })
        .stack(1, 0)
        .reads_oparg()
    }));
    templates.extend(RELOAD.map(|(name, kind)| {
        Template::new(name, move |mut b| {
            let value = match b.has_operands() {
                true => b.load(kind, b.biased_slot()?, 0)?,
                false => b.llvm_type(kind).const_zero(),
            };
            b.push(value)?;
            b.continue_()
        })
        .stack(0, 1)
        .reads_oparg()
    }));
    templates
}

fn leave(b: crate::builder::TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
    match b.has_operands() {
        true => b.follow_first_register(),
        false => b.jump(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_known_by_its_name() {
        let templates = operand_templates();
        assert_eq!(templates.len(), 9);
        assert!(templates.iter().all(is_plumbing));
        assert_eq!(templates.iter().filter(|t| moves(t)).count(), 2);
    }
}
