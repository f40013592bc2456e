//! A program with a window, which handles what happens to it and what a message server sends,
//! in one thread and one loop.
//!
//! ```sh
//! cargo run --example message_server    # type lines
//! cargo run --example message_loop      # in another terminal
//! ```
//!
//! The window here is one that only gets messages, and a timer sends them.

#[cfg(windows)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use shmkit::{DisconnectReason, Ready, RecvError, Subscriber, WaitSet};

    let name = std::env::args().nth(1);
    let name = name.unwrap_or_else(|| "Local\\MyFileMappingObject".to_string());
    window::create()?;
    let mut messages = Subscriber::open(&*name)?;
    let mut set = WaitSet::new();
    println!("waiting");
    loop {
        match set.wait_or_input(&mut [&mut messages], None)? {
            Ready::Input => window::dispatch_all(),
            Ready::Source(_) => match messages.try_recv() {
                Ok(message) => println!("{}", String::from_utf8_lossy(message)),
                Err(RecvError::Empty) => {}
                Err(RecvError::Lagged(missed)) => eprintln!("missed {missed} messages"),
                Err(RecvError::Disconnected(DisconnectReason::Closed)) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
            Ready::TimedOut => unreachable!("it was given no time"),
        }
    }
}

#[cfg(windows)]
mod window {
    use std::ptr::null_mut;
    use windows_sys::Win32::UI::WindowsAndMessaging::{
        CreateWindowExW, DispatchMessageW, HWND_MESSAGE, MSG, PM_REMOVE, PeekMessageW, SetTimer,
        TranslateMessage, WM_TIMER,
    };
    use windows_sys::w;

    pub fn create() -> std::io::Result<()> {
        let (class, none) = (w!("STATIC"), null_mut());
        // SAFETY: a class that is always there, and nothing else that would have to live.
        let window = unsafe {
            CreateWindowExW(
                0,
                class,
                w!(""),
                0,
                0,
                0,
                0,
                0,
                HWND_MESSAGE,
                none,
                none,
                none,
            )
        };
        // SAFETY: a window of this thread, or none, which it says.
        match unsafe { SetTimer(window, 1, 500, None) } {
            0 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// All of them: what was left in the queue would be told at once again.
    pub fn dispatch_all() {
        while let Some(message) = next() {
            if message.message == WM_TIMER {
                println!("the window's timer");
            }
            // SAFETY: a message that was just taken.
            unsafe {
                TranslateMessage(&raw const message);
                DispatchMessageW(&raw const message);
            }
        }
    }

    fn next() -> Option<MSG> {
        let mut message = MSG::default();
        // SAFETY: a place for the answer.
        let found = unsafe { PeekMessageW(&raw mut message, null_mut(), 0, 0, PM_REMOVE) };
        (found != 0).then_some(message)
    }
}

#[cfg(not(windows))]
fn main() {
    println!("There are no messages to windows here: see the documentation of WaitSet.");
}
