//! `mimeo build`: compiles the standard templates to their tables and interpreters, or writes tables as C, JSON or Rust.

use crate::failure::{Answer, Failure};
use crate::tables;
use clap::Args;
use mimeo::table::StencilTable;
use mimeo_compiler::format::Format;
use mimeo_ir_templates::SET_NAMES;
use std::io::Write;
use std::path::{Path, PathBuf};
#[cfg(feature = "llvm")]
use std::time::{Duration, Instant};

/// Compile the standard templates to their stencil tables and interpreters (needs LLVM), or write tables in other forms
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only this set's files
    #[arg(long, value_name = "NAME", value_parser = SET_NAMES)]
    set: Option<String>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
    /// The directory of the files, each called like its set; `-` prints the one file of a form other than `table`. The
    /// default, for `table` only, is that of the checked-in ones, seen from the top of the project
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Do not compile templates: take the table in this file, of any set, and write it in another form
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "embedded", "threads"])]
    table: Option<PathBuf>,
    /// Do not compile templates: take the tables that are part of this program, and write them in another form
    #[arg(long, conflicts_with = "threads")]
    embedded: bool,
    /// Write nothing; fail when a file differs from what would be written
    #[arg(long)]
    check: bool,
    /// How many threads compile; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  mimeo build --check
      whether the checked-in tables and interpreters are up to date
  mimeo build --embedded --format c --out include
      a C header for each standard set, without LLVM
  mimeo build --table filter.mimeo --format json --out -
      everything that is in a table, for other programs";

/// What is written of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// SET.mimeo, the stencil table, and SET.interp, the interpreter
    Table,
    /// SET.h, a C header with functions that copy and patch the base form of each uop
    C,
    /// SET.json, everything in the table
    Json,
    /// SET.rs, the table as Rust source for a crate to include
    Rust,
}

impl Form {
    /// The form that is made of a table, if it is not the table.
    fn of_table(self) -> Option<Format> {
        match self {
            Self::Table => None,
            Self::C => Some(Format::C),
            Self::Json => Some(Format::Json),
            Self::Rust => Some(Format::Rust),
        }
    }
}

/// Where tables that are not compiled are, as seen from the top of the project.
const DIRECTORY: &str = "ir-templates/tables";

/// A file to write.
struct Artefact {
    path: PathBuf,
    bytes: Vec<u8>,
    /// How it came about, for the line that is printed.
    how: String,
}

/// Where files go.
enum Destination<'a> {
    Directory(&'a Path),
    Output,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let destination = destination(arguments)?;
    // All is there before anything is written.
    let artefacts = match arguments.format.of_table() {
        Some(format) => converted(arguments, format)?,
        None => compiled(arguments)?,
    };
    match destination {
        Destination::Output => {
            for artefact in &artefacts {
                out.write_all(&artefact.bytes)?;
            }
            Ok(Answer::Yes)
        }
        Destination::Directory(directory) if arguments.check => {
            let mut answer = Answer::Yes;
            for artefact in &artefacts {
                answer = answer.and(check(&directory.join(&artefact.path), artefact, out)?);
            }
            Ok(answer)
        }
        Destination::Directory(directory) => {
            for Artefact { path, bytes, how } in &artefacts {
                let path = directory.join(path);
                mimeo::table::write_file(&path, bytes)
                    .map_err(|error| Failure::table(&path, error))?;
                writeln!(out, "{}: {} bytes, {how}", path.display(), bytes.len())?;
            }
            Ok(Answer::Yes)
        }
    }
}

/// Where the files go, if the command line says so without contradicting itself.
fn destination(arguments: &Arguments) -> Result<Destination<'_>, Failure> {
    let usage = |problem: &str| Err(Failure::Usage(problem.to_owned()));
    let is_table = arguments.format == Form::Table;
    if is_table && (arguments.embedded || arguments.table.is_some()) {
        return usage("a table that is there is written in another form: say which with --format");
    }
    let Some(directory) = arguments.out.as_deref() else {
        return match is_table {
            true => Ok(Destination::Directory(Path::new(DIRECTORY))),
            false => usage("--format needs --out, a directory, or - for standard output"),
        };
    };
    if directory.as_os_str() != "-" {
        return Ok(Destination::Directory(directory));
    }
    if is_table {
        return usage("tables and interpreters are files: --out has to be a directory");
    }
    if arguments.check {
        return usage("--check compares with files: --out has to be a directory");
    }
    if arguments.set.is_none() && arguments.table.is_none() {
        return usage("one file can be printed, not one for each set: say which with --set");
    }
    Ok(Destination::Output)
}

/// The names of the sets that are asked for.
fn sets(arguments: &Arguments) -> impl Iterator<Item = &'static str> {
    let wanted = arguments.set.as_deref();
    SET_NAMES
        .into_iter()
        .filter(move |&name| wanted.is_none_or(|wanted| wanted == name))
}

/// Tables in another form.
fn converted(arguments: &Arguments, format: Format) -> Result<Vec<Artefact>, Failure> {
    if let Some(path) = &arguments.table {
        let table = tables::read(path)?;
        return Ok(vec![convert(&table, path, format)?]);
    }
    let tables = sets(arguments).map(|set| match arguments.embedded {
        true => embedded(set),
        false => compiled_table(set, arguments),
    });
    let convert = |(table, path): (StencilTable, PathBuf)| convert(&table, &path, format);
    tables.map(|table| convert(table?)).collect()
}

/// A table in another form; `source` is where it is from.
fn convert(table: &StencilTable, source: &Path, format: Format) -> Result<Artefact, Failure> {
    let failure = |error| Failure::input(source, error);
    let path = format.file_name(table).map_err(failure)?.into();
    let bytes = format.write(table).map_err(failure)?.into_bytes();
    let how = format!("of {} uops", table.uop_count());
    Ok(Artefact { path, bytes, how })
}

/// A set's embedded table, and how it is called in messages.
fn embedded(set: &str) -> Result<(StencilTable, PathBuf), Failure> {
    let source = PathBuf::from(format!("(embedded table {set})"));
    let table = mimeo_ir_templates::table_of(set)
        .ok_or_else(|| Failure::input(&source, "there is no such set"))?
        .map_err(|error| Failure::input(&source, error))?;
    Ok((table, source))
}

/// What a build without LLVM says.
#[cfg(not(feature = "llvm"))]
fn no_llvm<T>() -> Result<T, Failure> {
    Err(Failure::Usage(
        "this mimeo was built without LLVM and cannot compile templates: use `cargo run --release -p mimeo-cli --features \
         llvm19 -- build`, with llvm19 to llvm23 for the LLVM that is installed, which `mimeo doctor` says. Without it, tables \
         that are there can be written in other forms, with --format and --embedded or --table"
            .to_owned(),
    ))
}

#[cfg(not(feature = "llvm"))]
fn compiled(arguments: &Arguments) -> Result<Vec<Artefact>, Failure> {
    let _ = arguments.threads;
    no_llvm()
}

#[cfg(not(feature = "llvm"))]
fn compiled_table(_set: &str, _arguments: &Arguments) -> Result<(StencilTable, PathBuf), Failure> {
    no_llvm()
}

/// The sets' tables and interpreters, compiled.
#[cfg(feature = "llvm")]
fn compiled(arguments: &Arguments) -> Result<Vec<Artefact>, Failure> {
    let mut artefacts = Vec::new();
    for set in sets(arguments) {
        artefacts.extend(compile_set(set, arguments)?);
    }
    Ok(artefacts)
}

#[cfg(feature = "llvm")]
fn options(arguments: &Arguments) -> mimeo_compiler::codegen::Options {
    let mut options = mimeo_compiler::codegen::Options::default();
    let threads = arguments.threads.map(usize::from);
    if let Some(threads) = threads.and_then(std::num::NonZeroUsize::new) {
        options.threads = threads;
    }
    options
}

/// A set's templates, and how they are called in messages.
#[cfg(feature = "llvm")]
fn templates(set: &str) -> Result<(mimeo_compiler::template::TemplateSet, PathBuf), Failure> {
    let source = PathBuf::from(format!("({set} templates)"));
    let templates = mimeo_ir_templates::templates_of(set)
        .ok_or_else(|| Failure::input(&source, "there is no such set"))?;
    Ok((templates, source))
}

/// A set's table, compiled, and how it is called in messages.
#[cfg(feature = "llvm")]
fn compiled_table(set: &str, arguments: &Arguments) -> Result<(StencilTable, PathBuf), Failure> {
    let (templates, source) = templates(set)?;
    let bytes = mimeo_compiler::codegen::compile_to_bytes(&templates, options(arguments))
        .map_err(|error| Failure::input(&source, error))?;
    let table = StencilTable::from_bytes(bytes).map_err(|error| Failure::input(&source, error))?;
    Ok((table, source))
}

/// A set's table, and beside it the interpreter's image.
#[cfg(feature = "llvm")]
fn compile_set(set: &str, arguments: &Arguments) -> Result<[Artefact; 2], Failure> {
    use mimeo_compiler::{codegen, interpreter};

    let (templates, source) = templates(set)?;
    let failure = |error: &dyn ToString| Failure::input(&source, error.to_string());
    let options = options(arguments);
    let artefact = |extension: &str, bytes, time: Duration| Artefact {
        path: PathBuf::from(set).with_extension(extension),
        bytes,
        how: format!("compiled in {} ms", time.as_millis()),
    };
    let start = Instant::now();
    let contents = codegen::compile(&templates, options).map_err(|error| failure(&error))?;
    let bytes = contents.to_bytes().map_err(|error| failure(&error))?;
    let table = artefact("mimeo", bytes, start.elapsed());
    let start = Instant::now();
    let image = interpreter::compile_interpreter(&templates, &contents.digest, options)
        .map_err(|error| failure(&error))?;
    let bytes = image.to_bytes().map_err(|error| failure(&error))?;
    Ok([table, artefact("interp", bytes, start.elapsed())])
}

/// Whether a file is what would be written.
fn check(path: &Path, artefact: &Artefact, out: &mut impl Write) -> Result<Answer, Failure> {
    let present = std::fs::read(path).map_err(|error| Failure::input(path, error))?;
    let (path, built) = (path.display(), &artefact.bytes);
    if present == *built {
        writeln!(out, "{path}: up to date, {} bytes", built.len())?;
        return Ok(Answer::Yes);
    }
    let first = present
        .iter()
        .zip(built)
        .position(|(a, b)| a != b)
        .unwrap_or(present.len().min(built.len()));
    writeln!(
        out,
        "{path}: {} bytes, it should have {} bytes; they differ from byte {first} on. `mimeo build` writes it anew",
        present.len(),
        built.len()
    )?;
    Ok(Answer::No)
}
