//! Processes: their identities, their ends, and their liveness mutexes.

use super::*;

#[test]
fn process_identity_round_trips_through_words() {
    let (mut test, _name) = start("");
    let me = ProcessIdentity::current().unwrap();
    let (child, other) = known(&mut test, "idle", &[]);
    assert_ne!(me, other);
    for (who, pid) in [(me, std::process::id()), (other, child.id())] {
        assert_eq!(who.pid(), pid);
        assert_eq!(ProcessIdentity::of(pid).unwrap(), who);
        assert_eq!(ProcessIdentity::from_words(who.to_words()), who);
        let process = who.watch().unwrap();
        assert!(process.as_raw().is_some() && who.is_alive().unwrap());
        assert!(!process.has_ended().unwrap());
        assert!(!process.wait_timeout(MOMENT).unwrap());
    }
}

// layout: L080
#[test]
fn ended_process_is_seen_by_all_watchers() {
    let (mut test, _name) = start("");
    let leave = |child: TestChild| assert!(child.finish().success());
    for end in [TestChild::kill, leave] {
        let (child, identity) = known(&mut test, "idle", &[]);
        let (early, waiting) = (identity.watch().unwrap(), identity.watch().unwrap());
        scope(|scope| {
            let waiter = scope.spawn(|| waiting.wait());
            let patient = scope.spawn(|| waiting.wait_timeout(Duration::MAX));
            end(child);
            waiter.join().unwrap().unwrap();
            assert!(patient.join().unwrap().unwrap());
        });
        let late = identity.watch().unwrap();
        for process in [&early, &waiting, &late] {
            assert!(process.has_ended().unwrap() && process.has_ended().unwrap());
            assert!(process.wait_timeout(Duration::ZERO).unwrap());
            process.wait().unwrap();
        }
        assert!(!identity.is_alive().unwrap());
    }
}

// layout: L080 L216
#[test]
fn unreaped_process_counts_as_ended() {
    let (mut test, name) = start("unreaped");
    let (mut child, identity) = known(&mut test, "idle", &[]);
    let early = identity.watch().unwrap();
    child.tell("end");
    early.wait().unwrap();
    assert!(!identity.is_alive().unwrap());
    let wake = event(&name).wait_or_death(&identity.watch().unwrap(), None);
    assert_eq!(wake.unwrap(), Wake::PeerDied);
}

// layout: L081
#[test]
fn watch_of_ended_process_has_no_handle() {
    let (mut test, _name) = start("");
    let (child, identity) = known(&mut test, "idle", &[]);
    child.kill();
    assert!(identity.watch().unwrap().as_raw().is_none());
    let (mut child, identity) = known(&mut test, "idle", &[]);
    let early = identity.watch().unwrap();
    child.tell("end");
    early.wait().unwrap();
    assert!(early.as_raw().is_some());
    let late = identity.watch().unwrap();
    assert!(
        late.as_raw().is_none(),
        "the parent has not reaped the process yet"
    );
}

// layout: L079 L080 L081 L216
#[test]
fn forged_identity_matches_no_living_process() {
    let (_test, name) = start("forged");
    let me = ProcessIdentity::current().unwrap();
    let [start, rest] = me.to_words();
    let never = event(&name);
    for start in [start - 1, start + 1, start ^ 1 << 40, 0, u64::MAX] {
        let forged = ProcessIdentity::from_words([start, rest]);
        assert_ne!(forged, me);
        assert!(!forged.is_alive().unwrap());
        let process = forged.watch().unwrap();
        assert!(process.has_ended().unwrap() && process.as_raw().is_none());
        assert_eq!(never.wait_or_death(&process, None).unwrap(), Wake::PeerDied);
    }
    for words in [[0, 0], [start, 0], [u64::MAX; 2]] {
        let nobody = ProcessIdentity::from_words(words);
        assert_eq!(nobody.to_words(), words);
        assert!(!nobody.is_alive().is_ok_and(|alive| alive));
    }
    // The pid and the start time belong to another pid namespace. Windows has no such namespaces.
    let elsewhere = ProcessIdentity::from_words([start, rest ^ 1 << 32]);
    refused(Unsupported, elsewhere.watch());
    for pid in [4_000_000_000, 1_999_999_996, u32::MAX - 3] {
        refused(NotFound, ProcessIdentity::of(pid));
    }
}

// layout: L229
#[test]
fn wait_prefers_signal_over_death_over_timeout() {
    let (mut test, name) = start("order");
    let signal = event(&name);
    let (child, identity) = known(&mut test, "idle", &[]);
    let peer = identity.watch().unwrap();
    let wait = |time| signal.wait_or_death(&peer, time).unwrap();
    for time in [Some(Duration::ZERO), Some(MOMENT)] {
        assert_eq!(wait(time), Wake::TimedOut);
        signal.set().unwrap();
        assert_eq!(wait(time), Wake::Signaled);
    }
    signal.set().unwrap();
    assert_eq!(wait(None), Wake::Signaled);
    child.kill();
    assert_eq!(wait(None), Wake::PeerDied);
    for time in [
        Some(Duration::ZERO),
        Some(MOMENT),
        Some(Duration::MAX),
        None,
    ] {
        signal.set().unwrap();
        assert_eq!(wait(time), Wake::Signaled);
        assert_eq!(wait(time), Wake::PeerDied);
        assert_eq!(wait(time), Wake::PeerDied);
    }
}

#[test]
fn zero_timeout_wait_sees_earlier_death() {
    let (mut test, name) = start("before");
    let never = event(&name);
    let spawn = |_| TestChild::spawn("peers/idle", &[]);
    let children: Vec<_> = test.spawning(|| (0..10).map(spawn).collect());
    for mut child in children {
        let peer = heard(&child.hear()).watch().unwrap();
        let wait = |time| never.wait_or_death(&peer, Some(time)).unwrap();
        assert_eq!(wait(Duration::ZERO), Wake::TimedOut);
        child.kill();
        assert!(peer.has_ended().unwrap());
        assert_eq!(wait(Duration::ZERO), Wake::PeerDied);
    }
}

#[test]
fn process_death_wakes_only_its_watchers() {
    let (mut test, name) = start("death");
    let signal = event(&name);
    let (child, dying) = known(&mut test, "idle", &[]);
    let (_other, living) = known(&mut test, "idle", &[]);
    let (dying, living) = (dying.watch().unwrap(), living.watch().unwrap());
    let (about, deaths) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scope(|scope| {
        for n in 0..20 {
            let time = [None, Some(Duration::MAX)][n % 2];
            let (signal, dying, about, deaths) = (&signal, &dying, &about, &deaths);
            scope.spawn(move || {
                about.fetch_add(1, SeqCst);
                let wake = signal.wait_or_death(dying, time).unwrap();
                assert_eq!(wake, Wake::PeerDied);
                deaths.fetch_add(1, SeqCst);
            });
        }
        let other = scope.spawn(|| signal.wait_or_death(&living, None).unwrap());
        eventually("all are about to wait", || about.load(SeqCst) == 20);
        child.kill();
        eventually("all wake", || deaths.load(SeqCst) == 20);
        // The waiters that the death woke took no signal.
        signal.set().unwrap();
        assert_eq!(other.join().unwrap(), Wake::Signaled);
    });
    assert!(!signal.try_wait().unwrap());
}

#[test]
fn signal_racing_with_death_is_kept() {
    let (mut test, name) = start("racing");
    let signal = event(&name);
    let spawn = |_| TestChild::spawn("peers/idle", &[]);
    let children: Vec<_> = test.spawning(|| (0..20).map(spawn).collect());
    for mut child in children {
        let peer = heard(&child.hear()).watch().unwrap();
        scope(|scope| {
            let waiter = scope.spawn(|| signal.wait_or_death(&peer, None).unwrap());
            scope.spawn(|| child.kill());
            scope.spawn(|| signal.set().unwrap()).join().unwrap();
            let taken = waiter.join().unwrap() == Wake::Signaled;
            assert_ne!(taken, signal.try_wait().unwrap());
        });
    }
}

#[test]
fn second_liveness_announcement_is_refused() {
    let (_test, name) = start("liveness-twice");
    let announce = || Liveness::announce(&*name, Access::SameUser);
    let first = announce().unwrap();
    refused(AlreadyExists, announce());
    drop(first);
    announce().unwrap();
}

#[test]
fn announced_process_is_found_until_its_end() {
    let (mut test, name) = start("liveness");
    let never = event(&format!("{name}-never"));
    refused(NotFound, Process::by_liveness(&*name));
    for _ in 0..3 {
        let (child, _) = known(&mut test, "announce", &[&name]);
        refused(AlreadyExists, Liveness::announce(&*name, Access::SameUser));
        let peers = [0, 1].map(|_| Process::by_liveness(&*name).unwrap());
        for peer in &peers {
            assert!(!peer.has_ended().unwrap() && !peer.wait_timeout(MOMENT).unwrap());
            let wake = never.wait_or_death(peer, Some(MOMENT)).unwrap();
            assert_eq!(wake, Wake::TimedOut);
        }
        scope(|scope| {
            for peer in peers.iter().cycle().take(8) {
                scope.spawn(|| {
                    let wake = never.wait_or_death(peer, None).unwrap();
                    assert_eq!(wake, Wake::PeerDied);
                    peer.wait().unwrap();
                });
            }
            child.kill();
        });
        assert!(peers.iter().all(|peer| peer.has_ended().unwrap()));
        refused(NotFound, Process::by_liveness(&*name));
    }
}

#[test]
fn dropped_liveness_announcement_is_not_found() {
    let (_test, name) = start("announce");
    for access in [Access::SameUser, Access::UsersReadOnly] {
        let alive = Liveness::announce(&*name, access).unwrap();
        let me = Process::by_liveness(&*name).unwrap();
        assert!(!me.has_ended().unwrap());
        drop(alive);
        assert_eq!(me.has_ended().unwrap(), cfg!(windows));
        drop(me);
        refused(NotFound, Process::by_liveness(&*name));
    }
    let _signal = event(&name);
    refused(WrongKind, Process::by_liveness(&*name));
    refused(WrongKind, Liveness::announce(&*name, Access::SameUser));
}

#[test]
fn unowned_mutex_announces_no_process() {
    let (_test, name) = start("silent");
    let _mutex = Mutex::create_new(&*name).unwrap();
    refused(NotFound, Process::by_liveness(&*name));
}

#[test]
fn abandoned_liveness_mutex_announces_no_process() {
    let (mut test, name) = start("relic");
    let (child, _) = known(&mut test, "announce", &[&name]);
    let _relic = Mutex::open(&*name).unwrap();
    child.kill();
    refused(NotFound, Process::by_liveness(&*name));
}
