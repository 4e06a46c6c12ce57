//! Filters the rows of a small table by `price + tax < 1000`, compiled to machine code in microseconds.

use mimeo::engine::{CompileError, Engine};
use mimeo::executor::{Executor, ThreadState};
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace, TraceError};
use std::sync::Arc;

/// An expression over the columns of a table; truth is 1 and 0.
enum Expression {
    Column(usize),
    Constant(i64),
    Binary(&'static str, Box<Expression>, Box<Expression>),
}

/// Locals in front of the columns' addresses: row, rows, kept rows, kept.
const FIRST_COLUMN: usize = 4;
const STACK: usize = 16;

impl Expression {
    fn emit(&self, trace: &mut Trace<'_>) -> Result<(), TraceError> {
        let uop = match self {
            Self::Column(column) => trace.uop("COLUMN")?.oparg((FIRST_COLUMN + column) as u32),
            Self::Constant(value) => trace.uop("CONSTANT")?.operand(value.cast_unsigned()),
            Self::Binary(name, left, right) => {
                left.emit(trace)?;
                right.emit(trace)?;
                trace.uop(name)?
            }
        };
        trace.push(uop);
        Ok(())
    }
}

fn compile(filter: &Expression, columns: usize, engine: &Engine) -> Result<Executor, CompileError> {
    let mut trace = Trace::new(engine.table());
    let start = trace.label();
    trace.bind(start)?;
    filter.emit(&mut trace)?;
    trace.push(trace.uop("KEEP_ROW")?);
    trace.push(trace.uop("NEXT_ROW")?.jump(start));
    trace.push(trace.uop("DONE")?);
    let locals = (FIRST_COLUMN + columns) as u32;
    engine.compile(
        &trace,
        FrameShape {
            locals,
            stack: STACK as u32,
            entry_depth: 0,
        },
    )
}

/// The rows for which the filter holds. The columns have one length, which is not 0.
fn rows(filter: &Executor, columns: &[&[i64]]) -> Vec<u64> {
    let count = columns.first().map_or(0, |column| column.len());
    assert!(count > 0 && columns.iter().all(|column| column.len() == count));
    let mut kept = vec![0u64; count];
    let mut frame = vec![0, count as u64, kept.as_mut_ptr() as u64, 0];
    frame.extend(columns.iter().map(|column| column.as_ptr() as u64));
    let mut stack = [0u64; STACK];
    let mut thread = ThreadState::default();
    assert!(frame.len() >= filter.shape().locals as usize);
    // SAFETY: the frame holds what the templates expect of it; every row is below the length of every column and of
    // `kept`; the stack is as large as the filter was compiled for.
    unsafe { filter.run(frame.as_mut_ptr().cast(), stack.as_mut_ptr(), &mut thread) };
    kept.truncate(frame[3] as usize);
    kept
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table =
        StencilTable::from_static(include_bytes!(concat!(env!("OUT_DIR"), "/filter.mimeo")))?;
    // SAFETY: the templates call no helpers, so there are no addresses to get wrong.
    let engine = unsafe { Engine::new(Arc::new(table), |_| None)? };

    use Expression::{Binary, Column, Constant};
    let total = Binary("ADD", Box::new(Column(0)), Box::new(Column(1)));
    let filter = Binary("LESS", Box::new(total), Box::new(Constant(1000)));
    let filter = compile(&filter, 2, &engine)?;

    let (price, tax) = ([900, 990, 120, 500], [90, 99, 12, 50]);
    let kept = rows(&filter, &[&price, &tax]);
    println!(
        "{} bytes of machine code keep rows {kept:?}",
        filter.code_len()
    );
    assert_eq!(kept, [0, 2, 3]);
    Ok(())
}
