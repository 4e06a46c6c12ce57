//! Templates that come as IR: what they compile to beside the builder's, what a trace of them does, and what is refused.

#![cfg(llvm)]
#![allow(unsafe_code, reason = "compiled traces are run")]

mod support;

use inkwell::IntPredicate;
use inkwell::context::Context;
use inkwell::memory_buffer::MemoryBuffer;
use mimeo::engine::Engine;
use mimeo::executor::ThreadState;
use mimeo::hole::HoleValue;
use mimeo::stencil::{Part, StackEffect};
use mimeo::table::{StencilTable, TableContents, UopContents};
use mimeo::trace::{FrameShape, Trace};
use mimeo_compiler::codegen::{compile_to_bytes, ir_text};
use mimeo_compiler::interpreter::compile_interpreter;
use mimeo_compiler::ir::{IrSource, IrTemplates};
use mimeo_compiler::symbol::{HoleSymbol, SymbolMeanings};
use mimeo_compiler::template::{Registers, Template, TemplateSet, Type};
use std::path::Path as FilePath;
use std::sync::Arc;
use support::*;

/// The holes' names as CPython's templates have them.
fn holes() -> SymbolMeanings {
    use HoleValue as V;
    let number = HoleSymbol::number;
    let address = HoleSymbol::address;
    SymbolMeanings::default()
        .hole("_JIT_CONTINUE", address(V::Continue))
        .hole("_JIT_JUMP_TARGET", address(V::JumpTarget))
        .hole("_JIT_ERROR_TARGET", address(V::ErrorTarget))
        .hole("_JIT_TOP", address(V::Top))
        .hole("_JIT_EXIT", address(V::Exit))
        .hole("_JIT_EXECUTOR", address(V::Executor))
        .hole("_JIT_OPARG", number(V::Oparg, 16))
        .hole("_JIT_OPERAND", number(V::Operand, 64))
        .hole("_JIT_OPERAND1", number(V::Operand1, 20))
        .hole("_JIT_TARGET", number(V::Target, 31))
        .hole("_JIT_EXIT_INDEX", number(V::ExitIndex, 31))
}

/// What every module of the tests declares.
const DECLARATIONS: &str = r"
declare void @_JIT_CONTINUE(ptr, ptr, ptr)
declare void @_JIT_JUMP_TARGET(ptr, ptr, ptr)
declare void @_JIT_ERROR_TARGET(ptr, ptr, ptr)
declare void @_JIT_TOP(ptr, ptr, ptr)
@_JIT_OPARG = external global i8
@_JIT_OPERAND = external global i8
@_JIT_OPERAND1 = external global i8
@_JIT_TARGET = external global i8
@_JIT_EXIT_INDEX = external global i8
@_JIT_EXIT = external global ptr
@_JIT_EXECUTOR = external global i8
declare i64 @helper_word(i64) nonlazybind
@some_data = external global i64
@some_float = private constant [2 x double] [double 1.5, double 2.5], align 16
";

/// A function with this body, which continues with `%next` as stack pointer.
fn continues(name: &str, body: &str) -> String {
    format!(
        "define void @{name}(ptr %frame, ptr %sp, ptr %thread) {{
         {body}
           musttail call void @_JIT_CONTINUE(ptr %frame, ptr %next, ptr %thread)
           ret void
         }}
        "
    )
}

fn text_of_module(functions: &[String]) -> String {
    DECLARATIONS.to_owned() + &functions.concat()
}

fn push() -> String {
    continues(
        "push",
        "store i64 ptrtoint (ptr @_JIT_OPERAND to i64), ptr %sp
         %next = getelementptr i64, ptr %sp, i64 1",
    )
}

fn add() -> String {
    continues(
        "add",
        "%next = getelementptr i64, ptr %sp, i64 -1
         %left_at = getelementptr i64, ptr %sp, i64 -2
         %right = load i64, ptr %next
         %left = load i64, ptr %left_at
         %sum = add i64 %left, %right
         store i64 %sum, ptr %left_at",
    )
}

fn load() -> String {
    continues(
        "load",
        "%locals = getelementptr i8, ptr %frame, i64 48
         %local = getelementptr i64, ptr %locals, i64 ptrtoint (ptr @_JIT_OPARG to i64)
         %value = load i64, ptr %local
         store i64 %value, ptr %sp
         %next = getelementptr i64, ptr %sp, i64 1",
    )
}

fn call() -> String {
    continues(
        "call",
        "%at = getelementptr i64, ptr %sp, i64 -1
         %value = load i64, ptr %at
         %result = call i64 @helper_word(i64 %value) nonlazybind
         store i64 %result, ptr %at
         %next = getelementptr i64, ptr %at, i64 1",
    )
}

fn guard() -> String {
    "define void @guard(ptr %frame, ptr %sp, ptr %thread) {
       %next = getelementptr i64, ptr %sp, i64 -1
       %value = load i64, ptr %next
       %zero = icmp eq i64 %value, 0
       br i1 %zero, label %leave, label %go_on
     go_on:
       musttail call void @_JIT_CONTINUE(ptr %frame, ptr %next, ptr %thread)
       ret void
     leave:
       musttail call void @_JIT_JUMP_TARGET(ptr %frame, ptr %next, ptr %thread)
       ret void
     }
    "
    .to_owned()
}

fn exit() -> String {
    "define void @exit(ptr %frame, ptr %sp, ptr %thread) {
       %entry = load ptr, ptr @_JIT_EXIT
       musttail call void %entry(ptr %frame, ptr %sp, ptr %thread)
       ret void
     }
    "
    .to_owned()
}

fn jump() -> String {
    "define void @jump(ptr %frame, ptr %sp, ptr %thread) {
       musttail call void @_JIT_JUMP_TARGET(ptr %frame, ptr %sp, ptr %thread)
       ret void
     }
    "
    .to_owned()
}

fn all() -> String {
    text_of_module(&[push(), add(), load(), call(), guard(), exit(), jump()])
}

fn module(text: &str) -> IrTemplates {
    IrTemplates::new(IrSource::from_bytes("test.ll", text), holes())
}

fn from_ir(ir: &IrTemplates) -> Vec<Template> {
    vec![
        Template::from_ir("PUSH", ir, "push").stack(0, 1),
        Template::from_ir("ADD", ir, "add").stack(2, 1),
        Template::from_ir("LOAD", ir, "load")
            .stack(0, 1)
            .local_oparg(),
        Template::from_ir("CALL", ir, "call").stack(1, 1),
        Template::from_ir("GUARD", ir, "guard")
            .stack(1, 0)
            .leaving_stack(1, 0)
            .may_deopt(),
        Template::from_ir("EXIT", ir, "exit")
            .side_exits()
            .terminal(),
        Template::from_ir("JUMP", ir, "jump").jumps().terminal(),
    ]
}

/// The same uops, written with the builder.
fn built() -> Vec<Template> {
    vec![
        Template::new("PUSH", |mut b| {
            b.push(b.operand()?)?;
            b.continue_()
        })
        .stack(0, 1),
        Template::new("ADD", |mut b| {
            let (right, left) = (b.pop_i64()?, b.pop_i64()?);
            b.push(b.ir().build_int_add(left, right, "")?)?;
            b.continue_()
        })
        .stack(2, 1),
        Template::new("LOAD", |mut b| {
            let value = b.load(Type::I64, b.local()?, 0)?;
            b.push(value)?;
            b.continue_()
        })
        .stack(0, 1)
        .local_oparg(),
        Template::new("CALL", |mut b| {
            let value = b.pop_i64()?;
            let Some(result) = b.call(&WORD, &[value.into()])? else {
                panic!("it has a result");
            };
            b.push(result)?;
            b.continue_()
        })
        .stack(1, 1),
        Template::new("GUARD", |mut b| {
            let value = b.pop_i64()?;
            let zero = b
                .ir()
                .build_int_compare(IntPredicate::EQ, value, b.i64(0), "")?;
            b.unlikely(zero, |b| b.jump())?;
            b.continue_()
        })
        .stack(1, 0)
        .may_deopt(),
        Template::new("EXIT", |b| b.side_exit())
            .side_exits()
            .terminal(),
        Template::new("JUMP", |b| b.jump()).jumps().terminal(),
    ]
}

fn compiled(templates: impl IntoIterator<Item = Template>) -> TableContents {
    compile_set(&set(templates)).unwrap_or_else(|error| panic!("{error}"))
}

/// The error that compiling a set gives.
fn error_of(set: &TemplateSet) -> String {
    match compile_set(set) {
        Ok(_) => panic!("{} compiles", set.name),
        Err(error) => error.to_string(),
    }
}

/// The error of the function `f` as the uop `UOP`, of a module with the usual declarations.
fn error_in(text: &str, declare: impl Fn(Template) -> Template) -> String {
    let ir = module(&(DECLARATIONS.to_owned() + text));
    error_of(&set([declare(Template::from_ir("UOP", &ir, "f"))]))
}

fn parts(uop: &UopContents, symbols: &[String]) -> [String; 3] {
    [Part::Hot, Part::Cold, Part::Data].map(|part| text(uop, symbols, part))
}

#[test]
fn a_uop_is_the_same_whether_it_comes_as_ir_or_from_the_builder() {
    let ir = compiled(from_ir(&module(&all())));
    let built = compiled(built());
    assert_eq!(ir.symbols, built.symbols);
    assert_eq!(ir.uops.len(), built.uops.len());
    for (from_ir, built) in ir.uops.iter().zip(&built.uops) {
        let name = &built.name;
        assert_eq!(
            parts(from_ir, &ir.symbols),
            parts(built, &ir.symbols),
            "{name}"
        );
        assert_eq!(format!("{from_ir:?}"), format!("{built:?}"), "{name}");
    }
}

#[test]
fn a_set_may_have_templates_of_both_kinds() {
    let ir = module(&all());
    let from_ir = from_ir(&ir).into_iter().step_by(2);
    let built_ones = built().into_iter().skip(1).step_by(2);
    let mixed = compiled(from_ir.chain(built_ones));
    let built = compiled(built());
    assert_eq!(format!("{:?}", mixed.uops), format!("{:?}", built.uops));
    assert_ne!(mixed.digest, built.digest);
}

fn bitcode(text: &str) -> Vec<u8> {
    let context = Context::create();
    let buffer = MemoryBuffer::create_from_memory_range_copy(text.as_bytes(), "elsewhere");
    let module = context.create_module_from_ir(buffer).unwrap();
    module.write_bitcode_to_memory().as_slice().to_vec()
}

#[test]
fn text_and_bitcode_in_memory_and_in_files_give_the_same_table() {
    let table = |source: IrSource, count| {
        let ir = IrTemplates::new(source, holes());
        compile_to_bytes(&set(from_ir(&ir)), threads(count)).unwrap()
    };
    let expected = table(IrSource::from_bytes("a.ll", all()), 1);
    assert_eq!(
        table(IrSource::from_bytes("b.bc", bitcode(&all())), 2),
        expected
    );
    let directory = FilePath::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, bytes) in [("ir.ll", all().into_bytes()), ("ir.bc", bitcode(&all()))] {
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap();
        let source = IrSource::from_file(&path).unwrap();
        assert_eq!(table(source, 1), expected, "{name}");
    }
}

#[test]
fn the_digest_covers_the_code_and_the_holes() {
    let digest = |text: &str, holes| {
        let ir = IrTemplates::new(IrSource::from_bytes("test.ll", text), holes);
        compiled([Template::from_ir("LOAD", &ir, "load").stack(0, 1)]).digest
    };
    let text = text_of_module(&[load()]);
    let first = digest(&text, holes());
    assert_eq!(digest(&text, holes()), first);
    let narrow = HoleSymbol::number(HoleValue::Oparg, 8);
    assert_ne!(digest(&text, holes().hole("_JIT_OPARG", narrow)), first);
    assert_ne!(digest(&text.replace("i64 48", "i64 56"), holes()), first);
}

#[test]
fn symbols_mean_what_the_table_says() {
    let text = "
        declare void @my_next(ptr, ptr, ptr)
        @index = external global i8
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          store i64 ptrtoint (ptr @index to i64), ptr %sp
          %next = getelementptr i64, ptr %sp, i64 1
          musttail call void @my_next(ptr %frame, ptr %next, ptr %thread)
          ret void
        }";
    let meanings = SymbolMeanings::default()
        .hole("my_next", HoleSymbol::address(HoleValue::Continue))
        .hole("index", HoleSymbol::number(HoleValue::Oparg, 6));
    let ir = IrTemplates::new(IrSource::from_bytes("renamed", text), meanings);
    let (uop, symbols) = uop(Template::from_ir("UOP", &ir, "f").stack(0, 1));
    assert_eq!(
        support::text(&uop, &symbols, Part::Hot),
        "mov qword ptr [r13], 0 ; R_X86_64_32S OPARG\nadd r13, 8"
    );
    assert_eq!(uop.oparg_max, 63);
}

#[test]
fn a_front_end_may_leave_functions_constants_and_addresses() {
    let text = "
        define internal void @next(ptr %frame, ptr %sp, ptr %thread) {
          musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }
        define double @twice(double %x) noinline {
          %y = fadd double %x, %x
          ret double %y
        }
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          %index = and i64 ptrtoint (ptr @_JIT_OPARG to i64), 1
          %at = getelementptr [2 x double], ptr @some_float, i64 0, i64 %index
          %x = load double, ptr %at
          %n = load i64, ptr @some_data
          %m = load i64, ptr getelementptr (i8, ptr @_JIT_EXECUTOR, i64 16)
          %k = add i64 %n, %m
          %z = sitofp i64 %k to double
          %y = fadd double %x, %z
          %w = fmul double %y, 3.25
          store double %w, ptr %sp
          %next = getelementptr i64, ptr %sp, i64 1
          musttail call void @next(ptr %frame, ptr %next, ptr %thread)
          ret void
        }";
    let ir = module(&(DECLARATIONS.to_owned() + text));
    let (uop, symbols) = uop(Template::from_ir("UOP", &ir, "f").stack(0, 1));
    assert_eq!(symbols, ["some_data"]);
    assert_eq!(uop.oparg_max, 65535);
    // No word of the data holds an address.
    assert!(uop.group.data.holes.is_empty());
    assert!(!uop.group.data.bytes.is_empty());
}

#[test]
fn templates_may_return_what_the_next_one_returns() {
    let text = "
        declare ptr @_JIT_CONTINUE(ptr, ptr, ptr)
        @_JIT_EXIT = external global ptr
        define ptr @f(ptr %frame, ptr %sp, ptr %thread) {
          %next = getelementptr i64, ptr %sp, i64 -1
          %r = musttail call ptr @_JIT_CONTINUE(ptr %frame, ptr %next, ptr %thread)
          ret ptr %r
        }
        define ptr @g(ptr %frame, ptr %sp, ptr %thread) {
          %entry = load ptr, ptr @_JIT_EXIT
          %r = musttail call ptr %entry(ptr %frame, ptr %sp, ptr %thread)
          ret ptr %r
        }";
    let ir = module(text);
    let drop = Template::from_ir("DROP", &ir, "f").stack(1, 0);
    let exit = Template::from_ir("EXIT", &ir, "g").side_exits().terminal();
    let contents = compiled([drop, exit]);
    let code = |uop| support::text(uop, &contents.symbols, Part::Hot);
    assert_eq!(code(&contents.uops[0]), "add r13, -8");
    assert_eq!(
        code(&contents.uops[1]),
        "lea r15, [rip] ; R_X86_64_PC32 EXIT\njmp qword ptr [rip] ; R_X86_64_PC32 EXIT"
    );
}

#[test]
fn one_function_may_be_several_uops() {
    let ir = module(&all());
    let contents = compiled(["A", "B"].map(|name| Template::from_ir(name, &ir, "add").stack(2, 1)));
    let [a, b] = &contents.uops[..] else {
        panic!("two uops");
    };
    assert_eq!(a.group, b.group);
}

#[test]
fn frames_of_odd_size_are_made_even() {
    // Three values are kept across a call: in rbx, r15, and rbp, which alone is saved.
    let text = continues(
        "f",
        "%a_at = getelementptr i64, ptr %sp, i64 -1
         %b_at = getelementptr i64, ptr %sp, i64 -2
         %c_at = getelementptr i64, ptr %sp, i64 -3
         %a = load i64, ptr %a_at
         %b = load i64, ptr %b_at
         %c = load i64, ptr %c_at
         %d = call i64 @helper_word(i64 %a)
         %e = add i64 %d, %a
         %g = mul i64 %e, %b
         %h = xor i64 %g, %c
         store i64 %h, ptr %a_at
         %next = getelementptr i64, ptr %sp, i64 0",
    );
    let ir = module(&(DECLARATIONS.to_owned() + &text));
    let (uop, symbols) = uop(Template::from_ir("UOP", &ir, "f").stack(1, 1));
    let hot = support::text(&uop, &symbols, Part::Hot);
    assert!(hot.starts_with("push rbp\npush rax\n"), "{hot}");
    assert!(hot.ends_with("add rsp, 8\npop rbp"), "{hot}");
}

#[test]
fn calls_with_words_on_the_stack_and_without_are_aligned_in_one_function() {
    let text = "declare i64 @helper_seven(i64, i64, i64, i64, i64, i64, i64)\n".to_owned()
        + &continues(
            "f",
            "%at = getelementptr i64, ptr %sp, i64 -1
             %a = load i64, ptr %at
             %b = call i64 @helper_word(i64 %a)
             %c = call i64 @helper_seven(i64 1, i64 2, i64 3, i64 4, i64 5, i64 %a, i64 %b)
             store i64 %c, ptr %at
             %next = getelementptr i64, ptr %sp, i64 0",
        );
    let ir = module(&(DECLARATIONS.to_owned() + &text));
    // The checker sees to it that every call finds rsp at a multiple of 16.
    let (uop, symbols) = uop(Template::from_ir("UOP", &ir, "f").stack(1, 1));
    let hot = support::text(&uop, &symbols, Part::Hot);
    assert_eq!(hot.matches("push ").count(), 2, "{hot}");
}

#[test]
fn the_unoptimised_ir_can_be_read() {
    let text = ir_text(&set(from_ir(&module(&all())))).unwrap();
    assert!(
        text.contains("define hidden preserve_nonecc void @add("),
        "{text}"
    );
}

/// An odd number of words, so that a wrong one is seen.
extern "C" fn triple(number: u64) -> u64 {
    number.wrapping_mul(3)
}

#[test]
fn a_trace_of_them_runs() {
    let bytes = compile_to_bytes(&set(from_ir(&module(&all()))), threads(1)).unwrap();
    let table = Arc::new(StencilTable::from_bytes(bytes).unwrap());
    let resolve = |symbol: &str| match symbol {
        "helper_word" => Some(triple as *const () as usize),
        _ => None,
    };
    // SAFETY: the helper is what the templates call.
    let engine = unsafe { Engine::new(table, resolve) }.unwrap();
    let mut trace = Trace::new(engine.table());
    let zero = trace.label();
    let uop = |name: &str| trace.uop(name).unwrap();
    // 3 * (local 1 + 5), and the local decides where it leaves.
    let uops = [
        uop("LOAD").oparg(1),
        uop("PUSH").operand(5),
        uop("ADD"),
        uop("CALL"),
        uop("LOAD").oparg(1),
        uop("GUARD").jump(zero),
        uop("EXIT").target(10),
    ];
    let cold = uop("EXIT").target(20);
    for uop in uops {
        trace.push(uop);
    }
    trace.bind(zero).unwrap();
    trace.push(cold);
    let shape = FrameShape {
        locals: 2,
        stack: 4,
        entry_depth: 0,
    };
    let executor = engine.compile(&trace, shape).unwrap();
    for (local, target) in [(37, 10), (0, 20), (u64::MAX, 10)] {
        let mut frame = [0u64; LOCALS as usize / 8 + 2];
        frame[LOCALS as usize / 8 + 1] = local;
        let mut stack = [0u64; 4];
        let mut thread = ThreadState::default();
        // SAFETY: frame and stack are as large as the shape says.
        let exit =
            unsafe { executor.run(frame.as_mut_ptr().cast(), stack.as_mut_ptr(), &mut thread) };
        assert_eq!(exit.target, target, "{local}");
        assert_eq!(stack[0], local.wrapping_add(5).wrapping_mul(3), "{local}");
    }
}

#[test]
fn what_has_no_ir_says_so() {
    let ir = module(&all());
    let uops = || from_ir(&ir);
    let table = compiled(uops());
    let error = compile_interpreter(&set(uops()), &table.digest, threads(1)).unwrap_err();
    assert!(error.to_string().starts_with("template ADD: "), "{error}");
    assert!(error.to_string().contains("stencils only"), "{error}");
    let slots = set(uops()).with_registers(Registers::Slots);
    // Base forms do beside the others' variants.
    assert_eq!(
        compile_set(&slots)
            .map(|contents| contents.uops.len())
            .unwrap(),
        8
    );
    let fused = slots.with_supernodes([vec!["PUSH".to_owned(), "ADD".to_owned()]]);
    assert_eq!(
        error_of(&fused),
        "the sequence PUSH ADD cannot be fused: PUSH comes as IR, which is not fused"
    );
    let operands = set(uops()).with_registers(Registers::Operands);
    assert!(error_of(&operands).contains("comes as IR"));
}

#[test]
fn unknown_holes_are_named() {
    let text = "
        @_JIT_OPERANDS = external global i8
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          store ptr @_JIT_OPERANDS, ptr %sp
          musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }";
    assert_eq!(
        error_in(text, |template| template),
        "test.ll, template f: symbol _JIT_OPERANDS is not a hole; there are _JIT_CONTINUE, _JIT_ERROR_TARGET, \
         _JIT_EXECUTOR, _JIT_EXIT, _JIT_EXIT_INDEX, _JIT_JUMP_TARGET, _JIT_OPARG, _JIT_OPERAND, _JIT_OPERAND1, _JIT_TARGET, \
         _JIT_TOP"
    );
}

#[test]
fn modules_that_are_not_what_they_should_be_are_refused() {
    let empty = continues("f", "%next = getelementptr i64, ptr %sp, i64 0");
    let rows: Vec<(&str, String, &str)> = vec![
        (
            "missing",
            String::new(),
            "test.ll, template UOP: function f is not defined",
        ),
        (
            "declared",
            "declare void @f(ptr, ptr, ptr)".into(),
            "function f is not defined",
        ),
        (
            "twice",
            empty.clone() + &empty,
            "invalid redefinition of function 'f'",
        ),
        (
            "signature",
            "define i64 @f(ptr %frame, i64 %sp) { ret i64 %sp }".into(),
            "template UOP: its function is i64 (ptr, i64)",
        ),
        (
            "machine",
            format!("target triple = \"aarch64-linux-gnu\"\n{empty}"),
            "aarch64-linux-gnu",
        ),
        (
            "hole called",
            continues("f", "%next = call ptr @_JIT_OPARG()"),
            "template UOP: the hole _JIT_OPARG: it is a number, but it is called",
        ),
        (
            "exit called with something else",
            continues(
                "f",
                "%entry = load ptr, ptr @_JIT_EXIT
                 call void %entry(ptr %frame)
                 %next = getelementptr i64, ptr %sp, i64 0",
            ),
            "template UOP: the hole _JIT_EXIT: its entry is not called as stencils are",
        ),
        (
            "mutable data",
            format!(
                "@counter = global i64 0\n{}",
                continues(
                    "f",
                    "%n = load i64, ptr @counter\nstore i64 %n, ptr @counter\nstore volatile i64 1, ptr @counter\n%next = getelementptr i64, ptr %sp, i64 0"
                )
            ),
            "is not understood",
        ),
    ];
    for (what, text, expected) in rows {
        let error = error_in(&text, |template| template);
        assert!(error.contains(expected), "{what}: {error}");
    }
    let garbage = IrTemplates::new(
        IrSource::from_bytes("garbage", [0xde, 0xc0, 0x17, 0x0b, 1, 2, 3]),
        holes(),
    );
    let error = error_of(&set([Template::from_ir("UOP", &garbage, "f")]));
    assert!(
        error.starts_with("garbage: neither IR nor bitcode"),
        "{error}"
    );
    let mut broken = bitcode(&all());
    broken.truncate(broken.len() / 2);
    let broken = IrTemplates::new(IrSource::from_bytes("broken", broken), holes());
    let error = error_of(&set([Template::from_ir("UOP", &broken, "push")]));
    assert!(
        error.starts_with("broken: neither IR nor bitcode"),
        "{error}"
    );
    let file = IrSource::from_file(FilePath::new("not/there.ll"));
    assert!(file.is_err_and(|error| error.to_string().starts_with("not/there.ll: ")));
}

#[test]
fn holes_that_are_defined_are_refused() {
    let text = "
        @_JIT_OPARG = global i8 0
        declare void @_JIT_CONTINUE(ptr, ptr, ptr)
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          store ptr @_JIT_OPARG, ptr %sp
          musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }";
    let template = Template::from_ir("UOP", &module(text), "f");
    assert_eq!(
        error_of(&set([template])),
        "test.ll: the hole _JIT_OPARG: it is defined"
    );
}

#[test]
fn holes_that_tables_do_not_have_are_refused() {
    use HoleValue as V;
    for (hole, expected) in [
        (HoleSymbol::address(V::Cold), "templates have no COLD"),
        (HoleSymbol::address(V::Leave), "templates have no LEAVE"),
        (HoleSymbol::address(V::Zero), "templates have no ZERO"),
        (HoleSymbol::number(V::Oparg, 16).shifted(3), "not shifted"),
        (HoleSymbol::signed(V::Operand, 32), "is unsigned"),
        (HoleSymbol::signed(V::Operand1, 32), "is unsigned"),
        (
            HoleSymbol::number(V::Continue, 16),
            "CONTINUE is an address",
        ),
    ] {
        let ir = IrTemplates::new(
            IrSource::from_bytes("test.ll", all()),
            holes().hole("strange", hole),
        );
        let error = error_of(&set([Template::from_ir("UOP", &ir, "add").stack(2, 1)]));
        assert!(error.contains("the hole strange: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn templates_that_end_otherwise_than_stencils_are_refused() {
    let returns = "define void @f(ptr %frame, ptr %sp, ptr %thread) { ret void }";
    let comes_back = "
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          store i64 1, ptr %sp
          ret void
        }";
    let elsewhere = "
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          %entry = load ptr, ptr %thread
          musttail call void %entry(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }";
    let nowhere = "define void @f(ptr %frame, ptr %sp, ptr %thread) { unreachable }";
    let unoptimised = "
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          %variable = alloca ptr
          %loaded = load ptr, ptr @_JIT_EXIT
          store ptr %loaded, ptr %variable
          %entry = load ptr, ptr %variable
          musttail call void %entry(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }";
    for text in [elsewhere, unoptimised] {
        let error = error_in(text, |template| template.side_exits().terminal());
        assert!(
            error.contains("template UOP: a tail call goes to an address"),
            "{error}"
        );
    }
    let calls = "
        define internal void @own(i64 %depth) {
          %left = sub i64 %depth, 1
          %ends = icmp eq i64 %left, 0
          br i1 %ends, label %end, label %more
        more:
          call void @own(i64 %left)
          store i64 %left, ptr @some_data
          br label %end
        end:
          ret void
        }
        define void @f(ptr %frame, ptr %sp, ptr %thread) {
          %depth = load i64, ptr %thread
          call void @own(i64 %depth)
          musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }";
    let error = error_in(calls, |template| template);
    assert!(
        error.contains("function own is called, but could not be inlined"),
        "{error}"
    );
    for text in [returns, comes_back, nowhere] {
        let error = error_in(text, |template| template);
        assert!(error.contains("UOP"), "{error}");
        let error = error_in(text, Template::terminal);
        assert!(error.contains("UOP"), "{error}");
    }
}

#[test]
fn templates_do_what_they_declare() {
    let ir = module(&all());
    let guard = || Template::from_ir("UOP", &ir, "guard").stack(1, 0);
    for (template, expected) in [
        (guard().leaving_stack(1, 0), "JUMP_TARGET"),
        (
            guard().may_deopt(),
            "the stack pointer moves by -8 bytes on the way to JUMP_TARGET",
        ),
        (
            guard().leaving_stack(1, 0).may_deopt().stack(1, 1),
            "on the way to CONTINUE",
        ),
        (
            guard().leaving_stack(1, 0).may_deopt().may_error(),
            "declares may_error(), but never raises an error",
        ),
        (
            guard().leaving_stack(1, 0).may_deopt().restarts(),
            "declares restarts(), but never goes to the trace's top",
        ),
        (
            Template::from_ir("UOP", &ir, "exit").side_exits(),
            "does not declare terminal(), but never continues",
        ),
        (
            Template::from_ir("UOP", &ir, "push")
                .stack(0, 1)
                .side_exits(),
            "declares side_exits(), but never leaves through one",
        ),
        (
            Template::from_ir("a.b", &ir, "push").stack(0, 1),
            "may hold only letters",
        ),
    ] {
        let declared = format!("{template:?}");
        let error = error_of(&set([template]));
        assert!(error.contains(expected), "{declared}: {error}");
    }
    let built = Template::new("UOP", |b| b.jump()).jumps().terminal();
    let (uop, _) = uop(built.clone().leaving_stack(0, 0));
    assert_eq!(uop.leaving_effect, StackEffect::fixed(0, 0));
    let error = error_of(&set([built.leaving_stack(0, 1)]));
    assert!(
        error.contains("declares to leave with the stack effect"),
        "{error}"
    );
}
