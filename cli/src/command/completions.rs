//! `tessera completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{failure::Failure, output};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tessera completions bash > ~/.local/share/bash-completion/completions/tessera
  tessera completions zsh > ~/.zfunc/_tessera
  tessera completions fish > ~/.config/fish/completions/tessera.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the completions of `command`.
pub(crate) fn run(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "tessera", &mut script);
    output::text(String::from_utf8_lossy(&script).trim_end())
}
