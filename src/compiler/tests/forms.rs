//! The forms that templates are compiled to: what each keeps in registers and as a constant, what it looks like, and
//! which sequences can be fused.

#![cfg(llvm)]

mod support;

use inkwell::IntPredicate;
use inkwell::values::IntValue;
use mimeo::form::{Form, Input, Register};
use mimeo::hole::HoleValue;
use mimeo::stencil::Part;
use mimeo::table::{StencilTable, TableContents, VariantContents};
use mimeo_compiler::builder::Overflowing;
use mimeo_compiler::codegen::compile;
use mimeo_compiler::disassemble::disassemble;
use mimeo_compiler::error::CompileError;
use mimeo_compiler::template::{Helper, Registers, Template, TemplateSet, Type};
use std::collections::BTreeSet;
use support::*;

/// Two integers replaced by what `combine` makes of them.
fn binary(
    name: &str,
    combine: impl for<'ctx> Fn(
        &Builder<'_, 'ctx>,
        IntValue<'ctx>,
        IntValue<'ctx>,
    ) -> Built<IntValue<'ctx>>
    + Send
    + Sync
    + 'static,
) -> Template {
    Template::new(name, move |mut b| {
        let (right, left) = (b.pop_i64()?, b.pop_i64()?);
        let value = combine(&b, left, right)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(2, 1)
}

fn add() -> Template {
    binary("ADD", |b, left, right| {
        Ok(b.ir().build_int_add(left, right, "")?)
    })
}

fn sub() -> Template {
    binary("SUB", |b, left, right| {
        Ok(b.ir().build_int_sub(left, right, "")?)
    })
}

fn shift() -> Template {
    binary("SHL", |b, left, right| {
        let count = b.ir().build_and(right, b.i64(63), "")?;
        Ok(b.ir().build_left_shift(left, count, "")?)
    })
}

fn less() -> Template {
    binary("LT", |b, left, right| {
        let less = b
            .ir()
            .build_int_compare(IntPredicate::SLT, left, right, "")?;
        Ok(b.ir()
            .build_int_z_extend(less, b.context().i64_type(), "")?)
    })
}

fn add_checked() -> Template {
    Template::new("ADD_CHECKED", |mut b| {
        let (right, left) = (
            b.peek(0, Type::I64)?.into_int_value(),
            b.peek(1, Type::I64)?.into_int_value(),
        );
        let value = b.checked(Overflowing::Add, left, right)?;
        b.drop_values(2)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(2, 1)
    .may_exit()
}

fn jump_if() -> Template {
    Template::new("JUMP_IF", |mut b| {
        let condition = b.pop_i64()?;
        let holds = b
            .ir()
            .build_int_compare(IntPredicate::NE, condition, b.i64(0), "")?;
        b.when(holds, |b| b.jump())?;
        b.continue_()
    })
    .stack(1, 0)
    .jumps()
}

fn constant() -> Template {
    Template::new("CONST", |mut b| {
        let value = b.operand()?;
        b.push(value)?;
        b.continue_()
    })
    .stack(0, 1)
    .constant()
}

fn load() -> Template {
    Template::new("LOAD", |mut b| {
        let value = b.load(Type::I64, b.local()?, 0)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(0, 1)
    .loads_local()
}

fn float_add() -> Template {
    Template::new("FADD", |mut b| {
        let right = b.pop(Type::F64)?.into_float_value();
        let left = b.pop(Type::F64)?.into_float_value();
        let sum = b.ir().build_float_add(left, right, "")?;
        b.push(sum)?;
        b.continue_()
    })
    .stack(2, 1)
}

fn with_registers(
    registers: Registers,
    templates: impl IntoIterator<Item = Template>,
    sequences: &[&[&str]],
) -> TemplateSet {
    let sequences = sequences
        .iter()
        .map(|sequence| sequence.iter().map(|&name| name.to_owned()).collect());
    set(templates)
        .with_registers(registers)
        .with_supernodes(sequences.collect::<Vec<_>>())
}

fn compiled(
    registers: Registers,
    templates: impl IntoIterator<Item = Template>,
    sequences: &[&[&str]],
) -> TableContents {
    let contents = compile_set(&with_registers(registers, templates, sequences))
        .unwrap_or_else(|error| panic!("{error}"));
    contents
        .to_bytes()
        .and_then(StencilTable::from_bytes)
        .unwrap_or_else(|error| panic!("{error}"));
    contents
}

/// The variants of a sequence: each with its form, then its code.
fn listing(contents: &TableContents, uops: &[&str]) -> String {
    let mut variants: Vec<&VariantContents> = contents
        .variants
        .iter()
        .filter(|variant| variant.uops == uops)
        .collect();
    variants.sort_by_key(|variant| variant.form.to_string());
    let symbols: Vec<&str> = contents.symbols.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    for variant in variants {
        lines.push(variant.form.to_string());
        for (part, stencil) in variant.group.as_group().parts() {
            if part == Part::Cold && !stencil.bytes.is_empty() {
                lines.push("cold".to_owned());
            }
            if part == Part::Data {
                continue;
            }
            for line in disassemble(stencil, part, &symbols) {
                lines.push(match line.holes.is_empty() {
                    true => line.text,
                    false => format!("{} ; {}", line.text, line.holes.join(", ")),
                });
            }
        }
    }
    lines.join("\n")
}

/// Compares with a file of expected code, made by LLVM 19, which `MIMEO_BLESS=1` writes anew. Other versions may choose other
/// instructions: of theirs, the forms and what fills their holes are compared.
fn check(file: &str, contents: &TableContents, sequences: &[&[&str]]) {
    let found: Vec<String> = sequences
        .iter()
        .map(|uops| format!("# {}\n{}\n", uops.join(" "), listing(contents, uops)))
        .collect();
    let found = found.join("\n");
    let path = format!("{}/tests/forms/{file}", env!("CARGO_MANIFEST_DIR"));
    if mimeo_compiler::target::LLVM_MAJOR != 19 {
        let expected = std::fs::read_to_string(&path).unwrap();
        return assert_eq!(meaning(&found), meaning(&expected), "{file}");
    }
    if std::env::var_os("MIMEO_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "{file}");
}

/// Of a listing, the forms, and what fills the holes of each, once and in order.
fn meaning(listing: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let mut forms: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for line in listing.lines() {
        if line.starts_with(['#', '[', '_']) {
            forms.push((line, BTreeSet::new()));
        } else if let (Some((_, holes)), Some((_, form))) =
            (line.split_once(" ; "), forms.last_mut())
        {
            let values = holes.split(", ").filter_map(|hole| hole.split(' ').nth(1));
            form.extend(values.filter(|value| !["CODE", "COLD", "DATA"].contains(value)));
        }
    }
    forms
}

#[test]
fn operands_are_registers_or_immediates() {
    let templates = [
        add(),
        sub(),
        shift(),
        add_checked(),
        constant(),
        load(),
        float_add(),
    ];
    let uops: [&[&str]; 7] = [
        &["ADD"],
        &["SUB"],
        &["SHL"],
        &["ADD_CHECKED"],
        &["CONST"],
        &["LOAD"],
        &["FADD"],
    ];
    let contents = compiled(Registers::Operands, templates, &[]);
    check("operands.txt", &contents, &uops);
}

#[test]
fn plumbing_moves_values() {
    let contents = compiled(Registers::Operands, [], &[]);
    let uops: [&[&str]; 9] = [
        &["_ADJUST_STACK"],
        &["_JUMP"],
        &["_LEAVE"],
        &["_MOVE_F64"],
        &["_MOVE_I64"],
        &["_RELOAD_F64"],
        &["_RELOAD_I64"],
        &["_SPILL_F64"],
        &["_SPILL_I64"],
    ];
    assert_eq!(contents.uops.len(), uops.len());
    check("plumbing.txt", &contents, &uops);
    let contents = compiled(Registers::Slots, [], &[]);
    check("spills.txt", &contents, &[&["_SPILL"]]);
}

#[test]
fn fused_uops_are_one_stencil() {
    let sequences: [&[&str]; 3] = [
        &["LT", "JUMP_IF"],
        &["FADD", "FADD"],
        &["ADD_CHECKED", "ADD"],
    ];
    let templates = [less(), jump_if(), float_add(), add(), add_checked()];
    let contents = compiled(Registers::Operands, templates, &sequences);
    check("fused.txt", &contents, &sequences);
}

#[test]
fn holes_say_which_uop_they_are_of() {
    let store = Template::new("STORE", |mut b| {
        let value = b.pop_i64()?;
        b.store(value, b.local()?, 0)?;
        b.continue_()
    })
    .stack(1, 0)
    .local_oparg();
    let sequences: [&[&str]; 2] = [&["LOAD", "JUMP_IF"], &["LOAD", "STORE"]];
    for registers in [Registers::Slots, Registers::Operands] {
        let templates = [load(), store.clone(), jump_if()];
        let contents = compiled(registers, templates, &sequences);
        for variant in &contents.variants {
            let group = variant.group.as_group();
            let opargs = group
                .holes()
                .filter(|hole| hole.value() == HoleValue::Oparg);
            let opargs: Vec<u8> = opargs.map(|hole| hole.element()).collect();
            match variant.uops.join(" ").as_str() {
                "LOAD STORE" => assert_eq!(opargs, [0, 1], "{}", variant.form),
                "LOAD JUMP_IF" => {
                    let jumps = group
                        .holes()
                        .filter(|hole| hole.value() == HoleValue::JumpTarget);
                    assert!(jumps.map(|hole| hole.element()).all(|element| element == 1));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn slots_hold_the_top_of_the_stack() {
    const HELPER: Helper = Helper::new("helper_word", &[Type::I64], Type::I64);
    let call = Template::new("CALL", |mut b| {
        let value = b.pop_i64()?;
        let result = b.call_int(&HELPER, &[value.into()])?;
        let failed = is_zero(&b, result)?;
        b.unlikely(failed, |b| b.error())?;
        b.push(result)?;
        b.continue_()
    })
    .stack(1, 1)
    .may_error();
    let slow = Template::new("SLOW", |mut b| {
        let value = b.pop_i64()?;
        b.flush()?;
        let zero = is_zero(&b, value)?;
        b.cold_if(zero, &[value.into()], |mut b, values| {
            let result = b.call_int(&HELPER, values)?;
            b.push(result)?;
            b.continue_()
        })?;
        b.push(value)?;
        b.continue_()
    })
    .stack(1, 1);
    let leave = Template::new("LEAVE_IF", |mut b| {
        let value = b.pop_i64()?;
        let zero = is_zero(&b, value)?;
        b.unlikely(zero, |b| b.side_exit())?;
        b.continue_()
    })
    .stack(1, 0)
    .side_exits();
    let sequences: [&[&str]; 6] = [
        &["ADD"],
        &["LOAD"],
        &["CALL"],
        &["SLOW"],
        &["LEAVE_IF"],
        &["LOAD", "ADD"],
    ];
    let templates = [add(), load(), call, slow, leave];
    let contents = compiled(Registers::Slots, templates, &sequences[5..]);
    check("slots.txt", &contents, &sequences);
}

#[test]
fn base_forms_do_not_depend_on_slots() {
    let templates = || {
        [
            add(),
            sub(),
            shift(),
            less(),
            add_checked(),
            load(),
            jump_if(),
        ]
    };
    let bases = |registers| {
        let mut contents = compiled(registers, templates(), &[]);
        contents.uops.retain(|uop| !uop.name.starts_with('_'));
        let uops = contents.uops.into_iter();
        uops.map(|uop| (uop.name, uop.group)).collect::<Vec<_>>()
    };
    assert_eq!(bases(Registers::None), bases(Registers::Slots));
}

#[test]
fn every_register_but_the_output_can_be_chosen() {
    let contents = compiled(Registers::Operands, [add(), shift()], &[]);
    let rcx = Register::all()
        .find(|register| register.name() == "rcx")
        .unwrap();
    for variant in &contents.variants {
        let Form::Operands(form) = &variant.form else {
            panic!("{} in a set of operand forms", variant.form);
        };
        let placeholders = form.inputs.iter().filter_map(|input| match input {
            Input::Register(register) => Some(*register),
            _ => None,
        });
        for register in placeholders.chain(form.output) {
            let named = variant.register_holes.iter();
            let holes = named.filter(|hole| hole.register == register).count();
            assert!(holes > 0, "{:?} {}: {register}", variant.uops, variant.form);
        }
        // A shift by a register takes the count in cl.
        let shifts_by_register =
            variant.uops == ["SHL"] && matches!(form.inputs[..], [_, Input::Register(_)]);
        let any = variant.uops == ["ADD"];
        assert!(!shifts_by_register || !form.renameable.contains(rcx));
        assert!(!any || form.renameable.contains(rcx));
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let templates = [
        add(),
        sub(),
        shift(),
        less(),
        add_checked(),
        load(),
        jump_if(),
    ];
    let set = with_registers(Registers::Operands, templates, &[&["LT", "JUMP_IF"]]);
    let bytes = |count| compile(&set, threads(count)).unwrap().to_bytes().unwrap();
    assert_eq!(bytes(1), bytes(3));
}

#[test]
fn variants_are_part_of_the_digest() {
    let digest = |registers, sequences: &[&[&str]]| {
        let templates = [less(), jump_if()];
        compiled(registers, templates, sequences).digest
    };
    let none = digest(Registers::None, &[]);
    let operands = digest(Registers::Operands, &[]);
    let fused = digest(Registers::Operands, &[&["LT", "JUMP_IF"]]);
    assert!(none != operands && operands != fused && none != fused);
}

#[test]
fn sequences_that_cannot_be_fused_are_named() {
    let end = || Template::new("END", |b| b.jump()).jumps().terminal();
    let twice = || {
        Template::new("TWICE", |mut b| {
            let value = b.pop_i64()?;
            let zero = is_zero(&b, value)?;
            b.when(zero, |b| b.continue_())?;
            b.continue_()
        })
        .stack(1, 0)
    };
    let wide = || {
        Template::new("WIDE", |mut b| {
            b.drop_values(3)?;
            b.continue_()
        })
        .stack(3, 0)
    };
    let rows: [(&[&str], &str); 8] = [
        (&["ADD"], "it has 1 uops, expected 2 to 6"),
        (&["ADD"; 7], "it has 7 uops, expected 2 to 6"),
        (&["ADD", "MUL"], "there is no template MUL"),
        (
            &["END", "ADD"],
            "END does not continue, but others follow it",
        ),
        (
            &["JUMP_IF", "JUMP_IF"],
            "2 of its uops jump, at most one may",
        ),
        (&["TWICE", "ADD"], "no form of it can be built"),
        // Where it jumps, the sum is on the stack.
        (&["ADD", "ADD_CHECKED"], "no form of it can be built"),
        (&["WIDE", "WIDE"], "it has no form with values in registers"),
    ];
    for (sequence, problem) in rows {
        let templates = [add(), add_checked(), end(), jump_if(), twice(), wide()];
        let set = with_registers(Registers::Operands, templates, &[sequence]);
        let error = compile_set(&set).unwrap_err();
        assert!(matches!(error, CompileError::Sequence { .. }), "{error}");
        let expected = format!(
            "the sequence {} cannot be fused: {problem}",
            sequence.join(" ")
        );
        assert_eq!(error.to_string(), expected);
    }
}
