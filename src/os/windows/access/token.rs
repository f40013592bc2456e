//! The account of this process: its user, session, privileges and integrity level.

use super::super::ntdll::wide;
use super::super::win32::{GetTokenInformation, ProcessIdToSessionId};
use super::descriptor::sid_text;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::LUID;
use windows_sys::Win32::Security::{
    LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED, TOKEN_MANDATORY_LABEL,
    TOKEN_OWNER, TOKEN_PRIVILEGES, TOKEN_QUERY, TOKEN_USER, TokenElevation, TokenIntegrityLevel,
    TokenOwner, TokenPrivileges, TokenUser,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, GetCurrentThread, OpenProcessToken, OpenThreadToken,
};

/// The integrity level of ordinary programs (SECURITY_MANDATORY_MEDIUM_RID).
pub(in crate::os::windows) const MEDIUM: u32 = 0x2000;

/// The identity of a caller, as the system sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::os::windows) struct Identity {
    /// The SID of the user.
    pub user: String,
    /// The owner of an object whose descriptor names no owner: the user, or
    /// `BUILTIN\Administrators` for an elevated administrator.
    pub default_owner: String,
    /// The integrity level: 0x1000 low, [`MEDIUM`], 0x3000 high, 0x4000 system.
    pub integrity: u32,
}

/// Returns the identity of this thread, as the system sees it. By "the primary or impersonation
/// token of the creating process" (Owner of a New Object) the system decides which objects may be
/// created and opened.
pub(in crate::os::windows) fn identity() -> Option<Identity> {
    identity_of(&impersonation().or_else(process)?)
}

fn identity_of(token: &OwnedHandle) -> Option<Identity> {
    let user = information(token, TokenUser)?;
    let owner = information(token, TokenOwner)?;
    let label = information(token, TokenIntegrityLevel)?;

    // SAFETY: GetTokenInformation stored these structures in the buffers, which are aligned to 8.
    // The SIDs lie in the same buffers.
    let [user, default_owner, label] = unsafe {
        [
            (*user.as_ptr().cast::<TOKEN_USER>()).User.Sid,
            (*owner.as_ptr().cast::<TOKEN_OWNER>()).Owner,
            (*label.as_ptr().cast::<TOKEN_MANDATORY_LABEL>()).Label.Sid,
        ]
    }
    .map(sid_text);

    Some(Identity {
        user: user?,
        default_owner: default_owner?,
        integrity: label?.rsplit('-').next()?.parse().ok()?,
    })
}

/// Returns the SID of the user of a process.
pub(in crate::os::windows) fn user_of(process: BorrowedHandle<'_>) -> Option<String> {
    let mut token = null_mut();
    // SAFETY: `process` is borrowed, so the handle is open during the call, and `token` is a place
    // for the answer.
    let done = unsafe { OpenProcessToken(process.as_raw_handle(), TOKEN_QUERY, &raw mut token) };
    // SAFETY: the token was just opened, and no other value owns it.
    let token = (done != 0).then(|| unsafe { OwnedHandle::from_raw_handle(token) })?;
    let user = information(&token, TokenUser)?;
    // SAFETY: GetTokenInformation stored this structure in the buffer, which is aligned to 8. The
    // SID lies in the same buffer.
    sid_text(unsafe { (*user.as_ptr().cast::<TOKEN_USER>()).User.Sid })
}

/// Returns the session of this process; 0 is the session of the services.
pub(in crate::os::windows) fn session() -> u32 {
    let mut session = 0;
    // SAFETY: `session` is a place for the answer.
    unsafe { ProcessIdToSessionId(GetCurrentProcessId(), &raw mut session) };
    session
}

/// Returns whether this process may create sections in `Global\`.
pub(in crate::os::windows) fn may_create_global() -> bool {
    session() == 0 || has_privilege("SeCreateGlobalPrivilege").unwrap_or(false)
}

/// Returns whether this process has more rights than its user has by default.
pub(in crate::os::windows) fn is_elevated() -> bool {
    let elevation = process().and_then(|token| information(&token, TokenElevation));
    elevation.is_some_and(|buffer| buffer[0] as u32 != 0)
}

/// Returns whether this thread has a privilege that is enabled; `None` where there is no such
/// privilege, or the system does not tell.
pub(in crate::os::windows) fn has_privilege(name: &str) -> Option<bool> {
    let name = wide(name);
    let mut wanted = LUID {
        LowPart: 0,
        HighPart: 0,
    };
    // SAFETY: `name` is NUL-terminated, and `wanted` is a place for the answer.
    if unsafe { LookupPrivilegeValueW(null(), name.as_ptr(), &raw mut wanted) } == 0 {
        return None;
    }

    let buffer = information(&impersonation().or_else(process)?, TokenPrivileges)?;
    let at = buffer.as_ptr().cast::<TOKEN_PRIVILEGES>();
    // SAFETY: GetTokenInformation stored a TOKEN_PRIVILEGES in the buffer. Its array has
    // `PrivilegeCount` elements, which lie in the same buffer.
    let held = unsafe {
        let first = (&raw const (*at).Privileges).cast::<LUID_AND_ATTRIBUTES>();
        std::slice::from_raw_parts(first, (*at).PrivilegeCount as usize)
    };

    Some(held.iter().any(|p| {
        (p.Luid.LowPart, p.Luid.HighPart) == (wanted.LowPart, wanted.HighPart)
            && p.Attributes & SE_PRIVILEGE_ENABLED != 0
    }))
}

fn process() -> Option<OwnedHandle> {
    let mut token = null_mut();
    // SAFETY: the pseudo handle of this process is always valid, and `token` is a place for the
    // answer.
    let done = unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) };
    // SAFETY: the token was just opened, and no other value owns it.
    (done != 0).then(|| unsafe { OwnedHandle::from_raw_handle(token) })
}

/// Returns the token of the account that this thread impersonates; `None` where it impersonates
/// none.
fn impersonation() -> Option<OwnedHandle> {
    let mut token = null_mut();
    // SAFETY: the pseudo handle of this thread is always valid, and `token` is a place for the
    // answer. The process asks for the token, and not the thread, so that a low level of
    // impersonation does not hide the token.
    let done = unsafe { OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, 1, &raw mut token) };
    // SAFETY: the token was just opened, and no other value owns it.
    (done != 0).then(|| unsafe { OwnedHandle::from_raw_handle(token) })
}

fn information(token: &OwnedHandle, class: i32) -> Option<Vec<u64>> {
    let mut buffer = vec![0u64; 1024];
    let size = size_of_val(&*buffer) as u32;
    let mut used = 0;
    // SAFETY: the buffer has exactly the size that is passed with it.
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
