//! Scalar traces: what they mean, traces made at random, and whoever runs them.
//!
//! | File | What it holds |
//! |---|---|
//! | [`reference`] | a plain interpreter, which says what a trace does |
//! | [`random`] | traces made of random choices, and the way to a smaller one that fails alike |
//! | [`differential`] | the comparison of an engine with the reference |

pub mod differential;
pub mod random;
pub mod reference;
