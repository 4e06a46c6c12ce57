//! mimeo's compiler: uop templates, written as LLVM IR, to a stencil table that the runtime `mimeo` runs without LLVM.
//!
//! A [`Template`](template::Template) is what a uop is called, what it does to the evaluation stack, how it may leave,
//! and a function that builds its code through a [`TemplateBuilder`](builder::TemplateBuilder). A
//! [`TemplateSet`](template::TemplateSet) of them is compiled in one call, inside this process and without a temporary
//! file. The same set gives the same bytes, on any number of threads and in any directory.
//!
//! The files are the stages:
//! - `template`, `builder`: what authors of uops write, and what refuses wrong templates by name;
//! - `ir`, `fold`, `addresses`: templates that come as LLVM IR from any front end, whose symbols are holes;
//! - `forms`, `plumbing`: which [forms](mimeo::form) there are of each uop and sequence, and the uops that are added;
//! - `module`, `constants`: templates to one IR module, with external symbols that stand for [holes](symbol), some of
//!   which become immediates;
//! - `target`, `codegen`: the LLVM that is linked, optimisation, object files in memory, and the driver,
//!   [`compile`](codegen::compile);
//! - `interpreter`: the same templates to an interpreter's image, [`compile_interpreter`](interpreter::compile_interpreter);
//! - `contract`, `expression`: IR to stencils that somebody's C code copies and patches with what it computes;
//! - `cpython`: CPython's uops to the header of its JIT compiler, and whether one belongs to a tree;
//! - `extract`, `symbol`: object files to stencils; what is not understood is an error;
//! - `verify`: the independent checker, which proves a stencil's rules from its bytes alone;
//! - `limit`: a trace's templates as one function, optimised by LLVM as a whole, to compare with;
//! - `c_source`, `listing`: stencil groups as C functions, with their disassembly as comments;
//! - `format`: tables as C headers, JSON documents and Rust source;
//! - `diff`: two sets of stencils compared, of tables or of C headers, which `c_header` reads;
//! - `sources`: the digest of the templates' text, by which a stale table is known without LLVM;
//! - `build_script`: a table that is compiled where there is LLVM, and otherwise the checked-in one;
//! - `disassemble`: stencils as text; `error`: what can go wrong, and whose fault it is;
//! - `installation`: which LLVM is installed and where; the build script links what it finds.
//!
//! # Features
//! `llvm19`, `llvm20`, `llvm21`, `llvm22` and `llvm23` each link that version of LLVM and add the stages that need it:
//! `template`, `builder`, `target` and `codegen`, what comes as IR, and CPython's header. Without one there are extraction, the
//! checker, the disassembler, the formats, the comparison and the check of CPython's header, which need no LLVM. Two at once are an error, and so is a version
//! that is not installed, unless `if-installed` stands beside it: then the package is built without LLVM, and says so.
//!
//! # Example
//! A uop that adds the top two values and leaves through its jump target where the sum overflows:
#![cfg_attr(llvm, doc = "```")]
#![cfg_attr(not(llvm), doc = "```ignore")]
//! use mimeo::table::StencilTable;
//! use mimeo_compiler::builder::Overflowing;
//! use mimeo_compiler::codegen::{Options, compile_to_bytes};
//! use mimeo_compiler::template::{FrameLayout, Template, TemplateSet, Type};
//!
//! let add = Template::new("ADD", |mut b| {
//!     // Read, but not taken yet: the jump target finds both values on the stack.
//!     let right = b.peek(0, Type::I64)?.into_int_value();
//!     let left = b.peek(1, Type::I64)?.into_int_value();
//!     let (sum, overflow) = b.overflowing(Overflowing::Add, left, right)?;
//!     b.unlikely(overflow, |b| b.jump())?;
//!     b.drop_values(2)?;
//!     b.push(sum)?;
//!     b.continue_()
//! })
//! .stack(2, 1)
//! .may_deopt();
//!
//! let set = TemplateSet::new("arithmetic", FrameLayout::default()).with([add]);
//! let table = StencilTable::from_bytes(compile_to_bytes(&set, Options::default())?)?;
//!
//! // Two values in memory, one sum, one branch straight to the jump target, and no jump to the next uop.
//! let add = table.find("ADD").expect("it was just compiled");
//! assert_eq!(table.group(add).hot.holes.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(
    not(llvm),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "half of what the text is about is not there"
    )
)]

#[cfg(llvm)]
mod addresses;
#[cfg(llvm)]
mod arguments;
pub mod build_script;
#[cfg(llvm)]
pub mod builder;
pub mod c_header;
pub mod c_source;
#[cfg(llvm)]
pub mod codegen;
#[cfg(llvm)]
mod constants;
#[cfg(llvm)]
pub mod contract;
#[cfg(llvm)]
mod counts;
pub mod cpython;
pub mod diff;
pub mod disassemble;
#[cfg(llvm)]
mod dominance;
pub mod error;
pub mod expression;
pub mod extract;
#[cfg(llvm)]
mod fold;
pub mod format;
#[cfg(llvm)]
mod forms;
#[cfg(llvm)]
mod hoist;
pub mod installation;
#[cfg(llvm)]
pub mod interpreter;
#[cfg(llvm)]
pub mod ir;
#[cfg(llvm)]
pub mod limit;
pub mod listing;
#[cfg(llvm)]
mod module;
#[cfg(llvm)]
mod plumbing;
pub mod sources;
pub mod symbol;
#[cfg(llvm)]
pub mod target;
#[cfg(llvm)]
pub mod template;
pub mod verify;

/// The inkwell that templates are written with, so that they need not name its version and its feature for LLVM again.
#[cfg(llvm)]
pub use inkwell;
