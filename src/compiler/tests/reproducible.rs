//! The same templates give the same table, whoever compiles them, where, and in what order; other templates give
//! another digest.

#![cfg(llvm)]

mod support;

use mimeo::table::StencilTable;
use mimeo_compiler::codegen::compile_to_bytes;
use mimeo_compiler::target::{LLVM_MAJOR, check_version, linked_version};
use mimeo_compiler::template::{FrameLayout, Helper, Template, TemplateSet, Type};
use support::*;

/// So many templates that they fill several modules.
const MANY: usize = 300;

/// Templates that differ, with helpers, constants and cold code, and every seventh with a frame that is padded.
fn many() -> Vec<Template> {
    const HELPERS: [Helper; 3] = [
        Helper::new("helper_a", &[Type::I64], Type::I64),
        Helper::new("helper_b", &[Type::I64], Type::I64),
        Helper::new("helper_c", &[Type::I64], Type::I64),
    ];
    let template = |number: usize| {
        let build = move |mut b: Builder<'_, '_>| {
            let kept = match number % 7 {
                0 => 3,
                _ => 0,
            };
            let kept = (0..kept)
                .map(|index| b.load_i64(b.thread(), 8 * index))
                .collect::<Built<Vec<_>>>()?;
            let value = b.pop_i64()?;
            let helper = HELPERS[number % HELPERS.len()];
            let mut result = b.call_int(&helper, &[value.into()])?;
            for kept in kept {
                let shifted = b.ir().build_left_shift(kept, result, "")?;
                result = b.ir().build_int_add(result, shifted, "")?;
            }
            let zero = is_zero(&b, result)?;
            b.cold_if(zero, &[], move |mut b, _| {
                b.push(b.i64(number as i64))?;
                b.continue_()
            })?;
            b.push(result)?;
            b.continue_()
        };
        Template::new(format!("UOP_{number}"), build).stack(1, 1)
    };
    (0..MANY).map(template).collect()
}

fn bytes(set: &TemplateSet, count: usize) -> Vec<u8> {
    compile_to_bytes(set, threads(count)).unwrap()
}

#[test]
fn threads_order_and_directory_do_not_matter() {
    let expected = bytes(&set(many()), 1);
    for count in [2, 7, 1000] {
        assert!(bytes(&set(many()), count) == expected, "{count} threads");
    }
    // 7 and 300 have no common factor: every template comes once.
    let ordered = many();
    let shuffled = (0..MANY).map(|index| ordered[index * 7 % MANY].clone());
    assert!(bytes(&set(shuffled), 2) == expected, "shuffled");
    // The only test of this process that cares where it is.
    std::env::set_current_dir(std::env::temp_dir()).unwrap();
    assert!(bytes(&set(many()), 2) == expected, "elsewhere");
}

#[test]
fn a_large_set_is_complete() {
    let table = StencilTable::from_bytes(bytes(&set(many()), 2)).unwrap();
    let mut names: Vec<String> = (0..MANY).map(|number| format!("UOP_{number}")).collect();
    names.sort();
    let found: Vec<&str> = table.uops().map(|id| table.uop(id).name).collect();
    assert_eq!(found, names);
    let symbols: Vec<&str> = table.symbols().collect();
    assert_eq!(symbols, ["helper_a", "helper_b", "helper_c"]);
    for id in table.uops() {
        let report =
            mimeo_compiler::verify::check_group(&table.uop(id), table.group(id), &symbols).unwrap();
        assert_eq!(report.calls, 1);
    }
}

#[test]
fn an_empty_set_has_a_table() {
    let table = StencilTable::from_bytes(bytes(&set([]), 2)).unwrap();
    assert_eq!(table.uops().count(), 0);
    assert_eq!(table.set(), "test");
}

/// Everything that a trace's code depends on is in the digest, also what leaves the stencils as they are.
#[test]
fn the_digest_covers_every_input() {
    let nop = |b: Builder<'_, '_>| b.continue_();
    let base = || set([Template::new("A", nop)]);
    let with = |change: fn(&mut TemplateSet)| {
        let mut set = base();
        change(&mut set);
        set
    };
    let digest = |set: &TemplateSet| compile_set(set).unwrap().digest;
    let variants = [
        base(),
        with(|set| set.name = "other".to_owned()),
        with(|set| set.environment = b"layout 2".to_vec()),
        with(|set| set.frame = FrameLayout { locals: LOCALS + 8 }),
        set([Template::new("B", nop)]),
        set([Template::new("A", nop), Template::new("B", nop)]),
        set([Template::new("A", nop).stack(1, 1)]),
        set([Template::new("A", nop).local_oparg()]),
        set([Template::new("A", nop).uses_local(0)]),
        set([Template::new("A", |b: Builder<'_, '_>| {
            b.store(b.i64(0), b.frame(), 0)?;
            b.continue_()
        })]),
        set([Template::new("A", |b: Builder<'_, '_>| {
            b.store(b.i64(1), b.frame(), 0)?;
            b.continue_()
        })]),
    ];
    let digests: Vec<_> = variants.iter().map(digest).collect();
    for (index, found) in digests.iter().enumerate() {
        assert_eq!(
            *found,
            digest(&variants[index]),
            "{index} changes by itself"
        );
        assert!(!digests[..index].contains(found), "{index} is like another");
    }
}

#[test]
fn the_linked_llvm_is_the_one_of_the_feature() {
    let version = check_version().unwrap();
    assert_eq!(version, linked_version());
    assert_eq!(version.0, LLVM_MAJOR);
    let contents = compile_set(&set([])).unwrap();
    assert_eq!(u32::from(contents.llvm_version.0), LLVM_MAJOR);
}
