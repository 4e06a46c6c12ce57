//! Templates from IR as front ends make it: what clang's optimisation leaves, locals and data of any kind, and what LLVM
//! itself would end the process for. The traces run.

#![cfg(llvm)]
#![allow(unsafe_code, reason = "compiled traces are run")]

mod support;

use mimeo::engine::Engine;
use mimeo::executor::ThreadState;
use mimeo::hole::HoleValue;
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace};
use mimeo_compiler::codegen::compile_to_bytes;
use mimeo_compiler::ir::{IrSource, IrTemplates};
use mimeo_compiler::symbol::{HoleSymbol, SymbolMeanings};
use mimeo_compiler::target::LLVM_MAJOR;
use mimeo_compiler::template::Template;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::{compile_set, set, threads};

fn holes() -> SymbolMeanings {
    use HoleValue as V;
    SymbolMeanings::default()
        .hole("_JIT_CONTINUE", HoleSymbol::address(V::Continue))
        .hole("_JIT_OPARG", HoleSymbol::number(V::Oparg, 16))
        .hole("_JIT_OPERAND", HoleSymbol::number(V::Operand, 64))
}

fn module(text: impl Into<Vec<u8>>) -> IrTemplates {
    IrTemplates::new(IrSource::from_bytes("test.ll", text), holes())
}

/// What every unit in C begins with; `WEAK` is how holes that are numbers are declared.
const C: &str = r"
typedef long int64_t; typedef unsigned long uint64_t;
void *memcpy(void *, const void *, unsigned long); void *memset(void *, int, unsigned long);
extern void _JIT_CONTINUE(void *f, int64_t *sp, void *t);
extern char _JIT_OPARG[] WEAK, _JIT_OPERAND[] WEAK;
#define OPARG ((uint64_t)&_JIT_OPARG)
#define OPERAND ((uint64_t)&_JIT_OPERAND)
#define NEXT(s) __attribute__((musttail)) return _JIT_CONTINUE(f, (s), t)
#define T(n) void n(void *f, int64_t *sp, void *t)
";

const WEAK: &str = "-DWEAK=__attribute__((weak))";

/// What clang makes of C; `None` where there is no clang of the LLVM that is linked.
fn clang(code: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let spawned = Command::new(format!("clang-{LLVM_MAJOR}"))
        .args(arguments)
        .args(["-w", "-S", "-emit-llvm", "-x", "c", "-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        spawned => spawned.unwrap(),
    };
    let unit = format!("{C}{code}");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(unit.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "clang refuses {code}");
    Some(output.stdout)
}

/// A function as a uop that leaves as many values as it finds.
fn uop(ir: &IrTemplates, function: &str, values: u8) -> Template {
    Template::from_ir("UOP", ir, function).stack(values, values)
}

fn error_of(template: Template) -> String {
    match compile_set(&set([template])) {
        Ok(_) => panic!("it compiles"),
        Err(error) => error.to_string(),
    }
}

extern "C" fn same(number: u64) -> u64 {
    number
}

/// Adds up the bytes of three words.
extern "C" fn sum_of_three(words: *const [u64; 3]) -> u64 {
    // SAFETY: the templates hand over three words.
    unsafe { *words }.iter().sum()
}

/// The values on the stack behind a trace of the uop, which finds these.
fn run(ir: &IrTemplates, function: &str, oparg: u32, operand: u64, values: &[u64]) -> Vec<u64> {
    let push = Template::new("PUSH", |mut b| {
        b.push(b.operand()?)?;
        b.continue_()
    });
    let exit = Template::new("EXIT", |b| b.side_exit());
    let templates = [
        uop(ir, function, values.len() as u8),
        push.stack(0, 1),
        exit.side_exits().terminal(),
    ];
    let bytes = compile_to_bytes(&set(templates), threads(1));
    let bytes = bytes.unwrap_or_else(|error| panic!("{function}: {error}"));
    let table = Arc::new(StencilTable::from_bytes(bytes).unwrap());
    let resolve = |symbol: &str| match symbol {
        "same" => Some(same as *const () as usize),
        "sum_of_three" => Some(sum_of_three as *const () as usize),
        _ => None,
    };
    // SAFETY: the helpers are what the templates call.
    let engine = unsafe { Engine::new(table, resolve) }.unwrap();
    let mut trace = Trace::new(engine.table());
    for &value in values {
        trace.push(trace.uop("PUSH").unwrap().operand(value));
    }
    let mut tested = trace.uop("UOP").unwrap();
    let info = engine.table().find("UOP").unwrap();
    let flags = engine.table().uop(info).flags;
    if flags.contains(mimeo::stencil::UopFlags::OPARG) {
        tested = tested.oparg(oparg);
    }
    if flags.contains(mimeo::stencil::UopFlags::OPERAND) {
        tested = tested.operand(operand);
    }
    trace.push(tested);
    trace.push(trace.uop("EXIT").unwrap().target(1));
    let shape = FrameShape {
        locals: 0,
        stack: 8,
        entry_depth: 0,
    };
    let executor = engine.compile(&trace, shape).unwrap();
    let mut frame = [0u64; 16];
    let mut stack = [0u64; 8];
    let mut thread = ThreadState::default();
    // SAFETY: frame and stack are as large as the shape says.
    unsafe { executor.run(frame.as_mut_ptr().cast(), stack.as_mut_ptr(), &mut thread) };
    stack[..values.len()].to_vec()
}

/// A template's function, what it finds, and what it leaves.
type Row = (&'static str, u32, u64, &'static [u64], &'static [u64]);

fn check_rows(code: &str, arguments: &[&str], rows: &[Row]) {
    let Some(text) = clang(code, arguments) else {
        return;
    };
    let ir = module(text);
    for &(function, oparg, operand, values, expected) in rows {
        let found = run(&ir, function, oparg, operand, values);
        assert_eq!(
            found, expected,
            "{arguments:?} {function}({oparg}, {operand})"
        );
    }
}

const DECISIONS: &str = r"
T(truth) { sp[-1] = OPERAND ? 1 : 2; NEXT(sp); }
T(guarded) { sp[-1] = OPERAND ? sp[-1] / (int64_t)OPERAND : -1; NEXT(sp); }
T(chosen) { switch (OPARG) { case 0: sp[-1] = 11; break; case 1: sp[-1] = 22; break;
            case 2: sp[-1] *= sp[-1]; break; default: sp[-1] = -1; } NEXT(sp); }
T(not) { sp[-1] = !OPARG + 2 * (OPERAND == OPARG); NEXT(sp); }
T(low) { sp[-1] = (OPERAND & 7) == 3; NEXT(sp); }
";

#[test]
fn a_number_may_be_zero() {
    const MINUS_ONE: u64 = u64::MAX;
    let rows: &[Row] = &[
        ("truth", 0, 0, &[9], &[2]),
        ("truth", 0, 1, &[9], &[1]),
        ("guarded", 0, 0, &[9], &[MINUS_ONE]),
        ("guarded", 0, 3, &[9], &[3]),
        ("chosen", 0, 0, &[9], &[11]),
        ("chosen", 1, 0, &[9], &[22]),
        ("chosen", 2, 0, &[9], &[81]),
        ("chosen", 3, 0, &[9], &[MINUS_ONE]),
        ("not", 0, 0, &[9], &[3]),
        ("not", 4, 4, &[9], &[2]),
        ("low", 0, 11, &[9], &[1]),
        ("low", 0, 8, &[9], &[0]),
    ];
    let unoptimised = ["-O1", "-Xclang", "-disable-llvm-passes"];
    check_rows(DECISIONS, &["-O0", "-DWEAK="], rows);
    check_rows(DECISIONS, &[&unoptimised[..], &["-DWEAK="]].concat(), rows);
    for level in ["-O0", "-O1", "-O2", "-O3", "-Os"] {
        check_rows(DECISIONS, &[level, WEAK], rows);
    }
}

#[test]
fn numbers_that_a_front_end_took_for_addresses_are_refused() {
    for level in ["-O1", "-O2"] {
        let Some(text) = clang(DECISIONS, &[level, "-DWEAK="]) else {
            continue;
        };
        let ir = module(text);
        for function in ["truth", "guarded", "chosen"] {
            let error = error_of(uop(&ir, function, 1));
            assert!(
                error.starts_with("test.ll, template UOP: the hole _JIT_"),
                "{error}"
            );
            assert!(error.contains("__attribute__((weak))"), "{error}");
        }
    }
}

/// What clang -O2 makes of `sp[-1] = OPERAND ? OPERAND : 7` and of a symbol like that.
fn optimised(declaration: &str) -> String {
    format!(
        "{declaration}
        declare void @_JIT_CONTINUE(ptr, ptr, ptr)
        define void @f(ptr %frame, ptr %sp, ptr %thread) {{
          %at = getelementptr inbounds i8, ptr %sp, i64 -8
          store i64 ptrtoint (ptr @_JIT_OPERAND to i64), ptr %at
          musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }}
        !llvm.ident = !{{!0}}
        !0 = !{{!\"a front end\"}}"
    )
}

#[test]
fn symbols_of_numbers_are_weak_where_a_front_end_optimised() {
    for (declaration, refused) in [
        ("@_JIT_OPERAND = extern_weak global i8", None),
        ("@_JIT_OPERAND = extern_weak global [0 x i8], align 1", None),
        ("declare extern_weak void @_JIT_OPERAND()", None),
        ("@_JIT_OPERAND = external global i8", Some("not weak")),
        ("declare void @_JIT_OPERAND()", Some("not weak")),
        (
            "@_JIT_OPERAND = extern_weak global i64, align 8",
            Some("aligned"),
        ),
    ] {
        let text = optimised(declaration);
        let compiled = compile_set(&set([uop(&module(text.clone()), "f", 1)]));
        match refused {
            None => assert!(compiled.is_ok(), "{declaration}"),
            Some(reason) => {
                let error = compiled
                    .err()
                    .map(|error| error.to_string())
                    .unwrap_or_default();
                let expected = format!(
                    "test.ll, template UOP: the hole _JIT_OPERAND is a number, but its symbol is {reason}, and"
                );
                assert!(error.starts_with(&expected), "{declaration}: {error}");
            }
        }
        // Without a front end nobody has decided anything.
        let by_hand = text.replace("!llvm.ident", "!somebody");
        assert!(
            compile_set(&set([uop(&module(by_hand), "f", 1)])).is_ok(),
            "{declaration}"
        );
    }
}

#[test]
fn numbers_are_floats_and_vectors_and_begin_loops() {
    let code = r"
typedef double pair_d __attribute__((vector_size(16)));
typedef int64_t pair_i __attribute__((vector_size(16)));
T(float64) { uint64_t o = OPERAND; double d, e; memcpy(&d, &o, 8); memcpy(&e, sp - 1, 8); e *= d; memcpy(sp - 1, &e, 8); NEXT(sp); }
T(float32) { unsigned o = OPERAND; float d, e; memcpy(&d, &o, 4); memcpy(&e, sp - 1, 4); e *= d; memcpy(sp - 1, &e, 4); NEXT(sp); }
T(both) { pair_i o = { OPERAND, OPERAND }; pair_i x; memcpy(&x, sp - 2, 16); x += o; memcpy(sp - 2, &x, 16); NEXT(sp); }
T(one) { pair_i o = { OPERAND, 5 }; pair_i x; memcpy(&x, sp - 2, 16); x ^= o; memcpy(sp - 2, &x, 16); NEXT(sp); }
T(floats) { uint64_t o = OPERAND; double d; memcpy(&d, &o, 8); pair_d v = { d, d }, x; memcpy(&x, sp - 2, 16); x *= v; memcpy(sp - 2, &x, 16); NEXT(sp); }
T(hash) { int64_t s = OPERAND; for (int64_t i = 0; i < sp[-1]; i++) s = s * 31 + i; sp[-1] = s; NEXT(sp); }
T(hash32) { int s = OPARG; for (int64_t i = 0; i < sp[-1]; i++) s = s * 31 + i; sp[-1] = s; NEXT(sp); }
T(growth) { uint64_t o = OPERAND; double s; memcpy(&s, &o, 8); for (int64_t i = 0; i < sp[-1]; i++) s = s * 2.0 + 1.0; memcpy(sp - 1, &s, 8); NEXT(sp); }
T(pick) { int64_t r; if (sp[-1] > 3) r = OPERAND; else if (sp[-1] == 1) r = OPARG + 1; else r = 7; sp[-1] = r; NEXT(sp); }
T(down) { int64_t n = OPARG, s = 0; while (n) { s += n * sp[-1]; n--; } sp[-1] = s; NEXT(sp); }
static const int64_t digits[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
T(digit) { sp[-1] = digits[OPARG]; NEXT(sp); }
T(difference) { sp[-1] = OPERAND + 5 - OPARG; NEXT(sp); }
";
    let float = f64::to_bits;
    let (two, three, six) = (float(2.0), float(3.0), float(6.0));
    for level in ["-O0", "-O1", "-O2", "-O3"] {
        let Some(text) = clang(code, &[level, WEAK]) else {
            return;
        };
        let ir = module(text);
        for (function, oparg, operand, values, expected) in [
            ("float64", 0, three, vec![two], vec![six]),
            (
                "float32",
                0,
                f32::to_bits(3.0).into(),
                vec![f32::to_bits(2.0).into()],
                vec![u64::from(f32::to_bits(6.0))],
            ),
            ("both", 0, 7, vec![5, 8], vec![12, 15]),
            ("one", 0, 6, vec![5, 8], vec![3, 13]),
            ("floats", 0, three, vec![two, two], vec![six, six]),
            ("hash", 0, 77, vec![2], vec![0x1210e]),
            ("hash", 0, 77, vec![0], vec![77]),
            ("hash32", 77, 0, vec![2], vec![0x1210e]),
            ("growth", 0, 0, vec![3], vec![float(7.0)]),
            ("pick", 4, 99, vec![9], vec![99]),
            ("pick", 4, 99, vec![1], vec![5]),
            ("pick", 4, 99, vec![2], vec![7]),
            ("down", 0, 0, vec![9], vec![0]),
            ("down", 5, 0, vec![2], vec![30]),
            ("digit", 5, 0, vec![0], vec![9]),
            ("difference", 7, 0, vec![0], vec![u64::MAX - 1]),
        ] {
            let found = run(&ir, function, oparg, operand, &values);
            assert_eq!(found, expected, "{level} {function}");
        }
    }
}

#[test]
fn what_no_template_needs_may_use_holes_in_any_way() {
    let text = by_hand("store i64 7, ptr %at")
        + "@_JIT_OPERAND = external global i8
           @pair = constant [1 x ptr] [ptr @_JIT_OPERAND]
           define ptr @other() { %x = load volatile ptr, ptr @pair ret ptr %x }";
    assert_eq!(run(&module(text), "f", 0, 0, &[1]), [7]);
}

/// A function that does this, with the top value's place in `%at`.
fn by_hand(body: &str) -> String {
    format!(
        "declare void @_JIT_CONTINUE(ptr, ptr, ptr)
        define void @f(ptr %frame, ptr %sp, ptr %thread) {{
          %at = getelementptr i64, ptr %sp, i64 -1
          {body}
          musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
          ret void
        }}
        "
    )
}

#[test]
fn locals_are_aligned_as_they_ask_for() {
    for align in [8, 16, 32, 64, 4096] {
        for filler in [1, 8, 24, 40] {
            let text = "declare i64 @same(i64)\n".to_owned()
                + &by_hand(&format!(
                    "%filler = alloca [{filler} x i8]
                     %local = alloca [2 x double], align {align}
                     store volatile i8 0, ptr %filler
                     store volatile double 0.0, ptr %local
                     %other = ptrtoint ptr %filler to i64
                     %number = ptrtoint ptr %local to i64
                     %first = call i64 @same(i64 %other)
                     %second = call i64 @same(i64 %number)
                     %low = and i64 %second, {}
                     store i64 %low, ptr %at",
                    align - 1
                ));
            assert_eq!(
                run(&module(text), "f", 0, 0, &[9]),
                [0],
                "{align}, {filler}"
            );
        }
    }
}

#[test]
fn locals_are_copied_and_filled() {
    let code = r"
extern int64_t sum_of_three(void *), same(int64_t);
struct S { int64_t a[3]; };
T(copied) { struct S s; memcpy(&s, sp - 3, sizeof s); sp[-1] = sum_of_three(&s); NEXT(sp); }
T(filled) { int64_t s[3]; memset(s, (int)sp[-1], sizeof s); sp[-1] = sum_of_three(s); NEXT(sp); }
T(large) { int64_t s[12]; memcpy(s, sp - 3, 24); memset(s + 3, 0, 72); same(s[4]); sp[-1] = sum_of_three(s); NEXT(sp); }
T(kept) { char s[64] __attribute__((aligned(32))); memset(s, 1, 64); same((int64_t)s); sp[-1] = ((int64_t)s & 31) + s[63]; NEXT(sp); }
";
    let rows: &[Row] = &[
        ("copied", 0, 0, &[3, 4, 5], &[3, 4, 12]),
        ("filled", 0, 0, &[1], &[0x0303_0303_0303_0303]),
        ("large", 0, 0, &[3, 4, 5], &[3, 4, 12]),
        ("kept", 0, 0, &[5], &[1]),
    ];
    for level in ["-O0", "-O1", "-O2", "-O3"] {
        check_rows(code, &[level, WEAK], rows);
    }
}

#[test]
fn functions_start_at_their_symbols() {
    for data in [
        "prefix i32 42",
        "prefix [3 x i8] c\"abc\"",
        "prefix ptr @_JIT_CONTINUE",
    ] {
        let text = by_hand("store i64 7, ptr %at")
            .replace("ptr %thread) {", &format!("ptr %thread) {data} {{"));
        assert_eq!(run(&module(text), "f", 0, 0, &[1]), [7], "{data}");
    }
    let code = "T(f) { sp[-1] = 7; NEXT(sp); }";
    for option in [
        "-fpatchable-function-entry=4,2",
        "-fpatchable-function-entry=1",
        "-g",
    ] {
        check_rows(code, &["-O2", WEAK, option], &[("f", 0, 0, &[1], &[7])]);
    }
}

#[test]
fn a_switch_may_choose_among_addresses() {
    let cases: String = (0..6)
        .map(|case| format!("case {case}: p = &thing{case}; break;"))
        .collect();
    let things: String = (0..6)
        .map(|case| format!("extern int64_t thing{case};"))
        .collect();
    let code = format!(
        "{things} T(f) {{ int64_t *p; switch (sp[-1]) {{ {cases} default: p = 0; }} sp[-1] = (int64_t)p; NEXT(sp); }}"
    );
    for level in ["-O0", "-O2"] {
        let Some(text) = clang(&code, &[level, WEAK, "-fno-jump-tables"]) else {
            return;
        };
        let compiled = compile_set(&set([uop(&module(text), "f", 1)]));
        let contents = compiled.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(contents.symbols.len(), 6);
    }
    let Some(text) = clang(&code, &["-O2", WEAK]) else {
        return;
    };
    let error = error_of(uop(&module(text), "f", 1));
    assert!(
        error.starts_with("test.ll, template UOP: a front end has made a table of addresses"),
        "{error}"
    );
    assert!(error.contains("-fno-jump-tables"), "{error}");
}

#[test]
fn refusals_name_the_uop() {
    let good = by_hand("store i64 7, ptr %at").replace("@f(", "@good(");
    let rest = |text: String| text.replace("declare void @_JIT_CONTINUE(ptr, ptr, ptr)", "");
    for (what, module_text, body, expected) in [
        (
            "data that changes",
            "@counter = global i64 0",
            "store volatile i64 1, ptr @counter",
            "is not understood",
        ),
        (
            "data of a thread",
            "@own = internal thread_local global i64 0",
            "store volatile i64 1, ptr @own",
            "is not understood",
        ),
        (
            "assembly",
            "",
            "call void asm sideeffect \"frobnicate %rax\", \"\"()",
            "LLVM cannot make code of it: ",
        ),
        (
            "an operand",
            "",
            "call void asm sideeffect \"nop # $3\", \"r\"(i64 1)",
            "names an operand that is not there: it has 1",
        ),
        (
            "a constraint",
            "",
            "%x = call i64 asm sideeffect \"nop\", \"={nonsense}\"()",
            "LLVM cannot make code of it: ",
        ),
        (
            "an intrinsic",
            "declare void @llvm.instrprof.increment(ptr, i64, i32, i32)
             @n = private constant [1 x i8] c\"a\"",
            "call void @llvm.instrprof.increment(ptr @n, i64 1, i32 1, i32 0)",
            "it calls llvm.instrprof.increment, for which",
        ),
        (
            "another CPU's",
            "declare <8 x i32> @llvm.x86.avx2.pmadd.wd(<16 x i16>, <16 x i16>)",
            "%v = load <16 x i16>, ptr %sp
             %w = call <8 x i32> @llvm.x86.avx2.pmadd.wd(<16 x i16> %v, <16 x i16> %v)
             store <8 x i32> %w, ptr %sp",
            "it calls llvm.x86.avx2.pmadd.wd, for which",
        ),
    ] {
        let text = format!("{module_text}\n{good}{}", rest(by_hand(body)));
        let ir = module(text);
        let templates = [
            Template::from_ir("GOOD", &ir, "good").stack(1, 1),
            uop(&ir, "f", 1),
        ];
        let error = match compile_set(&set(templates)) {
            Ok(_) => panic!("{what}: it compiles"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains("UOP"), "{what}: {error}");
        assert!(!error.contains("GOOD"), "{what}: {error}");
        assert!(error.contains(expected), "{what}: {error}");
    }
    for (attribute, body, expected) in [
        (
            "gc \"nothing\"",
            "",
            "has the garbage collector \"nothing\", which a stencil's cannot",
        ),
        (
            "",
            "%x = alloca <vscale x 4 x i32>
             store volatile <vscale x 4 x i32> zeroinitializer, ptr %x",
            "has vectors whose size is not known",
        ),
    ] {
        let opening = format!("ptr %thread) {attribute} {{");
        let text = by_hand(body).replace("ptr %thread) {", &opening);
        let error = error_of(uop(&module(text), "f", 1));
        let expected = format!("test.ll, template UOP: its function {expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
    // Later LLVMs do not even read one that uses its arguments.
    let naked = by_hand("").replace("ptr %thread) {", "ptr %thread) naked {");
    let error = error_of(uop(&module(naked.as_str()), "f", 1));
    let expected = "test.ll, template UOP: its function is naked, which a stencil's cannot";
    assert!(
        error.starts_with(expected) || error.contains("naked function"),
        "{error}"
    );
}

#[test]
fn what_says_that_things_do_not_overlap_is_forgotten() {
    let text = "declare void @llvm.experimental.noalias.scope.decl(metadata)\n".to_owned()
        + &by_hand(
            "call void @llvm.experimental.noalias.scope.decl(metadata !0)
             store i64 ptrtoint (ptr @_JIT_OPERAND to i64), ptr %at",
        )
        + "@_JIT_OPERAND = external global i8
           !0 = !{!1}
           !1 = distinct !{!1, !2}
           !2 = distinct !{!2}";
    assert_eq!(run(&module(text), "f", 0, 7, &[1]), [7]);
}
