//! `mimeo man`: the manual pages, made of what `--help` says.

use crate::failure::{Answer, Failure, exit};
use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};
use std::path::PathBuf;

/// Print a manual page, or write all of them into a directory
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The subcommand whose page is printed; without one it is that of mimeo itself
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Option<String>,
    /// Write all pages into this directory: mimeo.1, and one for each subcommand, such as mimeo-run.1
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  mimeo man run | man -l -
      reads a page
  mimeo man --out ~/.local/share/man/man1
      installs all pages, where the directory is there";

/// A manual page.
struct Page {
    /// The subcommand; none for the page of mimeo itself.
    command: Option<String>,
    file_name: String,
    text: Vec<u8>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    // All are there before any is written.
    let pages = pages()?;
    let Some(directory) = &arguments.out else {
        let page = pages.iter().find(|page| page.command == arguments.command);
        let page = page.ok_or_else(|| unknown(arguments.command.as_deref(), &pages))?;
        out.write_all(&page.text)?;
        return Ok(Answer::Yes);
    };
    for Page {
        file_name, text, ..
    } in &pages
    {
        let path = directory.join(file_name);
        mimeo::table::write_file(&path, text).map_err(|error| Failure::table(&path, error))?;
        writeln!(out, "{}: {} bytes", path.display(), text.len())?;
    }
    Ok(Answer::Yes)
}

fn unknown(command: Option<&str>, pages: &[Page]) -> Failure {
    let names: Vec<&str> = pages
        .iter()
        .filter_map(|page| page.command.as_deref())
        .collect();
    Failure::Usage(format!(
        "there is no subcommand {}; there are {}",
        command.unwrap_or_default(),
        names.join(", ")
    ))
}

/// The page of mimeo, and one for each subcommand.
fn pages() -> io::Result<Vec<Page>> {
    // `mimeo help` says what the pages say, and has none.
    let mut mimeo = crate::public_command().disable_help_subcommand(true);
    mimeo.build();
    let mut pages = vec![Page {
        command: None,
        file_name: "mimeo.1".to_owned(),
        text: page(&mimeo)?,
    }];
    for command in mimeo.get_subcommands() {
        pages.push(Page {
            command: Some(command.get_name().to_owned()),
            file_name: format!("mimeo-{}.1", command.get_name()),
            text: page(command)?,
        });
    }
    Ok(pages)
}

/// The page of a command, in roff, without a date: the same program gives the same page.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::new();
    examples(command, &mut rest);
    exit_status(&mut rest);
    if !command.has_subcommands() {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([bold("mimeo"), roman("(1)")]);
    }
    rest.to_writer(&mut text)?;
    // Each section has defined the apostrophe anew. The title is not clap_mangen's, which drops an empty date's place.
    let preamble = Roff::new().render();
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let title = format!(
        ".TH {name} 1 \"\" \"mimeo {}\" \"mimeo manual\"\n",
        env!("CARGO_PKG_VERSION")
    );
    let sections = String::from_utf8_lossy(&text).replace(&preamble, "");
    Ok(format!("{preamble}{title}{sections}").into_bytes())
}

/// The examples that stand behind a subcommand's help: commands, and what they do, which is indented deeper.
fn examples(command: &clap::Command, roff: &mut Roff) {
    let help = command.get_after_help().map(ToString::to_string);
    let Some(examples) = help
        .as_deref()
        .and_then(|help| help.strip_prefix("Examples:\n"))
    else {
        return;
    };
    roff.control("SH", ["EXAMPLES"]);
    let mut after_command = false;
    for line in examples.lines() {
        if line.starts_with("    ") {
            roff.text([roman(line.trim())]);
            after_command = false;
        } else {
            // Commands that are explained together.
            roff.control(if after_command { "TQ" } else { "TP" }, []);
            roff.text([bold(line.trim())]);
            after_command = true;
        }
    }
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for code in &exit::CODES {
        roff.control("TP", []);
        roff.text([bold(code.number.to_string())]);
        roff.text([roman(code.text())]);
    }
}
