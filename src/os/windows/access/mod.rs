//! Access rights: the security descriptors of new objects, and the owners of existing objects.

pub(super) mod account;
pub(super) mod descriptor;
pub(super) mod rights;
pub(super) mod token;

use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Grant, HowToCreate, Kind};
use descriptor::{Descriptor, Effect, List};
use rights::{Grants, in_words, preset};
use std::fmt::Display;
use std::os::windows::io::BorrowedHandle;
use token::{Identity, MEDIUM};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;

/// Security attributes, and the descriptor that they point to.
pub(super) struct Attributes {
    attributes: SECURITY_ATTRIBUTES,
    _descriptor: Descriptor,
}

impl Attributes {
    fn new(descriptor: Descriptor) -> Attributes {
        Attributes {
            attributes: SECURITY_ATTRIBUTES {
                nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
                lpSecurityDescriptor: descriptor.as_ptr(),
                bInheritHandle: 0,
            },
            _descriptor: descriptor,
        }
    }

    pub fn get(&self) -> &SECURITY_ATTRIBUTES {
        &self.attributes
    }
}

/// Returns the security attributes of a new object. Fails where the system does not build them, so
/// that no object is created: the default attributes would let other accounts in.
// layout: L222 L224
pub(super) fn attributes(how: &HowToCreate, kind: Kind, name: &Name) -> Result<Attributes> {
    let me = token::identity().ok_or_else(|| nobody(name))?;
    let access = resolved(&how.access)?;
    let grants = match preset(&access, kind, how.only_look, &me.user) {
        Some(entries) => Grants {
            owner: Some(me.user.clone()),
            entries,
            label: match access {
                Access::AppContainer if !how.only_look => low_label(&me),
                _ => label(&me),
            },
        },
        None => written(&access, &me)?,
    };
    let sddl = grants.sddl(kind);
    let built = Descriptor::parse(&sddl).map_err(|code| unreadable(&sddl, code))?;
    Ok(Attributes::new(built))
}

/// Returns the same access with the SID of a group in place of its name. Fails where there is no such
/// account.
// layout: L273
pub(crate) fn resolved(access: &Access) -> Result<Access> {
    match access {
        Access::Group(group) => account::sid_of(group).map(Access::Group),
        access => Ok(access.clone()),
    }
}

fn nobody(name: &Name) -> Error {
    let meaning =
        "the system does not report the user of this process, so access cannot be limited";
    Error::new(ErrorKind::AccessDenied, Operation::Create, name, meaning)
}

/// Returns the label that lets programs of medium integrity write the objects that this process
/// creates. An object without a label "is treated as if it had medium integrity", but the same page
/// says that "objects you create receive your integrity level (medium or high)" (Mandatory
/// Integrity Control). The label leaves no doubt. A process below medium integrity may not set it,
/// and gets an empty text.
// layout: L224
fn label(me: &Identity) -> String {
    match me.integrity {
        MEDIUM.. => "S:(ML;;NW;;;ME)".to_string(),
        _ => String::new(),
    }
}

/// Returns the label that lets programs in AppContainers, which have low integrity, write an object.
// layout: L274
fn low_label(me: &Identity) -> String {
    match me.integrity {
        MEDIUM.. => "S:(ML;;NW;;;LW)".to_string(),
        _ => String::new(),
    }
}

/// Returns what a user's SDDL grants. Where the SDDL names no owner, the owner is this user, and
/// not the default owner, which is `BUILTIN\Administrators` for an elevated program.
// layout: L224
fn written(access: &Access, me: &Identity) -> Result<Grants> {
    let Access::Sddl(sddl) = access else {
        unreachable!("every access but SDDL is a preset");
    };
    let descriptor = Descriptor::parse(sddl).map_err(|code| unreadable(sddl, code))?;

    let refuse = |meaning: &'static str, advice: &'static str| {
        let kind = ErrorKind::InvalidArgument;
        Err(Error::new(kind, Operation::Access, sddl, meaning).with_advice(advice))
    };

    let List::Entries(entries) = descriptor.list() else {
        let meaning = "it has no access list, which would let everybody do everything";
        return refuse(meaning, "add one: D:P(A;;GA;;;…)");
    };

    let others = entries.iter().any(|entry| entry.effect == Effect::Other);
    if others || descriptor.has_audit() {
        let meaning = "it has an entry that neither allows, denies nor labels";
        return refuse(
            meaning,
            "use entries of the types A, D and ML, without conditions",
        );
    }

    let own = descriptor.label();
    Ok(Grants {
        owner: descriptor.owner().or_else(|| Some(me.user.clone())),
        entries,
        label: if own.is_empty() { label(me) } else { own },
    })
}

fn unreadable(sddl: &str, code: u32) -> Error {
    let meaning = "it is not a valid security descriptor";
    Error::new(
        ErrorKind::InvalidArgument,
        Operation::Access,
        &sddl,
        meaning,
    )
    .with_code(code.cast_signed())
    .with_advice("write SDDL, such as D:P(A;;GA;;;<your SID>)(A;;GR;;;AU)")
}

/// Returns the access for the events or mutexes that belong to a section; see
/// [`Grants::of_companion`]. `None` where the system does not tell who may use the section.
///
/// The access names no owner, so the object will belong to the account of the thread that creates
/// it. That may be another thread, which impersonates no account.
// layout: L226 L227
pub(super) fn companion(section: BorrowedHandle<'_>, kind: Kind) -> Option<Access> {
    let me = token::identity()?;
    let section = Descriptor::of_object(section)?;
    let List::Entries(entries) = section.list() else {
        return None;
    };
    // An account below medium integrity may not label the objects that it creates.
    let label = match me.integrity {
        MEDIUM.. => section.label(),
        _ => String::new(),
    };
    let grants = Grants::of_companion(&entries, [&me.user, &section.owner()?], kind, label);
    Some(Access::Sddl(grants.sddl(kind)))
}

/// Returns the owner of an object, its access list as SDDL, and its access list in words.
pub(super) fn describe(
    object: BorrowedHandle<'_>,
    kind: Kind,
) -> (Option<String>, Option<String>, Vec<Grant>) {
    match Descriptor::of_object(object) {
        Some(found) => (
            found.owner().map(|sid| account::shown(&sid)),
            found.sddl(),
            grants(&found.list(), kind),
        ),
        None => (None, None, Vec::new()),
    }
}

/// Returns the entries of an access list in words.
fn grants(list: &List, kind: Kind) -> Vec<Grant> {
    let List::Entries(entries) = list else {
        let (account, may) = ("everybody".to_string(), "everything".to_string());
        return vec![Grant { account, may }];
    };
    let told = entries.iter().filter_map(|entry| {
        let may = in_words(entry.mask, kind);
        let may = match entry.effect {
            Effect::Allow => may,
            Effect::Deny => format!("not: {may}"),
            Effect::Other => return None,
        };
        let account = account::shown(&entry.sid);
        Some(Grant { account, may })
    });
    told.collect()
}

/// Returns the SID of an object's owner.
pub(super) fn owner(object: BorrowedHandle<'_>) -> Option<String> {
    Descriptor::of_object(object)?.owner()
}

/// Refuses an object that does not belong to the expected owner.
pub(super) fn check_owner(
    object: BorrowedHandle<'_>,
    expected: &Owner,
    subject: &dyn Display,
) -> Result<()> {
    check(Descriptor::of_object(object), expected, subject)
}

/// Refuses a file that does not belong to the expected owner.
pub(super) fn check_file_owner(
    file: BorrowedHandle<'_>,
    expected: &Owner,
    subject: &dyn Display,
) -> Result<()> {
    check(Descriptor::of_file(file), expected, subject)
}

// layout: L233
fn check(found: Option<Descriptor>, expected: &Owner, subject: &dyn Display) -> Result<()> {
    let wanted = match expected {
        // An object that this process creates without an owner in its descriptor belongs to the
        // default owner of the process.
        Owner::Me => token::identity().map(|me| [me.user, me.default_owner]),
        Owner::Account(account) => Some(account::sid_of(account)?).map(|sid| [sid.clone(), sid]),
    };

    let owner = found.and_then(|found| found.owner());
    if let (Some(owner), Some(wanted)) = (&owner, &wanted)
        && wanted.contains(owner)
    {
        return Ok(());
    }

    let meaning = match owner {
        Some(who) => {
            let who = account::brief(&who);
            format!("it belongs to {who}, and not to {expected}")
        }
        None => format!("it does not report its owner, which is expected to be {expected}"),
    };

    let error = Error::new(ErrorKind::WrongOwner, Operation::Open, subject, meaning);
    Err(error.with_advice("find the program that took the name, or expect the real owner"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_attributes_for_every_kind() {
        let name = Name::new("X").unwrap();
        for access in [
            Access::SameUser,
            Access::UsersReadOnly,
            Access::InteractiveReadOnly,
            Access::Group("S-1-5-32-545".into()),
            Access::AppContainer,
        ] {
            for kind in [Kind::Section, Kind::Event, Kind::Mutex] {
                let how = HowToCreate {
                    access: access.clone(),
                    ..HowToCreate::default()
                };
                assert!(attributes(&how, kind, &name).is_ok(), "{access} {kind:?}");
            }
        }
    }

    // layout: L273
    #[test]
    fn group_resolves_to_its_sid() {
        let of = |group: &str| resolved(&Access::Group(group.into()));
        let everybody = || Access::Group("S-1-1-0".into());
        assert_eq!(of("S-1-1-0").unwrap(), everybody());
        let shown = account::shown("S-1-1-0");
        let (by_name, _) = shown
            .split_once(" (")
            .expect("every system names this account");
        let by_name = by_name.trim_start_matches('\\');
        assert_eq!(of(by_name).unwrap(), everybody());
        // The end of an entry of SDDL would add entries.
        for wrong in ["S-1-", "S-1-1-0)(A;;GA;;;WD", "shmkit-no-such-group"] {
            let error = of(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{wrong}");
        }
    }

    // layout: L224
    #[test]
    fn sddl_without_owner_belongs_to_this_user() {
        let me = token::identity().unwrap();
        let of = |sddl: &str| written(&Access::Sddl(sddl.into()), &me).unwrap();
        assert_eq!(of("D:P(A;;GA;;;WD)").owner, Some(me.user.clone()));
        let administrators = of("O:BAD:P(A;;GA;;;WD)").owner;
        assert_eq!(administrators.as_deref(), Some("S-1-5-32-544"));
        assert_eq!(
            of("D:P(A;;GA;;;WD)S:(ML;;NW;;;LW)").label,
            "S:(ML;;NW;;;LW)"
        );
        let audit = "D:P(A;;GA;;;WD)S:(AU;SA;GA;;;WD)";
        for refused in ["D:P(XA;;GA;;;WD;(@User.x==1))", audit, "O:BA", "x", ""] {
            let access = Access::Sddl(refused.into());
            assert!(written(&access, &me).is_err(), "{refused}");
        }
    }
}
