//! `demo`: one server process and two consumer processes exchange messages over
//! raw sections, by a rule that any program could follow.
//!
//! The board, which the server writes and the consumers map read-only:
//! a `u32` sequence word at 0 (odd while a message is being written, then twice
//! its number), a `u32` length at 4, the text from 8 on. Each consumer answers in
//! a section of its own: the number of the last message it read whole at 0, its
//! process id at 4, the length and text of its answer at 8 and 12.

use crate::{Failure, Outcome, output, platform};
use shmkit::{ErrorKind, Mapping, ReadWrite, Section};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

const SIZE: u64 = 256;
const TEXT_MAX: usize = 200;
/// Nobody waits longer for anybody.
const PATIENCE: Duration = Duration::from_secs(5);
/// So that a person can follow.
const PAUSE: Duration = Duration::from_millis(500);
const MESSAGES: [&str; 3] = [
    "Message from first process.",
    "A message is read whole or not at all.",
    "Each of us writes only what is ours.",
];
const FAST: u32 = 10_000;
const GOODBYE: &str = "goodbye";

/// Whether the person has seen enough.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub fn run() -> Outcome {
    platform::on_end(|_| INTERRUPTED.store(true, Ordering::Relaxed)).map_err(Failure::Other)?;
    let name = format!("Local\\shmkit-demo-{}", std::process::id());
    output::line("A message server and two consumers: three processes, one named section.\n")?;
    let mut server = Server::start(&name)?;
    for text in MESSAGES {
        pause()?;
        server.tell_and_show(text)?;
    }
    pause()?;
    server.race()?;
    pause()?;
    server.lose_one()?;
    pause()?;
    server.leave(&name)
}

/// A consumer as the server sees it.
struct Peer {
    title: String,
    process: Child,
    answer: Mapping,
}

struct Server {
    // Dropped first: the last holder tidies up, and a killed consumer cannot.
    peers: Vec<Peer>,
    board: Mapping<ReadWrite>,
    number: u32,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(name: &str) -> Result<Server, Failure> {
        let section = Section::create_new(name, SIZE)?;
        let me = std::process::id();
        row(
            "server",
            &format!("pid {me} created {name}, {SIZE} bytes, for this user only"),
        )?;
        let mut server = Server {
            board: section.map_rw(..)?,
            number: 0,
            peers: Vec::new(),
        };
        for n in 1..=2 {
            let peer = Peer::start(n, name)?;
            let cell = peer.answer.cell_u32(4)?;
            wait(&peer.title, || cell.load() != 0)?;
            row(
                &peer.title,
                &format!("pid {} opened it, and can only read it", cell.load()),
            )?;
            server.peers.push(peer);
        }
        output::line("")?;
        Ok(server)
    }

    /// The sequence rule, from the writer's side.
    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        assert!(text.len() <= TEXT_MAX, "the board has no room for it");
        self.number += 1;
        let sequence = self.board.atomic_u32(0)?;
        sequence.store(2 * self.number - 1, Ordering::Relaxed);
        // Release: pairs with the acquire fence of `read_whole`; whoever sees the
        // new text sees the odd word before it.
        fence(Ordering::Release);
        self.board.write_value(4, &(text.len() as u32))?;
        self.board.write(8, text.as_bytes())?;
        // Release: pairs with the load in `read_whole`; the word comes last.
        sequence.store(2 * self.number, Ordering::Release);
        Ok(())
    }

    fn wait_for_answers(&self) -> Outcome {
        for peer in &self.peers {
            let answered = peer.answer.cell_u32(0)?;
            wait(&peer.title, || answered.load() == self.number)?;
        }
        Ok(())
    }

    fn tell_and_show(&mut self, text: &str) -> Outcome {
        row("server", &format!("writes #{} \"{text}\"", self.number + 1))?;
        self.tell(text)?;
        self.wait_for_answers()?;
        for peer in &self.peers {
            row(&peer.title, &format!("answers   \"{}\"", peer.answer()?))?;
        }
        Ok(())
    }

    fn race(&mut self) -> Outcome {
        output::line("\nNow without a pause, each message answered by both before the next:")?;
        let start = Instant::now();
        for n in 0..FAST {
            self.tell(&format!("fast message {n}"))?;
            self.wait_for_answers()?;
        }
        let took = start.elapsed();
        let each = took.as_secs_f64() * 1e6 / f64::from(FAST);
        row(
            "all three",
            &format!(
                "{FAST} messages in {:.0} ms, {each:.1} µs each; none torn, none missed",
                took.as_secs_f64() * 1e3
            ),
        )
    }

    fn lose_one(&mut self) -> Outcome {
        let Some(mut lost) = self.peers.pop() else {
            return Ok(());
        };
        output::line("")?;
        lost.process.kill().map_err(Failure::other)?;
        lost.process.wait().map_err(Failure::other)?;
        row(&lost.title, "was killed: no goodbye, no clean-up")?;
        self.tell_and_show("Is anybody left?")
    }

    fn leave(mut self, name: &str) -> Outcome {
        row("server", "says goodbye and leaves")?;
        self.tell(GOODBYE)?;
        for peer in &mut self.peers {
            let limit = Instant::now() + PATIENCE;
            while peer.process.try_wait().map_err(Failure::other)?.is_none() {
                if Instant::now() > limit {
                    return Err(Failure::Other(format!("{} does not leave", peer.title)));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        drop(self);
        match Section::open(name) {
            Err(gone) if gone.kind() == ErrorKind::NotFound => {
                output::line("\nThe last holder has left. Who opens the name now is told:")?;
                Ok(output::line(&format!("  {}", gone.meaning()))?)
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err(Failure::other("the section outlived its holders")),
        }
    }
}

impl Peer {
    fn start(n: u32, board: &str) -> Result<Peer, Failure> {
        let name = format!("{board}.answers-{n}");
        let section = Section::create_new(&name, SIZE)?;
        let program = std::env::current_exe().map_err(Failure::other)?;
        let process = Command::new(program)
            .args(["demo-consumer", board, &name])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| Failure::Other(format!("cannot start a consumer: {e}")))?;
        Ok(Peer {
            title: format!("consumer {n}"),
            process,
            answer: section.map(..)?,
        })
    }

    fn answer(&self) -> Result<String, Failure> {
        let len: u32 = self.answer.read_value(8)?;
        let mut text = vec![0; (len as usize).min(TEXT_MAX)];
        self.answer.read(12, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The other process: reads each message, answers it, and leaves when told to.
pub fn consumer(board: &str, answers: &str) -> Outcome {
    let board = Section::open(board)?.map(..)?;
    let answers = Section::open_rw(answers)?.map_rw(..)?;
    let me = std::process::id();
    // Release: pairs with the load in `Server::start`.
    answers.atomic_u32(4)?.store(me, Ordering::Release);
    let answered = answers.atomic_u32(0)?;
    let sequence = board.cell_u32(0)?;
    let mut last = 0;
    loop {
        if wait("the server", || sequence.load() > 2 * last).is_err() {
            // It is gone, and nobody is left to be told.
            return Ok(());
        }
        let Some((number, text)) = read_whole(&board)? else {
            continue;
        };
        if text == GOODBYE {
            return Ok(());
        }
        if number != last + 1 {
            return Err(Failure::Other(format!(
                "message {number} came after {last}"
            )));
        }
        let answer = format!("{me} read #{number}, {} bytes", text.len());
        answers.write_value(8, &(answer.len() as u32))?;
        answers.write(12, answer.as_bytes())?;
        // Release: pairs with the load in `wait_for_answers`.
        answered.store(number, Ordering::Release);
        last = number;
    }
}

/// The sequence rule, from the reader's side: `None` while a message is being
/// written, or where it changed under our eyes.
fn read_whole(board: &Mapping) -> Result<Option<(u32, String)>, Failure> {
    let sequence = board.cell_u32(0)?;
    let before = sequence.load();
    let len: u32 = board.read_value(4)?;
    let mut text = vec![0; (len as usize).min(TEXT_MAX)];
    board.read(8, &mut text)?;
    // Acquire: pairs with the release fence of `tell`; the second look at the word
    // comes after the bytes.
    fence(Ordering::Acquire);
    if before % 2 == 1 || sequence.load() != before {
        return Ok(None);
    }
    Ok(Some((
        before / 2,
        String::from_utf8_lossy(&text).into_owned(),
    )))
}

/// Raw sections have nothing to wait on, so this looks again and again.
fn wait(whom: &str, mut done: impl FnMut() -> bool) -> Outcome {
    let limit = Instant::now() + PATIENCE;
    let mut looks = 0u32;
    while !done() {
        looks = looks.saturating_add(1);
        if looks > 100_000 {
            std::thread::sleep(Duration::from_millis(1));
        } else if looks.is_multiple_of(64) {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
        check_interrupted()?;
        let check = looks > 100_000 || looks.is_multiple_of(1024);
        if check && Instant::now() > limit {
            return Err(Failure::Other(format!(
                "{whom} did not answer within {PATIENCE:?}"
            )));
        }
    }
    Ok(())
}

/// So that everything is dropped, and so tidied up, on Ctrl-C too.
fn check_interrupted() -> Outcome {
    match INTERRUPTED.load(Ordering::Relaxed) {
        true => Err(Failure::Other("interrupted".to_string())),
        false => Ok(()),
    }
}

/// A moment for the person.
fn pause() -> Outcome {
    let end = Instant::now() + PAUSE;
    while Instant::now() < end {
        check_interrupted()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn row(who: &str, what: &str) -> Outcome {
    Ok(output::line(&format!("  {who:<11} {what}"))?)
}
