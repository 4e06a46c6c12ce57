//! IR to stencils: what fills them, as tables; and what can be relaxed.

use super::*;
use crate::symbol::HoleSymbol;
use mimeo::reloc::RelocationKind::{Abs64, Pc32};
use mimeo::stencil::StencilBuf;

fn holes() -> SymbolMeanings {
    let number = HoleSymbol::number;
    [
        ("_JIT_CONTINUE", HoleSymbol::address(HoleValue::Continue)),
        (
            "_JIT_ERROR_TARGET",
            HoleSymbol::address(HoleValue::ErrorTarget),
        ),
        ("_JIT_EXECUTOR", HoleSymbol::address(HoleValue::Executor)),
        (
            "_JIT_JUMP_TARGET",
            HoleSymbol::address(HoleValue::JumpTarget),
        ),
        ("_JIT_OPARG", number(HoleValue::Oparg, 16)),
        ("_JIT_OPERAND", HoleSymbol::address(HoleValue::Operand)),
        ("_JIT_TARGET", number(HoleValue::Target, 32)),
    ]
    .into_iter()
    .fold(SymbolMeanings::default(), |meanings, (name, hole)| {
        meanings.hole(name, hole)
    })
}

/// Templates with these instructions before they go on. Holes are there as `%oparg`, `%operand`, and `%executor`.
fn compile(bodies: &[&str]) -> Result<Vec<CStencil>, CompileError> {
    compile_with(Addresses::InData, bodies)
}

fn compile_with(addresses: Addresses, bodies: &[&str]) -> Result<Vec<CStencil>, CompileError> {
    let mut ir = String::from(
        "target datalayout = \"e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128\"\n\
         target triple = \"x86_64-pc-linux-gnu\"\n\
         @_JIT_OPARG = external global i8\n@_JIT_OPERAND = external global i8\n@_JIT_EXECUTOR = external global i8\n\
         @numbers = internal constant [5 x i64] [i64 9, i64 8, i64 7, i64 11, i64 5]\n\
         declare ptr @_JIT_CONTINUE(ptr, ptr, ptr)\ndeclare ptr @_JIT_JUMP_TARGET(ptr, ptr, ptr)\n\
         @one = external global i64\n@other = external global i64\n\
         declare i64 @helper(ptr, i64) nonlazybind\n\
         declare i64 @many(ptr, i64, i64, i64, i64, i64, i64, ...) nonlazybind\n",
    );
    for (number, body) in bodies.iter().enumerate() {
        ir += &format!(
            "define ptr @f{number}(ptr %frame, ptr %sp, ptr %thread) {{\n\
             %oparg = trunc i64 ptrtoint (ptr @_JIT_OPARG to i64) to i16\n\
             %operand = add i64 ptrtoint (ptr @_JIT_OPERAND to i64), 0\n\
             %executor = getelementptr i8, ptr @_JIT_EXECUTOR, i64 0\n\
             {body}\n\
             %end = musttail call ptr @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)\nret ptr %end\n}}\n"
        );
    }
    let functions: Vec<IrFunction> = (0..bodies.len())
        .map(|number| IrFunction {
            function: format!("f{number}"),
            stencil: format!("_{number}"),
        })
        .collect();
    let source = IrSource::from_bytes("test", ir);
    compile_stencils(
        &source,
        None,
        &functions,
        &holes(),
        addresses,
        NonZeroUsize::MIN,
    )
}

/// What fills the code and the data.
fn fillings(stencil: &CStencil) -> Vec<String> {
    let name = |value: HoleValue| value.name().to_owned();
    let patches = |bytes: &CBytes, part: &str| -> Vec<String> {
        let patches = bytes.patches.iter();
        patches
            .map(|patch| {
                let filling = match &patch.filling {
                    Filling::Value(value) => name(*value),
                    Filling::Number(number) => number.to_c(&name),
                    Filling::Address(symbol) => format!("&{symbol}"),
                };
                let relaxable = if patch.relaxable { " relaxable" } else { "" };
                let kind = patch.kind.name().trim_start_matches("R_X86_64_");
                format!("{part} {kind} {filling} {}{relaxable}", patch.addend)
            })
            .collect()
    };
    let mut all = patches(&stencil.code, "code");
    all.extend(patches(&stencil.data, "data"));
    all
}

#[test]
fn what_fills_stencils() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("nothing", "", &[]),
        (
            "a number",
            "%x = zext i16 %oparg to i64\n\
             store i64 %x, ptr %sp",
            &["code 32S OPARG 0"],
        ),
        (
            "what is computed of a number",
            "%x = zext i16 %oparg to i64\n\
             %y = mul i64 %x, 24\n\
             %z = sub i64 %y, 7\n\
             store i64 %z, ptr %sp",
            &["code 32S (((uint64_t)OPARG * 24) + -7) 0"],
        ),
        (
            "a negative index",
            "%x = zext i16 %oparg to i64\n\
             %y = sub i64 -1, %x\n\
             %p = getelementptr i64, ptr %sp, i64 %y\n\
             store i64 1, ptr %p",
            &["code 32S ((-1 - (uint64_t)OPARG) << 3) 0"],
        ),
        (
            "an index and what is added",
            "%x = zext i16 %oparg to i64\n\
             %p = getelementptr i64, ptr %frame, i64 %x\n\
             %q = getelementptr i8, ptr %p, i64 40\n\
             store i64 1, ptr %q",
            &["code 32S ((uint64_t)OPARG << 3) 40"],
        ),
        (
            "64 bits, in a word",
            "store i64 %operand, ptr %sp",
            &["code PC32 DATA -4 relaxable", "data 64 OPERAND 0"],
        ),
        (
            "the low half",
            "%x = trunc i64 %operand to i32\n\
             store i32 %x, ptr %sp",
            &["code 32 (uint32_t)OPERAND 0"],
        ),
        (
            "the high bits",
            "%x = lshr i64 %operand, 40\n\
             store i64 %x, ptr %sp",
            &["code 32S ((uint64_t)OPERAND >> 40) 0"],
        ),
        (
            "the executor",
            "store ptr %executor, ptr %sp",
            &["code PC32 DATA -4 relaxable", "data 64 EXECUTOR 0"],
        ),
        (
            "a guard",
            "%x = load i32, ptr %sp\n\
             %y = trunc i64 %operand to i32\n\
             %c = icmp eq i32 %x, %y\n\
             br i1 %c, label %on, label %off\n\
             off:\n\
             %j = musttail call ptr @_JIT_JUMP_TARGET(ptr %frame, ptr %sp, ptr %thread)\n\
             ret ptr %j\n\
             on:",
            &["code 32 (uint32_t)OPERAND 0", "code PC32 JUMP_TARGET -4"],
        ),
        (
            "a call",
            "%x = call i64 @helper(ptr %thread, i64 5)\n\
             store i64 %x, ptr %sp",
            &["code PC32 DATA -4 relaxable", "data 64 &helper 0"],
        ),
        (
            "a function's address",
            "store ptr @helper, ptr %sp",
            &["code PC32 DATA -4 relaxable", "data 64 &helper 0"],
        ),
        (
            "a table",
            "%i = load i64, ptr %sp\n\
             %p = getelementptr [5 x i64], ptr @numbers, i64 0, i64 %i\n\
             %x = load i64, ptr %p\n\
             store i64 %x, ptr %sp",
            &["code PC32 DATA -4"],
        ),
    ];
    let bodies: Vec<&str> = rows.iter().map(|(_, body, _)| *body).collect();
    let stencils = compile(&bodies).expect("they are sound");
    for ((name, _, expected), stencil) in rows.iter().zip(&stencils) {
        assert_eq!(fillings(stencil), *expected, "{name}");
    }
    let table = stencils.last().map(|stencil| stencil.data.bytes.clone());
    let numbers: [u64; 5] = [9, 8, 7, 11, 5];
    assert_eq!(table, Some(numbers.map(u64::to_le_bytes).concat()));
}

#[test]
fn addresses_in_the_code() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "64 bits",
            "store i64 %operand, ptr %sp",
            &["code 64 OPERAND 0"],
        ),
        (
            "parts of what an operand leads to",
            "%p = inttoptr i64 %operand to ptr\n\
             %x = load i64, ptr %p\n\
             %q = getelementptr i8, ptr %p, i64 24\n\
             %y = load i64, ptr %q\n\
             %z = add i64 %x, %y\n\
             store i64 %z, ptr %sp",
            &["code 64 OPERAND 0"],
        ),
        (
            "a part of something outside, chosen by a number",
            "%i = zext i16 %oparg to i64\n\
             %p = getelementptr i8, ptr @one, i64 160\n\
             %q = getelementptr [5 x i64], ptr %p, i64 %i\n\
             store ptr %q, ptr %sp",
            &["code 64 (((uint64_t)(uintptr_t)&one + 160) + ((uint64_t)OPARG * 40)) 0"],
        ),
        (
            "a marked address",
            "store i64 ptrtoint (ptr @one to i64), ptr %sp\n\
             %x = or disjoint i64 ptrtoint (ptr @other to i64), 1\n\
             %q = getelementptr i64, ptr %sp, i64 1\n\
             store i64 %x, ptr %q",
            &[
                "code 64 (uintptr_t)&one 0",
                "code 32S (((uint64_t)(uintptr_t)&other - (uint64_t)(uintptr_t)&one) + 1) 0",
            ],
        ),
        (
            "a call",
            "%x = call i64 @helper(ptr @one, i64 5)\n\
             store i64 %x, ptr %sp",
            &[
                "code 64 (uintptr_t)&one 0",
                "code PC32 DATA -4 relaxable",
                "data 64 &helper 0",
            ],
        ),
        (
            "a number that wraps around",
            "%x = add i16 %oparg, 2\n\
             store i16 %x, ptr %sp",
            &["code 32 (uint16_t)((uint64_t)OPARG + 2) 0"],
        ),
        (
            "a number that only an instruction scales",
            "%x = and i64 %operand, 4294967295\n\
             %p = getelementptr i64, ptr %frame, i64 %x\n\
             %y = load i64, ptr %p\n\
             store i64 %y, ptr %sp",
            &["code 32 ((uint64_t)OPERAND & 4294967295) 0"],
        ),
    ];
    let bodies: Vec<&str> = rows.iter().map(|(_, body, _)| *body).collect();
    let stencils = compile_with(Addresses::InCode, &bodies).expect("they are sound");
    for ((name, _, expected), stencil) in rows.iter().zip(&stencils) {
        assert_eq!(fillings(stencil), *expected, "{name}");
    }
}

#[test]
fn calls_with_any_number_of_arguments_find_the_stack_aligned() {
    let arguments = |count: usize| ", i64 1".repeat(count);
    let bodies: Vec<String> = (6..12)
        .map(|count| {
            format!(
                "%x = call i64 (ptr, i64, i64, i64, i64, i64, i64, ...) @many(ptr %thread{})\n\
                 %y = call i64 @helper(ptr %thread, i64 %x)\n\
                 store i64 %y, ptr %sp",
                arguments(count)
            )
        })
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    // The checker proves it: see `verify`.
    let stencils = compile(&bodies).expect("every call is aligned");
    assert_eq!(stencils.len(), bodies.len());
}

#[test]
fn ways_out_that_hand_over_the_same_stack_pointer_compute_it_once() {
    let body = "%p = getelementptr i8, ptr %sp, i64 -8\n\
         %x = load i64, ptr %p\n\
         %c = icmp eq i64 %x, %operand\n\
         br i1 %c, label %on, label %off\n\
         off:\n\
         %j = musttail call ptr @_JIT_JUMP_TARGET(ptr %frame, ptr %p, ptr %thread)\n\
         ret ptr %j\n\
         on:\n\
         %k = musttail call ptr @_JIT_CONTINUE(ptr %frame, ptr %p, ptr %thread)\n\
         ret ptr %k\n\
         never:";
    let stencils = compile_with(Addresses::InCode, &[body]).expect("it is sound");
    // add r14, -8; movabs rax, OPERAND; cmp [r14], rax; jne JUMP_TARGET
    assert_eq!(stencils[0].code.bytes.len(), 4 + 10 + 3 + 6);
}

#[test]
fn a_pointer_in_the_frame_is_loaded_again_only_behind_calls() {
    let stencils = compile(&["%object = load ptr, ptr %sp
         %at = getelementptr i8, ptr %frame, i64 64
         store ptr %sp, ptr %at
         %count = load i32, ptr %object
         %less = add i32 %count, -1
         store i32 %less, ptr %object
         %last = icmp eq i32 %less, 0
         br i1 %last, label %free, label %done
         free:
         %freed = call i64 @helper(ptr %object, i64 1)
         br label %done
         done:
         %again = load ptr, ptr %at
         %went = musttail call ptr @_JIT_CONTINUE(ptr %frame, ptr %again, ptr %thread)
         ret ptr %went
         never:"])
    .unwrap();
    // Whoever frees nothing jumps behind the last instruction, mov r14, [r13 + 64].
    let code = &stencils[0].code.bytes;
    let load = code
        .windows(4)
        .position(|bytes| bytes == [0x4d, 0x8b, 0x75, 0x40])
        .unwrap();
    let counts = [0xff, 0x0f, 0x75]; // dec dword [rdi]; jne
    let jump = code.windows(3).position(|bytes| bytes == counts).unwrap() + 2;
    let target = jump + 2 + usize::from(code[jump + 1]);
    assert_eq!(target, load + 4, "{code:x?}");
}

#[test]
fn a_number_is_computed_before_a_call_where_two_would_be_kept_over_it() {
    let stencils = compile(&["%a_at = getelementptr i64, ptr %sp, i64 -1
         %b_at = getelementptr i64, ptr %sp, i64 -2
         %a = load i64, ptr %a_at
         %b = load i64, ptr %b_at
         %calls = icmp eq i64 %a, %b
         br i1 %calls, label %call, label %done
         call:
         %called = call i64 @helper(ptr %sp, i64 1)
         br label %done
         done:
         %product = mul i64 %a, %b
         store i64 %product, ptr %a_at"])
    .unwrap();
    let code = &stencils[0].code.bytes;
    let multiply = code
        .windows(2)
        .position(|bytes| bytes == [0x0f, 0xaf])
        .unwrap();
    let call = code
        .windows(2)
        .position(|bytes| bytes == [0xff, 0x15])
        .unwrap();
    assert!(multiply < call, "{code:x?}");
}

#[test]
fn errors_name_what_is_wrong() {
    let error = |bodies: &[&str]| compile(bodies).expect_err("it is refused").to_string();
    let said = error(&[
        "",
        "%x = uitofp i16 %oparg to float\n%y = call i64 @none(float %x)",
    ]);
    assert!(said.contains("none"), "{said}");
    let said = error(&["%x = alloca i64, i16 %oparg\n%y = call i64 @helper(ptr %x, i64 0)"]);
    assert!(said.starts_with("_0, hot code at "), "{said}");
}

#[test]
fn loads_calls_and_jumps_through_words_are_relaxable() {
    let data = StencilBuf {
        bytes: vec![0; 24],
        holes: [0, 16]
            .map(|at| Hole::new(at, Abs64, HoleValue::Symbol, 0))
            .to_vec(),
        align: 8,
    };
    let relaxable = |code: &[u8], value, addend| {
        let hole = Hole::new(code.len() as u32, Pc32, value, addend);
        let code = [code, &[0; 4]].concat();
        is_relaxable(&code, &hole, data.as_stencil())
    };
    let rows: [(&str, &[u8], bool); 15] = [
        ("mov rax, [rip + x]", &[0x48, 0x8b, 0x05], true),
        ("mov r15, [rip + x]", &[0x4c, 0x8b, 0x3d], true),
        ("mov eax, [rip + x]", &[0x8b, 0x05], false),
        (
            "mov eax, [rip + x], behind another instruction",
            &[0x90, 0x8b, 0x05],
            false,
        ),
        ("mov rax, [rbp + x]", &[0x48, 0x8b, 0x85], false),
        ("mov [rip + x], rax", &[0x48, 0x89, 0x05], false),
        ("lea rax, [rip + x]", &[0x48, 0x8d, 0x05], false),
        ("add rax, [rip + x]", &[0x48, 0x03, 0x05], false),
        ("movzx eax, word [rip + x]", &[0x0f, 0xb7, 0x05], false),
        ("call [rip + x]", &[0xff, 0x15], true),
        ("jmp [rip + x]", &[0xff, 0x25], true),
        ("push [rip + x]", &[0xff, 0x35], false),
        ("call [rax + x]", &[0xff, 0x90], false),
        ("jmp x", &[0xe9], false),
        ("nothing before", &[], false),
    ];
    for (name, code, expected) in rows {
        assert_eq!(relaxable(code, HoleValue::Data, -4), expected, "{name}");
    }
    let load: &[u8] = &[0x48, 0x8b, 0x05];
    assert!(relaxable(load, HoleValue::Data, 12), "the other word");
    assert!(!relaxable(load, HoleValue::Data, 4), "a constant");
    assert!(!relaxable(load, HoleValue::Data, 0), "half a word");
    assert!(!relaxable(load, HoleValue::Data, -8), "before the data");
    assert!(!relaxable(load, HoleValue::Data, i32::MAX), "behind all");
    assert!(!relaxable(load, HoleValue::Continue, -4), "code");
}
