//! The commands of calls: `answer` and `call`.

pub mod answer;
pub mod call;
mod exec;
