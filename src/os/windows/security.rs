//! Who may do what: descriptors of new sections, owners of existing ones, and
//! the one privilege that matters.

use super::code::last;
use super::nt::wide;
use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{Grant, Kind};
use std::ffi::c_void;
use std::fmt::Display;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use windows_sys::Win32::Foundation::{
    GENERIC_ALL, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE, LUID, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_FILE_OBJECT, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACL, DACL_SECURITY_INFORMATION, GetAce, GetSecurityDescriptorDacl,
    GetTokenInformation, LookupAccountNameW, LookupAccountSidW, LookupPrivilegeValueW,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SE_PRIVILEGE_ENABLED,
    SECURITY_ATTRIBUTES, TOKEN_MANDATORY_LABEL, TOKEN_PRIVILEGES, TOKEN_QUERY, TOKEN_USER,
    TokenElevation, TokenIntegrityLevel, TokenPrivileges, TokenUser,
};
use windows_sys::Win32::System::Memory::FILE_MAP_READ;
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows_sys::Win32::System::SystemServices::{ACCESS_ALLOWED_ACE_TYPE, ACCESS_DENIED_ACE_TYPE};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, OpenProcessToken, SYNCHRONIZATION_SYNCHRONIZE,
};

/// Memory that the system allocated for us.
struct Local(*mut c_void);

// SAFETY: heap memory, written before it got here and never again.
unsafe impl Send for Local {}
// SAFETY: as above.
unsafe impl Sync for Local {}

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: came from LocalAlloc, and is freed once.
        unsafe { LocalFree(self.0) };
    }
}

/// Security attributes, and the descriptor that they point to.
pub(super) struct Attributes {
    attributes: SECURITY_ATTRIBUTES,
    /// `None` for that of [`Access::SameUser`], which lives for good.
    _descriptor: Option<Local>,
}

impl Attributes {
    pub fn get(&self) -> &SECURITY_ATTRIBUTES {
        &self.attributes
    }
}

/// The security attributes of a new object. Where the system would not build them, no
/// object is created, since the default would let others in.
pub(super) fn attributes(access: &Access, kind: Kind, name: &Name) -> Result<Attributes> {
    let with = |descriptor: *mut c_void, owned| Attributes {
        attributes: SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: descriptor,
            bInheritHandle: 0,
        },
        _descriptor: owned,
    };
    if *access == Access::SameUser {
        static SAME_USER: OnceLock<Option<Local>> = OnceLock::new();
        let built = SAME_USER.get_or_init(|| parse(&sddl_of(&Access::SameUser, kind)?).ok());
        return match built {
            Some(descriptor) => Ok(with(descriptor.0, None)),
            None => Err(nobody(name)),
        };
    }
    let sddl = sddl_of(access, kind).ok_or_else(|| nobody(name))?;
    let descriptor = parse(&sddl).map_err(|code| {
        let meaning = "the system does not read it as a security descriptor";
        Error::new(
            ErrorKind::InvalidArgument,
            Operation::Access,
            &sddl,
            meaning,
        )
        .with_code(code.cast_signed())
        .with_advice("write SDDL, such as D:P(A;;GA;;;BA)(A;;GR;;;AU)")
    })?;
    let with_list = access_list(&descriptor).is_some_and(|list| !list.is_null());
    if !with_list {
        let meaning = "it has no access list, which would let everybody do everything";
        let kind = ErrorKind::InvalidArgument;
        let error = Error::new(kind, Operation::Access, &sddl, meaning);
        return Err(error.with_advice("add one: D:P(A;;GA;;;…)"));
    }
    Ok(with(descriptor.0, Some(descriptor)))
}

fn nobody(name: &Name) -> Error {
    let meaning = "the system does not tell who this user is, so access cannot be limited";
    Error::new(ErrorKind::AccessDenied, Operation::Create, name, meaning)
}

/// What a preset stands for.
fn sddl_of(access: &Access, kind: Kind) -> Option<String> {
    let me = sid_text(user()?.sid())?;
    let look = looking(kind);
    let more = match access {
        Access::SameUser => String::new(),
        Access::UsersReadOnly => format!("(A;;{look};;;AU)"),
        Access::InteractiveReadOnly => format!("(A;;GA;;;SY)(A;;GA;;;BA)(A;;{look};;;IU)"),
        Access::Sddl(sddl) => return Some(sddl.clone()),
    };
    Some(format!("O:{me}D:P(A;;GA;;;{me}){more}"))
}

/// The rights of those who may look. A generic right to read does not let anybody wait
/// for an event or a mutex: these are READ_CONTROL, SYNCHRONIZE and to ask for the state
/// (Synchronization Object Security and Access Rights).
fn looking(kind: Kind) -> &'static str {
    match kind {
        Kind::Section | Kind::Other => "GR",
        Kind::Event | Kind::Mutex => "0x120001",
    }
}

/// Without this, a handle is of no use.
pub(super) fn least_right(kind: Kind) -> u32 {
    match kind {
        Kind::Section => FILE_MAP_READ,
        _ => SYNCHRONIZATION_SYNCHRONIZE,
    }
}

/// The owner of an object, its access list as SDDL, and the same in words.
pub(super) fn describe(
    object: BorrowedHandle<'_>,
    kind: Kind,
) -> (Option<String>, Option<String>, Vec<Grant>) {
    match Described::of(object, SE_KERNEL_OBJECT) {
        Some(found) => (
            account(found.owner),
            sddl(&found.descriptor),
            grants(&found.descriptor, kind),
        ),
        None => (None, None, Vec::new()),
    }
}

/// The owner of an object alone.
pub(super) fn owner(object: BorrowedHandle<'_>) -> Option<String> {
    account(Described::of(object, SE_KERNEL_OBJECT)?.owner)
}

/// A security descriptor, and the owner in it.
struct Described {
    descriptor: Local,
    owner: PSID,
}

impl Described {
    fn of(object: BorrowedHandle<'_>, kind: i32) -> Option<Described> {
        let mut owner = null_mut();
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
        // SAFETY: a live handle, and places for what is wanted.
        let code = unsafe {
            GetSecurityInfo(
                object.as_raw_handle(),
                kind,
                what,
                &raw mut owner,
                null_mut(),
                null_mut(),
                null_mut(),
                &raw mut descriptor,
            )
        };
        (code == 0 && !descriptor.is_null()).then(|| Described {
            descriptor: Local(descriptor),
            owner,
        })
    }
}

/// Refuses what does not belong to whom it is expected to.
pub(super) fn check_owner(
    object: BorrowedHandle<'_>,
    expected: &Owner,
    subject: &dyn Display,
) -> Result<()> {
    check(Described::of(object, SE_KERNEL_OBJECT), expected, subject)
}

/// As [`check_owner`], of a file.
pub(super) fn check_file_owner(
    file: BorrowedHandle<'_>,
    expected: &Owner,
    subject: &dyn Display,
) -> Result<()> {
    check(Described::of(file, SE_FILE_OBJECT), expected, subject)
}

fn check(found: Option<Described>, expected: &Owner, subject: &dyn Display) -> Result<()> {
    let wanted = match expected {
        Owner::Me => user().and_then(|user| sid_text(user.sid())),
        Owner::Account(account) => Some(sid_of(account)?),
    };
    let owner = found.as_ref().and_then(|found| sid_text(found.owner));
    if owner.is_some() && owner == wanted {
        return Ok(());
    }
    let meaning = match found.and_then(|found| account(found.owner)) {
        Some(who) => format!("it belongs to {who}, and not to {expected}"),
        None => format!("it does not tell to whom it belongs, which is to be {expected}"),
    };
    let error = Error::new(ErrorKind::WrongOwner, Operation::Open, subject, meaning);
    Err(error.with_advice("find out who squats the name, or expect its real owner"))
}

/// The SID of an account, which is given by it or by name.
fn sid_of(account: &str) -> Result<String> {
    if account.starts_with("S-1-") {
        return Ok(account.to_string());
    }
    let name = wide(account);
    let (mut sid, mut domain) = ([0u64; 32], [0u16; 256]);
    let (mut sid_len, mut domain_len) = (size_of_val(&sid) as u32, domain.len() as u32);
    let mut kind = 0;
    // SAFETY: a NUL-terminated name, and buffers with their lengths.
    let done = unsafe {
        LookupAccountNameW(
            null(),
            name.as_ptr(),
            sid.as_mut_ptr().cast(),
            &raw mut sid_len,
            domain.as_mut_ptr(),
            &raw mut domain_len,
            &raw mut kind,
        )
    };
    let code = last();
    let text = (done != 0).then(|| sid_text(sid.as_mut_ptr().cast()));
    text.flatten().ok_or_else(|| {
        let meaning = "there is no such account";
        let kind = ErrorKind::InvalidArgument;
        Error::new(kind, Operation::Access, &account, meaning)
            .with_code(code.cast_signed())
            .with_advice("write MACHINE\\name, or the SID")
    })
}

/// `None` where the descriptor has no list; null for one that denies nobody.
fn access_list(descriptor: &Local) -> Option<*mut ACL> {
    let (mut present, mut defaulted, mut list) = (0, 0, null_mut());
    // SAFETY: a descriptor from the system, and places for the answer.
    let done = unsafe {
        GetSecurityDescriptorDacl(
            descriptor.0,
            &raw mut present,
            &raw mut list,
            &raw mut defaulted,
        )
    };
    (done != 0 && present != 0).then_some(list)
}

/// The entries of an access list in words.
fn grants(descriptor: &Local, kind: Kind) -> Vec<Grant> {
    let Some(list) = access_list(descriptor).filter(|list| !list.is_null()) else {
        let (who, may) = ("everybody".to_string(), "everything".to_string());
        return vec![Grant { who, may }];
    };
    // SAFETY: a list inside the descriptor.
    let count = unsafe { (*list).AceCount };
    let entry = |n: u16| {
        let mut at = null_mut();
        // SAFETY: the list has that many entries.
        if unsafe { GetAce(list, n.into(), &raw mut at) } == 0 {
            return None;
        }
        let at = at.cast::<ACCESS_ALLOWED_ACE>();
        // SAFETY: entries of these two types have a mask and a SID at the same places.
        let (form, mask, sid) = unsafe {
            let entry = &*at;
            let sid = (&raw const (*at).SidStart).cast_mut().cast();
            (u32::from(entry.Header.AceType), entry.Mask, sid)
        };
        let may = match form {
            ACCESS_ALLOWED_ACE_TYPE => in_words(mask, kind),
            ACCESS_DENIED_ACE_TYPE => format!("not: {}", in_words(mask, kind)),
            _ => return None,
        };
        account(sid).map(|who| Grant { who, may })
    };
    (0..count).filter_map(entry).collect()
}

/// What the bits of an access mask let somebody do with an object of a kind.
fn in_words(mask: u32, kind: Kind) -> String {
    const EVERYTHING: u32 = GENERIC_ALL;
    let (all, own): (u32, &[(u32, &str)]) = match kind {
        Kind::Section => (
            0xf_001f,
            &[
                (GENERIC_READ | 0x4, "read"),
                (GENERIC_WRITE | 0x2, "write"),
                (GENERIC_EXECUTE | 0x8, "execute"),
            ],
        ),
        Kind::Event => (
            0x1f_0003,
            &[
                (GENERIC_EXECUTE | 0x10_0000, "wait"),
                (GENERIC_WRITE | 0x2, "set"),
            ],
        ),
        Kind::Mutex => (0x1f_0001, &[(GENERIC_EXECUTE | 0x10_0000, "take")]),
        Kind::Other => (0, &[]),
    };
    if mask & EVERYTHING != 0 || all != 0 && mask & all == all {
        return "everything".to_string();
    }
    let standard = [
        (0x1_0000, "delete"),
        (0x4_0000, "change who may what"),
        (0x8_0000, "become the owner"),
    ];
    let named = own.iter().chain(&standard);
    let words: Vec<&str> = named
        .filter(|(bits, _)| mask & bits != 0)
        .map(|(_, word)| *word)
        .collect();
    match words.is_empty() {
        true => format!("{mask:#x}"),
        false => words.join(", "),
    }
}

/// This process's session; 0 is that of the services.
pub(super) fn session() -> u32 {
    let mut session = 0;
    // SAFETY: a place for the answer.
    unsafe { ProcessIdToSessionId(GetCurrentProcessId(), &raw mut session) };
    session
}

/// Whether this process may create sections in `Global\`.
pub(super) fn may_create_global() -> bool {
    session() == 0 || has_privilege("SeCreateGlobalPrivilege").unwrap_or(false)
}

/// The user of this process.
pub(super) fn this_user() -> Option<String> {
    account(user()?.sid())
}

/// Whether this process has more rights than its user has by default.
pub(super) fn is_elevated() -> bool {
    token_information(TokenElevation).is_some_and(|buffer| buffer[0] as u32 != 0)
}

/// The integrity level: 0x1000 low, 0x2000 medium, 0x3000 high, 0x4000 system.
pub(super) fn integrity() -> Option<u32> {
    let buffer = token_information(TokenIntegrityLevel)?;
    // SAFETY: GetTokenInformation filled in a TOKEN_MANDATORY_LABEL, whose SID lies in
    // the same buffer.
    let sid = unsafe { (*buffer.as_ptr().cast::<TOKEN_MANDATORY_LABEL>()).Label.Sid };
    sid_text(sid)?.rsplit('-').next()?.parse().ok()
}

pub(super) fn has_privilege(name: &str) -> Option<bool> {
    let name = wide(name);
    let mut wanted = LUID {
        LowPart: 0,
        HighPart: 0,
    };
    // SAFETY: a NUL-terminated name and a place for the answer.
    if unsafe { LookupPrivilegeValueW(null(), name.as_ptr(), &raw mut wanted) } == 0 {
        return None;
    }
    let buffer = token_information(TokenPrivileges)?;
    let at = buffer.as_ptr().cast::<TOKEN_PRIVILEGES>();
    // SAFETY: GetTokenInformation filled in a TOKEN_PRIVILEGES, whose array has
    // `PrivilegeCount` elements in the same buffer.
    let held = unsafe {
        let first = (&raw const (*at).Privileges).cast();
        std::slice::from_raw_parts::<windows_sys::Win32::Security::LUID_AND_ATTRIBUTES>(
            first,
            (*at).PrivilegeCount as usize,
        )
    };
    Some(held.iter().any(|p| {
        (p.Luid.LowPart, p.Luid.HighPart) == (wanted.LowPart, wanted.HighPart)
            && p.Attributes & SE_PRIVILEGE_ENABLED != 0
    }))
}

/// A TOKEN_USER and the SID it points to.
struct User(Vec<u64>);

impl User {
    fn sid(&self) -> PSID {
        // SAFETY: GetTokenInformation filled in a TOKEN_USER; reading it is what
        // the buffer, aligned to 8, is for.
        unsafe { (*self.0.as_ptr().cast::<TOKEN_USER>()).User.Sid }
    }
}

fn user() -> Option<User> {
    token_information(TokenUser).map(User)
}

fn token_information(class: i32) -> Option<Vec<u64>> {
    let mut token = null_mut();
    // SAFETY: the pseudo handle of this process, and a place for the answer.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return None;
    }
    // SAFETY: just opened, ours alone.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let mut buffer = vec![0u64; 1024];
    let size = size_of_val(&*buffer) as u32;
    let mut used = 0;
    // SAFETY: a buffer of exactly the size that is passed along.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            class,
            buffer.as_mut_ptr().cast(),
            size,
            &raw mut used,
        )
    };
    (done != 0).then_some(buffer)
}

fn parse(sddl: &str) -> std::result::Result<Local, u32> {
    let text = wide(sddl);
    let mut descriptor = null_mut();
    // SAFETY: a NUL-terminated text and a place for the answer.
    let done = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    };
    let code = last();
    if done == 0 {
        return Err(code);
    }
    Ok(Local(descriptor))
}

fn sddl(descriptor: &Local) -> Option<String> {
    let mut text = null_mut();
    let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    // SAFETY: a descriptor from the system and a place for the answer.
    let done = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.0,
            SDDL_REVISION_1,
            what,
            &raw mut text,
            null_mut(),
        )
    };
    (done != 0).then(|| take_text(text))
}

fn sid_text(sid: PSID) -> Option<String> {
    let mut text = null_mut();
    // SAFETY: a SID from the system and a place for the answer.
    let done = unsafe { ConvertSidToStringSidW(sid, &raw mut text) };
    (done != 0).then(|| take_text(text))
}

/// Copies and frees a NUL-terminated text that the system allocated.
fn take_text(text: *mut u16) -> String {
    let owned = Local(text.cast());
    // SAFETY: NUL-terminated, by contract of the functions that made it.
    let units = unsafe {
        let len = (0..).take_while(|i| *text.add(*i) != 0).count();
        std::slice::from_raw_parts(text, len)
    };
    let copy = String::from_utf16_lossy(units);
    drop(owned);
    copy
}

/// `DOMAIN\name (SID)`, or the SID alone where the system has no name for it.
fn account(sid: PSID) -> Option<String> {
    if sid.is_null() {
        return None;
    }
    let text = sid_text(sid)?;
    let (mut name, mut domain) = ([0u16; 256], [0u16; 256]);
    let (mut name_len, mut domain_len) = (name.len() as u32, domain.len() as u32);
    let mut kind = 0;
    // SAFETY: a SID from the system, and buffers with their lengths.
    let done = unsafe {
        LookupAccountSidW(
            null(),
            sid,
            name.as_mut_ptr(),
            &raw mut name_len,
            domain.as_mut_ptr(),
            &raw mut domain_len,
            &raw mut kind,
        )
    };
    if done == 0 {
        return Some(text);
    }
    let name = String::from_utf16_lossy(&name[..name_len as usize]);
    let domain = String::from_utf16_lossy(&domain[..domain_len as usize]);
    Some(format!("{domain}\\{name} ({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_user_and_the_privileges() {
        let sid = sid_text(user().unwrap().sid()).unwrap();
        assert!(sid.starts_with("S-1-5-"), "{sid}");
        let name = Name::new("X").unwrap();
        for access in [
            Access::SameUser,
            Access::UsersReadOnly,
            Access::InteractiveReadOnly,
        ] {
            for kind in [Kind::Section, Kind::Event, Kind::Mutex] {
                assert!(
                    attributes(&access, kind, &name).is_ok(),
                    "{access} {kind:?}"
                );
            }
        }
        assert_eq!(has_privilege("SeNoSuchPrivilege"), None);
        // "enabled by default" for every account.
        assert_eq!(has_privilege("SeChangeNotifyPrivilege"), Some(true));
    }
}
