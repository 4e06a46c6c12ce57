//! The fast patchers write what the reference writes, for the traces that CPython recorded.

use mimeo::Patcher;
use mimeo_objects::recorded::{Document, engine};
use mimeo_tests::recorded::{directory, names, text};
use std::sync::Arc;
