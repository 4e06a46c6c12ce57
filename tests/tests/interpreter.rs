//! The interpreter: recorded traces end under it as they ended in CPython, and it behaves as the engine does where a
//! trace is left, linked, invalidated and dropped. Its code is where no memory has to be made executable.
#![allow(unsafe_code)]

use mimeo::code_memory::{ArenaOptions, CodeArena};
use mimeo::engine::{CompileError, Engine};
use mimeo::executor::{LinkError, SideExit, ThreadState};
use mimeo::interpreter::{
    CODE_ALIGN, ImageContents, InterpretedTrace, Interpreter, InterpreterError, InterpreterImage,
};
use mimeo::stencil::UopFlags;
use mimeo::table::{StencilTable, refresh_checksum};
use mimeo::trace::{FrameShape, Trace, TraceError, Uop};
use mimeo_bench::State;
use mimeo_bench::kernels::kernels;
use mimeo_ir_templates::{scalar_interpreter, standard_interpreter, standard_table};
use mimeo_objects::heap;
use mimeo_objects::recorded::{Document, Program, engine, interpreter};
use mimeo_tests::recorded::{directory, names, text};
use mimeo_tests::scalar::differential::{Runner, Verdict, compare};
use mimeo_tests::scalar::interpreted::Interpreted;
use mimeo_tests::scalar::random::{Tape, make};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

fn table() -> Arc<StencilTable> {
    Arc::new(standard_table().expect("the embedded table"))
}

fn image() -> InterpreterImage<'static> {
    standard_interpreter().expect("the embedded image")
}

fn standard() -> Interpreter {
    // SAFETY: the image was made with the table and is part of the program's text, as a test below proves.
    unsafe { interpreter(table(), &image()) }.expect("an interpreter of the standard set")
}

fn document(name: &str) -> Document {
    Document::parse(&text(&directory(), name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

// ---- Where the code is ---------------------------------------------------------------------------------------------

/// The mappings of this process: addresses and protection.
fn mappings() -> Vec<(std::ops::Range<usize>, String)> {
    let text = fs::read_to_string("/proc/self/maps").expect("the mappings of this process");
    let mapping = |line: &str| {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        Some((address(start)?..address(end)?, fields.next()?.to_owned()))
    };
    text.lines().filter_map(mapping).collect()
}

#[test]
fn the_embedded_code_is_executable_where_it_is_and_not_writable() {
    let scalar = scalar_interpreter().expect("the embedded image");
    let codes = [image().code(), scalar.code()];
    for code in codes {
        assert!((code.as_ptr() as usize).is_multiple_of(CODE_ALIGN));
    }
    let ends = |code: &'static [u8]| {
        let range = code.as_ptr_range();
        [range.start as usize, range.end as usize - 1]
    };
    for address in codes.into_iter().flat_map(ends) {
        let mappings = mappings();
        let (_, protection) = mappings
            .iter()
            .find(|(mapping, _)| mapping.contains(&address))
            .expect("the code is mapped");
        assert_eq!(protection, "r-xp", "{address:#x}");
    }
}

/// The program headers of this test's own file, by the ELF specification: the loaded segments, with their flags.
#[test]
fn the_segment_of_the_code_is_executable_in_the_file() {
    let file = fs::read(std::env::current_exe().expect("this program")).expect("its file");
    let number = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&file[at..at + len]);
        u64::from_le_bytes(bytes) as usize
    };
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let needle = image().digest().to_owned();
    let segments: Vec<(usize, std::ops::Range<usize>)> = (0..count)
        .map(|index| offset + index * size)
        .filter(|&header| number(header, 4) == 1)
        .map(|header| {
            let start = number(header + 8, 8);
            (number(header + 4, 4), start..start + number(header + 32, 8))
        })
        .collect();
    // The table, in data, holds the digest too.
    let executable = |flags: usize| flags & 1 != 0;
    let holds = |range: &std::ops::Range<usize>| {
        file[range.clone()]
            .windows(needle.len())
            .any(|window| window == needle)
    };
    let found: Vec<usize> = segments
        .iter()
        .filter(|(_, range)| holds(range))
        .map(|&(flags, _)| flags)
        .collect();
    assert!(found.iter().any(|&flags| executable(flags)), "{found:?}");
    let writable = |flags: usize| flags & 2 != 0;
    assert!(
        found
            .iter()
            .all(|&flags| !(executable(flags) && writable(flags)))
    );
}

// ---- Recorded traces -----------------------------------------------------------------------------------------------

#[test]
fn supported_traces_end_as_they_did_in_cpython() {
    let interpreter = standard();
    let found = names(&directory());
    assert!(found.len() >= 28, "{} traces", found.len());
    let differences: Vec<String> = found
        .iter()
        .filter_map(|name| {
            let document = document(name);
            let run = || -> Result<(), Box<dyn std::error::Error>> {
                let mut program = Program::new(&document, &interpreter)?;
                let outcome = program.run()?;
                assert_eq!(program.executors().count(), 0);
                Ok(program.check(&outcome)?)
            };
            Some(format!("{name}: {}", run().err()?))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn code_memory_holds_it_as_well() {
    let arena = CodeArena::new(ArenaOptions::default()).expect("code memory");
    let helper = |name: &str| {
        let symbols = mimeo_objects::helpers::symbols();
        let symbol = symbols.iter().find(|symbol| symbol.name == name)?;
        Some(symbol.address as usize)
    };
    // SAFETY: the image was made with the table, and the addresses are those of the helpers that it names.
    let interpreter = unsafe { Interpreter::in_arena(table(), &image(), helper, &arena) }
        .expect("an interpreter in code memory");
    assert_eq!(arena.stats().blocks, 1);
    for name in ["sum_squares", "fib_bigint", "two_way"] {
        let document = document(name);
        let mut program = Program::new(&document, &interpreter).expect("a program");
        let outcome = program.run().expect("a run");
        program.check(&outcome).expect("the recorded end");
    }
    drop(interpreter);
    assert_eq!(arena.stats().blocks, 0);
}

#[test]
fn it_leaves_nothing_behind() {
    let interpreter = standard();
    let document = document("string_build");
    let before = heap::stats();
    for _ in 0..5 {
        let mut program = Program::new(&document, &interpreter).expect("a program");
        program.run().expect("a run");
    }
    let after = heap::stats();
    assert_eq!(
        after.allocated - before.allocated,
        after.freed - before.freed
    );
}

// ---- The scalar set ------------------------------------------------------------------------------------------------

#[test]
fn kernels_get_the_results_of_plain_rust() {
    let mut interpreted = Interpreted::new();
    let kernels = kernels().expect("the kernels");
    assert!(kernels.len() >= 8, "{} kernels", kernels.len());
    for kernel in kernels {
        let mut state = State::new(&kernel.trace, &kernel.inputs).expect("its inputs");
        let start = Instant::now();
        let left = interpreted
            .run(&kernel.trace, &mut state)
            .unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
        let time = start.elapsed().as_nanos() as f64 / kernel.iterations as f64;
        println!("{}: {time:.2} ns per iteration", kernel.name);
        assert_eq!(left.target, kernel.target, "{}", kernel.name);
        assert_eq!(kernel.results(&state), kernel.expected, "{}", kernel.name);
    }
}

#[test]
fn random_traces_do_what_the_reference_says() {
    let mut interpreted = Interpreted::new();
    let mut same = 0;
    for seed in 0..2000 {
        let case = make(&mut Tape::record(seed));
        let mut runners: [(&str, &mut dyn Runner); 1] = [("interpreted", &mut interpreted)];
        match compare(&case.trace, &case.inputs, &mut runners) {
            Verdict::Same { .. } => same += 1,
            Verdict::Different(difference) => panic!("seed {seed}: {difference} in {case:#?}"),
            Verdict::Ambiguous | Verdict::Open(_) => {}
        }
    }
    assert!(same >= 1800, "{same}");
}

// ---- Against the engine --------------------------------------------------------------------------------------------

/// A frame of the standard set for uops that touch no object: the layout's header and locals.
struct Machine {
    frame: Vec<u64>,
    stack: Vec<u64>,
    thread: mimeo_objects::thread::ThreadState,
}

impl Machine {
    fn new() -> Self {
        Self {
            frame: vec![0; 64],
            stack: vec![0; 16],
            thread: mimeo_objects::thread::ThreadState::new(),
        }
    }

    /// Runs a trace that expects `depth` values; returns the exit and the depth it leaves.
    fn run(&mut self, trace: &InterpretedTrace, depth: usize) -> (SideExit, usize) {
        let base = self.stack.as_mut_ptr();
        let thread: *mut ThreadState = (&raw mut self.thread).cast();
        // SAFETY: the traces here read no object, and the frame and stack are larger than any shape in these tests.
        let exit = unsafe { trace.run(self.frame.as_mut_ptr().cast(), base.add(depth), thread) };
        let left = (exit.stack_pointer as usize - base as usize) / 8;
        (exit, left)
    }
}

const SHAPE: FrameShape = FrameShape {
    locals: 4,
    stack: 8,
    entry_depth: 0,
};

/// `_CHECK_VALIDITY` to an exit to 1, otherwise an exit to `target`.
fn checking(table: &StencilTable, target: u32) -> Result<Trace<'_>, TraceError> {
    let mut trace = Trace::new(table);
    let invalid = trace.label();
    trace.push(trace.uop("_CHECK_VALIDITY")?.jump(invalid));
    trace.push(trace.uop("_EXIT_TRACE")?.target(target));
    trace.bind(invalid)?;
    trace.push(trace.uop("_DEOPT")?.target(1));
    Ok(trace)
}

#[test]
fn a_trace_is_left_where_the_executor_is() -> Result<(), Box<dyn std::error::Error>> {
    let interpreter = standard();
    let mut trace = Trace::new(interpreter.table());
    // Two values with an oparg, the deeper one exchanged, then out with both.
    for oparg in [1, 2] {
        trace.push(trace.uop("_PUSH_NULL")?.oparg(oparg));
    }
    trace.push(trace.uop("_SET_IP")?.operand(77));
    trace.push(trace.uop("_SWAP")?.oparg(2));
    trace.push(trace.uop("_EXIT_TRACE")?.target(i32::MAX as u32));
    let loaded = interpreter.load(&trace, SHAPE)?;
    let executor = engine(Arc::clone(interpreter.table()))?.compile(&trace, SHAPE)?;
    assert_eq!(loaded.exits(), executor.exits());
    assert_eq!(loaded.uop_count(), executor.uop_count());
    assert_eq!(loaded.shape(), SHAPE);
    assert_ne!(loaded.id(), executor.id());
    let mut machine = Machine::new();
    machine.stack.fill(5);
    let (exit, depth) = machine.run(&loaded, 0);
    assert_eq!((exit.executor, exit.index, exit.uop), (loaded.id(), 0, 4));
    assert_eq!((exit.target, depth), (i32::MAX as u32, 2));
    assert_eq!(machine.stack[..3], [0, 0, 5]);
    let instruction = machine.frame.as_ptr().cast::<u8>();
    // SAFETY: the field lies inside the frame.
    let instruction = unsafe {
        instruction
            .add(mimeo_objects::layout::FRAME_INSTRUCTION)
            .cast::<u32>()
            .read()
    };
    assert_eq!(instruction, 77);
    Ok(())
}

#[test]
fn exits_are_linked_and_invalidated() -> Result<(), Box<dyn std::error::Error>> {
    let interpreter = standard();
    let table = Arc::clone(interpreter.table());
    let [first, second, third] = [10, 20, 30].map(|target| {
        let trace = checking(&table, target).expect("a trace");
        interpreter.load(&trace, SHAPE).expect("a loaded trace")
    });
    let mut machine = Machine::new();
    let mut left = |trace: &InterpretedTrace| {
        let (exit, depth) = machine.run(trace, 0);
        assert_eq!(depth, 0);
        (exit.executor, exit.target)
    };
    assert_eq!(left(&first), (first.id(), 10));
    first.link(0, &second)?;
    second.link(0, &third)?;
    assert_eq!(left(&first), (third.id(), 30));
    second.unlink(0)?;
    assert_eq!(left(&first), (second.id(), 20));
    // Another link of the same exit replaces the first.
    first.link(0, &third)?;
    assert_eq!(left(&first), (third.id(), 30));
    third.invalidate();
    assert!(!third.is_valid());
    assert_eq!(left(&first), (first.id(), 10));
    assert_eq!(left(&third), (third.id(), 1));
    assert_eq!(first.link(0, &third), Err(LinkError::Invalid(third.id())));
    first.link(0, &second)?;
    drop(second);
    assert_eq!(left(&first), (first.id(), 10));
    assert!(matches!(
        first.unlink(2),
        Err(LinkError::NoExit {
            found: 2,
            count: 2,
            ..
        })
    ));
    let other = standard();
    let foreign = other.load(&checking(other.table(), 1)?, SHAPE)?;
    assert!(matches!(
        first.link(0, &foreign),
        Err(LinkError::OtherEngine { .. })
    ));
    let deeper = FrameShape {
        entry_depth: 1,
        ..SHAPE
    };
    let deeper = interpreter.load(&checking(&table, 1)?, deeper)?;
    assert!(matches!(
        first.link(0, &deeper),
        Err(LinkError::Shape { found: Some(0), .. })
    ));
    Ok(())
}

/// A trace that is linked to itself runs until another thread invalidates it.
#[test]
fn another_thread_ends_a_loop() -> Result<(), Box<dyn std::error::Error>> {
    let interpreter = standard();
    let loaded = interpreter.load(&checking(interpreter.table(), 5)?, SHAPE)?;
    loaded.link(0, &loaded)?;
    let target = std::thread::scope(|scope| {
        let run = scope.spawn(|| Machine::new().run(&loaded, 0).0.target);
        std::thread::sleep(std::time::Duration::from_millis(20));
        loaded.invalidate();
        run.join().expect("the run ends")
    });
    // It left at the check, or at the exit that was no longer linked.
    assert!([1, 5].contains(&target), "{target}");
    Ok(())
}

#[test]
fn a_wrong_trace_is_refused_as_by_the_engine() -> Result<(), Box<dyn std::error::Error>> {
    let interpreter = standard();
    let table = Arc::clone(interpreter.table());
    let engine: Engine = engine(Arc::clone(&table))?;
    let mut wrong = vec![Trace::new(&table)];
    for (name, oparg) in [("_LOAD_FAST", 4), ("_POP_TOP", 0), ("_SET_IP", 0)] {
        let mut trace = Trace::new(&table);
        trace.push(trace.uop(name)?.oparg(oparg));
        wrong.push(trace);
    }
    for trace in &wrong {
        let error = |error: CompileError| error.to_string();
        let by_engine = engine.compile(trace, SHAPE).map(drop).map_err(error);
        let by_interpreter = interpreter.load(trace, SHAPE).map(drop);
        assert!(matches!(by_interpreter, Err(CompileError::Trace(_))));
        let by_interpreter = by_interpreter.map_err(error);
        assert_eq!(by_engine, by_interpreter);
    }
    // Another load of the same table is the same table; with a change in it, it is another.
    let twin = standard_table()?;
    assert!(interpreter.load(&checking(&twin, 1)?, SHAPE).is_ok());
    let mut changed = mimeo_ir_templates::STANDARD_TABLE.to_vec();
    // In the digest of the sources.
    changed[80] ^= 1;
    refresh_checksum(&mut changed);
    let changed = StencilTable::from_bytes(changed)?;
    assert!(matches!(
        interpreter.load(&checking(&changed, 1)?, SHAPE),
        Err(CompileError::OtherTable { .. })
    ));
    Ok(())
}

/// Traces with uops that nothing reaches are traces to both.
#[test]
fn what_nothing_reaches_is_compiled_as_it_is_interpreted() -> Result<(), Box<dyn std::error::Error>>
{
    let interpreter = standard();
    let table = Arc::clone(interpreter.table());
    let engine: Engine = engine(Arc::clone(&table))?;
    for dead in [
        &["_JUMP_TO_TOP"][..],
        &["_GUARD_IS_TRUE_POP", "_EXIT_TRACE"],
        &[
            "_POP_TOP",
            "_GUARD_BOTH_INT",
            "_BINARY_OP_ADD_INT",
            "_JUMP_TO_TOP",
        ],
        &["_LOAD_FAST", "_TO_BOOL", "_STORE_FAST", "_JUMP_TO_TOP"],
    ] {
        let mut trace = Trace::new(&table);
        let (deopt, error) = (trace.label(), trace.label());
        trace.push(trace.uop("_EXIT_TRACE")?.target(5));
        for name in dead {
            let uop = trace.uop(name)?;
            trace.push(uop.jump(deopt).error(error));
        }
        for (label, name) in [(deopt, "_DEOPT"), (error, "_ERROR_POP_N")] {
            trace.bind(label)?;
            trace.push(trace.uop(name)?);
        }
        let compiled = engine.compile(&trace, SHAPE)?;
        let loaded = interpreter.load(&trace, SHAPE)?;
        assert_eq!(compiled.exits(), loaded.exits(), "{dead:?}");
        let mut alone = Trace::new(&table);
        alone.push(alone.uop("_EXIT_TRACE")?.target(5));
        let alone = engine.compile(&alone, SHAPE)?;
        assert_eq!(compiled.code().len(), alone.code().len(), "{dead:?}");
        assert_eq!(Machine::new().run(&loaded, 0).0.target, 5);
    }
    Ok(())
}

/// In a set with operand forms, too.
#[test]
fn what_nothing_reaches_gives_no_scalar_code() -> Result<(), Box<dyn std::error::Error>> {
    let table = Arc::new(mimeo_ir_templates::scalar_table()?);
    // SAFETY: the set calls nothing, and nothing is run.
    let engine = unsafe { Engine::new(Arc::clone(&table), |_| None) }?;
    let exit = table
        .uops()
        .find(|&uop| {
            table
                .uop(uop)
                .flags
                .contains(UopFlags::EXIT_RECORD | UopFlags::TERMINAL)
        })
        .expect("a uop that leaves");
    let compiled = |dead: bool| -> Result<usize, CompileError> {
        let mut trace = Trace::new(&table);
        let end = trace.label();
        trace.push(Uop::new(exit));
        if dead {
            for uop in table.uops() {
                if !table.uop(uop).flags.contains(UopFlags::ENTERS_FRAME) {
                    trace.push(Uop::new(uop).jump(end).error(end));
                }
            }
            trace.bind(end)?;
            trace.push(Uop::new(exit));
        }
        Ok(engine.compile(&trace, SHAPE)?.code().len())
    };
    assert_eq!(compiled(true)?, compiled(false)?);
    Ok(())
}

// ---- Images that do not fit ----------------------------------------------------------------------------------------

/// The embedded image with a change in it.
fn changed(change: impl FnOnce(&mut ImageContents)) -> Vec<u8> {
    let image = image();
    let mut contents = ImageContents {
        set: image.set().to_owned(),
        digest: *image.digest(),
        symbols: image.symbols().map(str::to_owned).collect(),
        entries: image.entries().collect(),
        code: image.code().to_owned(),
    };
    assert_eq!(contents.to_bytes().as_deref(), Ok(whole_image()));
    change(&mut contents);
    contents.to_bytes().expect("an image")
}

fn whole_image() -> &'static [u8] {
    mimeo_ir_templates::STANDARD_INTERPRETER.bytes()
}

#[test]
fn an_image_of_other_templates_is_refused() {
    let arena = CodeArena::new(ArenaOptions::default()).expect("code memory");
    let error = |bytes: &[u8], known: bool| {
        let image = InterpreterImage::parse(bytes).expect("an image");
        // SAFETY: none of these is made, let alone run.
        unsafe { Interpreter::in_arena(table(), &image, |_| known.then_some(1), &arena) }
            .expect_err("it does not fit")
    };
    let digest = changed(|contents| contents.digest[0] ^= 1);
    assert!(matches!(
        error(&digest, true),
        InterpreterError::OtherTable { .. }
    ));
    let set = changed(|contents| contents.set.push('x'));
    assert!(matches!(
        error(&set, true),
        InterpreterError::OtherTable { .. }
    ));
    let short = changed(|contents| contents.entries.truncate(1));
    assert!(matches!(
        error(&short, true),
        InterpreterError::Handlers { .. }
    ));
    let whole = changed(|_| ());
    assert!(matches!(
        error(&whole, false),
        InterpreterError::MissingSymbol { .. }
    ));
    assert_eq!(arena.stats().blocks, 0);
}

/// The checked-in image is the one that the templates give; another LLVM gives its own, the same each time.
#[cfg(feature = "llvm")]
#[test]
fn the_embedded_image_is_up_to_date_and_reproducible() {
    use mimeo_compiler::codegen::Options;
    use mimeo_compiler::interpreter::compile_interpreter;
    use std::num::NonZeroUsize;

    let (major, minor, patch) = table().llvm_version();
    let made_with = (u32::from(major), u32::from(minor), u32::from(patch));
    let is_same_llvm = made_with == mimeo_compiler::target::linked_version();
    let scalar_table = mimeo_ir_templates::scalar_table().expect("the embedded table");
    let scalar_image = mimeo_ir_templates::SCALAR_INTERPRETER.bytes();
    for (set, digest, embedded) in [
        (
            mimeo_ir_templates::standard_templates(),
            *table().digest(),
            whole_image(),
        ),
        (
            mimeo_ir_templates::scalar_templates(),
            *scalar_table.digest(),
            scalar_image,
        ),
    ] {
        let [one, three] = [1, 3].map(|threads| {
            let threads = NonZeroUsize::new(threads).expect("a number of threads");
            let image = compile_interpreter(&set, &digest, Options { threads });
            image.expect("an image").to_bytes().expect("its bytes")
        });
        assert!(one == three, "{}", set.name);
        assert!(
            !is_same_llvm || one == embedded,
            "{}: `mimeo build` writes it anew",
            set.name
        );
    }
}

#[test]
fn the_image_names_no_path() {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = manifest.as_os_str().as_encoded_bytes();
    assert!(!whole_image().windows(path.len()).any(|bytes| bytes == path));
}
