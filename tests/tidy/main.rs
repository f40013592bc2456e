//! The laws of this code base, which tests keep and not reviews. Each law is shown to fail on planted
//! faults.

mod code;
mod documents;
mod layers;
mod layout_rules;
mod mutations;
mod packages;
mod planted;
mod source;
mod tokens;
mod words;
