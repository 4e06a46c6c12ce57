//! mimeo's runtime: a copy-and-patch compiler that needs no LLVM.
//!
//! A [stencil table](table) holds machine code with holes, made at build time by `mimeo-compiler` from uop templates.
//! An [`Engine`](engine::Engine) binds a table to the addresses of its helpers. A [`Trace`](trace::Trace) of uops is
//! checked, laid out, copied and patched, and becomes an [`Executor`](executor::Executor).
//!
//! ```no_run
//! use mimeo::engine::Engine;
//! use mimeo::executor::ThreadState;
//! use mimeo::table::StencilTable;
//! use mimeo::trace::{FrameShape, Trace};
//! # use std::sync::Arc;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let address_of = |symbol: &str| -> Option<usize> { None };
//! # let (frame, stack_pointer) = (std::ptr::null_mut(), std::ptr::null_mut());
//! # let mut thread = ThreadState::default();
//!
//! let table = Arc::new(StencilTable::open("filter.mimeo")?);
//! // SAFETY: the addresses are those of the functions that the table's templates name.
//! let engine = unsafe { Engine::new(table, |symbol| address_of(symbol))? };
//!
//! let mut trace = Trace::new(engine.table());
//! let start = trace.label();
//! trace.bind(start)?;
//! trace.push(trace.uop("COLUMN")?.oparg(4));
//! trace.push(trace.uop("KEEP_ROW")?);
//! trace.push(trace.uop("NEXT_ROW")?.jump(start));
//! trace.push(trace.uop("DONE")?.target(7));
//!
//! let shape = FrameShape { locals: 6, stack: 16, entry_depth: 0 };
//! let executor = engine.compile(&trace, shape)?;
//! // SAFETY: frame, stack and thread state are what the templates expect.
//! let exit = unsafe { executor.run(frame, stack_pointer, &mut thread) };
//! println!("left through exit {} to {}", exit.index, exit.target);
//! # Ok(()) }
//! ```
//!
//! The files are the stages: `reloc` and `hole` (the places to patch), `stencil` (code with holes), `table` (all of a uop
//! set in one file), `trace` (what to compile), `select` (of which stencils), `fragment` and `assemble` (stencils in the
//! shape that patching needs), `prepared`, `layout`, `patch` and `reference` (copying and patching, fast and simple),
//! `code_memory` (where code lives), `executor` (running, leaving, linking), `engine` (all of it put together).
//! `interpreter` runs the same traces without compiling them; `dependencies` knows which of either assume what.
mod assemble;
pub mod code_memory;
pub mod dependencies;
pub mod engine;
pub mod executor;
pub mod form;
mod fragment;
pub mod hole;
pub mod interpreter;
mod layout;
mod patch;
mod prepared;
mod reference;
pub mod reloc;
pub mod select;
pub mod stencil;
pub mod table;
pub mod trace;

pub use layout::TooLarge;
pub use patch::{PatchError, Patcher};
pub use prepared::Prepared;
