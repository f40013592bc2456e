//! Runs a process under ptrace from one breakpoint to the next: instruction by instruction, or from
//! one system call to the next.

use crate::common::{TestChild, hear, say};
use crate::decode::writes_nothing;
use std::arch::asm;
use std::collections::HashMap;
use std::mem::offset_of;
use std::ops::Range;

const SYSCALL: [u8; 2] = [0x0f, 0x05];
const BREAKPOINT: u8 = 0xcc;
const PAGE: u64 = 4096;
const PAGE_READ: isize = PAGE as isize;

/// In a victim: says that it is ready, runs `prepare` when the parent tells it to, and then runs
/// `act` between two breakpoints, where it may be killed.
pub fn perform<T>(prepare: impl FnOnce(), act: impl FnOnce() -> T) {
    // SAFETY: the call takes nothing.
    let id = unsafe { libc::gettid() };
    say(&format!("ready {id}"));
    hear();
    prepare();
    breakpoint();
    let kept = act();
    breakpoint();
    drop(kept);
}

#[inline(never)]
fn breakpoint() {
    // SAFETY: the process stops at the instruction, and goes on behind it.
    unsafe { asm!("int3") };
}

/// The kind of an executed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The instruction has certainly changed no shared memory.
    Harmless,
    Plain,
    SystemCall,
    /// No instruction was left: the process is at the second breakpoint.
    End,
}

/// A child that is stopped between its breakpoints, and is killed there when this is dropped.
pub struct Tracee {
    child: TestChild,
    id: libc::pid_t,
    /// The processors on which this thread could run before.
    processors: libc::cpu_set_t,
    /// The addresses of the kernel's code for reading clocks.
    clocks: Range<u64>,
    /// Pages of the child's program, which does not change.
    code: HashMap<u64, Box<[u8; PAGE as usize]>>,
}

impl Tracee {
    /// Runs a child that has said that it is ready up to its first breakpoint.
    pub fn begin(child: TestChild, id: libc::pid_t) -> Tracee {
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        let mut tracee = Tracee {
            child,
            id,
            processors: share_a_processor(id),
            clocks: clocks(id),
            code: HashMap::new(),
        };
        tracee.request(libc::PTRACE_SEIZE, options.cast_unsigned().into());
        tracee.child.tell("go");
        tracee.wait();
        tracee
    }

    /// Executes one instruction.
    pub fn step(&mut self) -> Step {
        let at = self.place();
        if self.clocks.contains(&at) {
            self.read_the_clock();
            return Step::Harmless;
        }
        let bytes = [0, 1, 2, 3].map(|n| self.byte(at + n));
        if bytes[0] == BREAKPOINT {
            return Step::End;
        }
        self.request(libc::PTRACE_SINGLESTEP, 0);
        assert_eq!(self.wait(), libc::SIGTRAP);
        match bytes {
            _ if bytes[..2] == SYSCALL => Step::SystemCall,
            _ if writes_nothing(bytes) => Step::Harmless,
            _ => Step::Plain,
        }
    }

    /// Runs the function that reads a clock, which was just called, up to a breakpoint at its
    /// return address. The function reads again if the clock ticks meanwhile, so step by step it
    /// may never end on a busy machine.
    fn read_the_clock(&mut self) {
        let rip = offset_of!(libc::user_regs_struct, rip) as u64;
        let rsp = offset_of!(libc::user_regs_struct, rsp) as u64;
        let back = self.peek(libc::PTRACE_PEEKDATA, self.peek(libc::PTRACE_PEEKUSER, rsp));
        let code = self.peek(libc::PTRACE_PEEKTEXT, back);
        self.poke(
            libc::PTRACE_POKETEXT,
            back,
            code & !0xff | u64::from(BREAKPOINT),
        );
        self.request(libc::PTRACE_CONT, 0);
        assert_eq!(self.wait(), libc::SIGTRAP);
        self.poke(libc::PTRACE_POKETEXT, back, code);
        self.poke(libc::PTRACE_POKEUSER, rip, back);
    }

    /// Runs until the next system call has returned.
    pub fn next_system_call(&mut self) -> Step {
        for _ in ["into it", "out of it"] {
            self.request(libc::PTRACE_SYSCALL, 0);
            if self.wait() != libc::SIGTRAP | 0x80 {
                return Step::End;
            }
        }
        Step::SystemCall
    }

    /// Returns the address of the next instruction.
    pub fn place(&self) -> u64 {
        let rip = offset_of!(libc::user_regs_struct, rip) as u64;
        self.peek(libc::PTRACE_PEEKUSER, rip)
    }

    fn peek(&self, request: libc::c_uint, at: u64) -> u64 {
        // SAFETY: the process is stopped, and a word of its memory is read.
        unsafe { libc::ptrace(request, self.id, at, 0).cast_unsigned() }
    }

    fn poke(&self, request: libc::c_uint, at: u64, word: u64) {
        // SAFETY: the process is stopped, and a word of its memory is written.
        let done = unsafe { libc::ptrace(request, self.id, at, word) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Returns the address of the next instruction as an offset in the program file, which a reader
    /// can look up.
    pub fn whereabouts(&self) -> String {
        let at = self.place();
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.id)).unwrap();
        let base = maps.split('-').next().unwrap();
        let base = u64::from_str_radix(base, 16).unwrap();
        format!("{:#x}", at.wrapping_sub(base))
    }

    fn byte(&mut self, at: u64) -> u8 {
        let (page, id) = (at & !(PAGE - 1), self.id);
        let code = self.code.entry(page).or_insert_with(|| read_page(id, page));
        code[(at - page) as usize]
    }

    fn request(&self, request: libc::c_uint, data: u64) {
        // SAFETY: none of these requests writes to memory of this process.
        let done = unsafe { libc::ptrace(request, self.id, 0, data) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits until the process stops, and returns the signal that stopped it.
    fn wait(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: the status is ours.
        let id = unsafe { libc::waitpid(self.id, &mut status, libc::__WALL) };
        assert_eq!(id, self.id, "{}", std::io::Error::last_os_error());
        assert!(libc::WIFSTOPPED(status), "the process ended: {status:#x}");
        let signal = libc::WSTOPSIG(status);
        let trapped = signal & !0x80 == libc::SIGTRAP;
        assert!(trapped, "signal {signal} at {}", self.whereabouts());
        signal
    }
}

/// Kills the process at its current instruction.
impl Drop for Tracee {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: a child of ours, and `status` is a local variable. The traced thread must be
        // reaped before its process. If the thread has stopped again, `waitpid` reports that first.
        unsafe {
            libc::kill(self.child.id().cast_signed(), libc::SIGKILL);
            while libc::waitpid(self.id, &mut status, libc::__WALL) == self.id
                && libc::WIFSTOPPED(status)
            {}
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.processors);
        }
    }
}

/// Binds the traced thread and this thread to one processor, since they take turns: to wake a
/// thread on an idle processor takes ten times as long. Returns the processors on which this thread
/// could run before.
fn share_a_processor(id: libc::pid_t) -> libc::cpu_set_t {
    let len = size_of::<libc::cpu_set_t>();
    // SAFETY: a zeroed set has no processor, and both sets are local variables.
    unsafe {
        let [mut before, mut one] = std::mem::zeroed::<[libc::cpu_set_t; 2]>();
        libc::sched_getaffinity(0, len, &mut before);
        libc::CPU_SET(libc::sched_getcpu().cast_unsigned() as usize, &mut one);
        libc::sched_setaffinity(0, len, &one);
        libc::sched_setaffinity(id, len, &one);
        before
    }
}

fn clocks(id: libc::pid_t) -> Range<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let vdso = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = vdso.and_then(|line| line.split(' ').next()?.split_once('-'));
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    range.map_or(0..0, |(from, to)| number(from)..number(to))
}

fn read_page(id: libc::pid_t, page: u64) -> Box<[u8; PAGE as usize]> {
    let mut bytes = Box::new([0; PAGE as usize]);
    let iov = |base, iov_len| libc::iovec {
        iov_base: base,
        iov_len,
    };
    let local = iov(bytes.as_mut_ptr().cast(), bytes.len());
    let remote = iov(page as *mut libc::c_void, bytes.len());
    // SAFETY: at most as many bytes are written as `bytes` has.
    let n = unsafe { libc::process_vm_readv(id, &local, 1, &remote, 1, 0) };
    // A page behind the end of the program cannot be read, and is not executed.
    assert!(matches!(n, -1 | PAGE_READ), "{n}");
    bytes
}
