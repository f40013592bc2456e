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

/// A SID in memory that the system allocated.
struct Sid(PSID);

impl Sid {
    /// Reads a SID from text; `None` if the text is no SID.
    fn parse(text: &str) -> Option<Sid> {
        let text = wide(text);
        let mut sid: PSID = null_mut();
        // SAFETY: `text` is NUL-terminated, and `sid` is a place for the answer.
        let done = unsafe { ConvertStringSidToSidW(text.as_ptr(), &raw mut sid) };
        (done != 0).then_some(Sid(sid))
    }
}

impl Drop for Sid {
    fn drop(&mut self) {
        // SAFETY: ConvertStringSidToSidW allocated the SID, and it is freed once.
        unsafe { LocalFree(self.0) };
    }
}

fn look_up(sid: &str) -> Option<String> {
    let sid = Sid::parse(sid)?;
    let (mut name, mut domain) = ([0u16; 256], [0u16; 256]);
    let (mut name_len, mut domain_len) = (name.len() as u32, domain.len() as u32);
    let mut kind = 0;
    // SAFETY: `sid` is a valid SID, which is freed after the call. The buffers are passed with their
    // lengths.
    let done = unsafe {
        LookupAccountSidW(
            null(),
            sid.0,
            name.as_mut_ptr(),
            &raw mut name_len,
            domain.as_mut_ptr(),
            &raw mut domain_len,
            &raw mut kind,
        )
    };

    let text = |units: &[u16], len: u32| String::from_utf16_lossy(&units[..len as usize]);
    (done != 0).then(|| format!("{}\\{}", text(&domain, domain_len), text(&name, name_len)))
}

/// Returns the SID of an account, which is given by its SID or by its name.
pub(in crate::os::windows) fn sid_of(account: &str) -> Result<String> {
    if account.starts_with("S-1-") {
        // The text becomes a part of SDDL, and so must be a SID and nothing else.
        let sid = Sid::parse(account).and_then(|sid| sid_text(sid.0));
        return sid.ok_or_else(|| {
            let (kind, meaning) = (ErrorKind::InvalidArgument, "it is not a valid SID");
            let error = Error::new(kind, Operation::Access, &account, meaning);
            error
                .with_advice("write the SID as whoami /groups shows it, or the name of the account")
        });
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
