//! The values that mimeo's standard uops work on: reference-counted objects with Python's semantics, in layouts that
//! generated code reads and writes, and the C functions that it calls for the rest.
//!
//! The semantics, messages of errors included, are those of CPython 3.13, as far as these objects go.
//!
//! | Files | What they hold |
//! |---|---|
//! | [`object`], [`heap`], `immortal`, [`limits`] | what every object has: header, references, memory, and how much of it |
//! | `singleton`, [`int`], [`float`], [`str`](mod@str), [`list`], [`tuple`](mod@tuple), [`range`], [`slice`](mod@slice), [`iterator`], [`function`], [`code`], [`cell`], [`builtin`], [`types`], [`dict`], [`set`], [`bytes`], [`adapters`], [`class`], [`instance`], [`method`], [`descriptor`], [`module`], [`exception`] | a family of objects each |
//! | `methods`, `modules`, `math`, `operator` | the methods of built-in types, and the functions of modules |
//! | [`ops`], [`compare`], [`sequence`], [`subscript`], [`call`], `binding`, `hooks`, [`globals`], [`attribute`], [`hash`], `construct`, `sort`, [`format`](mod@format), [`numeral`] | what can be done with them, as safe functions |
//! | [`frame`], [`thread`], `data_stack` | where generated code keeps them |
//! | [`layout`], [`helpers`] | the contract with generated code |
//! | [`recorded`] | traces over these objects that CPython recorded |
//!
//! ```
//! use mimeo_objects::object::Ref;
//! use mimeo_objects::ops::{BinaryOperator, binary};
//!
//! let product = binary(BinaryOperator::Multiply, &Ref::int(i64::MAX), &Ref::int(2))?;
//! assert_eq!(mimeo_objects::format::repr_text(&product)?, "18446744073709551614");
//! # Ok::<(), mimeo_objects::error::PyError>(())
//! ```

pub mod adapters;
pub mod attribute;
mod binding;
pub mod builtin;
pub mod bytes;
pub mod call;
pub mod cell;
pub mod class;
pub mod code;
mod codec;
pub mod compare;
mod construct;
mod data_stack;
pub mod descriptor;
pub mod dict;
pub mod error;
pub mod exception;
pub mod float;
pub mod format;
pub mod frame;
pub mod function;
mod gamma;
pub mod globals;
pub mod hash;
pub mod heap;
pub mod helpers;
mod hooks;
mod immortal;
pub mod instance;
pub mod int;
pub mod iterator;
pub mod layout;
pub mod limits;
pub mod list;
mod math;
pub mod method;
pub mod methods;
pub mod module;
pub mod modules;
pub mod numeral;
pub mod object;
mod operator;
pub mod ops;
pub mod pattern;
mod percent;
pub mod range;
pub mod recorded;
pub mod sequence;
pub mod set;
mod singleton;
pub mod slice;
mod sort;
mod spec;
pub mod str;
mod str_format;
pub mod subscript;
pub mod thread;
pub mod tuple;
pub mod types;
