//! The commands of topics: `publish` and `subscribe`.

pub mod pace;
pub mod publish;
pub mod subscribe;
