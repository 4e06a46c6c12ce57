//! Damaged tables: whatever is cut off or changed is noticed. What somebody changed on purpose, with a checksum that is
//! right, is refused or can be read, disassembled, verified and compiled without a panic.

use mimeo::code_memory::{ArenaOptions, CodeArena};
use mimeo::form::{Register, RegisterHole};
use mimeo::stencil::{Part, Stencil, UopFlags, UopInfo};
use mimeo::table::{
    StencilTable, TableContents, TableError, UopContents, UopId, VariantId, refresh_checksum,
};
use mimeo::trace::{FrameShape, Trace, Uop};
use mimeo_compiler::disassemble::disassemble;
use mimeo_compiler::verify::{VariantInfo, check_group, check_variant};
use mimeo_ir_templates::{STANDARD_TABLE, standard_table};
use mimeo_tests::table_file::header;
use mimeo_tests::toy;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// Splits `0..count` among the processors and adds up what each part gives.
fn in_parallel(count: usize, part: impl Fn(Range<usize>) -> usize + Sync) -> usize {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let bound = |thread| count * thread / threads;
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|thread| {
                let part = &part;
                scope.spawn(move || part(bound(thread)..bound(thread + 1)))
            })
            .collect();
        parts
            .into_iter()
            .map(|part| {
                part.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .sum()
    })
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..STANDARD_TABLE.len() {
        let error = StencilTable::from_bytes(STANDARD_TABLE[..len].to_vec());
        match error {
            Err(TableError::Magic { found }) if len == 0 => assert!(found.is_empty()),
            Err(TableError::Length { expected, found }) if len != 0 => {
                let needed = if len < header::LENGTH {
                    header::LENGTH
                } else {
                    STANDARD_TABLE.len()
                };
                assert_eq!((expected, found), (needed as u64, len as u64));
            }
            other => panic!("{len} bytes: {other:?}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let refused = in_parallel(STANDARD_TABLE.len(), |range| {
        let bits = range.flat_map(|at| (0..8).map(move |bit| (at, bit)));
        bits.inspect(|&(at, bit)| {
            let mut bytes = STANDARD_TABLE.to_vec();
            bytes[at] ^= 1 << bit;
            let error = StencilTable::from_bytes(bytes).map(|_| ());
            let noticed = match at {
                0..8 => matches!(error, Err(TableError::Magic { .. })),
                8..12 => matches!(error, Err(TableError::Version { .. })),
                16..24 => matches!(error, Err(TableError::Length { .. })),
                _ => matches!(error, Err(TableError::Checksum { .. })),
            };
            assert!(noticed, "byte {at:#x}, bit {bit}: {error:?}");
        })
        .count()
    });
    assert_eq!(refused, 8 * STANDARD_TABLE.len());
}

/// The standard table, or in a build without optimisation one in thirty of its uops in a table of their own.
fn table_to_change() -> StencilTable {
    let table = standard_table().expect("the embedded table");
    if !cfg!(debug_assertions) {
        return table;
    }
    let contents = TableContents {
        set: table.set().to_owned(),
        cpu: table.cpu().to_owned(),
        llvm_version: table.llvm_version(),
        digest: *table.digest(),
        sources: table.sources().copied().unwrap_or_default(),
        symbols: table.symbols().map(str::to_owned).collect(),
        uops: table
            .uops()
            .step_by(30)
            .map(|id| owned(&table, id))
            .collect(),
        variants: Vec::new(),
    };
    let bytes = contents.to_bytes().expect("a part of the standard table");
    StencilTable::from_bytes(bytes).expect("a part of the standard table")
}

fn owned(table: &StencilTable, id: UopId) -> UopContents {
    let info = table.uop(id);
    UopContents {
        name: info.name.to_owned(),
        effect: info.effect,
        leaving_effect: info.leaving_effect,
        flags: info.flags,
        oparg_max: info.oparg_max,
        operand_max: info.operand_max,
        operand1_max: info.operand1_max,
        locals: info.locals,
        group: toy::owned_group(table.group(id)),
    }
}

/// What the byte at a place is changed to: the next number, the ends of the range, another bit at each place; and with
/// optimisation the number before, the middle and every bit.
fn changes(at: usize, byte: u8) -> impl Iterator<Item = u8> {
    let few = [byte.wrapping_add(1), 0, 0xff, byte ^ (1 << (at % 8))];
    let more = [byte.wrapping_sub(1), 0x7f];
    let bits = (0..8).map(move |bit| byte ^ (1 << bit));
    let number = if cfg!(debug_assertions) {
        few.len()
    } else {
        usize::MAX
    };
    let changes = few.into_iter().chain(more).chain(bits).take(number);
    changes.filter(move |&changed| changed != byte)
}

#[test]
fn every_changed_byte_with_a_checksum_that_is_right_is_refused_or_harmless() {
    every_changed_byte_is_refused_or_harmless(&table_to_change());
}

#[test]
fn every_changed_byte_of_a_table_with_variants_is_refused_or_harmless() {
    every_changed_byte_is_refused_or_harmless(&toy::table_of(&toy::contents_with_variants()));
}

fn every_changed_byte_is_refused_or_harmless(table: &StencilTable) {
    let original = table.as_bytes();
    let arena = CodeArena::new(ArenaOptions::default()).expect("executable memory");
    let accepted = in_parallel(original.len(), |range| {
        let bytes =
            range.flat_map(|at| changes(at, original[at]).map(move |changed| (at, changed)));
        bytes
            .filter(|&(at, changed)| {
                let harmless = || is_accepted(table, at, changed, &arena);
                catch_unwind(AssertUnwindSafe(harmless))
                    .unwrap_or_else(|_| panic!("byte {at:#x} as {changed:#x} panics"))
            })
            .count()
    });
    // Every byte of code may be another.
    assert!(accepted > original.len(), "only {accepted} are accepted");
    assert_eq!(arena.stats().blocks, 0);
}

/// Whether the table is accepted with this byte in it. If so, everything in it is used.
fn is_accepted(table: &StencilTable, at: usize, changed: u8, arena: &Arc<CodeArena>) -> bool {
    let mut bytes = table.as_bytes().to_vec();
    bytes[at] = changed;
    refresh_checksum(&mut bytes);
    let Ok(changed) = StencilTable::from_bytes(bytes) else {
        return false;
    };
    let _ = (changed.set(), changed.triple(), changed.cpu());
    let _ = (changed.llvm_version(), changed.digest(), changed.sources());
    let same_symbols = table.symbols().eq(changed.symbols());
    assert_eq!(changed.uop_count(), table.uop_count());
    let changed = Arc::new(changed);
    for (id, old) in changed.uops().zip(table.uops()) {
        assert_eq!(changed.find(changed.uop(id).name), Some(id));
        let same = changed.uop(id) == table.uop(old) && changed.group(id) == table.group(old);
        // What is the same can do no other than in the original.
        if !same || !same_symbols {
            use_uop(&changed, id, arena);
        }
    }
    assert_eq!(changed.variant_count(), table.variant_count());
    for (id, old) in changed.variants().zip(table.variants()) {
        let same = toy::owned_variant(&changed, id) == toy::owned_variant(table, old);
        if !same || !same_symbols {
            use_variant(&changed, id, arena);
        }
    }
    true
}

/// Does with a variant all that can be done with it but running it; errors are welcome.
fn use_variant(table: &Arc<StencilTable>, id: VariantId, arena: &Arc<CodeArena>) {
    let variant = table.variant(id);
    assert!(!variant.to_string().is_empty());
    let symbols: Vec<&str> = table.symbols().collect();
    for (part, stencil) in variant.group.parts() {
        show(part, stencil, &symbols);
    }
    let uops: Vec<UopInfo<'_>> = variant.infos().collect();
    let info = VariantInfo {
        uops: &uops,
        form: variant.form,
    };
    let checked = check_variant(&info, variant.group, variant.register_holes, &symbols);
    if let Err(error) = checked {
        assert!(error.to_string().contains(&variant.to_string()), "{error}");
    }
    let mut parts = [variant.group.hot, variant.group.cold].map(|stencil| stencil.bytes.to_owned());
    for hole in variant.register_holes {
        let code = &mut parts[usize::from(hole.cold)];
        for to in Register::all().filter(|to| to.class() == hole.register.class()) {
            hole.rename(to, code);
            let renamed = RegisterHole {
                register: to,
                ..*hole
            };
            assert_eq!(renamed.check(code), Ok(()), "{variant}: {hole:?} as {to}");
            renamed.rename(hole.register, code);
        }
        assert_eq!(hole.check(code), Ok(()), "{variant}: {hole:?}");
    }
    compile(table, variant.uops, arena);
}

/// Disassembles a stencil.
fn show(part: Part, stencil: Stencil<'_>, symbols: &[&str]) {
    let lines = disassemble(stencil, part, symbols);
    let shown: usize = lines.iter().map(|line| line.bytes.len()).sum();
    let holes: usize = lines.iter().map(|line| line.holes.len()).sum();
    assert_eq!((shown, holes), (stencil.bytes.len(), stencil.holes.len()));
}

/// Does with a uop all that can be done with it but running it; errors are welcome.
fn use_uop(table: &Arc<StencilTable>, id: UopId, arena: &Arc<CodeArena>) {
    let (info, group) = (table.uop(id), table.group(id));
    let symbols: Vec<&str> = table.symbols().collect();
    for (part, stencil) in group.parts() {
        show(part, stencil, &symbols);
    }
    if let Err(error) = check_group(&info, group, &symbols) {
        assert!(error.to_string().contains(info.name));
    }

    compile(table, &[id], arena);
}

/// Compiles a trace of these uops: with whatever forms of theirs are chosen.
fn compile(table: &Arc<StencilTable>, uops: &[UopId], arena: &Arc<CodeArena>) {
    let engine = toy::engine_for_looking(Arc::clone(table), Arc::clone(arena));
    let mut trace = Trace::new(engine.table());
    let label = trace.label();
    trace.bind(label).expect("a new label");
    for &id in uops {
        let uop = Uop::new(id).jump(label).error(label);
        trace.push(uop.oparg(table.uop(id).oparg_max.min(2)));
    }
    // A last uop that does not go on, if the table has any.
    let terminal = |&id: &UopId| table.uop(id).flags.contains(UopFlags::TERMINAL);
    let last = table.uops().find(terminal).unwrap_or(uops[0]);
    trace.push(Uop::new(last).jump(label).error(label));
    let shape = FrameShape {
        locals: 300,
        stack: 2000,
        entry_depth: 1000,
    };
    if let Err(error) = engine.compile(&trace, shape) {
        assert!(!error.to_string().is_empty());
    }
}
