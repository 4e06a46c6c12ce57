//! `mimeo inspect`: what a table holds, uop by uop, with each hole beside the instruction that it is in. Of a uop that is
//! named the variants that begin with it follow, with the places where their registers can be renamed.

use crate::failure::{Answer, Failure, Format};
use crate::tables;
use clap::Args;
use mimeo::form::{Form, Register, RegisterField, RegisterHole};
use mimeo::stencil::{Part, StencilGroup, UopInfo};
use mimeo::table::{StencilTable, UopId, VariantId};
use mimeo_compiler::disassemble::{Line, disassemble};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Show a table's stencils: bytes, disassembly, holes, data, sizes
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The uops to show, with the variants that begin with them; all of them, and how many variants each has, if none is
    /// named
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
    sources: Option<String>,
    bytes: usize,
    /// How many variants the whole table has.
    variants: usize,
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
    /// Those that begin with this uop.
    variants: Vec<VariantView<'a>>,
}

#[derive(Debug, Serialize)]
struct VariantView<'a> {
    name: String,
    uops: Vec<ElementView<'a>>,
    form: FormView,
    code_bytes: usize,
    data_bytes: usize,
    holes: usize,
    register_holes: usize,
    parts: Vec<PartView>,
}

#[derive(Debug, Serialize)]
struct ElementView<'a> {
    name: &'a str,
    oparg_max: u32,
    operand_max: u64,
    /// Where it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    operand1_max: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum FormView {
    Slots {
        registers_in: u8,
        registers_out: u8,
    },
    Operands {
        inputs: Vec<String>,
        output: Option<&'static str>,
        /// Inputs that are still there where it jumps, if it does.
        intact: Option<u8>,
        /// Registers that no placeholder can be renamed to, because the code uses them in another way.
        fixed: Vec<&'static str>,
    },
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
    /// Placeholders, and what they are in the instruction.
    registers: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let table = tables::open(arguments.table.as_deref())?;
    let symbols: Vec<&str> = table.symbols().collect();
    let view = TableView {
        set: table.set(),
        triple: table.triple(),
        cpu: table.cpu(),
        llvm_version: tables::llvm_version(&table),
        digest: tables::hex(table.digest()),
        sources: table.sources().map(|sources| tables::hex(sources)),
        bytes: table.as_bytes().len(),
        variants: table.variant_count(),
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
        Format::Text => print_table(&view, !arguments.uops.is_empty(), out)?,
    }
    Ok(Answer::Yes)
}

fn chosen(arguments: &Arguments, table: &StencilTable) -> Result<Vec<UopId>, Failure> {
    if arguments.uops.is_empty() {
        return Ok(table.uops().collect());
    }
    let find = |name: &String| {
        table.find(name).ok_or_else(|| {
            let names = table.uops().map(|uop| table.uop(uop).name);
            let problem = match similar(name, names) {
                Some(other) => format!("there is no uop {name}, did you mean {other}?"),
                None => format!("there is no uop {name}; without a name, all are shown"),
            };
            Failure::input(tables::name(arguments.table.as_deref()), problem)
        })
    };
    arguments.uops.iter().map(find).collect()
}

/// The shortest name that has this one in it, whatever the case and without regard to the first underscore.
pub(crate) fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.trim_start_matches('_').to_uppercase();
    names
        .filter(|other| !wanted.is_empty() && other.contains(&wanted))
        .min_by_key(|other| other.len())
}

fn view<'a>(table: &'a StencilTable, symbols: &[&str], uop: UopId) -> UopView<'a> {
    let info = table.uop(uop);
    let group = table.group(uop);
    UopView {
        name: info.name,
        popped: info.effect.popped.to_string(),
        pushed: info.effect.pushed.to_string(),
        flags: info.flags.iter_names().map(|(name, _)| name).collect(),
        code_bytes: group.code_len(),
        data_bytes: group.data.bytes.len(),
        holes: group.holes().count(),
        parts: part_views(group, &[], symbols),
        variants: table
            .variants()
            .filter(|&variant| table.variant(variant).uops.first() == Some(&uop))
            .map(|variant| variant_view(table, symbols, variant))
            .collect(),
    }
}

fn variant_view<'a>(
    table: &'a StencilTable,
    symbols: &[&str],
    variant: VariantId,
) -> VariantView<'a> {
    let variant = table.variant(variant);
    let element = |info: UopInfo<'a>| ElementView {
        name: info.name,
        oparg_max: info.oparg_max,
        operand_max: info.operand_max,
        operand1_max: Some(info.operand1_max).filter(|&limit| limit != u64::MAX),
    };
    VariantView {
        name: variant.to_string(),
        uops: variant.infos().map(element).collect(),
        form: form_view(variant.form, variant.flags().needs_jump()),
        code_bytes: variant.group.code_len(),
        data_bytes: variant.group.data.bytes.len(),
        holes: variant.group.holes().count(),
        register_holes: variant.register_holes.len(),
        parts: part_views(variant.group, variant.register_holes, symbols),
    }
}

fn form_view(form: &Form, jumps: bool) -> FormView {
    match form {
        Form::Slots {
            registers_in,
            registers_out,
        } => FormView::Slots {
            registers_in: *registers_in,
            registers_out: *registers_out,
        },
        Form::Operands(form) => FormView::Operands {
            inputs: form.inputs.iter().map(ToString::to_string).collect(),
            output: form.output.map(|register| register.name()),
            intact: jumps.then_some(form.intact),
            fixed: Register::all()
                .filter(|&register| !form.renameable.contains(register))
                .map(Register::name)
                .collect(),
        },
    }
}

/// The hot code, and what there is of the other parts.
fn part_views(
    group: StencilGroup<'_>,
    register_holes: &[RegisterHole],
    symbols: &[&str],
) -> Vec<PartView> {
    let parts = group.parts().into_iter();
    parts
        .filter(|(part, stencil)| *part == Part::Hot || !stencil.bytes.is_empty())
        .map(|(part, stencil)| {
            let register_holes: Vec<_> = register_holes
                .iter()
                .filter(|hole| part == if hole.cold { Part::Cold } else { Part::Hot })
                .collect();
            PartView {
                part: part.to_string(),
                bytes: stencil.bytes.len(),
                align: stencil.align,
                lines: disassemble(stencil, part, symbols)
                    .into_iter()
                    .map(|line| line_view(line, &register_holes))
                    .collect(),
            }
        })
        .collect()
}

fn line_view(line: Line<'_>, register_holes: &[&RegisterHole]) -> LineView {
    let range = line.offset..line.offset + line.bytes.len();
    LineView {
        registers: register_holes
            .iter()
            .filter(|hole| range.contains(&(hole.offset as usize)))
            .map(|hole| register_text(hole))
            .collect(),
        offset: line.offset,
        bytes: tables::hex(line.bytes),
        text: line.text,
        holes: line.holes,
    }
}

/// A register hole as text: the placeholder, and the field of the instruction that its number is in.
fn register_text(hole: &RegisterHole) -> String {
    let field = match hole.field {
        RegisterField::Reg => "reg",
        RegisterField::Base => "base",
        RegisterField::Index => "index",
    };
    format!("{} as {field}", hole.register)
}

fn print_table(
    table: &TableView<'_>,
    with_variants: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "table {}: {} ({}), LLVM {}, {} bytes\ninputs {}",
        table.set, table.triple, table.cpu, table.llvm_version, table.bytes, table.digest
    )?;
    if let Some(sources) = &table.sources {
        writeln!(out, "sources {sources}")?;
    }
    for uop in &table.uops {
        print_uop(uop, out)?;
        if with_variants {
            for variant in &uop.variants {
                print_variant(variant, out)?;
            }
        }
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
    let variants = || table.uops.iter().flat_map(|uop| &uop.variants);
    let total = |size: fn(&VariantView<'_>) -> usize| variants().map(size).sum::<usize>();
    if table.variants != 0 {
        writeln!(
            out,
            "{} of {} variants: {} bytes of code, {} of data, {} holes, {} register holes",
            variants().count(),
            table.variants,
            total(|variant| variant.code_bytes),
            total(|variant| variant.data_bytes),
            total(|variant| variant.holes),
            total(|variant| variant.register_holes)
        )?;
    }
    Ok(())
}

fn print_uop(uop: &UopView<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let flags: String = uop.flags.iter().map(|flag| format!(" {flag}")).collect();
    write!(
        out,
        "\n{} ({} -- {}){}: {} bytes of code, {} of data, {} holes",
        uop.name, uop.popped, uop.pushed, flags, uop.code_bytes, uop.data_bytes, uop.holes
    )?;
    let fused = |variant: &&VariantView<'_>| variant.uops.len() > 1;
    match (
        uop.variants.len(),
        uop.variants.iter().filter(fused).count(),
    ) {
        (0, _) => writeln!(out)?,
        (count, 0) => writeln!(out, ", {count} variants")?,
        (count, fused) => writeln!(out, ", {count} variants of which {fused} fused")?,
    }
    print_parts(&uop.parts, out)
}

fn print_variant(variant: &VariantView<'_>, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "\n{}: {} bytes of code, {} of data, {} holes, {} register holes",
        variant.name, variant.code_bytes, variant.data_bytes, variant.holes, variant.register_holes
    )?;
    if let FormView::Operands {
        inputs,
        intact,
        fixed,
        ..
    } = &variant.form
    {
        if let Some(intact) = intact {
            let count = inputs.len();
            writeln!(
                out,
                "  {intact} of {count} inputs are intact where it jumps"
            )?;
        }
        if !fixed.is_empty() {
            writeln!(out, "  renameable to any register but {}", fixed.join(" "))?;
        }
    }
    print_parts(&variant.parts, out)
}

fn print_parts(parts: &[PartView], out: &mut impl Write) -> Result<(), Failure> {
    for part in parts {
        writeln!(
            out,
            "  {}, {} bytes, alignment {}",
            part.part, part.bytes, part.align
        )?;
        for line in &part.lines {
            let text = format!("    {:4x}  {:<24} {}", line.offset, line.bytes, line.text);
            let beside: Vec<&str> = line
                .holes
                .iter()
                .chain(&line.registers)
                .map(String::as_str)
                .collect();
            match beside.is_empty() {
                true => writeln!(out, "{text}")?,
                false => writeln!(out, "{text:<72} ; {}", beside.join(", "))?,
            }
        }
    }
    Ok(())
}
