//! Facts about Win32 file mappings. Each test checks on the system itself one rule on which the
//! library relies, with the exact error code. No code of the library runs here.

use crate::common::{eventually, hear, say, step, unique, watchdog};
use crate::win32::*;
use std::mem::ManuallyDrop;
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::SeqCst;
use windows_sys::Win32::Foundation::*;
use windows_sys::Win32::System::{Diagnostics::Debug::*, JobObjects::*};
use windows_sys::Win32::System::{Memory::*, Threading::*};

// ---- Creating and names --------------------------------------------------------

// CreateFileMappingW: the pages are zero; the last error is ERROR_SUCCESS if all is new.
#[test]
fn new_section_is_zeroed_and_clears_error() {
    // SAFETY: sets a thread-local number.
    unsafe { SetLastError(ERROR_TIMEOUT) };
    let handle = create(&unique("new"), 2 * PAGE as u64).unwrap();
    let (view, error) = (view(&handle), handle.1);
    assert_eq!(error, ERROR_SUCCESS);
    assert!((0..2 * PAGE).step_by(4).all(|at| view.get(at) == 0));
}

// CreateFileMappingW: "the existing object (with its current size, not the specified size)".
#[test]
fn existing_name_returns_object_with_old_size() {
    let (name, first) = named("existing");
    for flags in [PAGE_READWRITE, PAGE_READONLY, RESERVED] {
        let again = create_with(flags, 1 << 20, &name).unwrap();
        assert_eq!(again.1, ERROR_ALREADY_EXISTS);
        assert!(same_object(&first, &again));
        assert_eq!(size(&first), Ok(PAGE as i64));
    }
}

// "Sharing Files and Memory": "You must specify a size greater than zero".
#[test]
fn zero_size_is_refused_for_existing_name() {
    let (name, _existing) = named("zero");
    refused(create(&name, 0), ERROR_INVALID_PARAMETER);
    refused(create("", 0), ERROR_INVALID_PARAMETER);
}

// CreateFileMappingW, flProtect: which flags there are, and which go together.
#[test]
fn invalid_section_flags_are_refused() {
    let both = PAGE_READWRITE | SEC_COMMIT | SEC_RESERVE;
    let [large, guard] = [SEC_LARGE_PAGES, PAGE_GUARD].map(|flag| PAGE_READWRITE | flag);
    for flags in [both, large, guard, PAGE_NOACCESS] {
        refused(create_with(flags, 1 << 21, ""), ERROR_INVALID_PARAMETER);
    }
}

// OpenFileMappingW: needs an open handle of the name. "Object Names": case sensitive.
#[test]
fn open_needs_exact_case_sensitive_name() {
    let (name, lower) = named("case");
    let upper = name.to_uppercase();
    refused(open(&upper, FILE_MAP_READ), ERROR_FILE_NOT_FOUND);
    assert!(!same_object(&lower, &section(&upper)));
    refused(open("", FILE_MAP_READ), ERROR_INVALID_PARAMETER);
}

// CreateFileMappingW: "any character except the backslash character (\)".
#[test]
fn only_backslash_is_special_in_names() {
    for odd in ["/:*?\"<>|", " ", "\u{1}\u{7f}", "äß漢字", "\u{1f980}"] {
        let (name, handle) = named(odd);
        assert!(same_object(&handle, &open(&name, FILE_MAP_READ).unwrap()));
    }
    let name = unique("no\\directory");
    refused(create(&name, 256), ERROR_PATH_NOT_FOUND);
    refused(open(&name, FILE_MAP_READ), ERROR_PATH_NOT_FOUND);
    refused(create("Local\\", 256), ERROR_INVALID_NAME);
    refused(create("Global\\", 256), ERROR_INVALID_NAME);
}

// "Kernel Object Namespaces". Creating in Global\ from another session takes a privilege.
#[test]
fn bare_name_is_local_not_global() {
    let (name, bare) = named("bare");
    let local = open(&format!("Local\\{name}"), FILE_MAP_READ).unwrap();
    assert!(same_object(&local, &bare));
    match create(&format!("Global\\{name}"), 256) {
        Ok(global) => assert_eq!(same_object(&global, &bare), session() == 0),
        Err(error) => assert_eq!(error, ERROR_ACCESS_DENIED),
    }
}

// "Object Names": events, mutexes, file mappings, jobs and more share one namespace.
#[test]
fn object_kinds_share_one_namespace() {
    let name = unique("event-first");
    let _event = create_event(&name).unwrap();
    refused(create(&name, 256), ERROR_INVALID_HANDLE);
    refused(open(&name, FILE_MAP_READ), ERROR_INVALID_HANDLE);
    let (name, _section) = named("section-first");
    refused(create_event(&name), ERROR_INVALID_HANDLE);
    refused(open_mutex(&name), ERROR_INVALID_HANDLE);
    // SAFETY: the name is valid.
    let job = with_name(&name, |n| unsafe { CreateJobObjectW(null(), n) });
    refused(job, ERROR_INVALID_HANDLE);
}

// ---- Sizes and offsets ---------------------------------------------------------

// ZwCreateSection: rounds up "to the nearest multiple of PAGE_SIZE".
#[test]
fn section_and_views_fill_whole_pages() {
    for (asked, got) in [(1, PAGE), (4090, PAGE), (0x3452, 0x4000)] {
        let handle = unnamed(PAGE_READWRITE, asked);
        assert_eq!(size(&handle), Ok(got as i64));
        assert_eq!(view(&handle).state(0), (MEM_COMMIT, got));
        assert!(map_part(&handle, FILE_MAP_READ, 0, asked + 1).is_ok());
        let too_long = map_part(&handle, FILE_MAP_READ, 0, got + 1);
        refused(too_long, ERROR_ACCESS_DENIED);
    }
}

// MapViewOfFile: "The offset must be a multiple of the allocation granularity".
#[test]
fn view_offset_must_be_aligned_and_inside() {
    let handle = unnamed(PAGE_READWRITE, 2 * GRANULE);
    let view_at = |offset| map_part(&handle, FILE_MAP_READ, offset as u64, 0);
    assert_eq!(view_at(GRANULE).unwrap().state(0), (MEM_COMMIT, GRANULE));
    refused(view_at(PAGE), ERROR_MAPPED_ALIGNMENT);
    // The documentation does not say which of the two it is.
    let past = view_at(2 * GRANULE).err().unwrap();
    assert!([ERROR_INVALID_PARAMETER, ERROR_ACCESS_DENIED].contains(&past));
}

// MapViewOfFile: the offset has 64 bits, in two halves.
#[test]
fn offsets_past_4_gib_are_distinct() {
    let (granule, end) = (GRANULE as u64, 1 << 32);
    let handle = create_with(RESERVED, end + granule, "").unwrap();
    let part = |offset| map_part(&handle, FILE_MAP_WRITE, offset, 2 * GRANULE).unwrap();
    let (start, across) = (part(0), part(end - granule));
    start.commit(0);
    across.commit(GRANULE);
    across.put(GRANULE, MARK);
    let above = map_part(&handle, FILE_MAP_READ, end, 0).unwrap();
    assert_eq!((above.get(0), start.get(0)), (MARK, 0));
}

// ---- Access --------------------------------------------------------------------

// "File Mapping Security and Access Rights".
#[test]
fn view_needs_access_of_its_handle() {
    let (name, _owner) = named("access");
    let protection = |handle, view| {
        let handle = open(&name, handle).unwrap();
        map(&handle, view).map(|view| view.look(0).Protect)
    };
    let [read, write, copy] = [FILE_MAP_READ, FILE_MAP_WRITE, FILE_MAP_COPY];
    assert_eq!(protection(read, read), Ok(PAGE_READONLY));
    assert_eq!(protection(read, copy), Ok(PAGE_WRITECOPY));
    assert_eq!(protection(read, write), Err(ERROR_ACCESS_DENIED));
    assert_eq!(protection(write, write), Ok(PAGE_READWRITE));
    assert_eq!(protection(write, read), Err(ERROR_ACCESS_DENIED));
}

// NtQuerySection. FILE_MAP_COPY is the same number as SECTION_QUERY, and OpenFileMappingW takes it
// for a read.
#[test]
fn size_query_requires_section_query_access() {
    let (name, _owner) = named("query");
    let size_by = |access| size(&open(&name, access).unwrap());
    for access in [FILE_MAP_READ, FILE_MAP_WRITE, FILE_MAP_COPY] {
        assert_eq!(size_by(access), Err(STATUS_ACCESS_DENIED));
    }
    assert_eq!(size_by(FILE_MAP_READ | SECTION_QUERY), Ok(PAGE as i64));
}

// MapViewOfFile, FILE_MAP_READ: an attempt to write is an access violation.
#[test]
fn write_through_read_view_is_access_violation() {
    let (name, handle) = named("fault");
    let (_watchdog, child) = peer("facts/write-through-read-view", &name);
    assert_eq!(child.finish().code(), Some(STATUS_ACCESS_VIOLATION));
    assert_eq!(first_word(&handle), Ok(0));
}

// VirtualProtect: the protection must be compatible with that of the mapping.
#[test]
fn read_view_cannot_be_made_writable() {
    let handle = unnamed(PAGE_READWRITE, 256);
    let view = map(&handle, FILE_MAP_READ).unwrap();
    // SAFETY: changes one page of this view, if any.
    let protected = unsafe { VirtualProtect(view.0, PAGE, PAGE_READWRITE, &mut 0) };
    refused(done(protected), ERROR_INVALID_PARAMETER);
}

// OpenFileMappingW: the DACL must allow the access asked for. Creating asks for more.
#[test]
fn read_only_dacl_denies_write_create_duplicate() {
    let name = unique("dacl");
    let owner = read_only_section(&name);
    view(&owner).put(0, MARK);
    let reader = open(&name, FILE_MAP_READ | SECTION_QUERY).unwrap();
    assert_eq!(first_word(&reader), Ok(MARK));
    refused(open(&name, FILE_MAP_WRITE), ERROR_ACCESS_DENIED);
    refused(create(&name, 256), ERROR_ACCESS_DENIED);
    let writer = duplicate(&this_process(), reader.0, &this_process(), FILE_MAP_WRITE);
    refused(writer, ERROR_ACCESS_DENIED);
}

// DuplicateHandle: "the new handle can have more access rights than the original".
#[test]
fn read_handle_duplicates_to_write_by_default() {
    let ((name, _owner), us) = (named("default-dacl"), this_process());
    let reader = open(&name, FILE_MAP_READ).unwrap();
    let writer = duplicate(&us, reader.0, &us, FILE_MAP_WRITE).unwrap();
    assert!(map(&Handle(writer, 0), FILE_MAP_WRITE).is_ok());
}

// MapViewOfFile, FILE_MAP_COPY: a written page becomes private to the process.
#[test]
fn copy_view_is_private_only_where_written() {
    let handle = unnamed(PAGE_READWRITE, 2 * PAGE);
    let (shared, copy) = (view(&handle), map(&handle, FILE_MAP_COPY).unwrap());
    copy.put(0, MARK);
    assert_eq!(shared.get(0), 0);
    shared.put(0, 1);
    shared.put(PAGE, 2);
    assert_eq!((copy.get(0), copy.get(PAGE)), (MARK, 2));
}

// ---- Views, lifetime, reserved pages -------------------------------------------

// CreateFileMappingW: all views of one section are coherent. FlushViewOfFile is for files.
#[test]
fn views_share_memory_and_flush_succeeds() {
    let handle = unnamed(PAGE_READWRITE, 2 * GRANULE);
    let (whole, offset) = (view(&handle), GRANULE as u64);
    let part = map_part(&handle, FILE_MAP_READ, offset, 0).unwrap();
    whole.put(GRANULE + 40, MARK);
    assert_eq!(part.get(40), MARK);
    // SAFETY: the address is that of a view.
    assert_eq!(done(unsafe { FlushViewOfFile(whole.0, 0) }), Ok(()));
}

#[test]
fn two_processes_see_every_write_in_order() {
    let (name, handle) = named("ping-pong");
    let (_watchdog, child) = peer("facts/pong", &name);
    ping_pong(&view(&handle), 128, 0, 0);
    assert!(child.finish().success());
}

/// Counts in turns with another process; each turn writes the word beside the counter before the
/// counter.
fn ping_pong(view: &View, theirs: usize, mine: usize, lead: u32) {
    let [theirs, mine] = [theirs, mine].map(|at| [at, at + 4].map(|at| view.word(at)));
    for n in 1..=2_000 {
        let due = n - 1 + lead;
        while theirs[0].load(SeqCst) < due {
            std::thread::yield_now();
        }
        // Each turn may take long on a loaded machine.
        step();
        let seen = theirs.map(|word| word.load(SeqCst));
        assert_eq!(seen, [due, due.wrapping_mul(MARK)]);
        mine[1].store(n.wrapping_mul(MARK), SeqCst);
        mine[0].store(n, SeqCst);
    }
}

// ZwUnmapViewOfSection: "any virtual address within the view". It runs in a child that maps nothing
// else.
#[test]
fn any_address_inside_unmaps_the_whole_view() {
    alone_in_a_child("facts/unmap", "");
}

// CreateFileMappingW: views keep the memory. OpenFileMappingW: handles keep the name.
#[test]
fn closing_last_handle_frees_name_keeps_views() {
    let (name, handle) = named("last-handle");
    let old = view(&handle);
    old.put(0, MARK);
    drop(handle);
    refused(open(&name, FILE_MAP_READ), ERROR_FILE_NOT_FOUND);
    let new = view(&section(&name));
    assert_eq!((old.get(0), new.get(0)), (MARK, 0));
}

#[test]
fn open_handle_keeps_section_of_killed_creator() {
    let name = unique("creator");
    let (_watchdog, creator) = peer("facts/hold", &name);
    let mine = open(&name, FILE_MAP_READ).unwrap();
    creator.kill();
    assert_eq!(first_word(&mine), Ok(MARK));
    alone_in_a_child("facts/open-and-read", &name);
    let again = create(&name, 256).unwrap();
    let found = (again.1, first_word(&again));
    assert_eq!(found, (ERROR_ALREADY_EXISTS, Ok(MARK)));
}

// CreateMutexW: a mutex is destroyed when its last handle has been closed.
#[test]
fn killed_last_holder_leaves_no_objects() {
    let name = unique("last-holder");
    let (_watchdog, creator) = peer("facts/hold", &name);
    let mutex = || open_mutex(&format!("{name}.mutex"));
    assert!(open(&name, FILE_MAP_READ).is_ok() && mutex().is_ok());
    creator.kill();
    let not_found = |made: Made| made.err() == Some(ERROR_FILE_NOT_FOUND);
    eventually("no section", || not_found(open(&name, FILE_MAP_READ)));
    eventually("no mutex", || not_found(mutex()));
    assert_eq!(first_word(&section(&name)), Ok(0));
}

// CreateFileMappingW, SEC_RESERVE: pages are committed later with VirtualAlloc.
#[test]
fn committed_pages_are_committed_in_all_views() {
    let handle = unnamed(RESERVED, 16 * PAGE);
    let (a, b) = (view(&handle), view(&handle));
    assert_eq!(b.state(0), (MEM_RESERVE, 16 * PAGE));
    a.commit(0);
    a.put(0, MARK);
    assert_eq!(b.state(0), (MEM_COMMIT, PAGE));
    assert_eq!(b.state(PAGE), (MEM_RESERVE, 15 * PAGE));
    assert_eq!(b.get(0), MARK);
}

// CreateFileMappingW, SEC_RESERVE: the pages "cannot be decommitted".
#[test]
fn view_pages_cannot_be_decommitted_or_released() {
    let view = view(&unnamed(RESERVED, PAGE));
    view.commit(0);
    for (len, how) in [(PAGE, MEM_DECOMMIT), (0, MEM_RELEASE)] {
        // SAFETY: the call is refused, as is asserted; nothing uses the pages afterwards.
        let freed = done(unsafe { VirtualFree(view.0, len, how) });
        refused(freed, ERROR_INVALID_PARAMETER);
    }
}

// ---- Enumeration, handles ------------------------------------------------------

// NtQueryDirectoryObject; "Kernel Object Namespaces" for a session's own directory.
#[test]
fn section_is_listed_in_session_directory() {
    let _watchdog = watchdog();
    let directory = match session() {
        0 => "\\BaseNamedObjects".to_string(),
        id => format!("\\Sessions\\{id}\\BaseNamedObjects"),
    };
    let (name, handle) = named("listed");
    let entry = [name, "Section".to_string()];
    // Objects of other tests come and go, which may hide an entry for a moment.
    eventually("listed", || list(&directory).contains(&entry));
    drop(handle);
    eventually("gone", || !list(&directory).contains(&entry));
}

// "Handle Inheritance": an inherited handle has the same value in the child.
#[test]
fn only_inheritable_handle_works_in_child() {
    for inherit in [TRUE, FALSE] {
        let handle = create_as(null_mut(), inherit, PAGE_READWRITE, 256, "").unwrap();
        view(&handle).put(0, !MARK);
        let (_watchdog, mut child) = peer("facts/hold", &unique("heir"));
        child.tell(&(handle.0 as usize).to_string());
        // Without inheritance, the same value may by chance be another handle of the child.
        assert_eq!(child.hear() == format!("Ok({})", !MARK), inherit == TRUE);
    }
}

// DuplicateHandle: both processes need PROCESS_DUP_HANDLE.
#[test]
fn handle_duplicates_into_and_from_another_process() {
    let (name, us) = (unique("duplicate"), this_process());
    let (_watchdog, mut child) = peer("facts/hold", &name);
    let process = open_process(child.id(), PROCESS_DUP_HANDLE);
    let mine = open(&name, FILE_MAP_READ).unwrap();
    let theirs = duplicate(&us, mine.0, &process, FILE_MAP_READ).unwrap();
    child.tell(&(theirs as usize).to_string());
    child.expect(&format!("Ok({MARK})"));
    let back = duplicate(&process, theirs, &us, FILE_MAP_READ).unwrap();
    assert!(same_object(&mine, &Handle(back, 0)));
}

// GetProcessHandleCount, in a child that does nothing else.
#[test]
fn many_sections_leak_no_handles() {
    alone_in_a_child("facts/count-handles", &unique("count"));
}

// ---- The children --------------------------------------------------------------

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    let name = args[0];
    if role != "hold" {
        say("ready");
    }
    let parents = || open(name, FILE_MAP_ALL_ACCESS).unwrap();
    match role {
        "hold" => {
            let (handle, _mutex) = (section(name), create_mutex(&format!("{name}.mutex")));
            view(&handle).put(0, MARK);
            say("ready");
            while let Some(value) = hear() {
                let handle = value.parse::<usize>().unwrap() as HANDLE;
                // The handle is not closed: the value may belong to another object here.
                let handle = ManuallyDrop::new(Handle(handle, 0));
                say(&format!("{:?}", first_word(&handle)));
            }
        }
        "open-and-read" => assert_eq!(first_word(&parents()), Ok(MARK)),
        "pong" => ping_pong(&view(&parents()), 0, 128, 1),
        "write-through-read-view" => {
            // SAFETY: changes only a setting of this process: no message box for a crash.
            unsafe { SetErrorMode(SEM_NOGPFAULTERRORBOX) };
            map(&parents(), FILE_MAP_READ).unwrap().put(0, MARK);
        }
        "unmap" => unmap(),
        "count-handles" => count_handles(name),
        _ => panic!("no role {role}"),
    }
}

fn unmap() {
    let view = ManuallyDrop::new(view(&unnamed(PAGE_READWRITE, 2 * PAGE)));
    // SAFETY: the view is not used any more; all other addresses are refused.
    let unmap = |at| done(unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: at }) });
    let mut local = 0_u32;
    refused(unmap((&raw mut local).cast()), ERROR_INVALID_ADDRESS);
    assert_eq!(unmap(view.0.wrapping_byte_add(PAGE + 100)), Ok(()));
    assert_eq!([view.state(0).0, view.state(PAGE).0], [MEM_FREE; 2]);
    refused(unmap(view.0), ERROR_INVALID_ADDRESS);
}

fn count_handles(name: &str) {
    let mut counts = [0; 2];
    for count in &mut counts {
        for _ in 0..1000 {
            let (first, second) = (section(name), create(name, 256).unwrap());
            let _views = (view(&first), view(&second));
            refused(create(name, 0), ERROR_INVALID_PARAMETER);
        }
        // SAFETY: writes one number.
        done(unsafe { GetProcessHandleCount(this_process().0, count) }).unwrap();
    }
    assert_eq!(counts[0], counts[1]);
}
