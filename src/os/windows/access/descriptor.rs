//! Security descriptors: how they are read from text (SDDL) and from objects, taken apart, and
//! written as text. In this module accounts are SIDs; `account` finds their names.

use super::super::error::last;
use super::super::ntdll::wide;
use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr::null_mut;
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_FILE_OBJECT, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACL, DACL_SECURITY_INFORMATION, GetAce, GetSecurityDescriptorDacl,
    GetSecurityDescriptorOwner, GetSecurityDescriptorSacl, LABEL_SECURITY_INFORMATION,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
};
use windows_sys::Win32::System::SystemServices::{
    ACCESS_ALLOWED_ACE_TYPE, ACCESS_DENIED_ACE_TYPE, SYSTEM_MANDATORY_LABEL_ACE_TYPE,
};

/// INHERIT_ONLY_ACE, the flag of an entry that "does not control access to the object to which it
/// is attached" (ACE_HEADER).
const INHERIT_ONLY: u8 = 8;

/// A security descriptor in memory that the system allocated.
#[derive(Debug)]
pub(in crate::os::windows) struct Descriptor(*mut c_void);

// SAFETY: the heap memory belongs to this value alone, and to no thread.
unsafe impl Send for Descriptor {}
// SAFETY: only `for_each_mask` changes the heap memory, and it takes `&mut self`.
unsafe impl Sync for Descriptor {}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the memory came from LocalAlloc, and is freed once.
        unsafe { LocalFree(self.0) };
    }
}

/// An entry of an access list: the rights that one account is allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::os::windows) struct Entry {
    pub effect: Effect,
    pub mask: u32,
    pub sid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os::windows) enum Effect {
    Allow,
    Deny,
    /// An entry of a type that this crate does not evaluate, such as one with a condition.
    Other,
}

/// The access list of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::os::windows) enum List {
    /// The descriptor has no access list.
    Absent,
    /// The access list is null, which lets everybody do everything.
    Null,
    Entries(Vec<Entry>),
}

impl Descriptor {
    /// Reads a descriptor from SDDL; the error is the system's code.
    pub fn parse(sddl: &str) -> Result<Descriptor, u32> {
        let text = wide(sddl);
        let mut descriptor = null_mut();
        // SAFETY: `text` is NUL-terminated, and `descriptor` is a place for the answer.
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
        Ok(Descriptor(descriptor))
    }

    /// Copies the owner, the access list and the label of a descriptor that other code owns.
    #[cfg(shmkit_nt_rules)]
    pub fn copy(of: PSECURITY_DESCRIPTOR) -> Result<Descriptor, u32> {
        let borrowed = std::mem::ManuallyDrop::new(Descriptor(of));
        let sddl = borrowed.sddl().ok_or_else(last)?;
        Descriptor::parse(&sddl)
    }

    /// Reads the owner, the access list and the integrity label of an object; the handle needs
    /// READ_CONTROL.
    pub fn of_object(object: BorrowedHandle<'_>) -> Option<Descriptor> {
        let label = LABEL_SECURITY_INFORMATION;
        // Where the system does not tell the label, the descriptor is read without it.
        Descriptor::of(object, SE_KERNEL_OBJECT, label)
            .or_else(|| Descriptor::of(object, SE_KERNEL_OBJECT, 0))
    }

    /// Reads the owner and the access list of a file.
    pub fn of_file(file: BorrowedHandle<'_>) -> Option<Descriptor> {
        Descriptor::of(file, SE_FILE_OBJECT, 0)
    }

    fn of(object: BorrowedHandle<'_>, kind: i32, more: u32) -> Option<Descriptor> {
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: `object` is borrowed, so the handle is open during the call. `descriptor` is a
        // place for the answer.
        let code = unsafe {
            GetSecurityInfo(
                object.as_raw_handle(),
                kind,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | more,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                &raw mut descriptor,
            )
        };

        (code == 0 && !descriptor.is_null()).then_some(Descriptor(descriptor))
    }

    pub fn as_ptr(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }

    /// Returns the owner, the access list and the integrity label as SDDL.
    pub fn sddl(&self) -> Option<String> {
        let mut text = null_mut();
        // SAFETY: the descriptor belongs to `self`, and `text` is a place for the answer.
        let done = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                self.0,
                SDDL_REVISION_1,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                &raw mut text,
                null_mut(),
            )
        };
        (done != 0).then(|| take_text(text) + &self.label())
    }

    /// Returns whether the system's list (SACL) has an entry that is no integrity label, such as an
    /// entry for the system's log.
    pub fn has_audit(&self) -> bool {
        let mut entries = self.of_system();
        entries.any(|(form, ..)| form != SYSTEM_MANDATORY_LABEL_ACE_TYPE)
    }

    /// Returns the type, the mask and the address of the SID of each entry of the system's list
    /// (SACL).
    fn of_system(&self) -> impl Iterator<Item = (u32, u32, PSID)> {
        let (mut present, mut defaulted, mut list) = (0, 0, null_mut());
        // SAFETY: the descriptor belongs to `self`, and the pointers are places for the answer.
        let done = unsafe {
            GetSecurityDescriptorSacl(self.0, &raw mut present, &raw mut list, &raw mut defaulted)
        };
        let list = (done != 0 && present != 0 && !list.is_null()).then_some(list);
        list.into_iter().flat_map(entries).map(|at| {
            // SAFETY: every entry begins with a header and a mask. Only the address of the SID
            // behind them is computed.
            let (form, mask, sid) = unsafe {
                let sid = (&raw const (*at).SidStart).cast_mut().cast();
                ((*at).Header.AceType, (*at).Mask, sid)
            };
            (u32::from(form), mask, sid)
        })
    }

    /// Returns the integrity label as SDDL, such as `S:(ML;;NW;;;ME)`; an empty text where there is
    /// no label.
    pub fn label(&self) -> String {
        let label = self.of_system().find_map(|(form, mask, sid)| {
            // An entry of this type ends with a SID at that address.
            (form == SYSTEM_MANDATORY_LABEL_ACE_TYPE)
                .then(|| sid_text(sid))
                .flatten()
                .map(|sid| (mask, sid))
        });
        let Some((mask, level)) = label else {
            return String::new();
        };

        let policies = [(1, "NW"), (2, "NR"), (4, "NX")];
        let set = policies.iter().filter(|(bit, _)| mask & bit != 0);
        let policy: String = set.map(|(_, word)| *word).collect();
        let level = match &*level {
            "S-1-16-4096" => "LW",
            "S-1-16-8192" => "ME",
            "S-1-16-12288" => "HI",
            "S-1-16-16384" => "SI",
            sid => sid,
        };
        format!("S:(ML;;{policy};;;{level})")
    }

    /// Returns the SID of the owner; `None` where the descriptor names no owner.
    pub fn owner(&self) -> Option<String> {
        let (mut owner, mut defaulted) = (null_mut(), 0);
        // SAFETY: the descriptor belongs to `self`, and the pointers are places for the answer.
        let done =
            unsafe { GetSecurityDescriptorOwner(self.0, &raw mut owner, &raw mut defaulted) };
        (done != 0).then(|| sid_text(owner)).flatten()
    }

    /// Returns the access list: the entries that control access to this object.
    pub fn list(&self) -> List {
        match self.acl() {
            None => List::Absent,
            Some(acl) if acl.is_null() => List::Null,
            Some(acl) => List::Entries(entries(acl).filter_map(entry).collect()),
        }
    }

    /// Changes the rights of each entry that allows or denies.
    #[cfg(shmkit_nt_rules)]
    pub fn for_each_mask(&mut self, change: impl Fn(u32) -> u32) {
        let acl = self.acl().filter(|acl| !acl.is_null());
        for at in acl.into_iter().flat_map(entries) {
            if entry(at).is_some_and(|entry| entry.effect != Effect::Other) {
                // SAFETY: an entry that allows or denies has a mask at this place. The memory
                // belongs to `self`, which is borrowed mutably.
                unsafe { (*at).Mask = change((*at).Mask) };
            }
        }
    }

    /// Returns the access list; `None` where the descriptor has none, and null for a list that
    /// denies nobody.
    fn acl(&self) -> Option<*mut ACL> {
        let (mut present, mut defaulted, mut list) = (0, 0, null_mut());
        // SAFETY: the descriptor belongs to `self`, and the pointers are places for the answer.
        let done = unsafe {
            GetSecurityDescriptorDacl(self.0, &raw mut present, &raw mut list, &raw mut defaulted)
        };
        (done != 0 && present != 0).then_some(list)
    }
}

/// Returns the entries of a list that is not null.
fn entries(acl: *mut ACL) -> impl Iterator<Item = *mut ACCESS_ALLOWED_ACE> {
    // SAFETY: `acl` points to a list inside a descriptor.
    let count = unsafe { (*acl).AceCount };
    (0..count).filter_map(move |n| {
        let mut at = null_mut();
        // SAFETY: `n` is less than the number of entries of the list.
        let done = unsafe { GetAce(acl, n.into(), &raw mut at) };
        (done != 0).then_some(at.cast())
    })
}

/// Reads an entry; `None` for an entry that does not control access to this object.
fn entry(at: *mut ACCESS_ALLOWED_ACE) -> Option<Entry> {
    // SAFETY: every entry begins with a header and a mask; see below for the SID.
    let (form, flags, mask) = unsafe { ((*at).Header.AceType, (*at).Header.AceFlags, (*at).Mask) };
    let effect = match u32::from(form) {
        ACCESS_ALLOWED_ACE_TYPE => Effect::Allow,
        ACCESS_DENIED_ACE_TYPE => Effect::Deny,
        _ => Effect::Other,
    };
    if flags & INHERIT_ONLY != 0 {
        return None;
    }

    let sid = match effect {
        Effect::Other => String::new(),
        // SAFETY: entries of these two types end with a SID at this place.
        _ => sid_text(unsafe { (&raw const (*at).SidStart).cast_mut().cast() })?,
    };
    Some(Entry { effect, mask, sid })
}

/// Returns a SID as text, `S-1-5-…`; `None` for null.
pub(in crate::os::windows) fn sid_text(sid: PSID) -> Option<String> {
    if sid.is_null() {
        return None;
    }
    let mut text = null_mut();
    // SAFETY: `sid` is a SID from the system, and `text` is a place for the answer.
    let done = unsafe { ConvertSidToStringSidW(sid, &raw mut text) };
    (done != 0).then(|| take_text(text))
}

/// Copies and frees a NUL-terminated text that the system allocated.
fn take_text(text: *mut u16) -> String {
    // SAFETY: the text is NUL-terminated, by the contract of the functions that made it.
    let units = unsafe {
        let len = (0..).take_while(|i| *text.add(*i) != 0).count();
        std::slice::from_raw_parts(text, len)
    };
    let copy = String::from_utf16_lossy(units);
    // SAFETY: the memory came from LocalAlloc, and is freed once.
    unsafe { LocalFree(text.cast()) };
    copy
}
