//! `mimeo inspect`: what a table holds, uop by uop, with each hole beside the instruction that it is in.

use crate::failure::{Answer, Failure, Format};
use crate::tables;
use clap::Args;
use mimeo::stencil::Part;
use mimeo::table::{StencilTable, UopId};
use mimeo_compiler::disassemble::{Line, disassemble};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Show a table's stencils: bytes, disassembly, holes, data, sizes
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The uops to show; all of them if none is named
    #[arg(value_name = "UOP")]
    uops: Vec<String>,
    /// Look into this table instead of the embedded one
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct TableView<'a> {
    set: &'a str,
    triple: &'a str,
    cpu: &'a str,
    llvm_version: String,
    digest: String,
    bytes: usize,
    uops: Vec<UopView<'a>>,
}

#[derive(Debug, Serialize)]
struct UopView<'a> {
    name: &'a str,
    popped: String,
    pushed: String,
    flags: Vec<&'static str>,
    code_bytes: usize,
    data_bytes: usize,
    holes: usize,
    parts: Vec<PartView>,
}

#[derive(Debug, Serialize)]
struct PartView {
    part: String,
    bytes: usize,
    align: u32,
    lines: Vec<LineView>,
}

#[derive(Debug, Serialize)]
struct LineView {
    offset: usize,
    bytes: String,
    text: String,
    holes: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let table = tables::open(arguments.table.as_deref())?;
    let symbols: Vec<&str> = table.symbols().collect();
    let view = TableView {
        set: table.set(),
        triple: table.triple(),
        cpu: table.cpu(),
        llvm_version: version(&table),
        digest: hex(table.digest()),
        bytes: table.as_bytes().len(),
        uops: chosen(arguments, &table)?
            .into_iter()
            .map(|uop| view(&table, &symbols, uop))
            .collect(),
    };
    match arguments.format {
        Format::Json => {
            serde_json::to_writer(&mut *out, &view).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => print_table(&view, out)?,
    }
    Ok(Answer::Yes)
}

fn version(table: &StencilTable) -> String {
    let (major, minor, patch) = table.llvm_version();
    format!("{major}.{minor}.{patch}")
}

fn chosen(arguments: &Arguments, table: &StencilTable) -> Result<Vec<UopId>, Failure> {
    if arguments.uops.is_empty() {
        return Ok(table.uops().collect());
    }
    let find = |name: &String| {
        table.find(name).ok_or_else(|| {
            let problem = match similar(name, table) {
                Some(other) => format!("there is no uop {name}, did you mean {other}?"),
                None => format!("there is no uop {name}; without a name, all are shown"),
            };
            Failure::input(tables::name(arguments.table.as_deref()), problem)
        })
    };
    arguments.uops.iter().map(find).collect()
}

/// The shortest name that has this one in it, whatever the case and without regard to the first underscore.
fn similar<'a>(name: &str, table: &'a StencilTable) -> Option<&'a str> {
    let wanted = name.trim_start_matches('_').to_uppercase();
    let names = table.uops().map(|uop| table.uop(uop).name);
    names
        .filter(|other| !wanted.is_empty() && other.contains(&wanted))
        .min_by_key(|other| other.len())
}

fn view<'a>(table: &'a StencilTable, symbols: &[&str], uop: UopId) -> UopView<'a> {
    let info = table.uop(uop);
    let group = table.group(uop);
    let parts = group
        .parts()
        .into_iter()
        .filter(|(part, stencil)| *part == Part::Hot || !stencil.bytes.is_empty())
        .map(|(part, stencil)| PartView {
            part: part.to_string(),
            bytes: stencil.bytes.len(),
            align: stencil.align,
            lines: disassemble(stencil, part, symbols)
                .into_iter()
                .map(line_view)
                .collect(),
        })
        .collect();
    UopView {
        name: info.name,
        popped: info.effect.popped.to_string(),
        pushed: info.effect.pushed.to_string(),
        flags: info.flags.iter_names().map(|(name, _)| name).collect(),
        code_bytes: group.code_len(),
        data_bytes: group.data.bytes.len(),
        holes: group.holes().count(),
        parts,
    }
}

fn line_view(line: Line) -> LineView {
    LineView {
        offset: line.offset,
        bytes: hex(line.bytes),
        text: line.text,
        holes: line.holes,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn print_table(table: &TableView<'_>, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "table {}: {} ({}), LLVM {}, {} bytes\ninputs {}",
        table.set, table.triple, table.cpu, table.llvm_version, table.bytes, table.digest
    )?;
    for uop in &table.uops {
        print_uop(uop, out)?;
    }
    let total = |size: fn(&UopView<'_>) -> usize| table.uops.iter().map(size).sum::<usize>();
    writeln!(
        out,
        "\n{} uops: {} bytes of code, {} of data, {} holes",
        table.uops.len(),
        total(|uop| uop.code_bytes),
        total(|uop| uop.data_bytes),
        total(|uop| uop.holes)
    )?;
    Ok(())
}

fn print_uop(uop: &UopView<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let flags: String = uop.flags.iter().map(|flag| format!(" {flag}")).collect();
    writeln!(
        out,
        "\n{} ({} -- {}){}: {} bytes of code, {} of data, {} holes",
        uop.name, uop.popped, uop.pushed, flags, uop.code_bytes, uop.data_bytes, uop.holes
    )?;
    for part in &uop.parts {
        writeln!(
            out,
            "  {}, {} bytes, alignment {}",
            part.part, part.bytes, part.align
        )?;
        for line in &part.lines {
            let text = format!("    {:4x}  {:<24} {}", line.offset, line.bytes, line.text);
            match line.holes.is_empty() {
                true => writeln!(out, "{text}")?,
                false => writeln!(out, "{text:<72} ; {}", line.holes.join(", "))?,
            }
        }
    }
    Ok(())
}
