//! Tests the program `shmkit`, run as a person and a script run it.

#[path = "../../../tests/common/mod.rs"]
mod common;

mod bench;
mod calls;
#[cfg(windows)]
mod classic;
mod cli;
#[cfg(target_os = "linux")]
mod linux;
mod messages;
mod run;
mod self_test;
mod tools;
mod typed;
mod values;
