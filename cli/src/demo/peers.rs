//! The publisher and the subscribers of the demo, as the first process sees them.

use super::subscriber;
use crate::Failure;
use crate::topic::pace::Pace;
use serde_json::Value;
use shmkit::{Publisher, SendError};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The shortest time over which a rate is computed.
const SAMPLE: Duration = Duration::from_millis(500);

/// The publisher: a thread of this process.
pub struct Publishing {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), SendError>>>,
    pub rate: Rate,
}

impl Publishing {
    /// Starts a thread that sends `rate` messages per second.
    pub fn start(mut publisher: Publisher, rate: f64) -> Publishing {
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, stopped) = (Arc::clone(&sent), Arc::clone(&stop));

        let work = move || {
            let mut pace = Pace::new(rate, Instant::now());
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..pace.due(Instant::now()) {
                    let message = subscriber::message(publisher.sent() + 1);
                    publisher.send(message.as_bytes())?;
                    count.store(publisher.sent(), Ordering::Relaxed);
                }
                std::thread::sleep(pace.pause(Instant::now()));
            }
            Ok(())
        };

        Publishing {
            sent,
            stop,
            thread: Some(std::thread::spawn(work)),
            rate: Rate::default(),
        }
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn is_closed(&self) -> bool {
        self.thread.is_none()
    }

    /// Stops the thread and closes the publisher in good order.
    pub fn close(&mut self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(sent)) => Ok(sent?),
            Some(Err(_)) => Err(Failure::other("the publisher of the demo failed")),
            None => Ok(()),
        }
    }
}

/// A subscriber: a process of its own, which is killed when this value is dropped.
pub struct Peer {
    pub title: &'static str,
    pub rate: Rate,
    process: Child,
    told: Arc<Mutex<Value>>,
    reader: Option<JoinHandle<()>>,
    ended: bool,
}

impl Peer {
    pub fn start(title: &'static str, topic: &str, pause: Duration) -> Result<Peer, Failure> {
        let program = std::env::current_exe().map_err(Failure::other)?;
        let mut process = Command::new(program)
            .args(["demo-subscriber", topic, &pause.as_micros().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Failure::Other(format!("cannot start a subscriber: {e}")))?;

        let told = Arc::<Mutex<Value>>::default();
        let (write, output) = (Arc::clone(&told), process.stdout.take());
        let read = move || {
            let lines = output.map(|output| BufReader::new(output).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                // A line that a kill has cut short is ignored.
                if let Ok(last) = serde_json::from_str(&line) {
                    *write.lock().unwrap_or_else(PoisonError::into_inner) = last;
                }
            }
        };

        Ok(Peer {
            title,
            rate: Rate::default(),
            process,
            told,
            reader: Some(std::thread::spawn(read)),
            ended: false,
        })
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn has_joined(&self) -> bool {
        !self.told().is_null()
    }

    /// Returns a number that the subscriber reported; `None` if it has not reported the number yet.
    pub fn number(&self, what: &str) -> Option<u64> {
        self.told().get(what).and_then(Value::as_u64)
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Checks whether the subscriber has ended, and fails if it has not ended in good order.
    pub fn look(&mut self) -> Result<(), Failure> {
        let Some(status) = self.process.try_wait().map_err(Failure::other)? else {
            return Ok(());
        };
        let was_known = self.ended;
        self.end();
        if was_known || status.success() {
            return Ok(());
        }
        let mut why = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            let _ = stderr.read_to_string(&mut why);
        }
        let (title, why) = (self.title, why.trim());
        Err(Failure::Other(format!("the {title} subscriber: {why}")))
    }

    /// Kills the subscriber, which so cannot end in good order.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.process.kill().map_err(Failure::other)?;
        self.process.wait().map_err(Failure::other)?;
        self.end();
        Ok(())
    }

    /// Marks the subscriber as ended, after its last line was read.
    fn end(&mut self) {
        self.ended = true;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    fn told(&self) -> MutexGuard<'_, Value> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.end();
    }
}

/// The current number of messages per second.
#[derive(Default)]
pub struct Rate {
    before: Option<(Instant, u64)>,
    pub a_second: Option<f64>,
}

impl Rate {
    pub fn look(&mut self, count: u64) {
        let now = Instant::now();
        let Some((then, before)) = self.before else {
            self.before = Some((now, count));
            return;
        };
        let time = now - then;
        if time >= SAMPLE {
            let more = count.saturating_sub(before) as f64;
            self.a_second = Some(more / time.as_secs_f64());
            self.before = Some((now, count));
        }
    }
}
