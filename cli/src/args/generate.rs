//! What is generated from the command line itself.

use clap::Parser;
use clap_complete::Shell;
use std::path::PathBuf;

/// Print a completion script for a shell.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  shmkit completions bash > ~/.local/share/bash-completion/completions/shmkit"
)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

/// Print the manual page, or write those of all commands to files.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit man --out ~/.local/share/man/man1")]
pub struct Man {
    /// Write one page for each command into this folder, which is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}
