//! Facts for tools: the objects that exist, the processes that hold them, and the rights of this
//! account.

mod doctor;
mod segment;

pub use crate::os::{Backing, Finding, Grant, Health, Holder, Holders, Kind, Listed, ObjectInfo};
pub use crate::segment::Pattern;
pub use doctor::{doctor, lost_names};
pub use segment::{Folder, Participant, SegmentInfo, clean, folder, holders, list, segment_info};
