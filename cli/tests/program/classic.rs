//! Tests the classic C++ server with our consumer, and our server with the classic C++ consumer.
//! `ci/classic` compiles each of the C++ programs as Unicode and as ANSI.

use crate::common::start;
use crate::run::{Running, shmkit};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

const NAME: &str = "Local\\MyFileMappingObject";
const MESSAGE: &str = "Message from first process.";

/// Lets one test run at a time, because all tests use one section. This lock separates the tests of
/// one process; the group `classic` of `.config/nextest.toml` separates those of several processes.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn classic(program: &str, character_set: &str) -> Command {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")),
        PathBuf::from,
    );
    let path = folder.join(format!("classic/{program}-{character_set}.exe"));
    assert!(
        path.exists(),
        "{} is missing: run ci/classic first",
        path.display()
    );
    Command::new(path)
}

fn their_server_our_consumer(character_set: &str, encoding: &str) {
    let _turn = turn();
    let _test = start("classic");
    let mut server = Running::start(&mut classic("server", character_set));
    assert_eq!(server.line(), "ready");

    let told = shmkit(&["consume", NAME, "--encoding", encoding]);
    assert_eq!(
        (told.code, told.out.as_str()),
        (0, "Message from first process.\n")
    );
    assert_eq!(told.err, "");
    let guessed = shmkit(&["consume", NAME]);
    assert_eq!(
        (guessed.code, guessed.out.as_str()),
        (0, "Message from first process.\n")
    );
    assert!(
        guessed.err.contains("guessed --encoding"),
        "{}",
        guessed.err
    );

    server.send("x");
    assert_eq!(server.finish().code, 0);
    assert_eq!(
        shmkit(&["consume", NAME]).code,
        1,
        "the section is gone after its server ended"
    );
}

#[test]
fn consumer_reads_classic_unicode_server() {
    their_server_our_consumer("unicode", "utf16");
}

#[test]
fn consumer_reads_classic_ansi_server() {
    their_server_our_consumer("ansi", "ansi");
}

fn our_server_their_consumer(character_set: &str, encoding: &str) {
    let _turn = turn();
    let _test = start("classic");
    let mut server = Running::serve(&[NAME, MESSAGE, "--encoding", encoding]);
    let read = crate::run::output(&mut classic("consumer", character_set));
    assert_eq!(
        (read.code, read.out.trim_end()),
        (0, MESSAGE),
        "{}",
        read.err
    );

    server.kill();
    let read = crate::run::output(&mut classic("consumer", character_set));
    assert_eq!(read.code, 1);
    assert_eq!(read.err.trim_end(), "OpenFileMapping: 2");
}

#[test]
fn classic_unicode_consumer_reads_server() {
    our_server_their_consumer("unicode", "utf16");
}

#[test]
fn classic_ansi_consumer_reads_server() {
    our_server_their_consumer("ansi", "ansi");
}
