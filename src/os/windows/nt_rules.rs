//! The calls of `win32.rs` with the checks that NT makes and Wine does not, so that tests under
//! Wine are as strict as tests on NT. This file is built with `--cfg shmkit_nt_rules` only.
//!
//! Each rule is one function below, and the comment of the function quotes the source of the rule.
//! Some rules depend on the account. The words in the environment variable `SHMKIT_NT_RULES` tell
//! which account is simulated; without words, it is an ordinary user on a desktop:
//!
//! | word | what it simulates |
//! |---|---|
//! | `elevated` | the full token of an administrator, whose objects belong to `BUILTIN\Administrators` |
//! | `privileged` | the privilege SeCreateGlobalPrivilege is there and enabled |
//! | `session-0` | the session of the services |
//! | `high`, `low` | these integrity levels |
//! | `deny=PID` | no process of this number may be opened; `deny=others`: none but this one |
//! | `punctual` | no wait ends early |

#![allow(non_snake_case, reason = "the functions have the names of Win32")]

use super::access::descriptor::{Descriptor, Effect, List};
use super::access::rights::{READ_CONTROL, everything};
use super::access::token::{self, Identity};
use super::ntdll::WaitForMessages;
use crate::os::Kind;
use crate::sync::{AtomicU32, Ordering};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::os::windows::io::{AsHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::sync::OnceLock;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_OWNER, ERROR_INVALID_PARAMETER, ERROR_PRIVILEGE_NOT_HELD,
    GENERIC_ALL, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE, GetLastError, HANDLE, SetLastError,
    WAIT_FAILED,
};
use windows_sys::Win32::Security as sec;
use windows_sys::Win32::System::{
    JobObjects as jobs, Memory as memory, RemoteDesktop as desktop, Threading as threads,
};
use windows_sys::core::{BOOL, PCWSTR};

/// The account and the session that are simulated.
#[derive(Clone, Debug, Default)]
struct Played {
    elevated: bool,
    privileged: bool,
    session_0: bool,
    high: bool,
    low: bool,
    punctual: bool,
    denied: BTreeSet<u32>,
    others_denied: bool,
}

impl Played {
    fn by(words: &str) -> Played {
        let mut played = Played::default();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            match word {
                "elevated" => played.elevated = true,
                "privileged" => played.privileged = true,
                "session-0" => played.session_0 = true,
                "high" => played.high = true,
                "low" => played.low = true,
                "punctual" => played.punctual = true,
                "deny=others" => played.others_denied = true,
                _ => match word.strip_prefix("deny=").map(str::parse) {
                    Some(Ok(pid)) => drop(played.denied.insert(pid)),
                    _ => panic!("SHMKIT_NT_RULES: there is no word {word:?}"),
                },
            }
        }

        played
    }
}

fn words() -> &'static str {
    static WORDS: OnceLock<String> = OnceLock::new();
    WORDS.get_or_init(|| std::env::var("SHMKIT_NT_RULES").unwrap_or_default())
}

fn played() -> &'static Played {
    static PLAYED: OnceLock<Played> = OnceLock::new();
    PLAYED.get_or_init(|| Played::by(words()))
}

/// Returns the account that is simulated, for `doctor`.
pub(super) fn rules() -> Option<&'static str> {
    match words() {
        "" => Some("an ordinary user"),
        words => Some(words),
    }
}

type Refusal<T = ()> = Result<T, u32>;

// Rule 1

/// Replaces the generic rights in a list by rights of the object's type, as the system does when an
/// object is created. The system uses the type's "access mask values that specify the mapping
/// between each generic rights to object-specific rights" (SeAssignSecurityEx).
fn map_generic_rights(descriptor: &mut Descriptor, kind: Kind) {
    // Measured on Windows 7 to 10: the type information of NtQueryObject.
    let (read, write, execute, all) = match kind {
        Kind::Section => (0x2_0005, 0x2_0002, 0x2_0008, 0xf_001f),
        Kind::Event => (0x2_0001, 0x2_0002, 0x12_0000, 0x1f_0003),
        Kind::Mutex | Kind::Other => (0x2_0001, 0x2_0000, 0x12_0000, 0x1f_0001),
    };

    let generic = [
        (GENERIC_READ, read),
        (GENERIC_WRITE, write),
        (GENERIC_EXECUTE, execute),
        (GENERIC_ALL, all),
    ];

    descriptor.for_each_mask(|mask| {
        let named = mask & 0x0fff_ffff;
        let meant = generic.iter().filter(|(bit, _)| mask & bit != 0);
        meant.fold(named, |mapped, (_, rights)| mapped | rights)
    });
}

// Rule 2

/// Refuses to open an object with a right that its list does not grant: "When you call the
/// OpenEvent, OpenMutex, … functions, the system checks the requested access rights against the
/// object's security descriptor" (Synchronization Object Security and Access Rights). A section has
/// no right to wait: "File mapping objects do not support the SYNCHRONIZE standard access right"
/// (File-Mapping Security and Access Rights).
fn check_rights(found: &Descriptor, wanted: u32, me: &Identity, elevated: bool) -> Refusal {
    // MS-DTYP 2.5.3.2: the entries count in their order, and the first entry that names a right
    // decides about that right.
    let mut left = wanted & !GENERIC_ALL;
    const EVERYONE: &str = "S-1-1-0";
    const INTERACTIVE: &str = "S-1-5-4";
    const AUTHENTICATED: &str = "S-1-5-11";
    const ADMINISTRATORS: &str = "S-1-5-32-544";
    const OWNER_RIGHTS: &str = "S-1-3-4";
    let groups = [EVERYONE, INTERACTIVE, AUTHENTICATED];

    let entries = match found.list() {
        List::Entries(entries) => entries,
        List::Absent | List::Null => return Ok(()),
    };

    let owns = found.owner().is_some_and(|owner| owner == me.user);
    if owns && !entries.iter().any(|entry| entry.sid == OWNER_RIGHTS) {
        // Without an entry for OWNER RIGHTS, the owner has READ_CONTROL and WRITE_DAC.
        left &= !0x6_0000;
    }

    for entry in entries {
        let is_owner = owns && entry.sid == OWNER_RIGHTS;
        let is_me = is_owner || entry.sid == me.user || groups.contains(&&*entry.sid);
        let is_administrator = entry.sid == ADMINISTRATORS;
        match entry.effect {
            // An account that is not elevated has the group of administrators for denying only.
            Effect::Deny if (is_me || is_administrator) && entry.mask & left != 0 => {
                return Err(ERROR_ACCESS_DENIED);
            }
            Effect::Allow if is_me || is_administrator && elevated => left &= !entry.mask,
            _ => {}
        }
    }

    match left {
        0 => Ok(()),
        _ => Err(ERROR_ACCESS_DENIED),
    }
}

// Rule 3

/// Refuses an owner that "is not a SID that the caller is authorized to assign as the owner of an
/// object" (SeAssignSecurityEx). The caller may assign its own user, and a group that the token
/// marks as an owner.
fn check_owner(descriptor: &Descriptor, me: &Identity) -> Refusal {
    match descriptor.owner() {
        Some(owner) if owner != me.user && owner != me.default_owner => Err(ERROR_INVALID_OWNER),
        _ => Ok(()),
    }
}

/// Sets the owner of a descriptor that names no owner: "The owner of a new object is the default
/// owner security identifier (SID) from the primary or impersonation token of the creating process"
/// (Owner of a New Object).
fn with_default_owner(descriptor: Descriptor, me: &Identity) -> Refusal<Descriptor> {
    match (descriptor.owner(), descriptor.sddl()) {
        (None, Some(sddl)) => Descriptor::parse(&format!("O:{}{sddl}", me.default_owner)),
        _ => Ok(descriptor),
    }
}

// Rule 4

/// Refuses to create a section in `Global\` without the privilege. "An application must have
/// SeCreateGlobalPrivilege enabled in order to create a file-mapping object … in the global
/// namespace", "from a session other than session zero"; "the privilege check is limited to the
/// creation of these objects" (Kernel Object Namespaces). That page lists sections and symbolic
/// links, so events and mutexes need no privilege.
fn check_privilege(kind: Kind, name: &str, played: &Played) -> Refusal {
    let may = played.privileged || played.session_0;
    if kind == Kind::Section && name.starts_with("Global\\") && !may {
        Err(ERROR_ACCESS_DENIED)
    } else {
        Ok(())
    }
}

// Rule 5

/// Returns the name under which the system looks for an object. "Service applications use the
/// global namespace by default" (Kernel Object Namespaces). In their session, 0, `Local\` leads to
/// the global namespace too: `Local\X`, `Global\X` and `X` are one object. (The documentation does
/// not tell that of `Local\`; others measured it.)
fn place(name: &str, played: &Played) -> String {
    match name.strip_prefix("Local\\") {
        Some(base) if played.session_0 => format!("Global\\{base}"),
        None if played.session_0 && !name.contains('\\') => format!("Global\\{name}"),
        _ => name.to_string(),
    }
}

// Rule 6

/// Refuses a new object whose label does not fit the level of its creator. At the level high, each
/// new object needs a label that lets programs of medium integrity write it. This is stricter than
/// NT, where an object without a label counts as of medium integrity if its creator has medium
/// integrity or more. The sentence "Objects you create receive your integrity level (medium or
/// high)" (Mandatory Integrity Control) can be read to demand such a label. Below medium, a label
/// that is higher than the creator's level needs a privilege.
fn check_label(descriptor: &Descriptor, played: &Played) -> Refusal {
    let label = descriptor.label();
    if played.low && !label.is_empty() && label != LOW {
        return Err(ERROR_PRIVILEGE_NOT_HELD);
    }
    if played.high && label != MEDIUM && label != LOW {
        Err(ERROR_ACCESS_DENIED)
    } else {
        Ok(())
    }
}

const MEDIUM: &str = "S:(ML;;NW;;;ME)";
const LOW: &str = "S:(ML;;NW;;;LW)";

/// Adds the label of the process to an object without a label, where the process is below medium
/// integrity.
fn with_default_label(descriptor: Descriptor, played: &Played) -> Refusal<Descriptor> {
    match (
        played.low && descriptor.label().is_empty(),
        descriptor.sddl(),
    ) {
        (true, Some(sddl)) => Descriptor::parse(&format!("{sddl}{LOW}")),
        _ => Ok(descriptor),
    }
}

/// Refuses to let a process of low integrity write an object of medium integrity: the process may
/// neither map a section for writing nor set an event. Waiting for a mutex and releasing a mutex
/// are not writes. "Any object without an integrity SID is treated as if it had medium integrity"
/// (Mandatory Integrity Control).
fn check_level(kind: Kind, found: &Descriptor, wanted: u32, played: &Played) -> Refusal {
    let writes = match kind {
        Kind::Section | Kind::Event => 0x2,
        Kind::Mutex | Kind::Other => 0,
    };
    if played.low && found.label() != LOW && wanted & (writes | 0xd_0000) != 0 {
        Err(ERROR_ACCESS_DENIED)
    } else {
        Ok(())
    }
}

// Rule 7

/// Returns the time-out of a wait, where every second wait ends a tick of 15.6 ms early: "If the
/// time-out interval is less than the resolution of the system clock, the wait may time out in less
/// than the specified length of time" (Wait Functions).
fn limit_of(limit: u32, played: &Played) -> u32 {
    static WAITS: AtomicU32 = AtomicU32::new(0);
    let is_timed = limit != 0 && limit != u32::MAX && !played.punctual;
    if is_timed && WAITS.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
        limit.saturating_sub(16)
    } else {
        limit
    }
}

// Rule 8

/// Refuses to open some processes. The list of a process tells which accounts may open it (Process
/// Security and Access Rights). The list of a service lets no desktop program open the service.
fn check_process(pid: u32, played: &Played) -> Refusal {
    let denied = played.denied.contains(&pid)
        || played.others_denied && pid != std::process::id() && pid != 0;
    if denied {
        return Err(ERROR_ACCESS_DENIED);
    }
    Ok(())
}

/// Refuses handles that occur twice: "It may not contain multiple copies of the same handle"
/// (WaitForMultipleObjects). This is stricter than NT, which accepts copies where one handle is
/// enough to end the wait.
///
/// # Safety
///
/// `handles` points to `count` handles.
unsafe fn check_handles(count: u32, handles: *const HANDLE) -> Refusal {
    let mut seen = BTreeSet::new();
    for n in 0..count as usize {
        // SAFETY: the caller promises `count` handles, and `n` is less than `count`.
        if !seen.insert(unsafe { *handles.add(n) } as usize) {
            return Err(ERROR_INVALID_PARAMETER);
        }
    }
    Ok(())
}

// Creating and opening

/// Returns the rights that a create asks for where the object exists: "full access"
/// (Synchronization Object Security and Access Rights). For a section, full access is what its
/// protection needs.
fn full(kind: Kind) -> u32 {
    match kind {
        Kind::Section => 0xf_0007,
        _ => everything(kind),
    }
}

fn opening(kind: Kind) -> Open {
    match kind {
        Kind::Section => memory::OpenFileMappingW,
        Kind::Event => threads::OpenEventW,
        Kind::Mutex => threads::OpenMutexW,
        Kind::Other => threads::OpenSemaphoreW,
    }
}

type Open = unsafe extern "system" fn(u32, BOOL, PCWSTR) -> HANDLE;

/// Returns the descriptor of an existing object; `None` where no object has the name, or this
/// account may not read the descriptor.
fn existing(kind: Kind, name: &[u16]) -> Option<Descriptor> {
    // SAFETY: `name` is NUL-terminated: it comes from `wide`.
    let handle = unsafe { opening(kind)(READ_CONTROL, 0, name.as_ptr()) };
    if handle.is_null() {
        return None;
    }
    // SAFETY: the handle was just opened, and no other value owns it.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Descriptor::of_object(handle.as_handle())
}

fn create(
    kind: Kind,
    attributes: *const sec::SECURITY_ATTRIBUTES,
    name: PCWSTR,
    played: &Played,
    call: impl Fn(*const sec::SECURITY_ATTRIBUTES, PCWSTR) -> HANDLE,
) -> HANDLE {
    if name.is_null() || attributes.is_null() {
        return call(attributes, name);
    }
    // SAFETY: neither pointer is null. The attributes are valid, and the name is NUL-terminated, by
    // the contract of the Win32 functions that call this one.
    let (mut attributes, name) = unsafe { (*attributes, text(name)) };
    let name = place(&name, played);
    let at = super::ntdll::wide(&name);

    let prepare = || {
        let me = token::identity().ok_or(ERROR_ACCESS_DENIED)?;
        if let Some(found) = existing(kind, &at) {
            check_rights(&found, full(kind), &me, played.elevated)?;
            check_level(kind, &found, full(kind), played)?;
            return Ok(None);
        }

        check_privilege(kind, &name, played)?;
        let descriptor = Descriptor::copy(attributes.lpSecurityDescriptor)?;
        check_owner(&descriptor, &me)?;
        check_label(&descriptor, played)?;
        let descriptor = with_default_owner(descriptor, &me)?;
        let mut descriptor = with_default_label(descriptor, played)?;
        map_generic_rights(&mut descriptor, kind);
        Ok(Some(descriptor))
    };

    match prepare() {
        Ok(descriptor) => {
            if let Some(descriptor) = &descriptor {
                attributes.lpSecurityDescriptor = descriptor.as_ptr();
            }
            let handle = call(&raw const attributes, at.as_ptr());
            keep_error(|| drop(descriptor));
            handle
        }
        Err(code) => refuse(code),
    }
}

fn open(
    kind: Option<Kind>,
    call: Open,
    rights: u32,
    inherit: BOOL,
    name: PCWSTR,
    played: &Played,
) -> HANDLE {
    // SAFETY: the name is NUL-terminated, by the contract of the Win32 functions that call this
    // one.
    let name = place(&unsafe { text(name) }, played);
    let at = super::ntdll::wide(&name);
    if let Some(kind) = kind
        && let Some(found) = existing(kind, &at)
    {
        let me = token::identity();
        let checked = me.map(|me| check_rights(&found, rights, &me, played.elevated));
        let level = check_level(kind, &found, rights, played);
        if checked != Some(Ok(())) || level.is_err() {
            return refuse(ERROR_ACCESS_DENIED);
        }
    }

    // SAFETY: `at` is NUL-terminated: it comes from `wide`.
    unsafe { call(rights, inherit, at.as_ptr()) }
}

/// Copies a text.
///
/// # Safety
///
/// `at` points to a NUL-terminated text.
unsafe fn text(at: PCWSTR) -> String {
    // SAFETY: the caller promises that the text is NUL-terminated.
    let units = unsafe {
        let len = (0..).take_while(|n| *at.add(*n) != 0).count();
        std::slice::from_raw_parts(at, len)
    };
    String::from_utf16_lossy(units)
}

fn refuse(code: u32) -> HANDLE {
    // SAFETY: SetLastError takes a number.
    unsafe { SetLastError(code) };
    null_mut()
}

/// Calls `what`, and restores the value of GetLastError afterwards.
fn keep_error(what: impl FnOnce()) {
    // SAFETY: GetLastError takes no argument.
    let code = unsafe { GetLastError() };
    what();
    // SAFETY: SetLastError takes a number.
    unsafe { SetLastError(code) };
}

// The calls

pub(super) unsafe extern "system" fn CreateFileMappingW(
    file: HANDLE,
    attributes: *const sec::SECURITY_ATTRIBUTES,
    protection: u32,
    high: u32,
    low: u32,
    name: PCWSTR,
) -> HANDLE {
    create(
        Kind::Section,
        attributes,
        name,
        played(),
        |attributes, name| {
            // SAFETY: the caller keeps the contract of this function. `create` passes the caller's
            // descriptor and name, or valid ones of its own.
            unsafe { memory::CreateFileMappingW(file, attributes, protection, high, low, name) }
        },
    )
}

pub(super) unsafe extern "system" fn CreateEventW(
    attributes: *const sec::SECURITY_ATTRIBUTES,
    manual: BOOL,
    initial: BOOL,
    name: PCWSTR,
) -> HANDLE {
    create(
        Kind::Event,
        attributes,
        name,
        played(),
        |attributes, name| {
            // SAFETY: the caller keeps the contract of this function. `create` passes the caller's
            // descriptor and name, or valid ones of its own.
            unsafe { threads::CreateEventW(attributes, manual, initial, name) }
        },
    )
}

pub(super) unsafe extern "system" fn CreateMutexW(
    attributes: *const sec::SECURITY_ATTRIBUTES,
    taken: BOOL,
    name: PCWSTR,
) -> HANDLE {
    create(
        Kind::Mutex,
        attributes,
        name,
        played(),
        |attributes, name| {
            // SAFETY: the caller keeps the contract of this function. `create` passes the caller's
            // descriptor and name, or valid ones of its own.
            unsafe { threads::CreateMutexW(attributes, taken, name) }
        },
    )
}

/// Defines a function that opens objects of one kind by name.
macro_rules! opens {
    ($name:ident, $kind:expr, $call:path) => {
        pub(super) unsafe extern "system" fn $name(
            rights: u32,
            inherit: BOOL,
            name: PCWSTR,
        ) -> HANDLE {
            open($kind, $call, rights, inherit, name, played())
        }
    };
}

opens!(
    OpenFileMappingW,
    Some(Kind::Section),
    memory::OpenFileMappingW
);
opens!(OpenEventW, Some(Kind::Event), threads::OpenEventW);
opens!(OpenMutexW, Some(Kind::Mutex), threads::OpenMutexW);
opens!(OpenSemaphoreW, None, threads::OpenSemaphoreW);
opens!(OpenWaitableTimerW, None, threads::OpenWaitableTimerW);
opens!(OpenJobObjectW, None, jobs::OpenJobObjectW);

pub(super) unsafe fn OpenProcess(rights: u32, inherit: BOOL, pid: u32) -> HANDLE {
    match check_process(pid, played()) {
        // SAFETY: OpenProcess takes numbers.
        Ok(()) => unsafe { threads::OpenProcess(rights, inherit, pid) },
        Err(code) => refuse(code),
    }
}

pub(super) unsafe fn WaitForMultipleObjects(
    count: u32,
    handles: *const HANDLE,
    all: BOOL,
    limit: u32,
) -> u32 {
    // SAFETY: `handles` points to `count` live handles, by the contract of the function.
    unsafe {
        if let Err(code) = check_handles(count, handles) {
            SetLastError(code);
            return WAIT_FAILED;
        }
        threads::WaitForMultipleObjects(count, handles, all, limit_of(limit, played()))
    }
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
    unsafe {
        if let Err(code) = check_handles(count, handles) {
            SetLastError(code);
            return WAIT_FAILED;
        }
        call(count, handles, limit_of(limit, played()), mask, flags)
    }
}

thread_local!(static LOOKED_UP: Cell<u32> = const { Cell::new(0) });

/// Returns how often this thread asked the system for the name of an account.
#[cfg(test)]
pub(crate) fn names_looked_up() -> u32 {
    LOOKED_UP.get()
}

pub(super) unsafe fn LookupAccountSidW(
    system: PCWSTR,
    sid: sec::PSID,
    name: *mut u16,
    name_len: *mut u32,
    domain: *mut u16,
    domain_len: *mut u32,
    kind: *mut sec::SID_NAME_USE,
) -> BOOL {
    LOOKED_UP.set(LOOKED_UP.get() + 1);
    // SAFETY: the caller keeps the contract of this function.
    unsafe { sec::LookupAccountSidW(system, sid, name, name_len, domain, domain_len, kind) }
}

pub(super) unsafe fn ProcessIdToSessionId(pid: u32, session: *mut u32) -> BOOL {
    // SAFETY: `session` is a place for the answer, by the contract of the function.
    unsafe {
        let done = desktop::ProcessIdToSessionId(pid, session);
        if played().session_0 {
            *session = 0;
        }
        done
    }
}

/// Calls GetTokenInformation, and changes the answer to that of the simulated account.
pub(super) unsafe fn GetTokenInformation(
    token: HANDLE,
    class: sec::TOKEN_INFORMATION_CLASS,
    buffer: *mut c_void,
    size: u32,
    used: *mut u32,
) -> BOOL {
    // The owner of an ordinary user's objects is the user. A TOKEN_USER begins as a TOKEN_OWNER
    // does: with a pointer to a SID, which lies behind it.
    let asked = match class {
        sec::TokenOwner => sec::TokenUser,
        class => class,
    };
    // SAFETY: `buffer` has `size` bytes, by the contract of the function. On success the system has
    // stored in it the structure of `asked`, as `play` requires.
    unsafe {
        let done = sec::GetTokenInformation(token, asked, buffer, size, used);
        if done != 0 {
            play(class, buffer, size);
        }
        done
    }
}

/// Changes the answer for a token to that of the simulated account.
///
/// # Safety
///
/// `buffer` has `size` bytes, in which GetTokenInformation stored the structure of the class, or
/// for TokenOwner a TOKEN_USER, which begins as a TOKEN_OWNER does.
unsafe fn play(class: sec::TOKEN_INFORMATION_CLASS, buffer: *mut c_void, size: u32) {
    /// SeCreateGlobalPrivilege (wdm.h: SE_CREATE_GLOBAL_PRIVILEGE).
    const CREATE_GLOBAL: u32 = 30;
    let played = played();

    // SAFETY: the caller promises the structure of the class in `buffer`.
    unsafe {
        match class {
            sec::TokenOwner if played.elevated => {
                let sid = (*buffer.cast::<sec::TOKEN_OWNER>()).Owner;
                let mut room = size - (sid as usize - buffer as usize) as u32;
                let administrators = sec::WinBuiltinAdministratorsSid;
                sec::CreateWellKnownSid(administrators, null_mut(), sid, &raw mut room);
            }
            sec::TokenElevation => *buffer.cast::<u32>() = played.elevated.into(),
            sec::TokenIntegrityLevel => {
                let sid = (*buffer.cast::<sec::TOKEN_MANDATORY_LABEL>()).Label.Sid;
                *sec::GetSidSubAuthority(sid, 0) = match (played.high, played.low) {
                    (true, _) => 0x3000,
                    (_, true) => 0x1000,
                    _ => 0x2000,
                };
            }
            sec::TokenPrivileges => {
                let held = buffer.cast::<sec::TOKEN_PRIVILEGES>();
                let first = (&raw mut (*held).Privileges).cast::<sec::LUID_AND_ATTRIBUTES>();
                for n in 0..(*held).PrivilegeCount as usize {
                    let privilege = &mut *first.add(n);
                    if privilege.Luid.LowPart == CREATE_GLOBAL {
                        let on = sec::SE_PRIVILEGE_ENABLED;
                        privilege.Attributes = if played.privileged { on } else { 0 };
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
