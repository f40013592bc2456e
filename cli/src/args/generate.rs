//! The options of the commands that describe the command line itself: `completions` and `man`.

use clap::Parser;
use clap_complete::Shell;
use std::path::PathBuf;

/// Print a completion script for a shell.
#[derive(Debug, Parser)]
#[command(
    after_help = "Example:\n  shmkit completions bash > ~/.local/share/bash-completion/completions/shmkit"
)]
pub struct Completions {
    /// The shell that runs the script.
    pub shell: Shell,
}

/// Print the manual page of shmkit, or write the manual pages of all commands to files.
#[derive(Debug, Parser)]
#[command(after_help = "Example:\n  shmkit man --out ~/.local/share/man/man1")]
pub struct Man {
    /// Write one page for each command into this folder. The folder is created if it does not
    /// exist.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}
