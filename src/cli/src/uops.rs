//! `mimeo uops`: the uops of CPython 3.13, which of them a table has, and how these compare with CPython's own.

use crate::failure::{Answer, Failure, Format};
use crate::tables;
use clap::Args;
use mimeo::table::StencilTable;
use mimeo_ir_templates::reference::{Reference, missing, references};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// List all uops of CPython 3.13: which are there and why others are not, stack effects, flags, sizes beside CPython's own
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Look into this table instead of the embedded one
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct View<'a> {
    table: &'a str,
    /// How many uops CPython has.
    total: usize,
    /// How many of them the table has.
    there: usize,
    /// Sizes of those together, and of CPython's stencils for the same.
    size: Size,
    cpython_size: Size,
    uops: Vec<UopView<'a>>,
    /// What the table has beside CPython's uops.
    own: Vec<Stencil<'a>>,
}

#[derive(Debug, Serialize)]
struct UopView<'a> {
    name: &'a str,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a str>,
    /// What the table has of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    stencil: Option<Stencil<'a>>,
    cpython: CPython<'a>,
}

/// A uop of the table.
#[derive(Debug, Serialize)]
struct Stencil<'a> {
    name: &'a str,
    popped: String,
    pushed: String,
    flags: Vec<String>,
    #[serde(flatten)]
    size: Size,
}

/// What CPython says of a uop.
#[derive(Debug, Serialize)]
struct CPython<'a> {
    popped: &'a str,
    flags: Vec<&'a str>,
    #[serde(flatten)]
    size: Size,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Size {
    code_bytes: usize,
    data_bytes: usize,
    holes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            code_bytes: self.code_bytes + other.code_bytes,
            data_bytes: self.data_bytes + other.data_bytes,
            holes: self.holes + other.holes,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let table = tables::open(arguments.table.as_deref())?;
    let view = view(&table);
    match arguments.format {
        Format::Json => {
            serde_json::to_writer(&mut *out, &view).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => print(&view, out)?,
    }
    Ok(Answer::Yes)
}

fn view(table: &StencilTable) -> View<'_> {
    let uops: Vec<UopView<'_>> = references()
        .map(|reference| uop_view(table, reference))
        .collect();
    let there = || uops.iter().filter(|uop| uop.stencil.is_some());
    let is_own = |name: &str| references().all(|reference| reference.name != name);
    let names = table.uops().map(|uop| table.uop(uop).name);
    View {
        table: table.set(),
        total: uops.len(),
        there: there().count(),
        size: there()
            .filter_map(|uop| Some(uop.stencil.as_ref()?.size))
            .fold(Size::default(), Size::plus),
        cpython_size: there()
            .map(|uop| uop.cpython.size)
            .fold(Size::default(), Size::plus),
        own: names
            .filter(|name| is_own(name))
            .filter_map(|name| stencil(table, name))
            .collect(),
        uops,
    }
}

fn uop_view<'a>(table: &'a StencilTable, reference: Reference) -> UopView<'a> {
    let stencil = stencil(table, reference.name);
    let reason = missing().find(|(name, _)| *name == reference.name);
    UopView {
        name: reference.name,
        missing: match stencil {
            Some(_) => None,
            // Another table may lack what the standard one has.
            None => Some(reason.map_or("not in this table", |(_, reason)| reason)),
        },
        stencil,
        cpython: CPython {
            popped: reference.popped,
            flags: reference.flags().collect(),
            size: Size {
                code_bytes: reference.code_bytes,
                data_bytes: reference.data_bytes,
                holes: reference.holes,
            },
        },
    }
}

fn stencil<'a>(table: &'a StencilTable, name: &str) -> Option<Stencil<'a>> {
    let uop = table.find(name)?;
    let info = table.uop(uop);
    let group = table.group(uop);
    Some(Stencil {
        name: info.name,
        popped: info.effect.popped.to_string(),
        pushed: info.effect.pushed.to_string(),
        flags: info
            .flags
            .iter_names()
            .map(|(name, _)| name.to_lowercase())
            .collect(),
        size: Size {
            code_bytes: group.code_len(),
            data_bytes: group.data.bytes.len(),
            holes: group.holes().count(),
        },
    })
}

fn heading(out: &mut impl Write) -> Result<(), Failure> {
    let sizes = format!("{:>6} {:>4} {:>5}", "code", "data", "holes");
    writeln!(
        out,
        "{:<42} {:<26} {sizes:>17} {:>17}  flags",
        "uop", "pops -> pushes", "CPython's"
    )?;
    Ok(())
}

fn print(view: &View<'_>, out: &mut impl Write) -> Result<(), Failure> {
    heading(out)?;
    for uop in &view.uops {
        match &uop.stencil {
            Some(stencil) => print_row(stencil, Some(uop.cpython.size), out)?,
            None => writeln!(
                out,
                "{:<42} {:<26} {:>17} {:>17}",
                uop.name,
                "-",
                "-",
                triple(uop.cpython.size)
            )?,
        }
    }
    writeln!(out, "\nmimeo's own")?;
    for stencil in &view.own {
        print_row(stencil, None, out)?;
    }
    writeln!(out, "\nnot there")?;
    for uop in &view.uops {
        if let Some(reason) = uop.missing {
            writeln!(out, "{:<42} {reason}", uop.name)?;
        }
    }
    let View {
        total,
        there,
        size,
        cpython_size,
        ..
    } = view;
    writeln!(
        out,
        "\n{there} of {total} uops: {} bytes of code, {} of data, {} holes; CPython's for the same: {}, {}, {}",
        size.code_bytes,
        size.data_bytes,
        size.holes,
        cpython_size.code_bytes,
        cpython_size.data_bytes,
        cpython_size.holes
    )?;
    Ok(())
}

fn print_row(
    stencil: &Stencil<'_>,
    cpython: Option<Size>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let line = format!(
        "{:<42} {:<26} {:>17} {:>17}  {}",
        stencil.name,
        format!("{} -> {}", stencil.popped, stencil.pushed),
        triple(stencil.size),
        cpython.map(triple).unwrap_or_default(),
        stencil.flags.join(" ")
    );
    writeln!(out, "{}", line.trim_end())?;
    Ok(())
}

fn triple(size: Size) -> String {
    format!(
        "{:>6} {:>4} {:>5}",
        size.code_bytes, size.data_bytes, size.holes
    )
}
