//! `mimeo completions`: what lets a shell complete this command's words.

use crate::failure::{Answer, Failure};
use clap::Args;
use clap_complete::Shell;
use std::io::Write;

/// Print what lets a shell complete the words of mimeo
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell that it is for
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  mimeo completions bash > ~/.local/share/bash-completion/completions/mimeo
      for bash, with the package bash-completion
  mimeo completions zsh > ~/.zfunc/_mimeo
      for zsh, where ~/.zfunc is in fpath
  mimeo completions fish > ~/.config/fish/completions/mimeo.fish
      for fish";

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut crate::public_command(),
        "mimeo",
        &mut script,
    );
    out.write_all(&script)?;
    Ok(Answer::Yes)
}
