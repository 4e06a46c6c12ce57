//! What templates compile to: each operation of the builder, and the properties that make stencils good: no stack
//! adjustment and no jump to the next stencil in hot code, conditional jumps straight to where they lead, constants
//! carved and aligned, frames even.

#![cfg(llvm)]

mod support;

use inkwell::IntPredicate;
use inkwell::values::{BasicValueEnum, FloatValue, IntValue};
use mimeo::hole::HoleValue;
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Count, Part, StackEffect, UopFlags};
use mimeo_compiler::builder::Overflowing;
use mimeo_compiler::codegen::ir_text;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_compiler::verify;
use support::*;

/// A helper that finds a frame.
const FIND: Helper = Helper::new("helper_find", &[P], P);

fn template(build: impl Fn(Builder<'_, '_>) -> Path + Send + Sync + 'static) -> Template {
    Template::new("UOP", build)
}

/// A template that pushes what `value` gives.
fn pushes(
    value: impl for<'ctx> Fn(&Builder<'_, 'ctx>) -> Built<BasicValueEnum<'ctx>> + Send + Sync + 'static,
) -> Template {
    template(move |mut b| {
        let value = value(&b)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(0, 1)
}

/// Code as tests write it: a line an instruction, holes behind a semicolon, indented by the source.
fn code(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Rows of a template, its hot and its cold code.
fn check(rows: Vec<(Template, &str, &str)>) {
    for (template, hot, cold) in rows {
        let declared = format!("{template:?}");
        let (uop, symbols) = uop(template);
        assert_eq!(text(&uop, &symbols, Part::Hot), code(hot), "{declared}");
        assert_eq!(text(&uop, &symbols, Part::Cold), code(cold), "{declared}");
        assert!(uop.group.data.bytes.is_empty(), "{declared}");
    }
}

#[test]
fn holes_stand_in_the_instructions_that_use_them() {
    check(vec![
        (template(|b| b.continue_()), "", ""),
        (
            pushes(|b| Ok(b.oparg()?.into())),
            "mov qword ptr [r13], 0 ; R_X86_64_32S OPARG
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.scaled_oparg(6)?.into())),
            "mov qword ptr [r13], 0 ; R_X86_64_32S OPARG << 6
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.operand()?.into())),
            "mov rax, 0 ; R_X86_64_64 OPERAND
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            // A full operand never gets a narrow field, whatever uses it.
            pushes(|b| {
                let word = b.load_i64(b.frame(), 0)?;
                Ok(b.ir().build_int_add(word, b.operand()?, "")?.into())
            }),
            "mov rax, 0 ; R_X86_64_64 OPERAND
             add rax, [r12]
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.operand1()?.into())),
            "mov rax, 0 ; R_X86_64_64 OPERAND1
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            pushes(|b| b.load(Type::I64, b.operand1_pointer()?, 8)),
            "mov rax, 0 ; R_X86_64_64 OPERAND1
             mov rax, [rax+8]
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.small_operand1(31)?.into())),
            "mov qword ptr [r13], 0 ; R_X86_64_32S OPERAND1
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.small_operand(31)?.into())),
            "mov qword ptr [r13], 0 ; R_X86_64_32S OPERAND
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.target()?.into())),
            "mov qword ptr [r13], 0 ; R_X86_64_32S TARGET
             add r13, 8",
            "",
        ),
        (
            pushes(|b| b.load(Type::I64, b.executor_field(16)?, 0)),
            "mov rax, [rip] ; R_X86_64_PC32 EXECUTOR + 16
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            pushes(|b| Ok(b.symbol_address("some_data")?.into())),
            "lea rax, [rip] ; R_X86_64_PC32 some_data
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            pushes(|b| b.load(Type::I64, b.local()?, 0)).local_oparg(),
            "mov rax, [r12] ; R_X86_64_32S OPARG << 3 + 48
             mov [r13], rax
             add r13, 8",
            "",
        ),
        (
            pushes(|b| b.load(Type::I64, b.local_at(3)?, 0)).uses_local(3),
            "mov rax, [r12+0x48]
             mov [r13], rax
             add r13, 8",
            "",
        ),
    ]);
}

#[test]
fn the_stack_is_touched_only_where_it_changes() {
    check(vec![
        (
            // A value that is pushed and dropped again is never stored.
            template(|mut b| {
                b.push(b.i64(7))?;
                b.push(b.i64(8))?;
                b.drop_values(1)?;
                b.continue_()
            })
            .stack(0, 1),
            "mov qword ptr [r13], 7
             add r13, 8",
            "",
        ),
        (
            template(|mut b| {
                let (y, x) = (b.pop_i64()?, b.pop_i64()?);
                b.push(y)?;
                b.push(x)?;
                b.continue_()
            })
            .stack(2, 2),
            "mov rax, [r13-0x10]
             mov rcx, [r13-8]
             mov [r13-0x10], rcx
             mov [r13-8], rax",
            "",
        ),
        (
            // A float that was pushed comes back as a word without a way through memory.
            template(|mut b| {
                let value = b.pop(Type::F64)?;
                b.push(value)?;
                let bits = b.pop_i64()?;
                b.push(b.ir().build_int_add(bits, b.i64(1), "")?)?;
                b.continue_()
            })
            .stack(1, 1),
            "inc qword ptr [r13-8]",
            "",
        ),
        (
            template(|mut b| {
                let array = b.pop_array(Count::oparg_plus(1))?;
                b.call(&TOUCH, &[array.into()])?;
                b.continue_()
            })
            .stack_counts(Count::oparg_plus(1), Count::default()),
            "mov eax, 0 ; R_X86_64_32 OPARG << 3 + 8
             sub r13, rax
             mov rdi, r13
             call 0x10 ; R_X86_64_PC32 helper_touch",
            "",
        ),
        (
            template(|mut b| {
                let array = b.push_array(Count::oparg_plus(0))?;
                b.call(&TOUCH, &[array.into()])?;
                b.continue_()
            })
            .stack_counts(Count::default(), Count::oparg_plus(0)),
            "mov rdi, r13
             lea r13, [r13] ; R_X86_64_32S OPARG << 3
             call 0xf ; R_X86_64_PC32 helper_touch",
            "",
        ),
        (
            template(|b| {
                let slot = b.deep_slot(Count::oparg_plus(2))?;
                b.store(b.i64(0), slot, 0)?;
                b.continue_()
            })
            .stack_counts(Count::oparg_plus(2), Count::oparg_plus(2)),
            "mov eax, 0 ; R_X86_64_32 OPARG << 3 + 16
             neg rax
             mov qword ptr [r13+rax], 0",
            "",
        ),
    ]);
}

#[test]
fn ways_out_are_jumps_to_their_holes() {
    check(vec![
        (
            template(|b| b.jump()).jumps().terminal(),
            "jmp 5 ; R_X86_64_PC32 JUMP_TARGET",
            "",
        ),
        (
            template(|b| b.error()).may_error().terminal(),
            "jmp 5 ; R_X86_64_PC32 ERROR_TARGET",
            "",
        ),
        (
            template(|b| b.top()).restarts().terminal(),
            "jmp 5 ; R_X86_64_PC32 TOP",
            "",
        ),
        (
            template(|b| {
                b.store(b.exit_index()?, b.thread(), 8)?;
                b.side_exit()
            })
            .side_exits()
            .terminal(),
            "mov qword ptr [r14+8], 0 ; R_X86_64_32S EXIT_INDEX
             lea r15, [rip] ; R_X86_64_PC32 EXIT
             jmp qword ptr [rip] ; R_X86_64_PC32 EXIT",
            "",
        ),
        (
            // Popped values are gone, but the error's stack pointer is the one at entry.
            template(|mut b| {
                let x = b.pop_i64()?;
                let y = b.call_int(&WORD, &[x.into()])?;
                let failed = is_zero(&b, y)?;
                b.unlikely(failed, |b| b.error())?;
                b.continue_()
            })
            .stack(1, 0)
            .may_error(),
            "mov rdi, [r13-8]
             call 9 ; R_X86_64_PC32 helper_word
             test rax, rax
             je 0x12 ; R_X86_64_PC32 ERROR_TARGET
             add r13, -8",
            "",
        ),
        (
            template(|mut b| {
                let x = b.peek(0, Type::I64)?.into_int_value();
                let stop = is_zero(&b, x)?;
                b.unlikely(stop, |b| b.side_exit())?;
                b.continue_()
            })
            .stack(1, 1)
            .side_exits(),
            "cmp qword ptr [r13-8], 0
             je 0xb ; R_X86_64_PC32 COLD",
            "lea r15, [rip] ; R_X86_64_PC32 EXIT
             jmp qword ptr [rip] ; R_X86_64_PC32 EXIT",
        ),
    ]);
}

#[test]
fn branches_fall_through_to_the_next_stencil() {
    check(vec![
        (
            // Straight to the jump target, no jump around it.
            template(|mut b| {
                let x = b.peek(0, Type::I64)?.into_int_value();
                let stop = is_zero(&b, x)?;
                b.unlikely(stop, |b| b.jump())?;
                b.continue_()
            })
            .stack(1, 1)
            .may_deopt(),
            "cmp qword ptr [r13-8], 0
             je 0xb ; R_X86_64_PC32 JUMP_TARGET",
            "",
        ),
        (
            // Written the other way round, the branch is inverted.
            template(|mut b| {
                let x = b.peek(0, Type::I64)?.into_int_value();
                let go_on = is_zero(&b, x)?;
                b.unlikely(go_on, |b| b.continue_())?;
                b.jump()
            })
            .stack(1, 1)
            .may_deopt(),
            "cmp qword ptr [r13-8], 0
             jne 0xb ; R_X86_64_PC32 JUMP_TARGET",
            "",
        ),
        (
            // One flag for two ways out.
            template(|mut b| {
                let (y, x) = (b.peek(0, Type::I64)?, b.peek(1, Type::I64)?);
                let (y, x) = (y.into_int_value(), x.into_int_value());
                let (sum, overflow) = b.overflowing(Overflowing::Add, x, y)?;
                b.unlikely(overflow, |b| b.jump())?;
                b.drop_values(2)?;
                b.push(sum)?;
                b.continue_()
            })
            .stack(2, 1)
            .may_deopt(),
            "mov rax, [r13-0x10]
             add rax, [r13-8]
             jo 0xe ; R_X86_64_PC32 JUMP_TARGET
             mov [r13-0x10], rax
             add r13, -8",
            "",
        ),
    ]);
}

#[test]
fn cold_code_keeps_hot_code_free_of_calls() {
    check(vec![
        (
            // The value travels in r15, the first register behind frame, stack pointer and thread.
            template(|mut b| {
                let x = b.pop_i64()?;
                let slow = is_zero(&b, x)?;
                b.cold_if(slow, &[x.into()], |mut b, values| {
                    let y = b.call_int(&WORD, &[values[0]])?;
                    b.push(y)?;
                    b.continue_()
                })?;
                b.push(x)?;
                b.continue_()
            })
            .stack(1, 1),
            "mov r15, [r13-8]
             test r15, r15
             je 0xd ; R_X86_64_PC32 COLD",
            "mov rdi, r15
             call 8 ; R_X86_64_PC32 helper_word
             mov [r13-8], rax
             jmp 0x11 ; R_X86_64_PC32 CONTINUE",
        ),
        (
            // A cold function of a template with several is entered where it starts, and what the way there needs is
            // cold, too: in front of them.
            template(|mut b| {
                let word = b.load_i64(b.frame(), 0)?;
                let (first, second) = (is_zero(&b, word)?, is_negative(&b, word)?);
                b.cold_if(first, &[], |b, _| {
                    b.call(&TOUCH, &[b.thread().into()])?;
                    b.error()
                })?;
                b.cold_if(second, &[b.frame().into()], |b, values| {
                    b.call(&TOUCH, values)?;
                    b.jump()
                })?;
                b.continue_()
            })
            .may_error()
            .may_deopt(),
            "cmp qword ptr [r12], 0
             je 0xb ; R_X86_64_PC32 COLD + 8
             js 0x11 ; R_X86_64_PC32 COLD",
            "mov r15, r12
             jmp 8 ; R_X86_64_PC32 COLD + 21
             mov rdi, r14
             call 0x10 ; R_X86_64_PC32 helper_touch
             jmp 0x15 ; R_X86_64_PC32 ERROR_TARGET
             mov rdi, r15
             call 0x1d ; R_X86_64_PC32 helper_touch
             jmp 0x22 ; R_X86_64_PC32 JUMP_TARGET",
        ),
        (
            // The error's stack pointer is the one at entry, wherever the cold code was entered. Floats are handed
            // over, too.
            template(|mut b| {
                let x = b.pop(Type::F64)?;
                b.pop_i64()?;
                b.flush()?;
                b.outline(&[x], |mut b, values| {
                    b.store(values[0], b.frame(), 0)?;
                    let word = b.load_i64(b.frame(), 8)?;
                    let zero = is_zero(&b, word)?;
                    b.unlikely(zero, |b| b.error())?;
                    b.continue_()
                })
            })
            .stack(2, 0)
            .may_error(),
            "mov r15, [r13-8]
             add r13, -0x10
             jmp 0xd ; R_X86_64_PC32 COLD",
            "mov [r12], r15
             cmp qword ptr [r12+8], 0
             jne 0x10 ; R_X86_64_PC32 CONTINUE
             add r13, 0x10
             jmp 0x19 ; R_X86_64_PC32 ERROR_TARGET",
        ),
        (
            // Branches share a path.
            template(|mut b| {
                let slow = b.cold_path(&[], |b, _| {
                    b.call(&TOUCH, &[b.frame().into()])?;
                    b.continue_()
                })?;
                for offset in [0, 8] {
                    let word = b.load_i64(b.frame(), offset)?;
                    let zero = is_zero(&b, word)?;
                    b.unlikely_to(zero, &slow)?;
                }
                b.store(b.i64(1), b.frame(), 0)?;
                b.continue_()
            }),
            "cmp qword ptr [r12], 0
             je 0xb ; R_X86_64_PC32 COLD
             cmp qword ptr [r12+8], 0
             je 0x17 ; R_X86_64_PC32 COLD
             mov qword ptr [r12], 1",
            "mov rdi, r12
             call 8 ; R_X86_64_PC32 helper_touch
             jmp 0xd ; R_X86_64_PC32 CONTINUE",
        ),
        (
            // Cold code goes on in other cold code, with what is left.
            template(|mut b| {
                let (y, x) = (b.pop_pointer()?, b.pop_pointer()?);
                b.flush()?;
                let handed = [x.into(), y.into()];
                let second = b.cold_path(&handed, |b, values| {
                    b.call(&TOUCH, &[values[1]])?;
                    b.continue_()
                })?;
                let first = b.cold_path(&handed, |mut b, values| {
                    b.call(&TOUCH, &[values[0]])?;
                    let word = b.load_i64(values[1].into_pointer_value(), 0)?;
                    let zero = is_zero(&b, word)?;
                    b.unlikely(zero, |b| b.go_cold_with(&second, values))?;
                    b.continue_()
                })?;
                for (value, path) in [(x, &first), (y, &second)] {
                    let word = b.load_i64(value, 0)?;
                    let zero = is_zero(&b, word)?;
                    b.unlikely_to(zero, path)?;
                }
                b.continue_()
            })
            .stack(2, 0),
            "mov r15, [r13-0x10]
             mov rdi, [r13-8]
             add r13, -0x10
             cmp qword ptr [r15], 0
             je 0x16 ; R_X86_64_PC32 COLD + 10
             cmp qword ptr [rdi], 0
             je 0x20 ; R_X86_64_PC32 COLD",
            "call 5 ; R_X86_64_PC32 helper_touch
             jmp 0xa ; R_X86_64_PC32 CONTINUE
             mov rbx, rdi
             mov rdi, r15
             call 0x15 ; R_X86_64_PC32 helper_touch
             cmp qword ptr [rbx], 0
             jne 0x1f ; R_X86_64_PC32 CONTINUE
             mov rdi, rbx
             jmp 0x27 ; R_X86_64_PC32 COLD",
        ),
    ]);
}

fn is_negative<'ctx>(b: &Builder<'_, 'ctx>, value: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_compare(IntPredicate::SLT, value, b.i64(0), "")?)
}

/// Control flow made by hand inside a template: a jump back is a jump inside the stencil, without a hole.
#[test]
fn a_template_may_loop_by_hand() {
    let counts_down = template(|mut b| {
        let start = b.pop_i64()?;
        let ir = b.ir();
        let before = ir.get_insert_block().unwrap();
        let body = b.context().insert_basic_block_after(before, "body");
        let after = b.context().insert_basic_block_after(body, "after");
        ir.build_unconditional_branch(body)?;
        ir.position_at_end(body);
        let left = ir.build_phi(b.context().i64_type(), "left")?;
        b.call(&TOUCH, &[b.frame().into()])?;
        let value = left.as_basic_value().into_int_value();
        let next = ir.build_int_sub(value, b.i64(1), "")?;
        left.add_incoming(&[(&start, before), (&next, body)]);
        let done = is_zero(&b, next)?;
        ir.build_conditional_branch(done, after, body)?;
        ir.position_at_end(after);
        b.continue_()
    })
    .stack(1, 0);
    check(vec![(
        counts_down,
        "mov rbx, [r13-8]
         add r13, -8
         mov rdi, r12
         call 0x10 ; R_X86_64_PC32 helper_touch
         dec rbx
         jne 8",
        "",
    )]);
}

#[test]
fn metadata_say_what_the_code_needs() {
    let (found, _) = uop(template(|mut b| {
        let x = b.peek(0, Type::I64)?.into_int_value();
        b.store(b.small_operand(20)?, b.frame(), 0)?;
        b.store(b.small_operand(9)?, b.frame(), 8)?;
        b.store(b.small_oparg(7)?, b.frame(), 16)?;
        b.store(b.small_operand1(12)?, b.frame(), 32)?;
        b.store(b.operand1()?, b.frame(), 40)?;
        b.store(b.target()?, b.frame(), 24)?;
        let zero = is_zero(&b, x)?;
        b.drop_values(1)?;
        b.unlikely(zero, |b| b.jump())?;
        b.push(x)?;
        b.push(x)?;
        b.continue_()
    })
    .stack(1, 2)
    .uses_local(4)
    .may_exit());
    assert_eq!(found.name, "UOP");
    assert_eq!(found.effect, StackEffect::fixed(1, 2));
    assert_eq!(found.leaving_effect, StackEffect::fixed(1, 0));
    let arguments = UopFlags::OPARG | UopFlags::OPERAND | UopFlags::OPERAND1 | UopFlags::TARGET;
    assert_eq!(found.flags, UopFlags::EXIT | arguments);
    // The narrowest hole decides.
    assert_eq!((found.oparg_max, found.operand_max), (127, 511));
    assert_eq!(found.operand1_max, 4095);
    assert_eq!(found.locals, 5);

    let (found, _) = uop(template(|b| b.continue_()).local_oparg());
    assert_eq!(found.flags, UopFlags::LOCAL | UopFlags::OPARG);
    assert_eq!((found.oparg_max, found.operand_max), (65535, u64::MAX));
    assert_eq!(found.operand1_max, u64::MAX);
    // A handler that asks for it needs a place to read, whatever LLVM makes of the stencil.
    let (found, _) = uop(template(|b| {
        b.operand1()?;
        b.continue_()
    }));
    assert_eq!(found.flags, UopFlags::OPERAND1);
    assert_eq!(found.group.as_group().holes().count(), 0);

    let oparg = Count::oparg_plus(0);
    let (found, _) = uop(template(|b| b.continue_()).stack_counts(oparg, oparg));
    assert_eq!(found.flags, UopFlags::OPARG, "the stack effect reads it");
}

#[test]
fn holes_are_described_in_full() {
    let (found, _) = uop(pushes(|b| b.load(Type::I64, b.local()?, 8)).local_oparg());
    let [hole] = found.group.hot.holes[..] else {
        panic!("{:?}", found.group.hot.holes);
    };
    assert_eq!(
        (hole.offset(), hole.kind(), hole.value()),
        (4, RelocationKind::Abs32S, HoleValue::Oparg)
    );
    assert_eq!((hole.shift(), hole.addend()), (3, LOCALS as i32 + 8));
    assert_eq!(found.group.hot.align, 1);
}

/// A template that replaces a float.
fn of_float(
    operation: impl for<'ctx> Fn(&Builder<'_, 'ctx>, FloatValue<'ctx>) -> Built<FloatValue<'ctx>>
    + Send
    + Sync
    + 'static,
) -> Template {
    template(move |mut b| {
        let value = b.pop(Type::F64)?.into_float_value();
        let value = operation(&b, value)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(1, 1)
}

fn add_constant<'ctx>(
    b: &Builder<'_, 'ctx>,
    value: FloatValue<'ctx>,
    constant: f64,
) -> Built<FloatValue<'ctx>> {
    let constant = b.context().f64_type().const_float(constant);
    Ok(b.ir().build_float_add(value, constant, "")?)
}

/// |x|, whose mask LLVM keeps as a constant of 16 bytes.
fn absolute<'ctx>(b: &Builder<'_, 'ctx>, value: FloatValue<'ctx>) -> Built<FloatValue<'ctx>> {
    let (f64_type, i64_type) = (b.context().f64_type(), b.context().i64_type());
    let bits = b.ir().build_bit_cast(value, i64_type, "")?.into_int_value();
    let bits = b.ir().build_and(bits, b.i64(i64::MAX), "")?;
    Ok(b.ir()
        .build_bit_cast(bits, f64_type, "")?
        .into_float_value())
}

#[test]
fn constants_are_carved_and_aligned() {
    let rows = [
        (
            of_float(|b, x| {
                let x = add_constant(b, x, 2.5)?;
                let x = add_constant(b, x, 0.1)?;
                add_constant(b, x, 2.5)
            }),
            "movsd xmm0, [rip] ; R_X86_64_PC32 DATA
             movsd xmm1, [r13-8]
             addsd xmm1, xmm0
             addsd xmm1, [rip] ; R_X86_64_PC32 DATA + 8
             addsd xmm1, xmm0
             movsd [r13-8], xmm1",
            8,
            ".quad 0x4004000000000000
             .quad 0x3fb999999999999a",
        ),
        (
            // Of a value in memory, newer versions of LLVM change the byte of the sign alone.
            of_float(|b, x| {
                let twice = b.ir().build_float_add(x, x, "")?;
                Ok(b.ir().build_float_neg(twice, "")?)
            }),
            "movsd xmm0, [r13-8]
             addsd xmm0, xmm0
             xorpd xmm0, [rip] ; R_X86_64_PC32 DATA
             movlpd [r13-8], xmm0",
            16,
            ".quad 0x8000000000000000
             .quad 0x8000000000000000",
        ),
        (
            // The larger one does not come first: it is aligned within the data, too.
            of_float(|b, x| {
                let x = add_constant(b, x, 2.5)?;
                let x = absolute(b, x)?;
                add_constant(b, x, 0.1)
            }),
            "movsd xmm0, [r13-8]
             addsd xmm0, [rip] ; R_X86_64_PC32 DATA
             andpd xmm0, [rip] ; R_X86_64_PC32 DATA + 16
             addsd xmm0, [rip] ; R_X86_64_PC32 DATA + 32
             movsd [r13-8], xmm0",
            16,
            ".quad 0x4004000000000000
             .quad 0x0000000000000000
             .quad 0x7fffffffffffffff
             .quad 0x7fffffffffffffff
             .quad 0x3fb999999999999a",
        ),
    ];
    for (template, hot, align, data) in rows {
        let (uop, symbols) = uop(template);
        assert_eq!(text(&uop, &symbols, Part::Hot), code(hot));
        assert_eq!(text(&uop, &symbols, Part::Data), code(data));
        assert_eq!(uop.group.data.align, align);
    }
}

/// Templates of one module share a section of constants; each gets only its own.
#[test]
fn constants_of_one_module_are_told_apart() {
    let adds = |name: &str, constant: f64| {
        let build = move |mut b: Builder<'_, '_>| {
            let value = b.pop(Type::F64)?.into_float_value();
            let sum = add_constant(&b, value, constant)?;
            b.push(sum)?;
            b.continue_()
        };
        Template::new(name, build).stack(1, 1)
    };
    let constants = [0.5, 1.5, 0.5, 3.25];
    let templates = (0..4).map(|index| adds(&format!("U{index}"), constants[index]));
    let contents = compile_set(&set(templates)).unwrap();
    for (uop, constant) in contents.uops.iter().zip(constants) {
        assert_eq!(uop.group.data.bytes, constant.to_le_bytes(), "{}", uop.name);
    }
}

/// LLVM makes a table of the two constants and indexes it by an absolute address of 32 bits, which a trace cannot have.
#[test]
fn a_choice_of_two_constants_is_refused() {
    let chooses = of_float(|b, x| {
        let f64_type = b.context().f64_type();
        let (one, two) = (f64_type.const_float(3.0), f64_type.const_float(4.0));
        let less = b
            .ir()
            .build_float_compare(inkwell::FloatPredicate::OLT, x, one, "")?;
        Ok(b.ir().build_select(less, one, two, "")?.into_float_value())
    });
    let error = compile_set(&set([chooses])).unwrap_err().to_string();
    assert!(error.starts_with("uop UOP, section .text.UOP: "), "{error}");
    assert!(error.contains(".rodata.cst16"), "{error}");
}

/// `count` values that are kept over a call, in an order that LLVM cannot change.
fn keep_over_call<'ctx>(b: &Builder<'_, 'ctx>, count: u32) -> Built<IntValue<'ctx>> {
    let loads = (0..count).map(|index| b.load_i64(b.thread(), 8 * index));
    let values = loads.collect::<Built<Vec<_>>>()?;
    b.call(&TOUCH, &[b.frame().into()])?;
    let mut mixed = b.i64(0);
    for value in values {
        let shifted = b.ir().build_left_shift(value, mixed, "")?;
        mixed = b.ir().build_int_add(mixed, shifted, "")?;
    }
    Ok(mixed)
}

/// Stencils are entered with rsp at 0 mod 16, so a frame of an odd number of words is padded: hot code, cold code, and
/// each by itself where a template has both.
#[test]
fn calls_are_aligned_whatever_is_spilled() {
    let mut odd_frames = 0;
    for (hot, cold) in (0..=5).flat_map(|hot| (0..=5).map(move |cold| (hot, cold))) {
        let build = move |mut b: Builder<'_, '_>| {
            let value = keep_over_call(&b, hot)?;
            let zero = is_zero(&b, value)?;
            b.cold_if(zero, &[], |mut b, _| {
                let value = keep_over_call(&b, cold)?;
                b.push(value)?;
                b.continue_()
            })?;
            b.push(value)?;
            b.continue_()
        };
        let (uop, symbols) = uop(template(build).stack(0, 1));
        let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
        // The checker computes rsp mod 16 at every call, and that it is level at every way out.
        let report = verify::check_group(&uop.info(), uop.group.as_group(), &names).unwrap();
        assert_eq!(report.calls, 2, "{hot} {cold}");
        assert!(report.max_stack.is_multiple_of(16), "{hot} {cold}");
        for part in [Part::Hot, Part::Cold] {
            let padded = text(&uop, &symbols, part).starts_with("push rbp\npush rax\n");
            odd_frames += usize::from(padded);
        }
    }
    assert!(
        odd_frames >= 12,
        "{odd_frames}: LLVM spills otherwise, choose other templates"
    );
}

/// The frames of small templates stay empty: the padding is only for those that need it.
#[test]
fn no_stack_is_used_without_need() {
    for count in 0..=2 {
        let (uop, symbols) = uop(template(move |mut b| {
            let value = keep_over_call(&b, count)?;
            b.push(value)?;
            b.continue_()
        })
        .stack(0, 1));
        let hot = text(&uop, &symbols, Part::Hot);
        assert!(!hot.contains("rsp") && !hot.contains("push"), "{hot}");
    }
}

#[test]
fn the_ir_can_be_read() {
    let set = set([pushes(|b| Ok(b.oparg()?.into()))]);
    let text = ir_text(&set).unwrap();
    for expected in [
        "define preserve_nonecc void @UOP.hot(ptr %0, ptr %1, ptr %2, i64 %3, i64 %4, i64 %5)",
        "section \".text.UOP\"",
        "@_JIT_OPARG.u16 = external hidden global i8, !absolute_symbol",
        "musttail call preserve_nonecc void @_JIT_CONTINUE",
        "!\"override-stack-alignment\", i32 8",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

/// Pops the address of a frame, which keeps where it was entered from, and goes there: the stack starts 64 bytes behind.
fn enters_frame() -> Template {
    template(|mut b| {
        let inner = b.pop_pointer()?;
        let stack = b.flush()?;
        b.store(b.frame(), inner, 0)?;
        b.store(stack, inner, 8)?;
        let stack = b.offset(inner, b.i64(64))?;
        b.switch_frame(inner, stack)?;
        let number = b.load_i64(b.frame(), 16)?;
        b.push(number)?;
        b.continue_()
    })
    .stack(1, 1)
    .enters_frame()
}

/// Pops a value, goes back and pushes it there; jumps first where the value is 0.
fn leaves_frame() -> Template {
    template(|mut b| {
        let zero = is_zero(&b, b.peek(0, Type::I64)?.into_int_value())?;
        b.unlikely(zero, |b| b.jump())?;
        let value = b.pop_i64()?;
        let (outer, stack) = (b.load_pointer(b.frame(), 0)?, b.load_pointer(b.frame(), 8)?);
        b.switch_frame(outer, stack)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(1, 1)
    .leaves_frame()
    .may_deopt()
}

#[test]
fn frames_are_switched_on_the_way_on() {
    check(vec![
        (
            enters_frame(),
            "mov rax, [r13-8]
             add r13, -8
             mov [rax], r12
             mov [rax+8], r13
             mov rcx, [rax+0x10]
             mov [rax+0x40], rcx
             lea r13, [rax+0x48]
             mov r12, rax",
            "",
        ),
        (
            leaves_frame(),
            "mov rcx, [r13-8]
             test rcx, rcx
             je 0xd ; R_X86_64_PC32 JUMP_TARGET
             mov rax, [r12]
             mov r13, [r12+8]
             mov [r13], rcx
             add r13, 8
             mov r12, rax",
            "",
        ),
    ]);
}

/// A slow path finds the frame, or frames another.
#[test]
fn frames_are_switched_from_cold_code() {
    let (uop, symbols) = uop(template(|mut b| {
        let inner = b.pop_pointer()?;
        let none = b.ir().build_is_null(inner, "")?;
        b.cold_if(none, &[], |mut b, _| {
            let found = b.call_pointer(&FIND, &[b.frame().into()])?;
            b.switch_frame(found, found)?;
            b.continue_()
        })?;
        b.switch_frame(inner, inner)?;
        b.outline(&[], |b, _| {
            b.call(&TOUCH, &[b.frame().into()])?;
            b.continue_()
        })
    })
    .stack(1, 0)
    .enters_frame());
    let cold = text(&uop, &symbols, Part::Cold);
    // The first frame, the one that is found, and the one that is handed over.
    for expected in ["mov rdi, r12", "mov r12, rax", "call"] {
        assert!(cold.contains(expected), "{cold}");
    }
}
