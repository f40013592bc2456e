//! The section that has the name itself: whose the name is, and which generation of what
//! stands behind it is in use.
//!
//! It lives as long as anybody holds it, and so outlives its owners. Who finds it without a
//! living owner takes it over by a compare and swap, which has one winner; what an owner makes
//! is a generation of its own, complete in itself, and becomes the one in use by one store.

use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::fingerprint;
use crate::format::layout::{MAGIC, MAJOR, MINOR, ownership};
use crate::name::Name;
use crate::object::section::{Section, SectionOptions};
use crate::os::{self, ProcessIdentity, Validity, ValidityBackend};
use crate::segment::roster::{identity_of, is_dead, pid_of, word_of};
use crate::sync::{Fixed, Ordering, Shared, Window, WindowMut, Words, WordsMut};
use std::time::SystemTime;

/// How often a name that appears and vanishes is tried.
const TRIES: u32 = 100;

/// Of so many generations at most those are looked for who may be in them still.
const MOST: u32 = 4096;

type RecordWords = Fixed<{ ownership::LEN }>;

/// The words that say whose a name is, and which generation behind it is in use.
#[derive(Clone, Debug)]
pub(crate) struct Ownership<W>(pub W);

impl<W: Words> Ownership<W> {
    /// The word of the process that owns the name; 0: none.
    pub fn owner(&self) -> u64 {
        self.0.load64(ownership::OWNER)
    }

    /// [`MAGIC`] once [`begin`](Ownership::begin) is done; else 0, or what is none of ours.
    pub fn magic(&self) -> u32 {
        // Pairs with the last store of `begin`.
        self.0.load32(ownership::MAGIC)
    }

    pub fn version(&self) -> u32 {
        self.0.load32(ownership::VERSION)
    }

    /// The generation in use; 0: none yet.
    pub fn generation(&self) -> u32 {
        // Pairs with the store of `publish`: all of that generation is seen.
        self.0.load32(ownership::GENERATION)
    }

    /// Whether this generation is in use still, for one that has just said that it takes part in
    /// it.
    pub fn is_still(&self, generation: u32) -> bool {
        // Between what it said and this look: pairs with that of the next owner between what it
        // puts in use and its look who is there (`ending`).
        // layout: L104
        self.0.full();
        self.generation() == generation
    }
}

impl<W: Shared> Ownership<W> {
    /// Fills a new section, which others may have opened already.
    pub fn begin(&self, access: u64, space: u32, me: u64) {
        self.0.store32(ownership::VERSION, MAJOR << 16 | MINOR);
        self.0.store64(ownership::ACCESS, access);
        self.0.store32(ownership::SPACE, space);
        self.0.store64(ownership::OWNER, me);
        self.0.store32(ownership::OLDEST, 1);
        // Last: pairs with the load of `magic`.
        self.0.publish32(ownership::MAGIC, MAGIC);
    }

    /// Replaces the owner that was found; says whether it was still that one.
    pub fn replace(&self, before: u64, me: u64) -> bool {
        // Acquire and release: pairs with the same of the last owner, whose stores are seen.
        self.0
            .replace64(ownership::OWNER, before, me, Ordering::AcqRel)
    }

    /// Lets go of the name, where this is its owner.
    // layout: L156 L165
    pub fn let_go(&self, me: u64) {
        // Acquire and release: pairs with the next owner's.
        self.0.replace64(ownership::OWNER, me, 0, Ordering::AcqRel);
    }

    /// Puts a generation in use.
    // layout: L021
    pub fn publish(&self, generation: u32) {
        // Pairs with the load of whoever opens the name, who then sees all of it.
        self.0.publish32(ownership::GENERATION, generation);
    }
}

/// The name, for its owner.
#[derive(Debug)]
pub(crate) struct OwnershipRecord {
    words: Ownership<WindowMut<RecordWords>>,
    section: Section,
    me: u64,
    validity: Validity,
    /// The generation that was in use before; 0: none.
    before: u32,
    /// Another one may have taken the name since, of this process too.
    is_let_go: bool,
}

impl OwnershipRecord {
    /// Makes the name this process's own: creates it, or takes it over from an owner that has
    /// closed or is dead.
    // layout: L155
    pub fn take(name: &Name, access: &Access, me: &ProcessIdentity) -> Result<OwnershipRecord> {
        let options = Section::options().access(access.clone());
        let mut tries = 0;
        loop {
            let exists = match options.create_new(name, ownership::LEN as u64) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => error,
                created => return OwnershipRecord::begin(created?, access, me),
            };
            tries += 1;
            match OwnershipRecord::take_over(name, access, me) {
                // It was the last moment of it, or another candidate was faster.
                Ok(None) if tries < TRIES => {}
                Ok(None) => return Err(exists),
                Ok(Some(record)) => return Ok(record),
                Err(error) => return Err(refused(exists, error)),
            }
        }
    }

    // layout: L021 L024 L155
    fn begin(section: Section, access: &Access, me: &ProcessIdentity) -> Result<OwnershipRecord> {
        let words = Ownership(section.words_mut::<{ ownership::LEN }>()?);
        words.begin(fingerprint(&access.to_string()), me.space, word_of(me));
        Ok(OwnershipRecord::of(section, words, word_of(me), 0))
    }

    /// `None` where it changes at this moment.
    // layout: L024 L079 L155
    fn take_over(
        name: &Name,
        access: &Access,
        me: &ProcessIdentity,
    ) -> Result<Option<OwnershipRecord>> {
        let absent = |error: Error| match error.kind() {
            ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        };
        // Nothing of a stranger's is written to.
        let mine = Section::options().expect_owner(Owner::Me);
        if let Err(error) = RecordView::open(name, &mine) {
            return absent(error);
        }
        let section = match mine.write(true).open(name) {
            Ok(section) => section,
            Err(error) => return absent(error),
        };
        let words = section.words_mut::<{ ownership::LEN }>()?;
        let words = Ownership(words);
        let owner = words.owner();
        let refuse = |meaning: String, advice| {
            let error = Error::new(ErrorKind::AlreadyExists, Operation::Create, name, meaning);
            Err(error.with_advice(advice))
        };
        if words.0.load32(ownership::SPACE) != me.space {
            let meaning = "it belongs to processes of another namespace, which cannot be watched";
            return refuse(meaning.to_string(), "run both in one, or use another name");
        }
        if owner != 0 && !is_dead(owner) {
            return refuse(
                format!("it is owned by {}, which is alive", describe(owner)),
                "stop that process, use another name, or open what is there",
            );
        }
        if words.0.load64(ownership::ACCESS) != fingerprint(&access.to_string()) {
            return refuse(
                "others hold what its last owner made, with other rights than these".to_string(),
                "create it with those rights, or stop them: a name lives as long as it is held",
            );
        }
        let me = word_of(me);
        let taken = words.replace(owner, me);
        let before = words.generation();
        // Not made where it was not taken: its drop would let go of another thread's.
        Ok(taken.then(|| OwnershipRecord::of(section, words, me, before)))
    }

    fn of(
        section: Section,
        words: Ownership<WindowMut<RecordWords>>,
        me: u64,
        before: u32,
    ) -> OwnershipRecord {
        OwnershipRecord {
            words,
            section,
            me,
            validity: Validity::new(),
            before,
            is_let_go: false,
        }
    }

    /// What has the name.
    pub fn section(&self) -> &os::Section {
        self.section.os()
    }

    /// The generation that was in use before; 0: none.
    pub fn before(&self) -> u32 {
        self.before
    }

    /// The generations before this one that may still have participants.
    // layout: L158
    pub fn older(&self) -> std::ops::RangeInclusive<u32> {
        let oldest = self.words.0.load32(ownership::OLDEST).max(1);
        oldest.max(self.before.saturating_sub(MOST))..=self.before
    }

    /// Whether it is this process that took it, and not the parent that it was forked from.
    pub fn is_ours(&self) -> bool {
        !self.validity.is_forked()
    }

    /// Nobody is left in those before this one.
    pub fn forget_before(&self, generation: u32) {
        self.words.0.store32(ownership::OLDEST, generation);
    }

    /// Puts a generation in use.
    pub fn publish(&mut self, generation: u32) {
        self.words.publish(generation);
        self.before = generation;
    }

    /// Whether the name is this process's own still.
    pub fn is_held(&self) -> bool {
        self.is_ours() && !self.is_let_go
    }

    /// Lets go of the name, and keeps the section open.
    // layout: L156 L165
    pub fn let_go(&mut self) {
        if self.is_held() {
            self.is_let_go = true;
            self.words.let_go(self.me);
        }
    }
}

impl Drop for OwnershipRecord {
    // layout: L156
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Which process that is, what runs in it, and since when.
fn describe(word: u64) -> String {
    let pid = pid_of(word);
    let identity = identity_of(word);
    let started = identity.and_then(|identity| identity.started());
    let age = started.and_then(|at| SystemTime::now().duration_since(at).ok());
    let image = identity.and_then(|identity| identity.image());
    let image = image.map_or(String::new(), |image| format!(" ({image})"));
    let age = age.map_or(String::new(), |age| {
        format!(", started {} s ago", age.as_secs())
    });
    format!("process {pid}{image}{age}")
}

/// Why a name that exists cannot be taken over.
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

/// The name, for everybody else.
#[derive(Clone, Debug)]
pub(crate) struct RecordView {
    words: Ownership<Window<RecordWords>>,
    pub minor: u32,
}

impl RecordView {
    /// Opens and checks what has this name.
    // layout: L017 L019 L022 L100
    pub fn open(name: &Name, options: &SectionOptions) -> Result<RecordView> {
        let section = options.open(name)?;
        let refuse = |kind, meaning: String, advice: &'static str| {
            Err(Error::new(kind, Operation::Open, name, meaning).with_advice(advice))
        };
        let raw = "it is bare memory: read it by Section::open, or shmkit consume";
        if section.len()? < ownership::LEN as u64 {
            let meaning = "it is too small to be of this crate's patterns".to_string();
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
                let meaning = "it is none of this crate's patterns".to_string();
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
        Ok(RecordView { words, minor })
    }

    /// See [`Ownership::owner`].
    pub fn owner(&self) -> u64 {
        self.words.owner()
    }

    /// Whether the last owner has let go of the name, as who was killed has not.
    pub fn is_free(&self) -> bool {
        self.owner() == 0
    }

    /// See [`Ownership::generation`].
    pub fn generation(&self) -> u32 {
        self.words.generation()
    }

    /// See [`Ownership::is_still`].
    pub fn is_still(&self, generation: u32) -> bool {
        self.words.is_still(generation)
    }
}
