//! A slot of the roster, as the owner has seen it at its last look.

use crate::object::process::Process;

/// A slot of the roster, as the owner has seen it.
#[derive(Debug)]
pub(super) struct Slot {
    /// The process word of the participant that sends here, or 0.
    pub process_word: u64,
    /// The process word and the slot epoch of a participant that was proved dead, and whose slot could
    /// not be freed.
    pub dead: Option<(u64, u32)>,
    pub slot_epoch: u32,
    /// The position of that participant's first record. Everything before this position was sent by
    /// earlier participants.
    pub beginning: u64,
    pub process: Option<Process>,
    pub lane: SlotLane,
}

/// The lane of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotLane {
    /// No participant has had the slot yet.
    Unopened,
    /// The index of the lane.
    Open(usize),
    /// The lane could not be opened for the participant with this slot epoch.
    Failed(u32),
    /// The cursor of the lane is impossible, so the owner never looks at the lane.
    LeftOut,
}

impl SlotLane {
    pub fn index(self) -> Option<usize> {
        match self {
            SlotLane::Open(index) => Some(index),
            _ => None,
        }
    }
}

/// Returns the watched processes of the slots.
pub(super) fn peers(slots: &[Slot]) -> impl Iterator<Item = &Process> {
    peers_by_slot(slots).map(|(_, process)| process)
}

/// Returns the watched processes with their slots and slot epochs.
pub(super) fn peers_by_slot(slots: &[Slot]) -> impl Iterator<Item = ((usize, u32), &Process)> {
    let slots = slots.iter().enumerate();
    slots.filter_map(|(n, slot)| Some(((n, slot.slot_epoch), slot.process.as_ref()?)))
}
