//! Patterns of `match` statements.

use crate::object_ops::{
    P, Path, at, bool_object, compare, is_null, oparg_i32, push_result_or_error,
};
use inkwell::IntPredicate;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const KEYS: Helper = Helper::new("mimeo_match_keys", &[P, P, P], P);
const CLASS: Helper = Helper::new("mimeo_match_class", &[P, P, P, P, Type::I32], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_MATCH_SEQUENCE", is_sequence).stack(1, 2),
        Template::new("_MATCH_MAPPING", is_mapping).stack(1, 2),
        Template::new("_MATCH_KEYS", match_keys)
            .stack(2, 3)
            .may_error(),
        Template::new("_MATCH_CLASS", match_class)
            .stack(3, 1)
            .may_error(),
    ]
}

/// Lists, tuples and ranges are sequences; strings and bytes are none here.
fn is_sequence(mut b: TemplateBuilder<'_, '_>) -> Path {
    const {
        assert!(layout::KIND_TUPLE == layout::KIND_LIST + 1);
        assert!(layout::KIND_RANGE == layout::KIND_LIST + 2);
    }
    let kind = b.load_i32(b.peek_pointer(0)?, at(layout::OBJECT_KIND))?;
    let distance = b
        .ir()
        .build_int_sub(kind, b.i32(layout::KIND_LIST as i32), "")?;
    let answer = compare(&b, IntPredicate::ULE, distance, b.i32(2))?;
    b.push(bool_object(&b, answer)?)?;
    b.continue_()
}

fn is_mapping(mut b: TemplateBuilder<'_, '_>) -> Path {
    let kind = b.load_i32(b.peek_pointer(0)?, at(layout::OBJECT_KIND))?;
    let answer = compare(&b, IntPredicate::EQ, kind, b.i32(layout::KIND_DICT as i32))?;
    b.push(bool_object(&b, answer)?)?;
    b.continue_()
}

/// The subject and the keys stay, unless there is an error: then the helper has released them.
fn match_keys(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (keys, subject) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    let operands = [b.thread().into(), subject.into(), keys.into()];
    let values = b.call_pointer(&KEYS, &operands)?;
    let failed = is_null(&b, values)?;
    b.unlikely(failed, |mut b| {
        b.drop_values(2)?;
        b.error()
    })?;
    b.push(values)?;
    b.continue_()
}

/// The oparg is how many positional parts there are; on the stack are the subject, the class and the names of the others.
fn match_class(mut b: TemplateBuilder<'_, '_>) -> Path {
    let names = b.pop_pointer()?;
    let class = b.pop_pointer()?;
    let subject = b.pop_pointer()?;
    let operands = [
        subject.into(),
        class.into(),
        names.into(),
        oparg_i32(&b)?.into(),
    ];
    push_result_or_error(b, &CLASS, &operands)
}
