//! The Win32 calls on named objects, processes, tokens and waits, as Windows has them.
//!
//! Tests under Wine are built with `--cfg shmkit_nt_rules`, which puts `nt_rules.rs` in the place
//! of this file. That file has the same functions, and refuses what NT refuses and Wine does not.

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

/// Returns the rules of this build, for `doctor`; `None`, since only the rules of the system apply.
pub(super) const fn rules() -> Option<&'static str> {
    None
}

/// Calls MsgWaitForMultipleObjectsEx, whose address is `call`.
///
/// # Safety
///
/// As for the function itself: `handles` points to `count` live handles.
pub(super) unsafe fn wait_for_messages(
    call: WaitForMessages,
    count: u32,
    handles: *const HANDLE,
    limit: u32,
    mask: u32,
    flags: u32,
) -> u32 {
    // SAFETY: the caller promises `count` live handles.
    unsafe { call(count, handles, limit, mask, flags) }
}
