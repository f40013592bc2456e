//! A value for each process: the child of a fork makes its own.

use std::sync::OnceLock;

/// The values of the first process that asked for one, and of the processes that were forked from
/// that process.
#[derive(Debug)]
pub(crate) struct PerProcess<T>(OnceLock<Box<Link<T>>>);

#[derive(Debug)]
struct Link<T> {
    process: u32,
    value: T,
    /// The value of a child that was forked from this process.
    next: PerProcess<T>,
}

impl<T> PerProcess<T> {
    pub const fn new() -> PerProcess<T> {
        PerProcess(OnceLock::new())
    }

    /// Returns the value of this process, and makes the value at the first call.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let me = std::process::id();
        let mut make = Some(make);
        let mut link = self;

        loop {
            let made = link.0.get_or_init(|| {
                let make = make.take().expect("this process has made no value yet");
                Box::new(Link {
                    process: me,
                    value: make(),
                    next: PerProcess::new(),
                })
            });

            if made.process == me {
                return &made.value;
            }
            // The value was made before the fork that made this process.
            link = &made.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_process_value_is_made_once() {
        static ONE: PerProcess<String> = PerProcess::new();
        let first = ONE.get_or_init(|| "first".to_string());
        let again = ONE.get_or_init(|| unreachable!("the value is made twice"));
        assert!(std::ptr::eq(first, again));
    }
}
