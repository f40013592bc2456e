//! The ownership record: the section that has the name of the segment. It holds the owner of the
//! name and the number of the generation in use.
//!
//! ```text
//!   a process takes the name over
//!     1  create the section with that name
//!          it is new:     store OWNER and the other words, then MAGIC; go to 4
//!     2  it exists:       open it, and refuse a section of another user
//!                         refuse if OWNER is alive, or if ACCESS differs
//!     3  compare and swap OWNER, from the word that was found to this process: one winner
//!          lost, or the name has gone:  repeat from 1
//!     4  create the sections of the next generation (owned.rs)
//!     5  GENERATION = the next: one store puts the generation in use
//!     6  tell the earlier generations that they have ended (ending.rs)
//! ```
//!
//! The section lives as long as any process holds it, so it outlives its owners. A generation is
//! complete in itself. So the next owner repairs nothing, and a death at any step leaves either the
//! old generation or the new one in use.

use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::fingerprint;
use crate::format::layout::{MAGIC, MAJOR, MINOR, OLDER_MAJOR, control, ownership};
use crate::name::Name;
use crate::object::section::{Section, SectionOptions};
use crate::os::{
    self, LivesBackend, OWNER_LIFE, Occupant, ProcessIdentity, SectionBackend, Validity,
    ValidityBackend, pid_of, word_of,
};
use crate::segment::Companions;
use crate::segment::participant::Life;
use crate::segment::roster::identity_of;
use crate::sync::{Fixed, Ordering, Shared, Window, WindowMut, Words, WordsMut};
use std::time::{Duration, Instant, SystemTime};

/// How often this process tries at least to take a name that appears and vanishes, or whose owner is
/// ending or creating.
const TRIES: u32 = 100;
/// How long it tries at least.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause until an owner that is ending or creating is looked at again.
const PAUSE: Duration = Duration::from_millis(2);

/// At most this many generations are searched for participants.
const MOST: u32 = 4096;

type RecordWords = Fixed<{ ownership::LEN }>;

/// The words of an ownership record.
#[derive(Clone, Debug)]
pub(crate) struct Ownership<W>(pub W);

impl<W: Words> Ownership<W> {
    /// Returns the process word of the owner; 0 if there is no owner.
    pub fn owner(&self) -> u64 {
        self.0.load64(ownership::OWNER)
    }

    /// Returns the word of the access with which the record was created; see [`access_word`].
    fn access(&self) -> u64 {
        self.0.load64(ownership::ACCESS)
    }

    /// Returns the owner, as the words of the record say.
    fn occupant(&self) -> Occupant {
        Occupant {
            word: self.owner(),
            space: self.0.load32(ownership::SPACE),
            start: 0,
        }
    }

    /// Returns [`MAGIC`] after [`begin`](Ownership::begin). Before that, returns 0; for a section
    /// that is not of this crate, any number.
    pub fn magic(&self) -> u32 {
        // Pairs with the last store of `begin`.
        self.0.load32(ownership::MAGIC)
    }

    pub fn version(&self) -> u32 {
        self.0.load32(ownership::VERSION)
    }

    /// Returns the number of the generation in use; 0 if there is none yet.
    pub fn generation(&self) -> u32 {
        // Pairs with the store of `publish`: the whole generation is visible.
        self.0.load32(ownership::GENERATION)
    }

    /// Returns whether this generation is still in use. It is called by a participant that has just
    /// stored that it takes part in the generation.
    pub fn is_still(&self, generation: u32) -> bool {
        // The fence is between that store and this look: pairs with the fence of the next owner,
        // between its store of GENERATION and its look at the roster (`ending`).
        // layout: L104
        self.0.full();
        self.generation() == generation
    }
}

impl<W: Shared> Ownership<W> {
    /// Fills a new section, which other processes may have opened already.
    pub fn begin(&self, access: u64, me: Occupant) {
        self.0.store32(ownership::VERSION, MAJOR << 16 | MINOR);
        self.0.store64(ownership::ACCESS, access);
        self.0.store32(ownership::SPACE, me.space);
        self.0.store64(ownership::OWNER, me.word);
        self.0.store32(ownership::OLDEST, 1);
        // Stored last: pairs with the load of `magic`.
        self.0.publish32(ownership::MAGIC, MAGIC);
    }

    /// Stores `me` as the owner, in place of the owner `before`. Returns `false` if `before` is not
    /// the owner any more.
    pub fn replace(&self, before: u64, me: u64) -> bool {
        // Acquire and release: pairs with the compare and swap of the last owner, whose stores are
        // then visible.
        self.0
            .replace64(ownership::OWNER, before, me, Ordering::AcqRel)
    }

    /// Releases the name, if `me` is its owner.
    // layout: L156 L165
    pub fn let_go(&self, me: u64) {
        // Acquire and release: pairs with the compare and swap of the next owner.
        self.0.replace64(ownership::OWNER, me, 0, Ordering::AcqRel);
    }

    /// Stores the namespaces in which the owner's word has a meaning.
    fn set_space(&self, space: u32) {
        self.0.store32(ownership::SPACE, space);
    }

    /// Puts a generation in use.
    // layout: L021
    pub fn publish(&self, generation: u32) {
        // Pairs with the load of a process that opens the name, which then sees the whole
        // generation.
        self.0.publish32(ownership::GENERATION, generation);
    }
}

/// The ownership record, for the owner of the name.
#[derive(Debug)]
pub(crate) struct OwnershipRecord {
    words: Ownership<WindowMut<RecordWords>>,
    section: Section,
    me: u64,
    /// The life of the owner of the name, until the name is released.
    life: Option<Life>,
    validity: Validity,
    /// The generation that was in use before; 0 if there was none.
    before: u32,
    /// Whether the name was released. Another owner may have taken it since, in this process too.
    is_let_go: bool,
}

impl OwnershipRecord {
    /// Makes this process the owner of the name. Creates the record, or takes it over from an owner
    /// that has closed or died.
    // layout: L155
    pub fn take(name: &Name, access: &Access, me: &ProcessIdentity) -> Result<OwnershipRecord> {
        let options = Section::options().access(access.clone()).only_look(true);
        let mut tries = 0;
        let began = Instant::now();

        loop {
            let exists = match options.create_new(name, ownership::LEN as u64) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => error,
                created => return OwnershipRecord::begin(created?, access, me),
            };
            tries += 1;
            if tries > TRIES {
                std::thread::sleep(PAUSE);
            }
            let is_last = tries >= TRIES && began.elapsed() >= PATIENCE;
            match OwnershipRecord::take_over(name, access, me, is_last) {
                // The name has just gone, or another candidate was faster.
                Ok(None) if !is_last => {}
                Ok(None) => return Err(exists),
                Ok(Some(record)) => return Ok(record),
                Err(error)
                    if error.kind() == ErrorKind::WrongVersion
                        && !is_last
                        && remove_older(name, me)? => {}
                Err(error) => return Err(refused(exists, error)),
            }
        }
    }

    // layout: L021 L024 L155
    fn begin(section: Section, access: &Access, me: &ProcessIdentity) -> Result<OwnershipRecord> {
        let words = Ownership(section.words_mut::<{ ownership::LEN }>()?);
        let me = Occupant::of(me);
        let life = begin_life(&section)?;
        words.begin(access_word(access), me);
        Ok(OwnershipRecord::of(section, words, me.word, Some(life), 0))
    }

    /// Takes over a record that exists; `None` if it changes at this moment. In the last try, an owner
    /// that does not finish is an error.
    // layout: L024 L155
    fn take_over(
        name: &Name,
        access: &Access,
        me: &ProcessIdentity,
        is_last: bool,
    ) -> Result<Option<OwnershipRecord>> {
        let absent = |error: Error| match error.kind() {
            ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        };
        // A section of another user is never written.
        let mine = Section::options().expect_owner(Owner::Me);

        match RecordView::open(name, &mine) {
            // Its creator may not have finished.
            Err(error) if error.kind() == ErrorKind::Busy && !is_last => {
                std::thread::sleep(PAUSE);
                return Ok(None);
            }
            Err(error) => return absent(error),
            Ok(_) => {}
        }
        let section = match mine.write(true).open(name) {
            Ok(section) => section,
            Err(error) => return absent(error),
        };

        let words = Ownership(section.words_mut::<{ ownership::LEN }>()?);
        let owner = words.occupant();
        let refuse = |meaning: String, advice| {
            let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
            Err(error.with_advice(advice))
        };

        let lives = section.lives()?;
        if owner.word != 0 && !matches!(lives.has_ended(OWNER_LIFE, owner.word), Ok(true)) {
            // Its process has ended, and its life will be over in a moment. Or it is still creating
            // its generation, and releases the name then, if it has another role.
            if !is_last && (lives.is_ending(owner) || is_creating(name, &words, owner.word)) {
                std::thread::sleep(PAUSE);
                return Ok(None);
            }
            return refuse(
                format!("it is owned by {}, which is alive", describe(owner)),
                "stop that process, use another name, or open what is there",
            );
        }
        if words.access() != access_word(access) {
            return refuse(
                "other processes hold the sections of its last owner, with other rights"
                    .to_string(),
                "create it with the same rights, or stop the other processes",
            );
        }

        // Another candidate has just begun its life there, or an owner that has released the name is
        // about to end its life.
        let Some(life) = lives.take(OWNER_LIFE, owner.word)? else {
            return Ok(None);
        };
        let me = Occupant::of(me);
        let taken = words.replace(owner.word, me.word);
        let before = words.generation();
        // No `OwnershipRecord` is created if the name was not taken: its drop would release the
        // name of another thread.
        Ok(taken.then(|| {
            words.set_space(me.space);
            OwnershipRecord::of(section, words, me.word, Some(life), before)
        }))
    }

    fn of(
        section: Section,
        words: Ownership<WindowMut<RecordWords>>,
        me: u64,
        life: Option<Life>,
        before: u32,
    ) -> OwnershipRecord {
        OwnershipRecord {
            words,
            section,
            me,
            life,
            validity: Validity::new(),
            before,
            is_let_go: false,
        }
    }

    /// Returns the section that has the name.
    pub fn section(&self) -> &os::Section {
        self.section.os()
    }

    /// Returns the generation that was in use before; 0 if there was none.
    pub fn before(&self) -> u32 {
        self.before
    }

    /// Returns the generations before this one that may still have participants.
    // layout: L158
    pub fn older(&self) -> std::ops::RangeInclusive<u32> {
        let oldest = self.words.0.load32(ownership::OLDEST).max(1);
        oldest.max(self.before.saturating_sub(MOST))..=self.before
    }

    /// Returns whether this process took the name, and not the parent from which it was forked.
    pub fn is_ours(&self) -> bool {
        !self.validity.is_forked()
    }

    /// Notes that the generations before this one have no participants.
    pub fn forget_before(&self, generation: u32) {
        self.words.0.store32(ownership::OLDEST, generation);
    }

    /// Puts a generation in use.
    pub fn publish(&mut self, generation: u32) {
        self.words.publish(generation);
        self.before = generation;
    }

    /// Returns whether this process still owns the name.
    pub fn is_held(&self) -> bool {
        self.is_ours() && !self.is_let_go
    }

    /// Releases the name, and keeps the section open.
    // layout: L156 L165
    pub fn let_go(&mut self) {
        if self.is_held() {
            self.is_let_go = true;
            self.words.let_go(self.me);
            self.life = None;
        }
    }
}

impl Drop for OwnershipRecord {
    // layout: L156
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Returns the word that stands for an access in the ownership record.
// layout: L024
pub(super) fn access_word(access: &Access) -> u64 {
    fingerprint(&access.to_string())
}

/// Begins the life of the owner in a section that this process has just made.
pub(crate) fn begin_life(section: &Section) -> Result<Life> {
    let life = section.lives()?.take(OWNER_LIFE, 0)?;
    life.ok_or_else(|| {
        let meaning = "another process has a lock on its file";
        let subject = section.subject();
        let error = Error::new(ErrorKind::Busy, Operation::Create, &subject, meaning);
        error.with_advice("find out which program locks it (lslocks)")
    })
}

/// Removes the name of a segment of version 2 whose owner has released it or has ended, so that it
/// can be created anew. Returns whether the name was removed: the system may not let names be removed
/// (Windows). Processes that hold the segment keep it, and learn that its owner has closed or died.
// layout: L246
fn remove_older(name: &Name, me: &ProcessIdentity) -> Result<bool> {
    let section = match Section::options().expect_owner(Owner::Me).open(name) {
        // The name is free now.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    if section.len()? < ownership::LEN as u64 {
        return Ok(false);
    }
    let words = Ownership(section.words::<{ ownership::LEN }>()?);
    let is_older = words.magic() == MAGIC && words.version() >> 16 == OLDER_MAJOR;
    let Occupant { word, space, .. } = words.occupant();
    // The process word of version 2 is that of this version, and has a meaning in one space only.
    let is_alive = || match ProcessIdentity::of(pid_of(word)) {
        Ok(identity) => space != me.space || Occupant::of(&identity).word == word,
        Err(error) => space != me.space || error.kind() != ErrorKind::NotFound,
    };
    // The last look: an owner of version 2 may have taken the name meanwhile.
    if !is_older || word != 0 && is_alive() || words.owner() != word {
        return Ok(false);
    }
    section.os().remove_name()
}

/// Returns whether the owner has not put a generation of its own in use yet.
// layout: L333
fn is_creating(name: &Name, words: &Ownership<WindowMut<RecordWords>>, owner: u64) -> bool {
    let Ok(companions) = Companions::of(name, words.generation()) else {
        return false;
    };
    let maker = || -> Result<u64> {
        let section = Section::options().open(&companions.control)?;
        let control = section.words::<{ control::CURSORS }>()?;
        let maker = [control::OWNER_START, control::OWNER_PID].map(|at| control.load64(at));
        Ok(word_of(&ProcessIdentity::from_words(maker)))
    };
    words.generation() == 0
        || match maker() {
            Ok(maker) => maker != owner,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
}

/// Returns a text with the process id, the program, and how long the process has run.
fn describe(owner: Occupant) -> String {
    let pid = pid_of(owner.word);
    let identity = identity_of(owner);
    let started = identity.and_then(|identity| identity.started());
    let age = started.and_then(|at| SystemTime::now().duration_since(at).ok());
    let image = identity.and_then(|identity| identity.image());
    let image = image.map_or(String::new(), |image| format!(" ({image})"));
    let age = age.map_or(String::new(), |age| {
        format!(", started {} s ago", age.as_secs())
    });
    format!("process {pid}{image}{age}")
}

/// Returns the error for a name that exists and cannot be taken over.
fn refused(exists: Error, why: Error) -> Error {
    match (why.kind(), exists.code()) {
        (ErrorKind::AlreadyExists, Some(code)) => why.with_code(code),
        (ErrorKind::AlreadyExists | ErrorKind::WrongVersion, _) => why,
        (ErrorKind::WrongOwner, code) => {
            let meaning = format!("the name is held already; {}", why.meaning());
            let subject = exists.subject();
            let error = Error::new(
                ErrorKind::AlreadyExists,
                Operation::Create,
                &subject,
                meaning,
            )
            .with_advice("stop the program that holds it, or use another name");
            match code {
                Some(code) => error.with_code(code),
                None => error,
            }
        }
        _ => exists,
    }
}

/// The ownership record, for all processes that do not own the name.
#[derive(Clone, Debug)]
pub(crate) struct RecordView {
    words: Ownership<Window<RecordWords>>,
    lives: os::Lives,
    pub minor: u32,
}

impl RecordView {
    /// Opens the record with this name, and checks it.
    // layout: L017 L019 L022 L100
    pub fn open(name: &Name, options: &SectionOptions) -> Result<RecordView> {
        let section = options.open(name)?;
        let refuse = |kind, meaning: String, advice: &'static str| {
            Err(Error::new(kind, Operation::Open, name, meaning).with_advice(advice))
        };

        let raw = "it is bare memory: read it by Section::open, or shmkit consume";
        if section.len()? < ownership::LEN as u64 {
            let meaning = "it is too small for a queue, a topic, values or a server".to_string();
            return refuse(ErrorKind::WrongKind, meaning, raw);
        }

        let words = Ownership(section.words::<{ ownership::LEN }>()?);
        match words.magic() {
            MAGIC => {}
            0 => {
                let meaning = "it is not ready, or bare memory".to_string();
                let advice = "try again, or read it by Section::open";
                return refuse(ErrorKind::Busy, meaning, advice);
            }
            _ => {
                let meaning =
                    "it is not a queue, topic, values or server of this crate".to_string();
                return refuse(ErrorKind::WrongKind, meaning, raw);
            }
        }

        let version = words.version();
        let (major, minor) = (version >> 16, version & 0xffff);
        if major != MAJOR {
            let meaning = format!(
                "it has version {major}.{minor} of the format, and this is {MAJOR}.{MINOR}"
            );
            let advice = "use one version of shmkit on both sides";
            return refuse(ErrorKind::WrongVersion, meaning, advice);
        }
        let lives = section.lives()?;
        Ok(RecordView {
            words,
            lives,
            minor,
        })
    }

    /// Returns the process word of the owner; see [`Ownership::owner`].
    pub fn owner(&self) -> u64 {
        self.words.owner()
    }

    /// Returns the word of the access with which the record was created; see [`access_word`].
    pub fn access(&self) -> u64 {
        self.words.access()
    }

    /// Returns whether the owner has ended without releasing the name.
    pub fn has_dead_owner(&self) -> bool {
        matches!(self.lives.has_ended(OWNER_LIFE, self.owner()), Ok(true))
    }

    /// Returns whether the last owner has released the name. An owner that was killed has not.
    pub fn is_free(&self) -> bool {
        self.owner() == 0
    }

    /// Returns the number of the generation in use; see [`Ownership::generation`].
    pub fn generation(&self) -> u32 {
        self.words.generation()
    }

    /// Returns the generations before this one that may still have participants.
    pub fn before(&self, generation: u32) -> std::ops::Range<u32> {
        let oldest = self.words.0.load32(ownership::OLDEST).max(1);
        oldest.max(generation.saturating_sub(MOST))..generation
    }

    /// Returns whether this generation is still in use; see [`Ownership::is_still`].
    pub fn is_still(&self, generation: u32) -> bool {
        self.words.is_still(generation)
    }
}
