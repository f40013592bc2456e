//! What is there, who has it, and what this account may do: for tools.

mod doctor;
mod segment;

pub use crate::os::{Backing, Finding, Grant, Health, Holder, Holders, Kind, Listed, ObjectInfo};
pub use crate::segment::Pattern;
pub use doctor::{doctor, lost_names};
pub use segment::{Participant, Role, SegmentInfo, clean, holders, list, segment_info};
