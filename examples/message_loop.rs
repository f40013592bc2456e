//! A program with a window. One loop in one thread handles the messages to the window and the
//! messages of a message server.
//!
//! ```sh
//! cargo run --example message_server    # type lines
//! cargo run --example message_loop      # in another terminal
//! ```
//!
//! The window of this example is invisible: it only receives messages, which a timer sends.

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
        // SAFETY: the class exists in every process, both texts are static, and all other arguments
        // are numbers or null.
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

        // SAFETY: `window` is a window of this thread, or null. For null, the timer has no window,
        // and the call takes no pointer.
        match unsafe { SetTimer(window, 1, 500, None) } {
            0 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Dispatches all messages in the queue. The next wait would return at once for a message that
    /// stays in the queue.
    pub fn dispatch_all() {
        while let Some(message) = next() {
            if message.message == WM_TIMER {
                println!("the window's timer");
            }
            // SAFETY: `message` is a message that was just taken from the queue.
            unsafe {
                TranslateMessage(&raw const message);
                DispatchMessageW(&raw const message);
            }
        }
    }

    fn next() -> Option<MSG> {
        let mut message = MSG::default();
        // SAFETY: `message` is a place into which the call writes.
        let found = unsafe { PeekMessageW(&raw mut message, null_mut(), 0, 0, PM_REMOVE) };
        (found != 0).then_some(message)
    }
}

#[cfg(not(windows))]
fn main() {
    println!("There are no messages to windows here: see the documentation of WaitSet.");
}
