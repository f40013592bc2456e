//! Sections with our header: who made them, what is in them, and who takes part.
//!
//! A segment is three sections, split by who writes them. *Control* has the name that
//! people use: the owner writes it, everybody else maps it read-only. Participants write
//! the *roster*, in which nothing is believed. The *lanes* hold the messages; each is
//! written by its one writer. The measures are read once, checked against the sections,
//! and kept.

use crate::access::{Access, Owner};
use crate::describe::{Layout, MAX_TEXT, fingerprint};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::lane::ring::Shape;
use crate::latest::Grid;
use crate::layout::{
    ALIVE_SUFFIX, LANES_SUFFIX, LINE, MAGIC, MAJOR, MAX_IN_FLIGHT, MAX_RING, MIN_RING, MINOR,
    OWNER, ROSTER_SUFFIX, SLOTS, control, cursor, delivery, lane, record, roster, values,
};
use crate::name::Name;
use crate::os::ProcessIdentity;
use crate::process::{Liveness, Process};
use crate::roster::Roster;
use crate::seat::{Bells, EVERYBODY, Seat, event_name};
use crate::section::{Section, SectionOptions};
use crate::sync::{Fixed, Round, Window, WindowMut, Words, WordsMut};

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an opener waits for a segment that is being made, and a creator for what a
/// closing one still holds.
const PATIENCE: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(2);

/// What a segment is, once for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measures {
    pub kind: u32,
    pub lanes: usize,
    pub shape: Shape,
    pub delivery: u32,
    /// How many calls of a client can be open at a time, where there are calls.
    pub in_flight: usize,
    /// Of latest values, which have no lanes.
    pub grid: Option<Grid>,
}

impl Measures {
    fn stride(&self) -> u64 {
        lane::HEAD as u64 + self.shape.bytes()
    }

    /// Those of latest values.
    pub fn of_values(grid: Grid) -> Measures {
        Measures {
            kind: control::kind::LATEST,
            lanes: 0,
            shape: Shape::NONE,
            delivery: delivery::LOSSY,
            in_flight: 0,
            grid: Some(grid),
        }
    }

    /// The bytes of all lanes, or values.
    fn len(&self) -> u64 {
        match self.grid {
            Some(grid) => grid.len(),
            None => self.stride() * self.rings() as u64,
        }
    }

    /// How many rings there are: where there are calls, one for the responses to each lane too.
    pub fn rings(&self) -> usize {
        match self.kind {
            control::kind::RPC => 2 * self.lanes,
            _ => self.lanes,
        }
    }

    /// Which ring has the responses to a lane.
    fn responses(&self, lane: usize) -> usize {
        self.lanes + lane
    }

    fn place(&self, lane: usize) -> Range<u64> {
        let at = self.stride() * lane as u64;
        at..at + self.stride()
    }

    fn map(
        &self,
        lanes: &Section,
        lane: usize,
        prefault: bool,
    ) -> Result<Lane<Window<Head>, Window<Round>>> {
        let view = Arc::new(lanes.map(self.place(lane))?);
        if prefault {
            view.prefault()?;
        }
        Ok(Lane {
            head: view.window(0, lane::HEAD)?.part(0),
            ring: view.window(lane::HEAD, view.len() - lane::HEAD)?.round(),
        })
    }

    fn map_mut(
        &self,
        lanes: &Section,
        lane: usize,
        prefault: bool,
    ) -> Result<Lane<WindowMut<Head>, WindowMut<Round>>> {
        let view = Arc::new(lanes.map_rw(self.place(lane))?);
        if prefault {
            view.prefault()?;
        }
        Ok(Lane {
            head: view.window_mut(0, lane::HEAD)?.part(0),
            ring: view
                .window_mut(lane::HEAD, view.len() - lane::HEAD)?
                .round(),
        })
    }

    /// Those of calls, with requests and responses of up to `max` bytes. Both rings of a client
    /// take all its open calls, so that nobody ever waits for room.
    pub fn of_calls(clients: usize, max: u64, in_flight: usize, subject: &str) -> Result<Measures> {
        let needed = Measures::needed(max, in_flight as u64);
        Ok(Measures {
            kind: control::kind::RPC,
            lanes: clients,
            shape: Measures::shape_for(needed, Some(max), subject)?,
            delivery: delivery::LOSSLESS,
            in_flight,
            grid: None,
        })
    }

    /// The bytes of a ring that always has room for one more of so many messages: with the
    /// pad in front of the ring's end, and an eighth that the reader gives back late.
    fn needed(max: u64, messages: u64) -> u64 {
        let need = max
            .saturating_add(2 * record::PAYLOAD as u64)
            .max(LINE as u64);
        let records = need.saturating_mul(messages + 2);
        records.saturating_add(records / 7 + 1)
    }

    /// A ring that takes messages of `max` bytes, and `capacity` bytes of them.
    pub fn shape_for(capacity: u64, max: Option<u64>, subject: &str) -> Result<Shape> {
        let refuse = |meaning: String| {
            let error = Error::new(
                ErrorKind::InvalidArgument,
                Operation::Create,
                &subject,
                meaning,
            );
            Err(error
                .with_advice("a lane takes at most 1 GiB, and a message a quarter of its lane"))
        };
        let for_max = max.map_or(0, |max| max.saturating_add(record::PAYLOAD as u64));
        let bytes = capacity.max(MIN_RING).max(for_max.saturating_mul(4));
        if bytes > MAX_RING {
            return refuse(format!("{bytes} bytes are too many for one lane"));
        }
        let bytes = bytes.next_power_of_two();
        let max = max.map_or(Shape::longest(bytes), |max| max as usize);
        match Shape::new(bytes, max) {
            Some(shape) => Ok(shape),
            None => refuse(format!("{max} bytes are too many for one message")),
        }
    }
}

type Control = Fixed<{ control::LEN }>;
pub(crate) type Cursor = Fixed<{ cursor::LEN }>;
pub(crate) type Head = Fixed<{ lane::HEAD }>;

/// A lane, mapped.
#[derive(Debug)]
pub(crate) struct Lane<H, R> {
    pub head: H,
    pub ring: R,
}

/// The sections that stand beside a name.
struct Companions {
    roster: Name,
    lanes: Name,
    alive: Name,
}

impl Companions {
    fn of(name: &Name, generation: u32) -> Result<Companions> {
        // The longest of all, so that it is refused now and not when somebody has to sleep.
        event_name(name, OWNER, (u64::MAX, u32::MAX))?;
        Ok(Companions {
            roster: Name::new(&format!("{name}{ROSTER_SUFFIX}"))?,
            lanes: Name::new(&format!("{name}{LANES_SUFFIX}{generation:08x}"))?,
            alive: Name::new(&format!("{name}{ALIVE_SUFFIX}"))?,
        })
    }
}

/// A segment, for whoever made it.
#[derive(Debug)]
pub(crate) struct Owned {
    pub measures: Measures,
    bells: Bells,
    lanes: Section,
    control: WindowMut<Control>,
    name: Name,
    /// For those who may not watch this process.
    _alive: Option<Liveness>,
}

impl Owned {
    /// Makes the three sections, and the owner's seat in them. Nobody can use them before
    /// [`publish`](Owned::publish).
    pub fn create(name: &Name, measures: Measures, access: &Access) -> Result<(Owned, Seat)> {
        let companions = Companions::of(name, 1)?;
        let me = ProcessIdentity::current()?;
        let (inner, lanes_access) = match (access, measures.kind) {
            (Access::Sddl(_), _) => (access.clone(), access.clone()),
            // Others may look; what is written by participants is for this user alone.
            (_, control::kind::TOPIC | control::kind::LATEST) => (Access::SameUser, access.clone()),
            _ => (Access::SameUser, Access::SameUser),
        };
        let section = |access: &Access| Section::options().access(access.clone());
        let base = section(access)
            .create_new(name, control::LEN as u64)
            .map_err(whose_it_was)?;
        let view = Arc::new(base.map_rw(..control::LEN as u64)?);
        let control = view.window_mut(0, control::LEN)?.part(0);
        let len = roster::LEN as u64;
        let roster = create_beside(&section(&inner), &companions.roster, len)?;
        let view = Arc::new(roster.map_rw(..len)?);
        let roster = Roster::new(view.window_mut(0, roster::LEN)?.part(0));
        let len = measures.len();
        let lanes = create_beside(&section(&lanes_access), &companions.lanes, len)?;
        let alive = match access {
            Access::SameUser => None,
            _ => Some(Liveness::announce(companions.alive, access.clone())?),
        };
        format(&control, &measures, &me);
        let seat = Seat::of_owner(roster.clone(), name, inner, &me);
        let segment = Owned {
            measures,
            bells: Bells::new(roster, name, &me),
            lanes,
            control,
            name: name.clone(),
            _alive: alive,
        };
        Ok((segment, seat))
    }

    fn describe(&self, layouts: &[Layout]) -> Result<()> {
        let text = text_of(layouts);
        if layouts_in(&text).as_deref() != Some(layouts) {
            let kind = ErrorKind::InvalidArgument;
            let meaning = "the layout of its messages cannot be";
            let error = Error::new(kind, Operation::Create, &self.name, meaning);
            return Err(error.with_advice("docs/layout.md says which can"));
        }
        self.control.copy_in(control::TYPE, text.as_bytes());
        self.control.store32(control::TYPE_LEN, text.len() as u32);
        let fingerprint = fingerprint(&text);
        self.control.store64(control::TYPE_FINGERPRINT, fingerprint);
        Ok(())
    }

    /// Lets others in, and tells them what a message is made of: one type, or that of requests
    /// and that of responses, or none.
    pub fn publish(&self, layouts: &[Layout]) -> Result<()> {
        if !layouts.is_empty() {
            self.describe(layouts)?;
        }
        // Last, so that whoever reads it sees the rest: pairs with the opener's load.
        self.control.publish32(control::MAGIC, MAGIC);
        Ok(())
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn roster(&self) -> &Roster {
        self.bells.roster()
    }

    pub fn bells(&self) -> &Bells {
        &self.bells
    }

    /// A lane that others write.
    pub fn lane(&self, lane: usize, prefault: bool) -> Result<Lane<Window<Head>, Window<Round>>> {
        self.measures.map(&self.lanes, lane, prefault)
    }

    /// A lane that the owner writes.
    pub fn lane_mut(
        &self,
        lane: usize,
        prefault: bool,
    ) -> Result<Lane<WindowMut<Head>, WindowMut<Round>>> {
        self.measures.map_mut(&self.lanes, lane, prefault)
    }

    /// The lane of the responses to another.
    pub fn responses_mut(
        &self,
        lane: usize,
        prefault: bool,
    ) -> Result<Lane<WindowMut<Head>, WindowMut<Round>>> {
        self.lane_mut(self.measures.responses(lane), prefault)
    }

    /// The values, which the owner writes.
    pub fn values_mut(&self, prefault: bool) -> Result<WindowMut> {
        let view = Arc::new(self.lanes.map_rw(..self.measures.len())?);
        if prefault {
            view.prefault()?;
        }
        view.window_mut(0, view.len())
    }

    /// The owner's cursor in a lane.
    pub fn cursor(&self, lane: usize) -> WindowMut<Cursor> {
        self.control.part(cursor_at(lane))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Pairs with the load of whoever waits for messages or room, who sees what was
        // sent before.
        self.control.publish32(control::CLOSED, 1);
        self.bells.wake(EVERYBODY);
    }
}

fn cursor_at(lane: usize) -> usize {
    control::CURSORS + lane * control::CURSOR_STRIDE
}

fn format(words: &WindowMut<Control>, measures: &Measures, me: &ProcessIdentity) {
    let [start, pid] = me.to_words();
    words.store32(control::VERSION, MAJOR << 16 | MINOR);
    words.store32(control::KIND, measures.kind);
    words.store32(control::LANES, measures.lanes as u32);
    words.store64(control::OWNER_START, start);
    words.store64(control::OWNER_PID, pid);
    words.store32(control::RING_BYTES, measures.shape.bytes() as u32);
    words.store32(control::MAX_MESSAGE, measures.shape.max() as u32);
    words.store32(control::GENERATION, 1);
    words.store32(control::DELIVERY, measures.delivery);
    words.store32(control::IN_FLIGHT, measures.in_flight as u32);
    if let Some(grid) = measures.grid {
        words.store32(control::VALUES, grid.count() as u32);
        words.store32(control::VALUE_SLOTS, grid.slots() as u32);
        words.store32(control::MAX_MESSAGE, grid.max() as u32);
    }
}

/// Where a participant of a predecessor is closing, its last section may outlive the
/// first by a moment.
fn create_beside(options: &SectionOptions, name: &Name, len: u64) -> Result<Section> {
    let end = Instant::now() + PATIENCE;
    loop {
        match options.create_new(name, len) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && Instant::now() < end => {
                std::thread::sleep(NAP);
            }
            created => return created,
        }
    }
}

/// A name that is taken because consumers still hold what a dead owner made.
fn whose_it_was(error: Error) -> Error {
    if error.kind() != ErrorKind::AlreadyExists {
        return error;
    }
    let subject = error.subject().to_string();
    let Ok(found) = Name::new(&subject).and_then(|name| Found::look(&name, None)) else {
        return error;
    };
    let pid = found.owner.pid();
    let (meaning, advice) = match found.owner.is_alive() {
        Ok(false) => (
            format!("its owner, process {pid}, has ended, and others still hold what it made"),
            "stop them: a section lives until the last process lets go of it",
        ),
        _ => (
            format!("it is owned by process {pid}, which is alive"),
            "stop that process, use another name, or open what is there",
        ),
    };
    let code = error.code();
    let error = Error::new(
        ErrorKind::AlreadyExists,
        Operation::Create,
        &subject,
        meaning,
    );
    match code {
        Some(code) => error.with_code(code).with_advice(advice),
        None => error.with_advice(advice),
    }
}

/// The control section of a segment, checked.
#[derive(Debug)]
pub(crate) struct Found {
    pub measures: Measures,
    pub owner: ProcessIdentity,
    pub control: Window<Control>,
    pub name: Name,
    pub minor: u32,
    generation: u32,
    expect: Option<Owner>,
}

impl Found {
    /// Opens and checks what has this name.
    pub fn open(name: &Name, expect: Option<Owner>) -> Result<Found> {
        let end = Instant::now() + PATIENCE;
        loop {
            match Found::look(name, expect.clone()) {
                // It was made a moment ago. It is not held meanwhile: that would keep
                // what a dead process half made.
                Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < end => {
                    std::thread::sleep(NAP);
                }
                found => return found,
            }
        }
    }

    fn look(name: &Name, expect: Option<Owner>) -> Result<Found> {
        let section = looking(expect.clone()).open(name)?;
        let refuse = |kind, meaning: String, advice: &'static str| {
            Err(Error::new(kind, Operation::Open, name, meaning).with_advice(advice))
        };
        let raw = "it is bare memory: read it by Section::open, or shmkit consume";
        if section.len()? < control::LEN as u64 {
            let meaning = "it is too small to be of this crate's patterns".to_string();
            return refuse(ErrorKind::WrongKind, meaning, raw);
        }
        let view = Arc::new(section.map(..control::LEN as u64)?);
        let words = view.window(0, control::LEN)?.part(0);
        match words.load32(control::MAGIC) {
            MAGIC => {}
            0 => {
                let meaning = "it is not ready, or bare memory".to_string();
                return refuse(
                    ErrorKind::Busy,
                    meaning,
                    "try again, or read it by Section::open",
                );
            }
            _ => {
                let meaning = "it is none of this crate's patterns".to_string();
                return refuse(ErrorKind::WrongKind, meaning, raw);
            }
        }
        let version = words.load32(control::VERSION);
        let (major, minor) = (version >> 16, version & 0xffff);
        if major != MAJOR {
            let meaning = format!(
                "it has version {major}.{minor} of the format, and this is {MAJOR}.{MINOR}"
            );
            let advice = "use one version of shmkit on both sides";
            return refuse(ErrorKind::WrongVersion, meaning, advice);
        }
        let Some(measures) = measures(&words) else {
            let meaning = "its header makes no sense".to_string();
            return refuse(
                ErrorKind::Corrupt,
                meaning,
                "restart the program that made it",
            );
        };
        let owner = [control::OWNER_START, control::OWNER_PID].map(|at| words.load64(at));
        Ok(Found {
            measures,
            owner: ProcessIdentity::from_words(owner),
            generation: words.load32(control::GENERATION),
            control: words,
            name: name.clone(),
            minor,
            expect,
        })
    }

    /// As `open`, of this kind, and of messages of these types.
    pub fn open_as(
        name: &Name,
        kind: u32,
        expect: Option<Owner>,
        layouts: &[Layout],
    ) -> Result<Found> {
        let found = Found::open(name, expect)?;
        if found.measures.kind == kind {
            if !layouts.is_empty() {
                found.expect_layouts(layouts)?;
            }
            return Ok(found);
        }
        let (is, advice) = match found.measures.kind {
            control::kind::QUEUE => ("a queue", "send to it: Sender::open"),
            control::kind::TOPIC => ("a topic", "subscribe to it: Subscriber::open"),
            control::kind::RPC => ("a server of calls", "call it: Client::open"),
            _ => ("latest values", "read them: Reader::open"),
        };
        let wanted = match kind {
            control::kind::QUEUE => "queue",
            control::kind::TOPIC => "topic",
            control::kind::RPC => "server of calls",
            _ => "latest value",
        };
        let meaning = format!("it is {is}, and no {wanted}");
        let error = Error::new(ErrorKind::WrongKind, Operation::Open, name, meaning);
        Err(error.with_advice(advice))
    }

    /// What a message is made of, as the owner tells, or requests and responses are; nothing
    /// where they are bare bytes.
    pub fn layouts(&self) -> Result<Vec<Layout>> {
        let len = self.control.load32(control::TYPE_LEN) as usize;
        let fingerprint = self.control.load64(control::TYPE_FINGERPRINT);
        if (len, fingerprint) == (0, 0) {
            return Ok(Vec::new());
        }
        let mut bytes = [0; MAX_TEXT];
        let text = bytes.get_mut(..len).and_then(|bytes| {
            self.control.copy_out(control::TYPE, bytes);
            str::from_utf8(bytes).ok()
        });
        let text = text.filter(|text| self::fingerprint(text) == fingerprint);
        let count = match self.measures.kind {
            control::kind::RPC => 2,
            _ => 1,
        };
        let layouts = text.and_then(layouts_in);
        match layouts.filter(|layouts| layouts.len() == count) {
            Some(layouts) => Ok(layouts),
            None => {
                let meaning = "what it says of the type of its messages makes no sense";
                let error = Error::new(ErrorKind::Corrupt, Operation::Open, &self.name, meaning);
                Err(error.with_advice("restart the program that made it"))
            }
        }
    }

    /// Refuses what has messages of other types than these.
    fn expect_layouts(&self, layouts: &[Layout]) -> Result<()> {
        let there = self.layouts()?;
        let what: &[&str] = match layouts {
            [_] => &["messages"],
            _ => &["requests", "responses"],
        };
        let differ = |((here, there), what): ((&Layout, &Layout), &&str)| {
            let difference = here.difference(there)?;
            Some(format!("its {what} are of another type: {difference}"))
        };
        let (meaning, advice) = match layouts.iter().zip(&there).zip(what).find_map(differ) {
            Some(meaning) => (
                meaning,
                "use one struct on both sides, or open it without a type",
            ),
            None if !there.is_empty() => return Ok(()),
            None => (
                format!("its {} are bare bytes, of no type that it tells", what[0]),
                "let its creator say the type, or open it without one",
            ),
        };
        let error = Error::new(ErrorKind::WrongType, Operation::Open, &self.name, meaning);
        Err(error.with_advice(advice))
    }

    /// The roster, to take part, and who may set the events of those who do: whoever may
    /// write the roster. (On Windows the right to map a section for writing and that to
    /// set an event are the same bit.)
    pub fn roster(&self) -> Result<(Roster, Access)> {
        let companions = Companions::of(&self.name, self.generation)?;
        let section = self.beside(&companions.roster, roster::LEN as u64, true)?;
        let access = match section.info()?.object.access {
            Some(sddl) if sddl.contains("D:") => Access::Sddl(sddl),
            _ => Access::SameUser,
        };
        let view = Arc::new(section.map_rw(..roster::LEN as u64)?);
        Ok((
            Roster::new(view.window_mut(0, roster::LEN)?.part(0)),
            access,
        ))
    }

    /// The roster, to look at.
    pub fn roster_words(&self) -> Result<Window<Fixed<{ roster::LEN }>>> {
        let companions = Companions::of(&self.name, self.generation)?;
        let section = self.beside(&companions.roster, roster::LEN as u64, false)?;
        let view = Arc::new(section.map(..roster::LEN as u64)?);
        Ok(view.window(0, roster::LEN)?.part(0))
    }

    /// A lane, to be read.
    pub fn lane(&self, lane: usize) -> Result<Lane<Window<Head>, Window<Round>>> {
        self.measures.map(&self.lanes(false)?, lane, false)
    }

    /// A lane, to be written.
    pub fn lane_mut(&self, lane: usize) -> Result<Lane<WindowMut<Head>, WindowMut<Round>>> {
        self.measures.map_mut(&self.lanes(true)?, lane, false)
    }

    /// The lane of the responses to another, to be read.
    pub fn responses(&self, lane: usize) -> Result<Lane<Window<Head>, Window<Round>>> {
        self.lane(self.measures.responses(lane))
    }

    /// The values, to be read.
    pub fn values(&self) -> Result<Window> {
        let view = Arc::new(self.lanes(false)?.map(..self.measures.len())?);
        view.window(0, view.len())
    }

    fn lanes(&self, write: bool) -> Result<Section> {
        let companions = Companions::of(&self.name, self.generation)?;
        self.beside(&companions.lanes, self.measures.len(), write)
    }

    /// How many messages were sent in each lane, or how often values were set.
    pub fn sent(&self) -> Result<Vec<u64>> {
        let lanes = self.lanes(false)?;
        let read = |at| {
            let mut word = [0; 8];
            lanes.read_at(at, &mut word)?;
            Ok(u64::from_le_bytes(word))
        };
        match self.measures.grid {
            Some(_) => Ok(vec![read(values::CHANGES as u64)?]),
            None => (0..self.measures.rings())
                .map(|lane| read(self.measures.place(lane).start + lane::SENT as u64))
                .collect(),
        }
    }

    /// The owner's cursor in a lane.
    pub fn cursor(&self, lane: usize) -> Window<Cursor> {
        self.control.part(cursor_at(lane))
    }

    /// Whether the owner has closed in good order.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.control.load32(control::CLOSED) != 0
    }

    /// Watches the owner, which is alive.
    pub fn watch_owner(&self) -> Result<Process> {
        let owner = match self.owner.watch() {
            Err(error) if error.kind() == ErrorKind::AccessDenied => {
                let companions = Companions::of(&self.name, self.generation)?;
                Process::by_liveness(companions.alive).or(Err(error))?
            }
            watched => watched?,
        };
        if !owner.has_ended()? {
            return Ok(owner);
        }
        let pid = self.owner.pid();
        let meaning =
            format!("its owner, process {pid}, has ended; others still hold what it made");
        let error = Error::new(ErrorKind::NotFound, Operation::Open, &self.name, meaning);
        Err(error.with_advice("stop them, and start the owner again"))
    }

    fn beside(&self, name: &Name, len: u64, write: bool) -> Result<Section> {
        looking(self.expect.clone())
            .write(write)
            .expect_len(len)
            .open(name)
    }
}

fn looking(expect: Option<Owner>) -> SectionOptions {
    match expect {
        Some(owner) => Section::options().expect_owner(owner),
        None => Section::options(),
    }
}

/// The types of messages as they stand in control: texts with `>` between them.
fn text_of(layouts: &[Layout]) -> String {
    let texts: Vec<String> = layouts.iter().map(Layout::to_string).collect();
    texts.join(">")
}

fn layouts_in(text: &str) -> Option<Vec<Layout>> {
    let inside = text.len() <= MAX_TEXT;
    inside.then(|| text.split('>').map(Layout::parse).collect())?
}

/// The measures in a header, if they can be.
fn measures(words: &Window<Control>) -> Option<Measures> {
    let kind = words.load32(control::KIND);
    let lanes = words.load32(control::LANES) as usize;
    let bytes = u64::from(words.load32(control::RING_BYTES));
    let max = words.load32(control::MAX_MESSAGE) as usize;
    let in_flight = words.load32(control::IN_FLIGHT) as usize;
    if kind == control::kind::LATEST {
        let [count, slots] = [control::VALUES, control::VALUE_SLOTS].map(|at| words.load32(at));
        let grid = Grid::new(count as usize, max, u64::from(slots))?;
        return Some(Measures::of_values(grid));
    }
    let known = match kind {
        control::kind::QUEUE => (1..=SLOTS).contains(&lanes),
        control::kind::TOPIC => lanes == 1,
        control::kind::RPC => {
            let needed = Measures::needed(max as u64, in_flight as u64);
            let counts = in_flight.is_power_of_two() && in_flight <= MAX_IN_FLIGHT;
            counts && (1..=SLOTS).contains(&lanes) && needed <= bytes
        }
        _ => false,
    };
    let sound = known && (MIN_RING..=MAX_RING).contains(&bytes);
    let shape = Shape::new(bytes, max).filter(|_| sound)?;
    Some(Measures {
        kind,
        lanes,
        shape,
        delivery: words.load32(control::DELIVERY),
        in_flight,
        grid: None,
    })
}
