//! The names of accounts, for people. The system may ask a domain controller for a name, which can
//! take seconds. So only code that shows a name to people asks for it, and each name is asked for
//! once.

use super::super::error::last;
use super::super::ntdll::wide;
use super::super::win32::LookupAccountSidW;
use super::descriptor::sid_text;
use super::token;
use crate::error::{Error, ErrorKind, Operation, Result};
use std::collections::HashMap;
use std::ptr::{null, null_mut};
use std::sync::{LazyLock, Mutex, PoisonError};
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::ConvertStringSidToSidW;
use windows_sys::Win32::Security::{LookupAccountNameW, PSID};

/// Returns `name (SID)` for this user and for some accounts that every system has, and the SID
/// alone for other accounts. Does not ask the system for a name.
pub(in crate::os::windows) fn brief(sid: &str) -> String {
    let name = match sid {
        "S-1-5-18" => "NT AUTHORITY\\SYSTEM",
        "S-1-5-19" => "NT AUTHORITY\\LOCAL SERVICE",
        "S-1-5-20" => "NT AUTHORITY\\NETWORK SERVICE",
        "S-1-5-32-544" => "BUILTIN\\Administrators",
        _ if token::identity().is_some_and(|me| me.user == sid) => "this user",
        _ => return sid.to_string(),
    };
    format!("{name} ({sid})")
}

/// Returns `DOMAIN\name (SID)`, or the SID alone where the system has no name for it.
///
/// "If the name cannot be resolved on the local system, this function will try to resolve the name
/// using domain controllers" (LookupAccountSidW).
pub(crate) fn shown(sid: &str) -> String {
    static KNOWN: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known().get(sid) {
        return name.clone();
    }
    let name = look_up(sid).map_or(sid.to_string(), |name| format!("{name} ({sid})"));
    known().insert(sid.to_string(), name.clone());
    name
}

fn look_up(sid: &str) -> Option<String> {
    let text = wide(sid);
    let mut sid: PSID = null_mut();
    // SAFETY: `text` is NUL-terminated, and `sid` is a place for the answer.
    if unsafe { ConvertStringSidToSidW(text.as_ptr(), &raw mut sid) } == 0 {
        return None;
    }

    let (mut name, mut domain) = ([0u16; 256], [0u16; 256]);
    let (mut name_len, mut domain_len) = (name.len() as u32, domain.len() as u32);
    let mut kind = 0;
    // SAFETY: `sid` is a SID that the system has just allocated, and only this block frees it. The
    // buffers are passed with their lengths.
    let done = unsafe {
        let done = LookupAccountSidW(
            null(),
            sid,
            name.as_mut_ptr(),
            &raw mut name_len,
            domain.as_mut_ptr(),
            &raw mut domain_len,
            &raw mut kind,
        );
        LocalFree(sid);
        done
    };

    let text = |units: &[u16], len: u32| String::from_utf16_lossy(&units[..len as usize]);
    (done != 0).then(|| format!("{}\\{}", text(&domain, domain_len), text(&name, name_len)))
}

/// Returns the SID of an account, which is given by its SID or by its name.
pub(in crate::os::windows) fn sid_of(account: &str) -> Result<String> {
    if account.starts_with("S-1-") {
        return Ok(account.to_string());
    }

    let name = wide(account);
    let (mut sid, mut domain) = ([0u64; 32], [0u16; 256]);
    let (mut sid_len, mut domain_len) = (size_of_val(&sid) as u32, domain.len() as u32);
    let mut kind = 0;
    // SAFETY: `name` is NUL-terminated, and the buffers are passed with their lengths.
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
