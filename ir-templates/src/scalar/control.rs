//! Jumps, guards and the exit.

use super::compare::{is_not_zero, is_zero};
use mimeo_compiler::template::Template;

pub(super) fn templates() -> Vec<Template> {
    vec![
        Template::new("JUMP", |b| b.jump()).jumps().terminal(),
        Template::new("JUMP_IF_TRUE", |mut b| {
            let condition = b.pop_i64()?;
            let holds = is_not_zero(&b, condition)?;
            b.when(holds, |b| b.jump())?;
            b.continue_()
        })
        .stack(1, 0)
        .jumps(),
        Template::new("JUMP_IF_FALSE", |mut b| {
            let condition = b.pop_i64()?;
            let fails = is_zero(&b, condition)?;
            b.when(fails, |b| b.jump())?;
            b.continue_()
        })
        .stack(1, 0)
        .jumps(),
        Template::new("GUARD_TRUE", |mut b| {
            let condition = b.pop_i64()?;
            let fails = is_zero(&b, condition)?;
            b.unlikely(fails, |b| b.jump())?;
            b.continue_()
        })
        .stack(1, 0)
        .may_exit(),
        Template::new("GUARD_FALSE", |mut b| {
            let condition = b.pop_i64()?;
            let holds = is_not_zero(&b, condition)?;
            b.unlikely(holds, |b| b.jump())?;
            b.continue_()
        })
        .stack(1, 0)
        .may_exit(),
        Template::new("EXIT", |b| b.side_exit())
            .side_exits()
            .terminal(),
    ]
}
