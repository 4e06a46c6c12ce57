//! Constants, locals, and the order of the stack.

use super::Path;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Template, Type};

pub(super) fn templates() -> Vec<Template> {
    let kinds = [("I64", Type::I64), ("F64", Type::F64)];
    kinds
        .into_iter()
        .flat_map(|(suffix, kind)| {
            let named = |what: &str| format!("{what}_{suffix}");
            [
                Template::new(named("CONST"), move |b| constant(b, kind))
                    .stack(0, 1)
                    .constant(),
                Template::new(named("LOAD"), move |b| load(b, kind))
                    .stack(0, 1)
                    .loads_local(),
                Template::new(named("STORE"), move |b| store(b, kind))
                    .stack(1, 0)
                    .stores_local(),
                Template::new(named("DUP"), move |b| copy(b, kind))
                    .stack(1, 2)
                    .copies(),
                Template::new(named("DROP"), |mut b| {
                    b.drop_values(1)?;
                    b.continue_()
                })
                .stack(1, 0)
                .drops(),
                Template::new(named("SWAP"), move |b| swap(b, kind))
                    .stack(2, 2)
                    .swaps(),
            ]
        })
        .collect()
}

fn constant(mut b: TemplateBuilder<'_, '_>, kind: Type) -> Path {
    let bits = b.operand()?;
    let value = b.ir().build_bit_cast(bits, b.llvm_type(kind), "")?;
    b.push(value)?;
    b.continue_()
}

fn load(mut b: TemplateBuilder<'_, '_>, kind: Type) -> Path {
    let value = b.load(kind, b.local()?, 0)?;
    b.push(value)?;
    b.continue_()
}

fn store(mut b: TemplateBuilder<'_, '_>, kind: Type) -> Path {
    let value = b.pop(kind)?;
    b.store(value, b.local()?, 0)?;
    b.continue_()
}

fn copy(mut b: TemplateBuilder<'_, '_>, kind: Type) -> Path {
    let value = b.peek(0, kind)?;
    b.push(value)?;
    b.continue_()
}

fn swap(mut b: TemplateBuilder<'_, '_>, kind: Type) -> Path {
    let right = b.pop(kind)?;
    let left = b.pop(kind)?;
    b.push(right)?;
    b.push(left)?;
    b.continue_()
}
