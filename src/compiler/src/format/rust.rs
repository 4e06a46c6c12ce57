//! A table as a Rust source file, for a crate whose `build.rs` writes it to include.

use super::{FormatError, hex, identifier, version};
use mimeo::table::StencilTable;
use std::fmt::Write;

/// How many bytes of the table stand on a line.
const ROW: usize = 64;

/// What items may be that a program does not use, or that it includes in a private module.
const ALLOW: &str = "#[allow(dead_code, unreachable_pub)]";

/// The table as Rust source to be included, in a module of its own:
///
/// ```ignore
/// mod stencils {
///     include!(concat!(env!("OUT_DIR"), "/stencils.rs"));
/// }
/// let table = StencilTable::from_static(stencils::TABLE)?;
/// trace.push(trace.uop(stencils::uops::COLUMN)?);
/// ```
///
/// It holds `TABLE`, the bytes; `SET`, `LLVM_VERSION` and `DIGEST`; `UOPS`, the names of all uops in the table's order; and
/// a module `uops` with a constant for each name, so that a name that there is not is an error of the compiler. It needs
/// nothing but `core`.
///
/// # Errors
/// A uop has a name that cannot be a constant's.
pub fn to_rust(table: &StencilTable) -> Result<String, FormatError> {
    let mut out = format!(
        "// The uop set {:?}: {} ({}), LLVM {}. Generated from its stencil table, to be included.\n\n",
        table.set(),
        table.triple(),
        table.cpu(),
        version(table)
    );
    let (major, minor, patch) = table.llvm_version();
    let digest: Vec<String> = table
        .digest()
        .iter()
        .map(|byte| format!("{byte:#04x}"))
        .collect();
    item("The name of the uop set.", &mut out);
    line(
        format_args!("pub const SET: &str = {:?};\n", table.set()),
        &mut out,
    );
    item(
        "The version of the LLVM that compiled the stencils: major, minor, patch.",
        &mut out,
    );
    line(
        format_args!("pub const LLVM_VERSION: (u16, u16, u16) = ({major}, {minor}, {patch});\n"),
        &mut out,
    );
    item(
        &format!(
            "BLAKE3 of what the stencils were made from: `{}`.",
            hex(table.digest())
        ),
        &mut out,
    );
    line(
        format_args!("pub const DIGEST: [u8; 32] = [{}];\n", digest.join(", ")),
        &mut out,
    );
    names(table, &mut out)?;
    bytes(table, &mut out);
    Ok(out)
}

/// The names of the uops: all of them, and a constant for each.
fn names(table: &StencilTable, out: &mut String) -> Result<(), FormatError> {
    item("The names of the uops, in the order of the table.", out);
    line(
        format_args!("pub static UOPS: [&str; {}] = [", table.uop_count()),
        out,
    );
    for uop in table.uops() {
        line(format_args!("    {:?},", table.uop(uop).name), out);
    }
    out.push_str("];\n\n");
    item("The names of the uops, each under its own name.", out);
    out.push_str("#[allow(non_upper_case_globals)]\npub mod uops {\n");
    for uop in table.uops() {
        let info = table.uop(uop);
        let name = constant(info.name)?;
        let flags: String = info
            .flags
            .iter_names()
            .map(|(name, _)| format!(" {name}"))
            .collect();
        line(
            format_args!(
                "    /// `{}`{flags}\n    pub const {name}: &str = {:?};",
                info.effect, info.name
            ),
            out,
        );
    }
    out.push_str("}\n\n");
    Ok(())
}

/// The name as that of a constant: a keyword, say, becomes a raw identifier.
fn constant(name: &str) -> Result<String, FormatError> {
    identifier("the uop", name)?;
    let refused = || FormatError::Name {
        what: "the uop",
        name: name.to_owned(),
    };
    match name {
        // These can be no identifiers at all.
        "_" | "self" | "Self" | "super" | "crate" => Err(refused()),
        _ if name.starts_with(|first: char| first.is_ascii_digit()) => Err(refused()),
        // Keywords are in lower case; uops seldom are.
        _ if name.bytes().all(|byte| byte.is_ascii_lowercase()) => Ok(format!("r#{name}")),
        _ => Ok(name.to_owned()),
    }
}

/// The table's bytes, as the literal that compilers are fastest with.
fn bytes(table: &StencilTable, out: &mut String) {
    item(
        "The stencil table, for `mimeo::table::StencilTable::from_static`.",
        out,
    );
    let bytes = table.as_bytes();
    line(
        format_args!("pub static TABLE: &[u8; {}] = b\"\\", bytes.len()),
        out,
    );
    for row in bytes.chunks(ROW) {
        for &byte in row {
            match byte {
                0 => out.push_str("\\0"),
                // A space at the start of a line would be left out.
                b'!'..=b'~' if byte != b'"' && byte != b'\\' => out.push(char::from(byte)),
                _ => line_part(format_args!("\\x{byte:02x}"), out),
            }
        }
        out.push_str("\\\n");
    }
    out.push_str("\";\n");
}

/// What stands before an item.
fn item(documentation: &str, out: &mut String) {
    line(format_args!("/// {documentation}\n{ALLOW}"), out);
}

fn line(text: std::fmt::Arguments<'_>, out: &mut String) {
    line_part(text, out);
    out.push('\n');
}

fn line_part(text: std::fmt::Arguments<'_>, out: &mut String) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}
