//! What the tests of the whole share.
//!
//! | Files | What they hold |
//! |---|---|
//! | [`toy`] | a uop set assembled by hand, its table and its engine: the runtime without LLVM and without objects |
//! | [`machine`] | a frame and a stack of plain words, in which executors of the toy set run |
//! | [`table_file`] | where the fields of a table file are |
//! | [`recorded`] | where the recorded traces are, and documents with a change in them |
//! | [`cases`] | the traces written by hand |
//! | [`allocations`] | an allocator that counts, for tests of leaks |
//! | [`scalar`] | scalar traces: a plain reference, traces made at random, comparisons |
//! | [`programs`] | random programs, run by Python and by mimeo |
//! | [`numbers`] | a generator of numbers that are the same on each run |

pub mod allocations;
pub mod cases;
pub mod machine;
pub mod numbers;
pub mod programs;
pub mod recorded;
pub mod scalar;
pub mod table_file;
pub mod toy;
