//! Counts the instructions that it takes to send a message and to receive it. This process steps a
//! child process through them one by one.

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use shmkit::{Receiver, Sender};
use std::process::{Command, Stdio};

/// The first argument of the process that is stepped; a name follows.
pub const STEPPED: &str = "--stepped";

const LEN: usize = 64;
/// So many messages that costs which occur only every few messages are included: lines touched
/// ahead, space freed, another turn.
const MESSAGES: usize = 512;
/// The gate for send and receive together, as a mean.
const GATE: f64 = 160.0;
const GOAL: f64 = 120.0;

/// Returns whether send and receive together take at most `GATE` instructions.
pub fn run(name: &str) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([STEPPED, &format!("{name}-stepped")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().cast_signed());
    let stopped = WaitStatus::Stopped(pid, Signal::SIGTRAP);
    assert_eq!(waitpid(pid, None), Ok(stopped));

    let nothing = count(pid);
    let (mut send, mut receive) = (0, 0);
    for _ in 0..MESSAGES {
        count(pid);
        send += count(pid) - nothing;
        receive += count(pid) - nothing;
    }

    ptrace::detach(pid, None).unwrap();
    assert!(child.wait().unwrap().success());

    let [send, receive] = [send, receive].map(|all| all as f64 / MESSAGES as f64);
    let both = send + receive;
    println!("instructions for {LEN} bytes, the mean of {MESSAGES} messages");
    println!("  send                         {send:8.1}");
    println!("  receive                      {receive:8.1}");
    println!("  both                         {both:8.1}   gate {GATE}, goal {GOAL}");
    both <= GATE
}

/// Counts the instructions up to the next mark.
fn count(pid: Pid) -> u64 {
    // The code that the kernel reports for a breakpoint. For a step it reports TRAP_TRACE.
    const SI_KERNEL: i32 = 0x80;
    let mut steps = 0;
    loop {
        ptrace::step(pid, None).unwrap();
        let stopped = WaitStatus::Stopped(pid, Signal::SIGTRAP);
        assert_eq!(waitpid(pid, None), Ok(stopped));
        if ptrace::getsiginfo(pid).unwrap().si_code == SI_KERNEL {
            return steps;
        }
        steps += 1;
    }
}

/// Sends and receives messages, with a mark before and after each call.
pub fn stepped(name: &str) {
    let mut receiver = Receiver::create(name).unwrap();
    let mut sender = Sender::open(name).unwrap();
    // The compiler must not know the length.
    let message = std::hint::black_box(vec![7; LEN]);
    // Goes round the ring before the counts begin.
    for _ in 0..8192 {
        sender.send(&message).unwrap();
        receiver.recv().unwrap();
    }

    ptrace::traceme().unwrap();
    mark();
    mark();

    for _ in 0..MESSAGES {
        mark();
        sender.send(&message).unwrap();
        mark();
        let received = receiver.recv().unwrap();
        mark();
        assert_eq!(received, message);
    }
}

#[inline(always)]
fn mark() {
    // SAFETY: the instruction is a breakpoint, and a tracer waits for it.
    unsafe { std::arch::asm!("int3") };
}
