//! Wrong templates: each way to go against the declaration or the builder, and what the error says. Every error names
//! the template.

#![cfg(llvm)]

mod support;

use inkwell::values::{BasicValue, BasicValueEnum};
use mimeo::stencil::Count;
use mimeo_compiler::builder::Overflowing;
use mimeo_compiler::error::CompileError;
use mimeo_compiler::template::{Helper, Registers, Template, Type};
use support::*;

/// A template under a name that no message holds by chance.
fn wrong(build: impl Fn(Builder<'_, '_>) -> Path + Send + Sync + 'static) -> Template {
    Template::new("WRONG", build)
}

fn check(rows: Vec<(Template, &str)>) {
    for (template, expected) in rows {
        let declared = format!("{template:?}");
        let error = match compile_set(&set([template])) {
            Ok(_) => panic!("{declared} is accepted, expected: {expected}"),
            Err(error) => error,
        };
        assert!(
            matches!(&error, CompileError::Template { template, .. } if template == "WRONG"),
            "{error}"
        );
        assert_eq!(error.to_string(), format!("template WRONG: {expected}"));
    }
}

#[test]
fn the_stack_effect_is_kept() {
    check(vec![
        (
            wrong(|mut b| {
                b.pop_i64()?;
                b.pop_i64()?;
                b.continue_()
            })
            .stack(1, 0),
            "reaches deeper into the stack than the 1 values it declares",
        ),
        (
            wrong(|b| {
                b.peek(1, Type::I64)?;
                b.continue_()
            })
            .stack(1, 1),
            "reaches deeper into the stack than the 1 values it declares",
        ),
        (
            wrong(|b| {
                b.peek(usize::MAX, Type::I64)?;
                b.continue_()
            })
            .stack(1, 1),
            "reaches deeper into the stack than the 1 values it declares",
        ),
        (
            wrong(|mut b| {
                b.drop_values(usize::MAX)?;
                b.continue_()
            })
            .stack(200, 0),
            "reaches deeper into the stack than the 200 values it declares",
        ),
        (
            // What was pushed may be popped again, but not more.
            wrong(|mut b| {
                b.push(b.i64(1))?;
                b.drop_values(2)?;
                b.continue_()
            }),
            "reaches deeper into the stack than the 0 values it declares",
        ),
        (
            wrong(|mut b| {
                b.pop_array(Count::oparg_plus(1))?;
                b.continue_()
            })
            .stack_counts(Count::oparg_plus(0), Count::fixed(0)),
            "reaches deeper into the stack than the oparg values it declares",
        ),
        (
            wrong(|mut b| {
                b.pop_i64()?;
                b.continue_()
            })
            .stack(1, 1),
            "declares the stack effect (1 -- 1), which changes the depth by 0, \
             but continues with a change of -1",
        ),
        (
            wrong(|mut b| {
                b.push_array(Count {
                    fixed: 0,
                    per_oparg: 2,
                    low_bit: 1,
                })?;
                b.continue_()
            })
            .stack_counts(Count::default(), Count::oparg_plus(1)),
            "declares the stack effect (0 -- 1 + oparg), which changes the depth by 1 + oparg, \
             but continues with a change of 2*oparg + (oparg & 1)",
        ),
        (
            // On any path, not only on the first one.
            wrong(|mut b| {
                let value = b.pop_i64()?;
                let zero = is_zero(&b, value)?;
                b.when(zero, |b| b.continue_())?;
                b.push(value)?;
                b.continue_()
            })
            .stack(1, 1),
            "declares the stack effect (1 -- 1), which changes the depth by 0, \
             but continues with a change of -1",
        ),
        (
            wrong(|mut b| {
                b.push(b.i64(1))?;
                b.top()
            })
            .restarts()
            .terminal(),
            "goes to the trace's top with a stack that is deeper by 1",
        ),
        (
            wrong(|b| b.error())
                .stack(1, 0)
                .may_error()
                .pops_before_error(),
            "declares that an error pops 1 values, but raises one with a change of depth by 0",
        ),
        (
            wrong(|mut b| {
                let value = b.pop_i64()?;
                let zero = is_zero(&b, value)?;
                b.unlikely(zero, |b| b.jump())?;
                b.push(value)?;
                b.unlikely(zero, |b| b.jump())?;
                b.continue_()
            })
            .stack(1, 1)
            .may_deopt(),
            "leaves with different depths of the stack, (1 -- 0) and (1 -- 1)",
        ),
    ]);
}

#[test]
fn what_is_used_is_declared() {
    check(vec![
        (
            wrong(|b| b.jump()).terminal(),
            "jumps, but declares none of may_deopt(), may_exit() and jumps()",
        ),
        (
            wrong(|b| b.error()).terminal(),
            "uses an error, but does not declare may_error()",
        ),
        (
            wrong(|b| b.side_exit()).terminal(),
            "uses a side exit, but does not declare side_exits()",
        ),
        (
            wrong(|b| b.top()).terminal(),
            "uses the trace's top, but does not declare restarts()",
        ),
        (
            wrong(|mut b| {
                b.push(b.exit_index()?)?;
                b.continue_()
            })
            .stack(0, 1),
            "uses the exit index, but does not declare side_exits()",
        ),
        (
            wrong(|mut b| {
                b.push(b.load_i64(b.local()?, 0)?)?;
                b.continue_()
            })
            .stack(0, 1),
            "uses the local that the oparg names, but does not declare local_oparg()",
        ),
        (
            wrong(|mut b| {
                b.push(b.load_i64(b.local_at(0)?, 0)?)?;
                b.continue_()
            })
            .stack(0, 1),
            "uses local 0, but does not declare uses_local(0)",
        ),
        (
            wrong(|mut b| {
                b.push(b.load_i64(b.local_at(3)?, 0)?)?;
                b.continue_()
            })
            .stack(0, 1)
            .uses_local(2),
            "uses local 3, but does not declare uses_local(3)",
        ),
        (
            wrong(|b| b.continue_()).terminal(),
            "declares to be terminal, but continues",
        ),
        (
            wrong(|b| {
                b.deep_slot(Count::oparg_plus(0))?;
                b.continue_()
            })
            .stack(2, 2),
            "reaches into the stack by the oparg, but the number of values it pops is fixed",
        ),
    ]);
}

#[test]
fn what_is_declared_is_used() {
    check(vec![
        (
            wrong(|b| b.continue_()).may_deopt(),
            "declares may_deopt(), may_exit() or jumps(), but never jumps",
        ),
        (
            wrong(|b| b.continue_()).may_exit(),
            "declares may_deopt(), may_exit() or jumps(), but never jumps",
        ),
        (
            wrong(|b| b.continue_()).jumps(),
            "declares may_deopt(), may_exit() or jumps(), but never jumps",
        ),
        (
            wrong(|b| b.continue_()).may_error(),
            "declares may_error(), but never raises an error",
        ),
        (
            wrong(|b| b.continue_()).side_exits(),
            "declares side_exits(), but never leaves through one",
        ),
        (
            wrong(|b| b.continue_()).restarts(),
            "declares restarts(), but never goes to the trace's top",
        ),
        (
            wrong(|b| b.jump()).jumps(),
            "does not declare terminal(), but never continues",
        ),
    ]);
}

#[test]
fn declarations_make_sense() {
    check(vec![
        (
            wrong(|b| b.jump()).jumps().terminal().stack(1, 2),
            "a terminal template pushes nothing, this one declares (1 -- 2)",
        ),
        (
            wrong(|b| b.continue_()).uses_local(u32::MAX),
            "declares 4294967295 locals, which end 0x800000028 bytes into the frame, \
             the limit is 0x7fffffff",
        ),
    ]);
    for name in ["", "1", "a.b", "a b", "a-b", "é", "A\0B", "\"", ".text"] {
        let error = compile_set(&set([Template::new(name, |b| b.continue_())])).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "template {name}: the name {name:?} may hold only letters, digits and _, and no digit first"
            )
        );
    }
    let twice = ["A", "B", "A"].map(|name| Template::new(name, |b| b.continue_()));
    let error = compile_set(&set(twice)).unwrap_err();
    assert!(matches!(&error, CompileError::Duplicate(name) if name == "A"));
    assert_eq!(error.to_string(), "template A is defined twice");
}

#[test]
fn values_have_the_types_that_they_need() {
    const HELPER: Helper = Helper::new("helper", &[P, Type::I64], P);
    const SILENT: Helper = Helper::without_result("silent", &[]);
    check(vec![
        (
            wrong(|mut b| {
                b.push(b.i32(1))?;
                b.continue_()
            })
            .stack(0, 1),
            "pushes i32, expected a pointer, i64 or f64",
        ),
        (
            wrong(|mut b| {
                b.push(b.context().f32_type().const_zero())?;
                b.continue_()
            })
            .stack(0, 1),
            "pushes float, expected a pointer, i64 or f64",
        ),
        (
            wrong(|mut b| {
                b.push(b.context().i64_type().vec_type(2).const_zero())?;
                b.continue_()
            })
            .stack(0, 1),
            "pushes <2 x i64>, expected a pointer, i64 or f64",
        ),
        (
            wrong(|b| {
                let narrow: BasicValueEnum<'_> = b.i32(1).into();
                b.outline(&[narrow], |b, _| b.continue_())
            }),
            "uses i32 as a word, expected a pointer, i64 or f64",
        ),
        (
            wrong(|b| {
                b.call(&HELPER, &[b.frame().into()])?;
                b.continue_()
            }),
            "calls helper(pointer, i64) -> pointer with (ptr)",
        ),
        (
            wrong(|b| {
                b.call(&HELPER, &[b.frame().into(), b.frame().into()])?;
                b.continue_()
            }),
            "calls helper(pointer, i64) -> pointer with (ptr, ptr)",
        ),
        (
            wrong(|b| {
                b.call_int(&HELPER, &[b.frame().into(), b.i64(0).into()])?;
                b.continue_()
            }),
            "uses the result of helper(pointer, i64) -> pointer as an integer",
        ),
        (
            wrong(|b| {
                b.call_pointer(&SILENT, &[])?;
                b.continue_()
            }),
            "uses the result of silent() as a pointer",
        ),
        (
            wrong(|b| {
                b.small_operand(0)?;
                b.continue_()
            }),
            "gives the width of an operand as 0 bits, expected 1 to 31",
        ),
        (
            wrong(|b| {
                b.small_operand(32)?;
                b.continue_()
            }),
            "gives the width of an operand as 32 bits, expected 1 to 31",
        ),
        (
            wrong(|b| {
                b.small_operand1(32)?;
                b.continue_()
            }),
            "gives the width of a second operand as 32 bits, expected 1 to 31",
        ),
        (
            wrong(|b| {
                b.small_oparg(17)?;
                b.continue_()
            }),
            "gives the width of an oparg as 17 bits, expected 1 to 16",
        ),
        (
            wrong(|b| {
                b.scaled_oparg(7)?;
                b.continue_()
            }),
            "gives a shift as 7 bits, expected 0 to 6",
        ),
    ]);
}

/// What selection does in its own way must be what the code does.
#[test]
fn roles_are_what_the_code_does() {
    let other = "and leaves other values in memory or registers";
    let push_twice = |add: i64| {
        wrong(move |mut b| {
            let value = b.pop_i64()?;
            let more = b.ir().build_int_add(value, b.i64(add), "")?;
            b.push(value)?;
            b.push(more)?;
            b.continue_()
        })
        .stack(1, 2)
        .copies()
    };
    let loads = |add: i64| {
        wrong(move |mut b| {
            let value = b.load(Type::I64, b.local()?, 0)?.into_int_value();
            b.push(b.ir().build_int_add(value, b.i64(add), "")?)?;
            b.continue_()
        })
        .stack(0, 1)
        .loads_local()
    };
    let stores = |add: i64| {
        wrong(move |mut b| {
            let value = b.pop_i64()?;
            let more = b.ir().build_int_add(value, b.i64(add), "")?;
            b.store(more, b.local()?, 0)?;
            b.continue_()
        })
        .stack(1, 0)
        .stores_local()
    };
    let constant = |factor: i64| {
        wrong(move |mut b| {
            let value = b.operand()?;
            b.push(b.ir().build_int_mul(value, b.i64(factor), "")?)?;
            b.continue_()
        })
        .stack(0, 1)
        .constant()
    };
    for right in [push_twice(0), loads(0), stores(0), constant(1)] {
        compile_set(&set([right])).unwrap();
    }
    let unknown = "and has an instruction that is not known to move 64 bits";
    check(vec![
        (
            push_twice(1),
            &format!("the uop is declared COPIES, {unknown}"),
        ),
        (
            loads(1),
            &format!("the uop is declared LOADS_LOCAL, {unknown}"),
        ),
        (
            stores(1),
            &format!("the uop is declared STORES_LOCAL, {unknown}"),
        ),
        (
            constant(2),
            &format!("the uop is declared CONSTANT, {unknown}"),
        ),
        (
            wrong(|mut b| {
                b.pop_i64()?;
                b.push(b.i64(7))?;
                b.push(b.i64(7))?;
                b.continue_()
            })
            .stack(1, 2)
            .copies(),
            &format!("the uop is declared COPIES, {unknown}"),
        ),
        (
            wrong(|b| b.continue_()).stack(2, 2).swaps(),
            &format!("the uop is declared SWAPS, {other}"),
        ),
        (
            wrong(|mut b| {
                let address = b.pop(Type::Pointer)?.into_pointer_value();
                b.store(b.i64(1), address, 0)?;
                b.continue_()
            })
            .stack(1, 0)
            .drops(),
            &format!("the uop is declared DROPS, {unknown}"),
        ),
    ]);
}

#[test]
fn names_from_outside_are_used_for_one_thing() {
    const HOLE: Helper = Helper::without_result("_JIT_CONTINUE", &[]);
    const DOTTED: Helper = Helper::without_result("WRONG.hot", &[]);
    const ONE: Helper = Helper::new("helper", &[P], P);
    const OTHER: Helper = Helper::new("helper", &[P, P], P);
    check(vec![
        (
            wrong(|b| {
                b.call(&HOLE, &[])?;
                b.continue_()
            }),
            "uses _JIT_CONTINUE, the name of a hole, as a symbol",
        ),
        (
            wrong(|mut b| {
                b.push(b.symbol_address("_JIT_OPARG.u16")?)?;
                b.continue_()
            })
            .stack(0, 1),
            "uses _JIT_OPARG.u16, the name of a hole, as a symbol",
        ),
        (
            wrong(|b| {
                b.call(&DOTTED, &[])?;
                b.continue_()
            }),
            "uses \"WRONG.hot\", which is no C identifier, as a symbol",
        ),
        (
            wrong(|b| {
                b.symbol_address("")?;
                b.continue_()
            }),
            "uses \"\", which is no C identifier, as a symbol",
        ),
        (
            wrong(|b| {
                b.call(&ONE, &[b.frame().into()])?;
                b.call(&OTHER, &[b.frame().into(), b.frame().into()])?;
                b.continue_()
            }),
            "uses helper as helper(pointer, pointer) -> pointer, \
             but WRONG uses it as helper(pointer) -> pointer",
        ),
        (
            wrong(|b| {
                b.symbol_address("helper")?;
                b.call(&ONE, &[b.frame().into()])?;
                b.continue_()
            }),
            "uses helper as helper(pointer) -> pointer, but WRONG uses it as data",
        ),
        (
            wrong(|b| {
                b.call(&ONE, &[b.frame().into()])?;
                b.symbol_address("helper")?;
                b.continue_()
            }),
            "uses helper as data, but WRONG uses it as helper(pointer) -> pointer",
        ),
    ]);
}

/// Templates that disagree are found whether or not they are compiled in one module.
#[test]
fn templates_of_one_set_agree_on_helpers() {
    const ONE: Helper = Helper::new("helper", &[P], P);
    const OTHER: Helper = Helper::new("helper", &[P], Type::I64);
    for between in [0, 200] {
        let filler = (0..between).map(|n| Template::new(format!("M{n:03}"), |b| b.continue_()));
        let templates = set(filler).with([
            Template::new("A", |b| {
                b.call(&ONE, &[b.frame().into()])?;
                b.continue_()
            }),
            Template::new("WRONG", |b| {
                b.call(&OTHER, &[b.frame().into()])?;
                b.continue_()
            }),
        ]);
        let error = compile_set(&templates).unwrap_err();
        assert_eq!(
            error.to_string(),
            "template WRONG: uses helper as helper(pointer) -> i64, \
             but A uses it as helper(pointer) -> pointer"
        );
    }
}

/// A template may have the name of a helper, its own or another's.
#[test]
fn a_template_and_a_helper_do_not_collide() {
    const A: Helper = Helper::without_result("A", &[]);
    const B: Helper = Helper::without_result("B", &[]);
    let calls = |name: &str, helper: Helper| {
        Template::new(name, move |b| {
            b.call(&helper, &[])?;
            b.continue_()
        })
    };
    let contents = compile_set(&set([calls("A", A), calls("B", A), calls("C", B)])).unwrap();
    assert_eq!(contents.symbols, ["A", "B"]);
}

#[test]
fn cold_paths_are_entered_as_they_were_built() {
    check(vec![
        (
            wrong(|mut b| {
                b.push(b.i64(1))?;
                b.outline(&[], |b, _| b.continue_())
            })
            .stack(0, 1),
            "uses a cold path while pushed values are not in memory; flush() first",
        ),
        (
            wrong(|b| {
                let values = [b.i64(1).into(); 4];
                b.outline(&values, |b, _| b.continue_())
            }),
            "hands 4 values to a cold path, the limit is 3",
        ),
        (
            wrong(|mut b| {
                b.pop_array(Count::oparg_plus(0))?;
                b.outline(&[], |b, _| b.continue_())
            })
            .stack_counts(Count::oparg_plus(0), Count::default()),
            "has a cold path after pop_array or push_array",
        ),
        (
            wrong(|mut b| {
                b.push_array(Count::oparg_plus(0))?;
                b.outline(&[], |b, _| b.continue_())
            })
            .stack_counts(Count::default(), Count::oparg_plus(0)),
            "has a cold path after pop_array or push_array",
        ),
        (
            wrong(|mut b| {
                b.push(b.i64(1))?;
                b.pop_array(Count::oparg_plus(0))?;
                b.continue_()
            })
            .stack_counts(Count::oparg_plus(0), Count::fixed(1)),
            "uses pop_array while pushed values are not in memory; flush() first",
        ),
        (
            wrong(|mut b| {
                b.push(b.i64(1))?;
                b.deep_slot(Count::oparg_plus(0))?;
                b.continue_()
            })
            .stack_counts(Count::oparg_plus(0), Count::oparg_plus(1)),
            "uses deep_slot while pushed values are not in memory; flush() first",
        ),
        (
            wrong(|mut b| {
                let cold = b.cold_path(&[], |b, _| b.continue_())?;
                b.push(b.i64(1))?;
                b.go_cold(&cold)
            }),
            "goes to a cold path with another stack than the one that it was built for",
        ),
        (
            wrong(|mut b| {
                let cold = b.cold_path(&[], |b, _| b.error())?;
                let value = b.pop_i64()?;
                let zero = is_zero(&b, value)?;
                b.unlikely_to(zero, &cold)?;
                b.continue_()
            })
            .stack(1, 0)
            .may_error(),
            "goes to a cold path with another stack than the one that it was built for",
        ),
        (
            // From other code than the path was built in, its values are out of reach.
            wrong(|b| {
                let cold = b.cold_path(&[b.frame().into()], |b, _| b.continue_())?;
                b.outline(&[], |b, _| b.go_cold(&cold))
            }),
            "goes to a cold path from other code than it was built in; hand it values with go_cold_with()",
        ),
        (
            wrong(|b| {
                let cold = b.cold_path(&[b.frame().into()], |b, _| b.continue_())?;
                b.outline(&[], |b, _| {
                    let number = b.i64(0).into();
                    b.go_cold_with(&cold, &[number])
                })
            }),
            "goes to a cold path with other values than the ones that it was built for",
        ),
        (
            wrong(|b| {
                let cold = b.cold_path(&[], |b, _| b.continue_())?;
                b.outline(&[], |mut b, _| {
                    b.push(b.i64(1))?;
                    b.flush()?;
                    b.go_cold_with(&cold, &[])
                })
            }),
            "goes to a cold path with another stack than the one that it was built for",
        ),
        (
            wrong(|b| {
                b.cold_path(&[], |b, _| b.continue_())?;
                b.continue_()
            }),
            "builds cold paths that nothing goes to: 1",
        ),
    ]);
}

/// What only LLVM's verifier sees. The error names the template, among others in the module.
#[test]
fn invalid_ir_is_blamed_on_its_template() {
    type Build = fn(Builder<'_, '_>) -> Path;
    let rows: [(Build, &str); 5] = [
        (
            // The types of an addition differ.
            |mut b| {
                let sum = b.ir().build_int_add(b.oparg()?, b.i64(1), "")?;
                let (sum, _) = b.overflowing(Overflowing::Add, sum, b.i32(1))?;
                b.push(sum)?;
                b.continue_()
            },
            "Call parameter type does not match function signature",
        ),
        (
            // A cold path uses a value of the hot code that was not handed to it.
            |mut b| {
                let value = b.load_i64(b.frame(), 0)?;
                b.push(value)?;
                b.flush()?;
                b.outline(&[], |b, _| {
                    b.store(value, b.frame(), 8)?;
                    b.continue_()
                })
            },
            "another function",
        ),
        (
            // A block without an end.
            |mut b| {
                let stray = b.ir().get_insert_block().unwrap();
                b.context().insert_basic_block_after(stray, "stray");
                b.push(b.i64(0))?;
                b.continue_()
            },
            "does not have terminator",
        ),
        (
            // A condition that is not a bit.
            |mut b| {
                let value = b.oparg()?;
                b.when(value, |mut b| {
                    b.push(b.i64(0))?;
                    b.continue_()
                })?;
                b.push(b.i64(1))?;
                b.continue_()
            },
            "Branch condition is not 'i1' type",
        ),
        (
            // A value that is there on one of two ways only.
            |mut b| {
                let flag = b.load_i64(b.frame(), 0)?;
                let flag = is_zero(&b, flag)?;
                let mut inside = None;
                b.when(flag, |mut b| {
                    let value = b.load_i64(b.thread(), 0)?;
                    inside = Some(value.as_basic_value_enum());
                    b.push(value)?;
                    b.continue_()
                })?;
                b.push(inside.unwrap())?;
                b.continue_()
            },
            "Instruction does not dominate all uses",
        ),
    ];
    for (build, expected) in rows {
        let templates = set([
            Template::new("A", |b| b.continue_()),
            wrong(build).stack(0, 1),
            Template::new("Z", |b| b.continue_()),
        ]);
        let error = compile_set(&templates).unwrap_err();
        assert!(
            matches!(&error, CompileError::InvalidIr { templates, .. } if templates == "WRONG"),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
    }
}

/// Goes to the frame whose address is on the stack.
fn switches(b: &mut Builder<'_, '_>) -> Built<()> {
    let frame = b.pop_pointer()?;
    b.switch_frame(frame, frame)
}

#[test]
fn frames_are_switched_as_declared() {
    let enters = |build: fn(Builder<'_, '_>) -> Path| wrong(build).stack(1, 0).enters_frame();
    check(vec![
        (
            wrong(|mut b| {
                switches(&mut b)?;
                b.continue_()
            })
            .stack(1, 0),
            "goes to another frame, but declares neither enters_frame() nor leaves_frame()",
        ),
        (
            enters(|mut b| {
                b.pop_pointer()?;
                b.continue_()
            }),
            "declares to go to another frame, but continues in the same",
        ),
        (
            enters(|mut b| {
                switches(&mut b)?;
                b.jump()
            })
            .may_deopt(),
            "has a jump behind the way to another frame",
        ),
        (
            enters(|mut b| {
                switches(&mut b)?;
                b.error()
            })
            .may_error(),
            "has an error behind the way to another frame",
        ),
        (
            enters(|mut b| {
                switches(&mut b)?;
                b.side_exit()
            })
            .side_exits(),
            "has a side exit behind the way to another frame",
        ),
        (
            enters(|mut b| {
                switches(&mut b)?;
                let frame = b.frame();
                b.switch_frame(frame, frame)?;
                b.continue_()
            }),
            "has another frame behind the way to another frame",
        ),
        (
            enters(|mut b| {
                let frame = b.peek_pointer(0)?;
                b.switch_frame(frame, frame)?;
                b.continue_()
            }),
            "declares to pop 1 values, but goes to another frame with a change of depth by 0",
        ),
        (
            enters(|mut b| {
                switches(&mut b)?;
                b.pop_i64()?;
                b.continue_()
            }),
            "reaches deeper into the stack than the 1 values it declares",
        ),
        (
            enters(|mut b| {
                let frame = b.pop_pointer()?;
                b.push(b.i64(0))?;
                b.switch_frame(frame, frame)?;
                b.continue_()
            }),
            "uses another frame while pushed values are not in memory; flush() first",
        ),
        (
            // The cold path is for the frame that the template started in.
            enters(|mut b| {
                let frame = b.pop_pointer()?;
                b.flush()?;
                let cold = b.cold_path(&[], |mut b, _| {
                    let frame = b.frame();
                    b.switch_frame(frame, frame)?;
                    b.continue_()
                })?;
                b.switch_frame(frame, frame)?;
                b.go_cold(&cold)
            }),
            "goes to a cold path with another stack than the one that it was built for",
        ),
        (
            wrong(|b| b.jump()).jumps().enters_frame().terminal(),
            "a terminal template has no next uop to go to another frame for",
        ),
        (
            enters(|b| b.continue_()).leaves_frame(),
            "declares both to enter a frame and to leave one",
        ),
    ]);
}

/// Values in registers are those of one frame.
#[test]
fn sets_whose_locals_are_in_registers_have_one_frame() {
    let template = || {
        wrong(|mut b| {
            switches(&mut b)?;
            b.continue_()
        })
        .stack(1, 0)
        .enters_frame()
    };
    let operands = set([template()]).with_registers(Registers::Operands);
    assert_eq!(
        compile_set(&operands).unwrap_err().to_string(),
        "template WRONG: goes to another frame, but locals of this set may be in registers"
    );
    let slots = || set([template()]).with_registers(Registers::Slots);
    assert!(compile_set(&slots()).is_ok_and(|contents| {
        let uops = contents.variants.iter().flat_map(|variant| &variant.uops);
        uops.clone().count() > 0 && uops.clone().all(|uop| uop != "WRONG")
    }));
    let fused = slots().with_supernodes([vec!["WRONG".to_owned(), "WRONG".to_owned()]]);
    let error = compile_set(&fused).unwrap_err().to_string();
    assert!(error.contains("WRONG goes to another frame"), "{error}");
}

/// A template's function may refuse for reasons of its own.
#[test]
fn a_template_may_refuse() {
    use mimeo_compiler::error::TemplateError;
    check(vec![(
        wrong(|_| Err(TemplateError::Misuse("knows no such operator".to_owned()))),
        "knows no such operator",
    )]);
}
