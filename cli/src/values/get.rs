//! `get`: prints the newest values.

use crate::args::Get;
use crate::input::ends::{Ends, Woken};
use crate::names::open;
use crate::names::open::Sought;
use crate::output::printer::Printer;
use crate::values::keys::Wanted;
use crate::{Failure, Outcome, output};
use shmkit::{DisconnectReason, Reader, RecvError};
use std::time::Instant;

pub fn run(args: &Get) -> Outcome {
    let until = Instant::now() + args.wait.unwrap_or_default();
    let mut reader = open_in_time(args)?;

    let wanted = Wanted::of(args.key.as_deref(), reader.names()).map_err(|keys| {
        let (name, key) = (&args.name, args.key.as_deref().unwrap_or_default());
        let (name, key) = (output::name(name), output::name(key));
        Failure::Other(format!("{name} has no value {key}\n  {keys}"))
    })?;

    let ends = Ends::watch(None).map_err(Failure::Other)?;
    let layout = shmkit::inspect::segment_info(&args.name)?.layout;
    let mut printer = Printer::new(args.json, args.count).of(layout);

    let mut shown = Shown {
        versions: vec![0; reader.names().len()],
        wanted,
    };

    let printed = print(args, &mut reader, &mut printer, &mut shown, until, &ends);
    // The values that were received are printed, also after an error.
    printer.flush()?;
    printed
}

fn open_in_time(args: &Get) -> Result<Reader, Failure> {
    let opened = open::in_time(args.wait, |left| {
        Reader::options().wait(left).open(&args.name)
    });
    opened.map_err(|error| open::explain(&args.name, Sought::Values, error))
}

/// The version of each value that was printed last, and which values are wanted.
struct Shown {
    versions: Vec<u64>,
    wanted: Wanted,
}

impl Shown {
    /// Prints a value if it is wanted and was not printed yet.
    fn show(
        &mut self,
        reader: &mut Reader,
        index: usize,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        let version = reader.version(index);
        if !self.wanted.has(index) || version == self.versions[index] || printer.is_done() {
            return Ok(());
        }
        // The name of a single value is known to the user.
        let key = match self.wanted {
            Wanted::One(_) => String::new(),
            Wanted::All | Wanted::Some(_) => reader.names()[index].clone(),
        };
        printer.value(&key, reader.get_at(index)?)?;
        self.versions[index] = version;
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.versions.iter().all(|version| *version == 0)
    }
}

fn print(
    args: &Get,
    reader: &mut Reader,
    printer: &mut Printer,
    shown: &mut Shown,
    until: Instant,
    ends: &Ends,
) -> Outcome {
    for index in 0..reader.names().len() {
        shown.show(reader, index, printer)?;
    }

    let mut waits = ends.waits_of_printer().map_err(Failure::Other)?;
    let until = (!args.follow).then_some(until);

    while !printer.is_done() && (args.follow || shown.is_empty()) && ends.now().is_none() {
        match reader.try_change() {
            Ok(index) => shown.show(reader, index, printer)?,
            Err(RecvError::Empty) => {
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Err(nothing(args));
                }
                printer.flush()?;
                if waits.wait(reader, until)? == Woken::ReaderLeft {
                    return Err(Failure::ClosedPipe);
                }
            }
            Err(RecvError::Disconnected(_)) if !args.follow => return Err(nothing(args)),
            Err(RecvError::Disconnected(how)) => return gone(args, how),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn nothing(args: &Get) -> Failure {
    let name = output::name(&args.name);
    Failure::Absent(format!("nothing was set in {name} yet"))
}

fn gone(args: &Get, how: DisconnectReason) -> Outcome {
    let name = output::name(&args.name);
    match how {
        DisconnectReason::Closed => {
            output::remark(&format!("the writer of {name} has closed"));
            Ok(())
        }
        DisconnectReason::Died => Err(Failure::Absent(format!(
            "the writer of {name} died\n  the last printed value is the last one that it set; start the writer again"
        ))),
    }
}
