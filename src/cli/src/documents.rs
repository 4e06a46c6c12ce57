//! Documents in either form: by the name of the file, or as the command line says.

use crate::failure::Failure;
use mimeo_objects::recorded::Document;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

/// A form that traces are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// What CPython's recorder writes
    Json,
    /// What people write
    Uops,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Uops => "uops",
        })
    }
}

impl Form {
    /// The form of a file of this name, if the name says it.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "uops" => Some(Self::Uops),
            _ => None,
        }
    }

    /// The form of a text: only JSON begins with a brace.
    fn of_text(text: &str) -> Self {
        if text.trim_start().starts_with('{') {
            Self::Json
        } else {
            Self::Uops
        }
    }
}

/// Reads a document, and says in which form it is. `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<(Document, Form), Failure> {
    let text = text(path)?;
    let form = Form::of(path).unwrap_or_else(|| Form::of_text(&text));
    let document = match form {
        Form::Json => {
            Document::parse(&text).map_err(|error| Failure::input(path, error.to_string()))?
        }
        Form::Uops => Document::parse_text(&text)
            .map_err(|error| Failure::Text(error.render(&path.display().to_string(), &text)))?,
    };
    Ok((document, form))
}

fn text(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let read = io::stdin().read_to_end(&mut bytes);
        read.map_err(|error| Failure::input(path, error))?;
    } else {
        bytes = std::fs::read(path).map_err(|error| Failure::input(path, error))?;
    }
    if bytes.is_empty() {
        let problem = "the file is empty, expected a recorded trace";
        return Err(Failure::input(path, problem));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let what = match Form::of(path) {
            Some(Form::Uops) => "a text",
            _ => "JSON",
        };
        Failure::input(path, format!("not {what}: byte {place} is not UTF-8"))
    })
}

/// A document in a form, with a line's end behind it.
pub(crate) fn write(document: &Document, form: Form) -> String {
    match form {
        Form::Json => format!("{}\n", document.to_json_text()),
        Form::Uops => document.to_text(),
    }
}
