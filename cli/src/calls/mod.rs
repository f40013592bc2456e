//! The verbs of calls: `answer` and `call`.

pub mod answer;
pub mod call;
mod exec;
