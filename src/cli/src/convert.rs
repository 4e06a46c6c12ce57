//! `mimeo convert`: from one form of recorded traces to the other.

use crate::documents::{self, Form};
use crate::failure::{Answer, Failure};
use clap::Args;
use mimeo::table::write_file;
use std::io::Write;
use std::path::PathBuf;

/// Convert traces between the form that CPython's recorder writes and the form that people write
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The trace, in either form; - is standard input
    #[arg(value_name = "TRACE")]
    input: PathBuf,
    /// Where to write; standard output if it is left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The form to write; without it, that of the output's name, or else the form that the input is not in
    #[arg(long, value_enum)]
    to: Option<Form>,
}

const EXAMPLES: &str = "\
Examples:
  mimeo convert gcd.json                 print it as people write it
  mimeo convert gcd.json -o gcd.uops     the same into a file
  mimeo convert - --to json < case.uops  the JSON form of what comes in";

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let (document, form) = documents::read(&arguments.input)?;
    let named = arguments.output.as_deref().and_then(Form::of);
    let other = match form {
        Form::Json => Form::Uops,
        Form::Uops => Form::Json,
    };
    let text = documents::write(&document, arguments.to.or(named).unwrap_or(other));
    match &arguments.output {
        Some(path) => {
            write_file(path, text.as_bytes()).map_err(|error| Failure::table(path, error))?
        }
        None => out.write_all(text.as_bytes())?,
    }
    Ok(Answer::Yes)
}
