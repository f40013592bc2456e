//! The laws of this code base, which tests enforce instead of reviews. Other tests show that each
//! law fails on planted faults.

mod code;
mod documents;
mod layers;
mod layout_rules;
mod mutations;
mod packages;
mod planted;
mod references;
mod source;
mod test_names;
mod tokens;
mod words;
