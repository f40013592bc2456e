//! The rights that an access list grants. They are always rights of the object's own type.
//!
//! This module maps generic rights itself, for each kind of object, and never writes them into an
//! object. The system would map them when the object is created, and not as users of shmkit mean
//! them: `GR` on an event would not include the right to wait. `GA` on a section becomes a list
//! that, copied to an event, lets nobody wait, since SYNCHRONIZE is no right of sections.

use super::descriptor::{Effect, Entry};
use crate::access::Access;
use crate::os::Kind;
use windows_sys::Win32::Foundation::{GENERIC_ALL, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE};

pub(in crate::os::windows) const READ_CONTROL: u32 = 0x2_0000;
pub(in crate::os::windows) const SYNCHRONIZE: u32 = 0x10_0000;
/// The value of SECTION_QUERY, EVENT_QUERY_STATE and MUTANT_QUERY_STATE.
pub(in crate::os::windows) const QUERY: u32 = 1;
pub(in crate::os::windows) const SECTION_MAP_WRITE: u32 = 2;
pub(in crate::os::windows) const SECTION_MAP_READ: u32 = 4;
const SECTION_MAP_EXECUTE: u32 = 8;
/// "Modify state access, which is required for the SetEvent, ResetEvent and PulseEvent functions"
/// (Synchronization Object Security and Access Rights).
pub(in crate::os::windows) const EVENT_MODIFY_STATE: u32 = 2;

/// Returns all rights of an object of a kind, including the rights to change its access list.
// layout: L223 L225
pub(in crate::os::windows) const fn everything(kind: Kind) -> u32 {
    match kind {
        Kind::Section => 0xf_001f,
        Kind::Event => 0x1f_0003,
        Kind::Mutex | Kind::Other => 0x1f_0001,
    }
}

/// Returns the right without which a handle is of no use.
pub(in crate::os::windows) const fn least(kind: Kind) -> u32 {
    match kind {
        Kind::Section => SECTION_MAP_READ,
        _ => SYNCHRONIZE,
    }
}

/// Returns the rights for what the documentation of [`Access`] calls looking: to read a section, to
/// wait for an event, to take a mutex.
// layout: L223 L225
pub(in crate::os::windows) const fn looking(kind: Kind) -> u32 {
    match kind {
        Kind::Section => READ_CONTROL | QUERY | SECTION_MAP_READ,
        _ => READ_CONTROL | QUERY | SYNCHRONIZE,
    }
}

/// Returns the rights to write a section or to set an event. For a mutex they include the right to
/// take it, since each use changes the mutex: "Only the SYNCHRONIZE access right is required to use
/// a mutex" (OpenMutexW).
// layout: L225
const fn changing(kind: Kind) -> u32 {
    match kind {
        Kind::Section => READ_CONTROL | QUERY | SECTION_MAP_READ | SECTION_MAP_WRITE,
        Kind::Event => READ_CONTROL | EVENT_MODIFY_STATE,
        Kind::Mutex | Kind::Other => READ_CONTROL | SYNCHRONIZE,
    }
}

/// Returns the rights for `GX`.
const fn executing(kind: Kind) -> u32 {
    match kind {
        Kind::Section => READ_CONTROL | SECTION_MAP_EXECUTE,
        _ => READ_CONTROL | SYNCHRONIZE,
    }
}

/// Returns a mask with each generic right replaced by the rights of the kind. An entry that denies
/// a generic right denies only the one right that is meant: an account that may not write may still
/// read.
// layout: L225
fn specific(mask: u32, kind: Kind, effect: Effect) -> u32 {
    let [read, write, execute] = match (effect, kind) {
        (Effect::Allow, _) => [looking(kind), changing(kind), executing(kind)],
        (_, Kind::Section) => [SECTION_MAP_READ, SECTION_MAP_WRITE, SECTION_MAP_EXECUTE],
        (_, Kind::Event) => [SYNCHRONIZE, EVENT_MODIFY_STATE, SYNCHRONIZE],
        (_, _) => [SYNCHRONIZE; 3],
    };
    let generic = [
        (GENERIC_READ, read),
        (GENERIC_WRITE, write),
        (GENERIC_EXECUTE, execute),
        (GENERIC_ALL, everything(kind)),
    ];
    let named = mask & !(GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL);
    let meant = generic.iter().filter(|(bit, _)| mask & bit != 0);
    meant.fold(named, |all, (_, rights)| all | rights)
}

/// An access list, with the owner and the integrity label of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::os::windows) struct Grants {
    /// The SID of the owner; `None` for the creator of the object.
    pub owner: Option<String>,
    pub entries: Vec<Entry>,
    /// The label as SDDL, such as `S:(ML;;NW;;;ME)`, or an empty text.
    pub label: String,
}

impl Grants {
    /// Returns the SDDL for an object of this kind, with specific rights only. The access list is
    /// protected: it grants nothing that it does not name.
    // layout: L222
    pub fn sddl(&self, kind: Kind) -> String {
        let entry = |entry: &Entry| {
            let letter = match entry.effect {
                Effect::Allow => 'A',
                Effect::Deny | Effect::Other => 'D',
            };
            let mask = specific(entry.mask, kind, entry.effect);
            format!("({letter};;{mask:#x};;;{})", entry.sid)
        };
        let entries: String = self.entries.iter().map(entry).collect();
        let owner = self.owner.as_ref().map(|sid| format!("O:{sid}"));
        format!("{}D:P{entries}{}", owner.unwrap_or_default(), self.label)
    }

    /// Returns the access list of an event or a mutex that belongs to a segment. The list follows
    /// from the list of a section of that segment.
    ///
    /// An account that may write the section may set the event. An account that may read the
    /// section may take the mutex, which tells that a process lives. A wait for the event would
    /// take its signal away. So only accounts with all rights may wait for it: accounts that have
    /// all rights to the section, `mine`, which creates the object, and `owner`, which owns the
    /// section and which its list need not name. The returned list names no owner, since the system
    /// refuses an owner that is "not a SID that the caller is authorized to assign as the owner of
    /// an object" (SeAssignSecurity).
    // layout: L226 L227
    pub fn of_companion(
        section: &[Entry],
        [mine, owner]: [&str; 2],
        kind: Kind,
        label: String,
    ) -> Grants {
        /// OWNER RIGHTS, which in the returned list would mean the owner of the companion.
        const OWNER_RIGHTS: &str = "S-1-3-4";
        let (right, granted, denied) = match kind {
            Kind::Event => (SECTION_MAP_WRITE, changing(kind), EVENT_MODIFY_STATE),
            _ => (SECTION_MAP_READ, looking(kind), SYNCHRONIZE),
        };

        let everything_of_a_section = everything(Kind::Section);
        let translate = |entry: &Entry| {
            let mask = specific(entry.mask, Kind::Section, entry.effect);
            let mask = match entry.effect {
                _ if mask & right == 0 => return None,
                Effect::Allow if mask & everything_of_a_section == everything_of_a_section => {
                    everything(kind)
                }
                Effect::Allow => granted,
                Effect::Deny | Effect::Other => denied,
            };
            let sid = match &*entry.sid {
                OWNER_RIGHTS => owner,
                sid => sid,
            };
            Some(Entry {
                effect: entry.effect,
                mask,
                sid: sid.to_string(),
            })
        };

        let mut entries: Vec<Entry> = section.iter().filter_map(translate).collect();
        for sid in [owner, mine] {
            let all = allow(everything(kind), sid);
            if !entries.contains(&all) {
                entries.push(all);
            }
        }

        Grants {
            owner: None,
            entries,
            label,
        }
    }
}

/// Returns the rights of a member of a group, and of an AppContainer: to look only, or also to write a
/// section and to set an event.
// layout: L223
const fn taking_part(kind: Kind, only_look: bool) -> u32 {
    match only_look {
        true => looking(kind),
        false => looking(kind) | changing(kind),
    }
}

/// Returns the entries of a preset, whose group is a SID; `None` for SDDL, which has entries of its own.
// layout: L223 L272
pub(in crate::os::windows) fn preset(
    access: &Access,
    kind: Kind,
    only_look: bool,
    me: &str,
) -> Option<Vec<Entry>> {
    const SYSTEM: &str = "S-1-5-18";
    const ADMINISTRATORS: &str = "S-1-5-32-544";
    const AUTHENTICATED: &str = "S-1-5-11";
    const INTERACTIVE: &str = "S-1-5-4";
    const APP_CONTAINERS: &str = "S-1-15-2-1";

    let mut entries = vec![allow(everything(kind), me)];
    match access {
        Access::SameUser => {}
        Access::UsersReadOnly => entries.push(allow(looking(kind), AUTHENTICATED)),
        Access::InteractiveReadOnly => entries.extend([
            allow(everything(kind), SYSTEM),
            allow(everything(kind), ADMINISTRATORS),
            allow(looking(kind), INTERACTIVE),
        ]),
        Access::Group(sid) => entries.push(allow(taking_part(kind, only_look), sid)),
        Access::AppContainer => entries.push(allow(taking_part(kind, only_look), APP_CONTAINERS)),
        Access::Sddl(_) => return None,
    }

    Some(entries)
}

fn allow(mask: u32, sid: &str) -> Entry {
    Entry {
        effect: Effect::Allow,
        mask,
        sid: sid.to_string(),
    }
}

/// Returns in words what an access mask allows for an object of a kind.
pub(in crate::os::windows) fn in_words(mask: u32, kind: Kind) -> String {
    let own: &[(u32, &str)] = match kind {
        Kind::Section => &[
            (SECTION_MAP_READ, "read"),
            (SECTION_MAP_WRITE, "write"),
            (SECTION_MAP_EXECUTE, "execute"),
        ],
        Kind::Event => &[(SYNCHRONIZE, "wait"), (EVENT_MODIFY_STATE, "set")],
        Kind::Mutex => &[(SYNCHRONIZE, "take")],
        Kind::Other => &[],
    };

    let mask = specific(mask, kind, Effect::Allow);
    let all = everything(kind);
    if mask & all == all {
        return "everything".to_string();
    }

    let standard = [
        (0x1_0000, "delete"),
        (0x4_0000, "change the access list"),
        (0x8_0000, "become the owner"),
    ];
    let named = own.iter().chain(&standard);
    let words: Vec<&str> = named
        .filter(|(bits, _)| mask & bits != 0)
        .map(|(_, word)| *word)
        .collect();

    if words.is_empty() {
        format!("{mask:#x}")
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::{Descriptor, List};
    use super::*;

    fn entries(sddl: &str) -> Vec<Entry> {
        match Descriptor::parse(sddl).unwrap().list() {
            List::Entries(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    const ME: &str = "S-1-5-21-1-2-3-1001";
    const OTHER: &str = "S-1-5-21-1-2-3-1002";

    /// Returns the access list of a companion of a section with this list and owner.
    fn companion(section: &str, owner: &str, kind: Kind, label: &str) -> String {
        let entries = entries(section);
        let grants = Grants::of_companion(&entries, [ME, owner], kind, label.to_string());
        grants.sddl(kind)
    }

    /// NT returns "O:…D:P(A;;CCDCLCSWRPSDRCWDWO;;;…)" for a section that was created with `GA`.
    // layout: L226
    #[test]
    fn section_writers_may_set_companion_event() {
        for right in ["CCDCLCSWRPSDRCWDWO", "0xf001f", "GA"] {
            let list = format!("O:{OTHER}D:P(A;;{right};;;{OTHER})");
            let expected = format!("D:P(A;;0x1f0003;;;{OTHER})(A;;0x1f0003;;;{ME})");
            assert_eq!(companion(&list, OTHER, Kind::Event, ""), expected);
        }
        for right in ["0x6", "0x20006", "GRGW", "GW"] {
            let list = format!("O:{ME}D:P(A;;{right};;;AU)");
            let expected = format!("D:P(A;;0x20002;;;S-1-5-11)(A;;0x1f0003;;;{ME})");
            assert_eq!(companion(&list, ME, Kind::Event, ""), expected, "{right}");
        }
    }

    // layout: L226 L227
    #[test]
    fn section_readers_may_watch_but_not_set() {
        let list = format!("D:P(A;;GA;;;{ME})(A;;GR;;;AU)");
        let expected = format!("D:P(A;;0x1f0003;;;{ME})");
        assert_eq!(companion(&list, ME, Kind::Event, ""), expected);
        let expected = format!("D:P(A;;0x1f0001;;;{ME})(A;;0x120001;;;S-1-5-11)");
        assert_eq!(companion(&list, ME, Kind::Mutex, ""), expected);
    }

    // layout: L226
    #[test]
    fn unlisted_section_owner_gets_all_rights() {
        for list in [
            "D:P(A;;GA;;;SY)(A;;GRGW;;;IU)",
            "D:P(A;;GA;;;OW)(A;;GRGW;;;IU)",
        ] {
            let event = companion(list, OTHER, Kind::Event, "");
            assert!(
                event.contains(&format!("(A;;0x1f0003;;;{OTHER})")),
                "{event}"
            );
            assert!(!event.contains("S-1-3-4"), "{event}");
        }
    }

    // layout: L226
    #[test]
    fn companion_event_keeps_write_denials() {
        let list = "D:P(D;;GW;;;BG)(D;;GX;;;AN)(A;;GA;;;WD)";
        let expected = format!(
            "D:P(D;;0x2;;;S-1-5-32-546)(A;;0x1f0003;;;S-1-1-0)(A;;0x1f0003;;;{ME})\
             S:(ML;;NW;;;LW)"
        );
        let event = companion(list, ME, Kind::Event, "S:(ML;;NW;;;LW)");
        assert_eq!(event, expected);
    }

    // layout: L225
    #[test]
    fn generic_rights_map_to_specific_rights() {
        for (kind, [read, write, all]) in [
            (Kind::Section, [0x2_0005, 0x2_0007, 0xf_001f]),
            (Kind::Event, [0x12_0001, 0x2_0002, 0x1f_0003]),
            (Kind::Mutex, [0x12_0001, 0x12_0000, 0x1f_0001]),
        ] {
            let allowed = |mask| specific(mask, kind, Effect::Allow);
            assert_eq!(allowed(GENERIC_READ), read);
            assert_eq!(allowed(GENERIC_WRITE), write);
            assert_eq!(allowed(GENERIC_ALL), all);
            assert_eq!(allowed(GENERIC_READ | GENERIC_WRITE), read | write);
            assert_eq!(allowed(0x4), 0x4, "a specific right stays");
        }
        for (kind, bit) in [
            (Kind::Section, 0x2),
            (Kind::Event, 0x2),
            (Kind::Mutex, 0x10_0000),
        ] {
            assert_eq!(specific(GENERIC_WRITE, kind, Effect::Deny), bit);
        }
    }

    // layout: L223
    #[test]
    fn presets_name_specific_rights() {
        for kind in [Kind::Section, Kind::Event, Kind::Mutex] {
            for access in [
                Access::SameUser,
                Access::UsersReadOnly,
                Access::InteractiveReadOnly,
                Access::Group(OTHER.into()),
                Access::AppContainer,
            ] {
                let entries = preset(&access, kind, false, ME).unwrap();
                assert!(entries.iter().all(|entry| entry.mask >> 28 == 0));
                assert_eq!(entries[0], allow(everything(kind), ME));
            }
        }
    }

    // layout: L223 L272
    #[test]
    fn group_members_get_the_documented_rights() {
        let group = Access::Group(OTHER.into());
        for (access, sid) in [(&group, OTHER), (&Access::AppContainer, "S-1-15-2-1")] {
            for (kind, part, look) in [
                (Kind::Section, 0x2_0007, 0x2_0005),
                (Kind::Event, 0x12_0003, 0x12_0001),
                (Kind::Mutex, 0x12_0001, 0x12_0001),
            ] {
                for (only_look, mask) in [(false, part), (true, look)] {
                    let entries = preset(access, kind, only_look, ME).unwrap();
                    assert_eq!(entries[1..], [allow(mask, sid)], "{access} {kind:?}");
                }
            }
        }
    }
}
