//! A seccomp filter of the system calls of this thread and of the threads that it starts.

/// Makes one instruction of the filter. If its comparison holds, the filter skips `jt`
/// instructions.
pub fn statement(code: u32, jt: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    }
}

/// Installs the filter, and returns whether the system accepted it.
pub fn enter(filter: &mut [libc::sock_filter]) -> bool {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and the filter live until the system has copied them.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    }
}
