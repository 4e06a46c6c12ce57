//! A uop set assembled by hand: words on a stack, a loop, exits, a call. With it the runtime is tested without LLVM and
//! without objects, and a test knows every byte that it expects.
//!
//! The convention is the one that `mimeo::table` documents: r12 is the frame, which is an array of words, r13 the stack
//! pointer, one past the top value, r14 the thread state. rax, rdi and r15 are free.
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `_PUSH` | `( -- a)` | pushes its operand |
//! | `_CONSTANT` | `( -- a)` | pushes [`CONSTANT`], which stands in its data |
//! | `_READ` | `( -- a)` | pushes what stands at the symbol [`NUMBER`] |
//! | `_LOAD`, `_STORE` | `( -- a)`, `(a -- )` | local number oparg |
//! | `_LOAD_1` | `( -- a)` | local 1 |
//! | `_RESERVE` | `( -- oparg)` | pushes as many words as its oparg says, of any value |
//! | `_POP`, `_ADD` | `(a -- )`, `(a b -- a+b)` | |
//! | `_CALL` | `(a -- b)` | calls the symbol [`DOUBLE`] |
//! | `_FAIL_IF_ZERO` | `(a -- a)` | goes to its error label if the value is 0 |
//! | `_JUMP`, `_JUMP_IF_ZERO` | `( -- )`, `(a -- )` | goes to its jump label |
//! | `_JUMP_TO_TOP` | `( -- )` | goes to the trace's second uop |
//! | `_CHECK_VALIDITY` | `( -- )` | goes to its jump label if the executor was invalidated |
//! | `_EXIT`, `_EXIT_IF_ZERO` | `( -- )`, `(a -- )` | leaves through its exit record |
#![allow(unsafe_code)]

use mimeo::code_memory::{ArenaStats, CodeArena};
use mimeo::engine::{CompileError, Engine, EngineError};
use mimeo::executor::Executor;
use mimeo::form::{
    Class, Form, Input, OperandForm, Register, RegisterField, RegisterHole, RegisterSet,
};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Count, StackEffect, StencilBuf, StencilGroup, StencilGroupBuf, UopFlags};
use mimeo::table::{StencilTable, TableContents, UopContents, VariantContents, VariantId};
use mimeo::trace::{FrameShape, Trace, Uop};
use mimeo::{Patcher, Prepared};
use std::ops::Deref;
use std::sync::Arc;

/// What `_CONSTANT` pushes.
pub const CONSTANT: u64 = 0x0123_4567_89ab_cdef;

/// The symbol that `_CALL` calls: it doubles its argument.
pub const DOUBLE: &str = "toy_double";

/// The symbol that `_READ` reads: a word of value [`NUMBER_VALUE`].
pub const NUMBER: &str = "toy_number";

/// What stands at [`NUMBER`].
pub const NUMBER_VALUE: u64 = 0xfeed;

/// The largest oparg of every toy uop.
pub const OPARG_MAX: u32 = 1000;

static NUMBER_WORD: u64 = NUMBER_VALUE;

// One function at one address: what may be inlined may be in several crates.
#[inline(never)]
extern "C" fn double(number: u64) -> u64 {
    number.wrapping_mul(2)
}

/// The address of one of the symbols, or `None`.
pub fn resolve(symbol: &str) -> Option<usize> {
    match symbol {
        DOUBLE => Some(double as *const () as usize),
        NUMBER => Some(&raw const NUMBER_WORD as usize),
        _ => None,
    }
}

/// Code with holes.
pub fn code(bytes: &[u8], holes: &[Hole]) -> StencilBuf {
    StencilBuf {
        bytes: bytes.to_owned(),
        holes: holes.to_owned(),
        align: 1,
    }
}

/// A hole for a displacement that counts from its own end, such as a jump's.
pub fn relative(offset: u32, value: HoleValue) -> Hole {
    Hole::new(offset, RelocationKind::Pc32, value, -4)
}

/// A uop of this name without any code, which continues with the next uop and takes every argument.
pub fn uop(name: &str) -> UopContents {
    UopContents {
        name: name.to_owned(),
        effect: StackEffect::default(),
        leaving_effect: StackEffect::default(),
        flags: UopFlags::empty(),
        oparg_max: OPARG_MAX,
        operand_max: u64::MAX,
        operand1_max: u64::MAX,
        locals: 0,
        group: StencilGroupBuf::default(),
    }
}

/// A set of these uops, to be made a table of.
pub fn contents(set: &str, symbols: &[&str], uops: Vec<UopContents>) -> TableContents {
    TableContents {
        set: set.to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (0, 0, 0),
        digest: [0; 32],
        sources: [0; 32],
        symbols: symbols.iter().map(|&symbol| symbol.to_owned()).collect(),
        uops,
        variants: Vec::new(),
    }
}

/// A table of these contents.
///
/// # Panics
/// They are no valid table.
pub fn table_of(contents: &TableContents) -> Arc<StencilTable> {
    let table = contents.to_bytes().and_then(StencilTable::from_bytes);
    Arc::new(table.unwrap_or_else(|error| panic!("{}: {error}", contents.set)))
}

/// The toy set.
pub fn toy_contents() -> TableContents {
    contents("toy", &[DOUBLE, NUMBER], toy_uops())
}

/// The toy set with frames to enter: a frame has its locals from its address on, and in the three words in front of it
/// [what `_ENTER` needs](FRAME_WORDS).
///
/// | Uop | Effect | What it does |
/// |---|---|---|
/// | `_ENTER` | `(f -- )` | goes to the frame at the address `f` |
/// | `_RETURN` | `(a -- a)` | goes back to the frame from which this one was entered |
pub fn contents_with_frames() -> TableContents {
    let mut contents = toy_contents();
    contents.set = "frames".to_owned();
    contents.uops.extend([
        hot(
            "_ENTER",
            StackEffect::fixed(1, 0),
            UopFlags::ENTERS_FRAME,
            &[
                &TOP_TO_RAX,
                &POP,
                // mov [rax - 16], r12; mov [rax - 8], r13
                &[0x4c, 0x89, 0x60, 0xf0, 0x4c, 0x89, 0x68, 0xf8],
                // mov r12, rax; mov r13, [rax - 24]
                &[0x49, 0x89, 0xc4, 0x4c, 0x8b, 0x68, 0xe8],
            ],
            &[],
        ),
        hot(
            "_RETURN",
            StackEffect::fixed(1, 1),
            UopFlags::LEAVES_FRAME,
            &[
                &TOP_TO_RAX,
                // mov r13, [r12 - 8]; mov r12, [r12 - 16]
                &[0x4d, 0x8b, 0x6c, 0x24, 0xf8, 0x4d, 0x8b, 0x64, 0x24, 0xf0],
                &PUSH_RAX,
            ],
            &[],
        ),
    ]);
    contents
}

/// The words in front of the locals of a frame that is entered: the address of its stack, and room for the frame and the
/// stack pointer to go back to.
pub const FRAME_WORDS: usize = 3;

/// The toy set with variants of both kinds, as a table of a real set would not have them side by side.
///
/// In the order of a table:
///
/// | Variant | Code |
/// |---|---|
/// | `_ADD_r21` | `add r15, rdi` |
/// | `_ADD [r8, r9 -> r8]` | `add r8, r9` |
/// | `_ADD [r8, r9 -> r11]` | `lea r11, [r8 + r9]` |
/// | `_ADD [r8, 6-bit unsigned -> r8]` | `add r8, imm8` |
/// | `_ADD [r8, 32-bit -> r8]` | `add r8, imm32` |
/// | `_ADD [xmm4, pooled -> xmm4]` | `addsd xmm4, [rip + POOLED]`, which is another sum |
/// | `_EXIT_IF_ZERO [r8]` | `test r8, r8; je COLD`; cold, `mov rax, r8; lea r15, [rip + EXIT]; jmp LEAVE` |
/// | `_JUMP_IF_ZERO [r8]` | `test r8, r8; je JUMP_TARGET` |
/// | `_LOAD+_JUMP_IF_ZERO_r00` | `cmp qword ptr [r12 + 8 * OPARG], 0; je JUMP_TARGET` |
/// | `_PUSH_r01` | `movabs r15, OPERAND` |
/// | `_PUSH+_ADD_r11` | `movabs rax, OPERAND; add r15, rax` |
pub fn contents_with_variants() -> TableContents {
    let mut contents = toy_contents();
    contents.set = "variants".to_owned();
    contents.variants = [slots_variants(), operand_variants()].concat();
    contents
}

/// The toy set's table.
pub fn table() -> Arc<StencilTable> {
    table_of(&toy_contents())
}

/// An engine of any set that refers to no symbols but [`DOUBLE`] and [`NUMBER`], with an arena of its own.
///
/// To run what it compiles is unsafe, and whoever does it answers for the set; [`ToyEngine`] answers for the toy set.
///
/// # Panics
/// The contents are no valid table, or there is no executable memory to be had.
pub fn engine_of(contents: &TableContents) -> Engine {
    // SAFETY: `resolve` gives a function and a word that stay where they are; that the set takes them for what they
    // are concerns nobody before something is run.
    let engine = unsafe { Engine::new(table_of(contents), resolve) };
    engine.unwrap_or_else(|error| panic!("{}: {error}", contents.set))
}

/// An engine for a table of which this symbol has no address.
///
/// # Errors
/// The table refers to the symbol.
pub fn engine_without(table: Arc<StencilTable>, missing: &str) -> Result<Engine, EngineError> {
    let resolve = |symbol: &str| resolve(symbol).filter(|_| symbol != missing);
    // SAFETY: as in `engine_of`.
    unsafe { Engine::new(table, resolve) }
}

/// An engine of any table at all, in this arena, which takes every symbol for [`DOUBLE`]: what it compiles may be looked
/// at and not run.
///
/// # Panics
/// Never: every symbol has an address.
pub fn engine_for_looking(table: Arc<StencilTable>, arena: Arc<CodeArena>) -> Engine {
    // SAFETY: as in `engine_of`.
    let engine = unsafe { Engine::with_arena(table, |_| resolve(DOUBLE), arena) };
    engine.expect("every symbol has an address")
}

/// A uop of a trace's table, to be pushed.
///
/// # Panics
/// The table has no such uop.
pub fn op(trace: &Trace<'_>, name: &str) -> Uop {
    trace.uop(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Appends the uops that add a number to a local: `_LOAD`, `_PUSH`, `_ADD`, `_STORE`.
///
/// # Panics
/// The trace is not of the toy set.
pub fn push_add_to_local(trace: &mut Trace<'_>, local: u32, number: u64) {
    trace.push(op(trace, "_LOAD").oparg(local));
    trace.push(op(trace, "_PUSH").operand(number));
    trace.push(op(trace, "_ADD"));
    trace.push(op(trace, "_STORE").oparg(local));
}

/// `mov [r13], rax; add r13, 8`.
const PUSH_RAX: [u8; 8] = [0x49, 0x89, 0x45, 0x00, 0x49, 0x83, 0xc5, 0x08];
/// `add r13, -8`.
const POP: [u8; 4] = [0x49, 0x83, 0xc5, 0xf8];
/// `mov rax, [r13 - 8]`.
const TOP_TO_RAX: [u8; 4] = [0x49, 0x8b, 0x45, 0xf8];
/// `lea r15, [rip + EXIT]; jmp [rip + EXIT]`.
const LEAVE: [u8; 13] = [0x4c, 0x8d, 0x3d, 0, 0, 0, 0, 0xff, 0x25, 0, 0, 0, 0];

fn leave() -> StencilBuf {
    let holes = [relative(3, HoleValue::Exit), relative(9, HoleValue::Exit)];
    code(&LEAVE, &holes)
}

/// A local's displacement from the frame.
fn local(offset: u32) -> Hole {
    Hole::new(offset, RelocationKind::Abs32S, HoleValue::Oparg, 0).with_shift(3)
}

/// A uop of hot code alone.
fn hot(
    name: &str,
    effect: StackEffect,
    flags: UopFlags,
    bytes: &[&[u8]],
    holes: &[Hole],
) -> UopContents {
    let mut made = uop(name);
    made.effect = effect;
    made.leaving_effect = effect;
    made.flags = flags;
    made.group.hot = code(&bytes.concat(), holes);
    made
}

fn toy_uops() -> Vec<UopContents> {
    [
        value_uops(),
        local_uops(),
        jump_uops(),
        vec![call_uop(), constant_uop(), exit_if_zero_uop()],
    ]
    .concat()
}

fn value_uops() -> Vec<UopContents> {
    let reserve = StackEffect {
        popped: Count::fixed(0),
        pushed: Count::oparg_plus(0),
    };
    vec![
        hot(
            "_PUSH",
            StackEffect::fixed(0, 1),
            UopFlags::OPERAND,
            // movabs rax, OPERAND
            &[&[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0], &PUSH_RAX],
            &[Hole::new(2, RelocationKind::Abs64, HoleValue::Operand, 0)],
        ),
        hot(
            "_READ",
            StackEffect::fixed(0, 1),
            UopFlags::empty(),
            // mov rax, [rip + NUMBER]
            &[&[0x48, 0x8b, 0x05, 0, 0, 0, 0], &PUSH_RAX],
            &[relative(3, HoleValue::Symbol).with_symbol(1)],
        ),
        hot(
            "_RESERVE",
            reserve,
            UopFlags::OPARG,
            // lea r13, [r13 + 8 * OPARG]
            &[&[0x4d, 0x8d, 0xad, 0, 0, 0, 0]],
            &[local(3)],
        ),
        hot(
            "_POP",
            StackEffect::fixed(1, 0),
            UopFlags::empty(),
            &[&POP],
            &[],
        ),
        hot(
            "_ADD",
            StackEffect::fixed(2, 1),
            UopFlags::empty(),
            // add [r13 - 16], rax
            &[&TOP_TO_RAX, &[0x49, 0x01, 0x45, 0xf0], &POP],
            &[],
        ),
    ]
}

fn local_uops() -> Vec<UopContents> {
    let flags = UopFlags::LOCAL | UopFlags::OPARG;
    let mut load_1 = hot(
        "_LOAD_1",
        StackEffect::fixed(0, 1),
        UopFlags::empty(),
        // mov rax, [r12 + 8]
        &[&[0x49, 0x8b, 0x44, 0x24, 0x08], &PUSH_RAX],
        &[],
    );
    load_1.locals = 2;
    vec![
        hot(
            "_LOAD",
            StackEffect::fixed(0, 1),
            flags,
            // mov rax, [r12 + 8 * OPARG]
            &[&[0x49, 0x8b, 0x84, 0x24, 0, 0, 0, 0], &PUSH_RAX],
            &[local(4)],
        ),
        hot(
            "_STORE",
            StackEffect::fixed(1, 0),
            flags,
            // mov [r12 + 8 * OPARG], rax
            &[&TOP_TO_RAX, &POP, &[0x49, 0x89, 0x84, 0x24, 0, 0, 0, 0]],
            &[local(12)],
        ),
        load_1,
    ]
}

fn jump_uops() -> Vec<UopContents> {
    let nothing = StackEffect::fixed(0, 0);
    vec![
        hot(
            "_FAIL_IF_ZERO",
            StackEffect::fixed(1, 1),
            UopFlags::ERROR,
            // cmp qword ptr [r13 - 8], 0; je ERROR_TARGET
            &[&[0x49, 0x83, 0x7d, 0xf8, 0x00, 0x0f, 0x84, 0, 0, 0, 0]],
            &[relative(7, HoleValue::ErrorTarget)],
        ),
        hot(
            "_JUMP_IF_ZERO",
            StackEffect::fixed(1, 0),
            UopFlags::JUMP,
            // cmp qword ptr [r13], 0; je JUMP_TARGET
            &[
                &POP,
                &[0x49, 0x83, 0x7d, 0x00, 0x00, 0x0f, 0x84, 0, 0, 0, 0],
            ],
            &[relative(11, HoleValue::JumpTarget)],
        ),
        hot(
            "_CHECK_VALIDITY",
            nothing,
            UopFlags::DEOPT,
            // cmp dword ptr [rip + EXECUTOR], 0; je JUMP_TARGET
            &[&[0x83, 0x3d, 0, 0, 0, 0, 0x00, 0x0f, 0x84, 0, 0, 0, 0]],
            &[
                // The immediate byte stands between the field and the end of the instruction.
                Hole::new(2, RelocationKind::Pc32, HoleValue::Executor, -5),
                relative(9, HoleValue::JumpTarget),
            ],
        ),
        hot(
            "_JUMP",
            nothing,
            UopFlags::JUMP | UopFlags::TERMINAL,
            &[&[0xe9, 0, 0, 0, 0]],
            &[relative(1, HoleValue::JumpTarget)],
        ),
        hot(
            "_JUMP_TO_TOP",
            nothing,
            UopFlags::TOP | UopFlags::TERMINAL,
            &[&[0xe9, 0, 0, 0, 0]],
            &[relative(1, HoleValue::Top)],
        ),
        hot(
            "_EXIT",
            nothing,
            UopFlags::EXIT_RECORD | UopFlags::TERMINAL,
            &[&LEAVE],
            &leave().holes,
        ),
    ]
}

fn call_uop() -> UopContents {
    hot(
        "_CALL",
        StackEffect::fixed(1, 1),
        UopFlags::empty(),
        &[
            // mov rdi, [r13 - 8]; call DOUBLE; mov [r13 - 8], rax
            &[0x49, 0x8b, 0x7d, 0xf8],
            &[0xe8, 0, 0, 0, 0],
            &[0x49, 0x89, 0x45, 0xf8],
        ],
        &[relative(5, HoleValue::Symbol)],
    )
}

fn constant_uop() -> UopContents {
    let mut made = hot(
        "_CONSTANT",
        StackEffect::fixed(0, 1),
        UopFlags::empty(),
        // mov rax, [rip + DATA]
        &[&[0x48, 0x8b, 0x05, 0, 0, 0, 0], &PUSH_RAX],
        &[relative(3, HoleValue::Data)],
    );
    made.group.data.bytes = CONSTANT.to_le_bytes().to_vec();
    made.group.data.align = 16;
    made
}

fn exit_if_zero_uop() -> UopContents {
    let mut made = hot(
        "_EXIT_IF_ZERO",
        StackEffect::fixed(1, 0),
        UopFlags::EXIT_RECORD,
        // cmp qword ptr [r13], 0; je COLD
        &[
            &POP,
            &[0x49, 0x83, 0x7d, 0x00, 0x00, 0x0f, 0x84, 0, 0, 0, 0],
        ],
        &[relative(11, HoleValue::Cold)],
    );
    made.group.cold = leave();
    made
}

/// A variant of hot code alone, compiled for the arguments that the base forms were compiled for.
pub fn variant(uops: &[&str], form: Form, bytes: &[u8], holes: &[Hole]) -> VariantContents {
    VariantContents {
        uops: uops.iter().map(|&uop| uop.to_owned()).collect(),
        form,
        oparg_max: vec![OPARG_MAX; uops.len()],
        operand_max: vec![u64::MAX; uops.len()],
        operand1_max: vec![u64::MAX; uops.len()],
        group: StencilGroupBuf {
            hot: code(bytes, holes),
            ..StencilGroupBuf::default()
        },
        register_holes: Vec::new(),
    }
}

/// The form `_rIO`.
pub fn slots(registers_in: u8, registers_out: u8) -> Form {
    Form::Slots {
        registers_in,
        registers_out,
    }
}

/// A form of operands, whose placeholders may be any registers.
pub fn operands(inputs: &[Input], output: Option<Register>) -> Form {
    Form::Operands(OperandForm {
        inputs: inputs.to_owned(),
        output,
        intact: 0,
        renameable: RegisterSet::ALL,
    })
}

/// A place in hot code where a placeholder stands, with the REX prefix at the start of the code where it is not a float.
pub fn register_hole(offset: u32, field: RegisterField, register: Register) -> RegisterHole {
    RegisterHole {
        cold: false,
        offset,
        rex: (register.class() == Class::General).then_some(0),
        field,
        register,
    }
}

fn slots_variants() -> Vec<VariantContents> {
    let operand = Hole::new(2, RelocationKind::Abs64, HoleValue::Operand, 0);
    vec![
        variant(&["_ADD"], slots(2, 1), &[0x49, 0x01, 0xff], &[]),
        variant(
            &["_LOAD", "_JUMP_IF_ZERO"],
            slots(0, 0),
            &[
                0x49, 0x83, 0xbc, 0x24, 0, 0, 0, 0, 0x00, 0x0f, 0x84, 0, 0, 0, 0,
            ],
            &[
                local(4),
                relative(11, HoleValue::JumpTarget).with_element(1),
            ],
        ),
        variant(
            &["_PUSH"],
            slots(0, 1),
            &[0x49, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0],
            &[operand],
        ),
        variant(
            &["_PUSH", "_ADD"],
            slots(1, 1),
            &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x49, 0x01, 0xc7],
            &[operand],
        ),
    ]
}

fn operand_variants() -> Vec<VariantContents> {
    use RegisterField::{Base, Index, Reg};
    let (r8, r9, r11, xmm4) = (general(5), general(6), general(7), float(4));
    let (first, second) = (Input::Register(r8), Input::Register(r9));
    let input = |offset, kind| Hole::new(offset, kind, HoleValue::Input, 0).with_element(1);
    let add = |inputs: &[Input], output, bytes: &[u8], holes: &[Hole], places: &[RegisterHole]| {
        let mut made = variant(&["_ADD"], operands(inputs, Some(output)), bytes, holes);
        made.register_holes = places.to_owned();
        made
    };
    let unary = |name, bytes: &[u8], holes: &[Hole]| {
        let mut made = variant(&[name], operands(&[first], None), bytes, holes);
        made.register_holes = vec![register_hole(2, Base, r8), register_hole(2, Reg, r8)];
        made
    };
    const TEST_R8_JE: [u8; 9] = [0x4d, 0x85, 0xc0, 0x0f, 0x84, 0, 0, 0, 0];
    let mut exit = unary(
        "_EXIT_IF_ZERO",
        &TEST_R8_JE,
        &[relative(5, HoleValue::Cold)],
    );
    exit.group.cold = code(
        &[
            0x4c, 0x89, 0xc0, 0x4c, 0x8d, 0x3d, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0,
        ],
        &[relative(6, HoleValue::Exit), relative(11, HoleValue::Leave)],
    );
    exit.register_holes.push(RegisterHole {
        cold: true,
        ..register_hole(2, Reg, r8)
    });
    let mut narrow = add(
        &[first, Input::Unsigned(6)],
        r8,
        &[0x49, 0x83, 0xc0, 0],
        &[input(3, RelocationKind::Abs8)],
        &[register_hole(2, Base, r8)],
    );
    if let Form::Operands(form) = &mut narrow.form {
        // As of a form that shifts by cl.
        form.renameable = form.renameable.without(general(4));
    }
    vec![
        add(
            &[first, second],
            r8,
            &[0x4d, 0x01, 0xc8],
            &[],
            &[register_hole(2, Base, r8), register_hole(2, Reg, r9)],
        ),
        add(
            &[first, second],
            r11,
            &[0x4f, 0x8d, 0x1c, 0x08],
            &[],
            &[
                register_hole(2, Reg, r11),
                register_hole(3, Base, r8),
                register_hole(3, Index, r9),
            ],
        ),
        narrow,
        add(
            &[first, Input::Signed32],
            r8,
            &[0x49, 0x81, 0xc0, 0, 0, 0, 0],
            &[input(3, RelocationKind::Abs32S)],
            &[register_hole(2, Base, r8)],
        ),
        add(
            &[Input::Register(xmm4), Input::Pooled],
            xmm4,
            &[0xf2, 0x0f, 0x58, 0x25, 0, 0, 0, 0],
            &[relative(4, HoleValue::Pooled).with_element(1)],
            &[register_hole(3, Reg, xmm4)],
        ),
        exit,
        unary(
            "_JUMP_IF_ZERO",
            &TEST_R8_JE,
            &[relative(5, HoleValue::JumpTarget)],
        ),
    ]
}

/// A variant of a table as contents, to be written again.
pub fn owned_variant(table: &StencilTable, id: VariantId) -> VariantContents {
    let variant = table.variant(id);
    let elements = 0..variant.uops.len();
    VariantContents {
        uops: variant
            .uops
            .iter()
            .map(|&uop| table.uop(uop).name.to_owned())
            .collect(),
        form: variant.form.clone(),
        oparg_max: elements
            .clone()
            .map(|index| variant.oparg_max(index))
            .collect(),
        operand_max: elements
            .clone()
            .map(|index| variant.operand_max(index))
            .collect(),
        operand1_max: elements.map(|index| variant.operand1_max(index)).collect(),
        group: owned_group(variant.group),
        register_holes: variant.register_holes.to_owned(),
    }
}

/// A group that owns its parts.
pub fn owned_group(group: StencilGroup<'_>) -> StencilGroupBuf {
    let [hot, cold, data] = group.parts().map(|(_, stencil)| StencilBuf {
        bytes: stencil.bytes.to_owned(),
        holes: stencil.holes.to_owned(),
        align: stencil.align,
    });
    StencilGroupBuf { hot, cold, data }
}

/// General register `index`.
///
/// # Panics
/// There are only eight.
pub fn general(index: u8) -> Register {
    Register::general(index).expect("one of eight registers")
}

/// Float register `index`.
///
/// # Panics
/// There are only eight.
pub fn float(index: u8) -> Register {
    Register::float(index).expect("one of eight registers")
}

/// An engine of the toy set.
#[derive(Debug)]
pub struct ToyEngine {
    engine: Engine,
}

impl ToyEngine {
    /// An engine with an arena of its own, near the helpers.
    ///
    /// # Panics
    /// There is no executable memory to be had.
    pub fn new() -> Self {
        Self {
            engine: engine_of(&toy_contents()),
        }
    }

    /// An engine with this arena.
    ///
    /// # Panics
    /// A symbol is missing.
    pub fn with_arena(arena: Arc<CodeArena>) -> Self {
        // SAFETY: `resolve` gives a function and a word as the stencils expect them, for as long as the process lives.
        let engine = unsafe { Engine::with_arena(table(), resolve, arena) };
        Self {
            engine: engine.expect("an engine of the toy set"),
        }
    }

    /// An empty trace of toy uops.
    pub fn trace(&self) -> Trace<'_> {
        Trace::new(self.engine.table())
    }

    /// What the code memory holds.
    pub fn memory(&self) -> ArenaStats {
        self.engine.memory()
    }

    /// Compiles a trace for frames of this shape.
    ///
    /// # Errors
    /// See [`Engine::compile`].
    pub fn compile(
        &self,
        trace: &Trace<'_>,
        shape: FrameShape,
    ) -> Result<ToyExecutor, CompileError> {
        self.engine.compile(trace, shape).map(ToyExecutor)
    }

    /// Prepares a trace for frames of this shape.
    ///
    /// # Errors
    /// See [`Engine::prepare`].
    pub fn prepare(&self, trace: &Trace<'_>, shape: FrameShape) -> Result<Prepared, CompileError> {
        self.engine.prepare(trace, shape)
    }

    /// Compiles a prepared trace with this patcher.
    ///
    /// # Errors
    /// See [`Engine::compile_with`].
    pub fn compile_with(
        &self,
        prepared: &Prepared,
        patcher: Patcher,
    ) -> Result<ToyExecutor, CompileError> {
        self.engine.compile_with(prepared, patcher).map(ToyExecutor)
    }
}

impl Default for ToyEngine {
    fn default() -> Self {
        Self::new()
    }
}

/// An executor of toy uops, which a [`Machine`](crate::machine::Machine) can run.
#[derive(Debug)]
pub struct ToyExecutor(Executor);

impl Deref for ToyExecutor {
    type Target = Executor;

    fn deref(&self) -> &Executor {
        &self.0
    }
}
