//! The commands that inspect objects: `list`, `show`, `dump` and `doctor`.

pub mod doctor;
pub mod dump;
mod dump_watch;
mod facts;
mod fields;
mod hexdump;
pub mod list;
pub mod show;
mod traffic;
