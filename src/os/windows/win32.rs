//! The Win32 calls on named objects, processes, tokens and waits, as Windows has them.
//!
//! Tests under Wine are built with `--cfg shmkit_nt_rules`, which puts `nt_rules.rs` in the place of
//! this file: it has the same functions, and refuses what NT refuses and Wine does not.

pub(super) use windows_sys::Win32::Security::{GetTokenInformation, LookupAccountSidW};
pub(super) use windows_sys::Win32::System::JobObjects::OpenJobObjectW;
pub(super) use windows_sys::Win32::System::Memory::{CreateFileMappingW, OpenFileMappingW};
pub(super) use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
pub(super) use windows_sys::Win32::System::Threading::{
    CreateEventW, CreateMutexW, OpenEventW, OpenMutexW, OpenProcess, OpenSemaphoreW,
    OpenWaitableTimerW, WaitForMultipleObjects,
};

use super::ntdll::WaitForMessages;
use windows_sys::Win32::Foundation::HANDLE;

/// What the rules are, for `doctor`; there are none but those of the system.
pub(super) const fn rules() -> Option<&'static str> {
    None
}

/// MsgWaitForMultipleObjectsEx, which was looked up.
///
/// # Safety
///
/// As for the function itself: so many live handles.
pub(super) unsafe fn wait_for_messages(
    call: WaitForMessages,
    count: u32,
    handles: *const HANDLE,
    limit: u32,
    mask: u32,
    flags: u32,
) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { call(count, handles, limit, mask, flags) }
}
