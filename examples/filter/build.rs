//! Provides the filter's stencil table: compiled from the templates with LLVM, and otherwise the one that is checked in.

use mimeo_compiler::build_script::Table;

mimeo_compiler::if_llvm! {
    mod templates;
}

fn main() {
    Table::checked_in("filter.mimeo")
        .source("templates.rs")
        .build(mimeo_compiler::templates!(templates::set()));
}
