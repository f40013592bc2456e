//! Mutexes, and what is left of them when their owner ends.

use super::*;

#[test]
fn mutex_is_recursive_within_one_thread() {
    let (_test, name) = start("again");
    let mutex = Mutex::create_new(&*name).unwrap();
    let second = Mutex::open(&*name).unwrap();
    let mut guards = vec![mutex.lock().unwrap()];
    guards.push(second.lock().unwrap());
    guards.push(mutex.try_lock().unwrap().unwrap());
    guards.push(second.lock_timeout(Duration::MAX).unwrap().unwrap());
    assert!(guards.iter().all(|locked| !locked.is_abandoned()));
    while guards.pop().is_some() {
        let want = if guards.is_empty() { "Clean" } else { "None" };
        assert_eq!([elsewhere(&mutex), elsewhere(&second)], [want; 2]);
    }
    drop(guards);
    // The owner keeps the mutex when another handle is closed.
    let guard = mutex.lock().unwrap();
    drop(second);
    assert_eq!(elsewhere(&mutex), "None");
    drop(guard);
}

#[test]
fn locked_mutex_excludes_threads_and_processes() {
    let (mut test, name) = start("one");
    let mutex = Mutex::create_new(&*name).unwrap();
    assert_eq!(mutex.owner(), None);
    let owned_by = |pid| {
        let owner = mutex.owner();
        // Windows need not report the owner.
        assert!(owner == Some(pid) || cfg!(windows) && owner.is_none());
    };
    let mut child = test.child("sync/mutex", &[&name]);
    child.expect("Opened");
    for _ in 0..3 {
        let guard = mutex.lock().unwrap().into_guard();
        owned_by(std::process::id());
        assert_eq!([elsewhere(&mutex), &ask(&mut child, "try")], ["None"; 2]);
        assert_eq!(ask(&mut child, "lock"), "locking");
        drop(guard);
        child.expect("Clean");
        owned_by(child.id());
        assert!(mutex.try_lock().unwrap().is_none());
        assert!(mutex.lock_timeout(MOMENT).unwrap().is_none());
        ask(&mut child, "unlock");
        assert_eq!(mutex.owner(), None);
    }
}

#[test]
fn mutex_protected_counter_is_exact() {
    let (mut test, name) = start("exact");
    let _mutex = Mutex::create_new(&*name).unwrap();
    let sum = cell(&name);
    let mut all = children(&mut test, 4, |_| TestChild::spawn("sync/count", &[&name]));
    all.iter_mut().for_each(|child| child.expect("ready"));
    all.iter_mut().for_each(|child| child.tell("go"));
    assert!(all.into_iter().all(|child| child.finish().success()));
    assert_eq!(sum.load(SeqCst), 4 * 3 * TURNS);
}

pub(super) fn count(name: &str) {
    let sum = cell(name);
    let shared = Mutex::open(name).unwrap();
    let add = |locked: Locked<'_>, n: u64| {
        assert!(!locked.is_abandoned());
        let sum_now = sum.0.read_value::<u64>(0).unwrap();
        if n.is_multiple_of(64) {
            std::thread::yield_now();
        }
        sum.0.write_value(0, &(sum_now + 1)).unwrap();
    };
    say("ready");
    hear();
    scope(|scope| {
        scope.spawn(|| (0..TURNS).for_each(|n| add(shared.lock().unwrap(), n)));
        scope.spawn(|| {
            let own = Mutex::open(name).unwrap();
            (0..TURNS).for_each(|n| add(own.lock().unwrap(), n));
        });
        scope.spawn(|| {
            let mut n = 0;
            while n < TURNS {
                // A lock that times out must not take the mutex, and must not lose the turn of
                // another thread.
                let time = Duration::from_micros(n % 50);
                let locked = shared.lock_timeout(time).unwrap();
                n += u64::from(locked.is_some());
                locked.into_iter().for_each(|locked| add(locked, n));
            }
        });
    });
}

#[test]
fn mutex_of_ended_thread_is_abandoned() {
    let (mut test, name) = start("thread");
    let mutex = Mutex::create_new(&*name).unwrap();
    let mut child = test.child("sync/mutex", &[&name]);
    child.expect("Opened");
    let both = Barrier::new(2);
    let die_with_it = |wait: bool| {
        std::mem::forget(mutex.lock().unwrap());
        for _ in 0..if wait { 2 } else { 0 } {
            both.wait();
        }
    };
    scope(|scope| {
        scope.spawn(|| die_with_it(false)).join().unwrap();
        assert_eq!(elsewhere(&mutex), "Abandoned");
        assert_eq!(elsewhere(&mutex), "Clean");
        for _ in 0..20 {
            let dying = scope.spawn(|| die_with_it(true));
            both.wait();
            let waiter = scope.spawn(|| how(Some(&mutex.lock().unwrap())));
            both.wait();
            dying.join().unwrap();
            assert_eq!(waiter.join().unwrap(), "Abandoned");
            assert_eq!(elsewhere(&mutex), "Clean");
            // The same for a waiter in another process.
            let dying = scope.spawn(|| die_with_it(true));
            both.wait();
            assert_eq!(ask(&mut child, "turn"), "locking");
            both.wait();
            dying.join().unwrap();
            child.expect("Abandoned");
            assert_eq!(ask(&mut child, "try"), "Clean");
            ask(&mut child, "unlock");
        }
    });
}

#[test]
fn killed_mutex_owner_is_reported_once() {
    let (mut test, name) = start("owner");
    let mutex = Mutex::create_new(&*name).unwrap();
    for times in [1, 2] {
        let mut child = test.child("sync/mutex", &[&name]);
        child.expect("Opened");
        for _ in 0..times {
            assert_eq!(ask(&mut child, "try"), "Clean");
        }
        child.kill();
        assert_eq!(mutex.owner(), None);
        assert_eq!(how(mutex.try_lock().unwrap().as_ref()), "Abandoned");
        assert_eq!(elsewhere(&mutex), "Clean");
        assert_eq!(how(mutex.try_lock().unwrap().as_ref()), "Clean");
    }
    drop(mutex);
    let mut child = test.child("sync/mutex", &[&name]);
    child.expect("Created");
    assert_eq!(ask(&mut child, "try"), "Clean");
    child.kill();
    assert_gone(&name);
    assert_eq!(elsewhere(&Mutex::create_new(&*name).unwrap()), "Clean");
}

#[test]
fn mutex_of_killed_owner_is_free_immediately() {
    let (mut test, name) = start("at-once");
    let mutex = Mutex::create_new(&*name).unwrap();
    let owners = children(&mut test, 30, |_| TestChild::spawn("sync/mutex", &[&name]));
    for mut owner in owners {
        owner.expect("Opened");
        assert_eq!(ask(&mut owner, "try"), "Clean");
        // A refused lock before the death of the owner must have no effect after the death.
        assert!(mutex.try_lock().unwrap().is_none());
        owner.kill();
        assert_eq!(how(mutex.try_lock().unwrap().as_ref()), "Abandoned");
    }
    assert_eq!(elsewhere(&mutex), "Clean");
}

#[test]
fn hundred_killed_owners_are_each_reported_once() {
    let (mut test, name) = start("heirs");
    let mutex = Mutex::create_new(&*name).unwrap();
    let got = event(&format!("{name}-got"), Reset::Auto);
    let last = cell(&name);
    for _ in 0..4 {
        let spawn = |n: u64| TestChild::spawn("sync/heir", &[&name, &n.to_string()]);
        let mut heirs = children(&mut test, 25, spawn);
        heirs.iter_mut().for_each(|heir| heir.expect("ready"));
        let mut heirs: Vec<_> = heirs.into_iter().map(Some).collect();
        for n in 0..25 {
            got.wait().unwrap();
            let (who, abandoned) = (last.load(SeqCst) >> 1, last.load(SeqCst) & 1);
            assert_eq!(abandoned == 1, n > 0);
            let heir = heirs[who as usize].take().expect("the heir is alive");
            assert!(mutex.owner().is_none_or(|owner| owner == heir.id()));
            heir.kill();
        }
        assert_eq!(elsewhere(&mutex), "Abandoned");
        assert_eq!(elsewhere(&mutex), "Clean");
    }
}

pub(super) fn inherit(name: &str, number: u64) {
    let mutex = Mutex::open(name).unwrap();
    let got = Event::open_rw(&*format!("{name}-got")).unwrap();
    let last = cell(name);
    say("ready");
    let locked = mutex.lock().unwrap();
    last.store(number << 1 | u64::from(locked.is_abandoned()), SeqCst);
    got.set().unwrap();
    hear();
}

#[test]
fn killed_mutex_waiter_leaves_others_unaffected() {
    let (mut test, name) = start("waiter");
    let mutex = Mutex::create_new(&*name).unwrap();
    let mut waiters = children(&mut test, 10, |_| TestChild::spawn("sync/mutex", &[&name]));
    waiters
        .iter_mut()
        .for_each(|waiter| waiter.expect("Opened"));
    let guard = mutex.lock().unwrap();
    for waiter in &mut waiters {
        assert_eq!(ask(waiter, "turn"), "locking");
    }
    let victims: Vec<_> = waiters.drain(3..8).collect();
    victims.into_iter().for_each(TestChild::kill);
    assert_eq!(elsewhere(&mutex), "None");
    drop(guard);
    waiters.iter_mut().for_each(|waiter| waiter.expect("Clean"));
    assert_eq!(elsewhere(&mutex), "Clean");
}
