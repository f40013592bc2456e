//! Who may do what: descriptors of new sections, owners of existing ones, and
//! the one privilege that matters.

use super::nt::wide;
use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use windows_sys::Win32::Foundation::{HANDLE, LUID, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, LookupAccountSidW, LookupPrivilegeValueW,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SE_PRIVILEGE_ENABLED,
    SECURITY_ATTRIBUTES, TOKEN_PRIVILEGES, TOKEN_QUERY, TOKEN_USER, TokenPrivileges, TokenUser,
};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, OpenProcessToken,
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

/// The security attributes of a new section: this user, and nobody else. `None`
/// where the system would not build them; a section is then not created, since
/// the default would let others in.
pub(super) fn same_user() -> Option<SECURITY_ATTRIBUTES> {
    static DESCRIPTOR: OnceLock<Option<Local>> = OnceLock::new();
    let descriptor = DESCRIPTOR.get_or_init(|| {
        let me = sid_text(user().as_ref()?.sid())?;
        parse(&format!("O:{me}D:P(A;;GA;;;{me})"))
    });
    Some(SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor.as_ref()?.0,
        bInheritHandle: 0,
    })
}

/// The owner of an object, and its access list as SDDL.
pub(super) fn describe(object: HANDLE) -> (Option<String>, Option<String>) {
    let mut owner = null_mut();
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    // SAFETY: a live handle, and places for what is wanted.
    let code = unsafe {
        GetSecurityInfo(
            object,
            SE_KERNEL_OBJECT,
            what,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    if code != 0 || descriptor.is_null() {
        return (None, None);
    }
    let descriptor = Local(descriptor);
    (account(owner), sddl(&descriptor))
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

fn has_privilege(name: &str) -> Option<bool> {
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

fn parse(sddl: &str) -> Option<Local> {
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
    (done != 0).then_some(Local(descriptor))
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
        assert!(same_user().is_some());
        assert_eq!(has_privilege("SeNoSuchPrivilege"), None);
        // "enabled by default" for every account.
        assert_eq!(has_privilege("SeChangeNotifyPrivilege"), Some(true));
    }
}
