//! A filter of the calls that this thread, and those that it starts, may make.

/// One instruction: where the comparison holds, it skips `jt` instructions.
pub fn statement(code: u32, jt: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    }
}

/// Whether the system took the filter.
pub fn enter(filter: &mut [libc::sock_filter]) -> bool {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is there until it is copied.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    }
}
