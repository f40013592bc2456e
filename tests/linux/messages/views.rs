//! The rights with which endpoints map the sections of a segment.

use super::*;

// layout: L011 L019 L193
#[test]
fn subscriber_views_are_read_only_except_roster() {
    let (mut test, name) = start("views");
    let mut publisher = Publisher::create(&*name).unwrap();
    publisher.send(b"first").unwrap();
    let views = format!(
        "root:{READ} ~control-00000001:{READ} ~lanes-00000001:{READ} ~roster-00000001:{WRITE}"
    );
    for section in ["root", "~control-00000001", "~lanes-00000001"] {
        let mut child = child(&mut test, "subscriber", &name);
        child.expect(&views);
        child.tell(&format!("allow {section}"));
        assert!(child.hear().starts_with("-1 permission denied"));
        child.tell(&format!("write {section}"));
        child.expect("writing");
        assert_eq!(child.finish().signal(), Some(libc::SIGSEGV));
    }
    // The topic still works.
    let mut subscriber = Subscriber::open(&*name).unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"first");
    publisher.send(b"second").unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"second");
}

// layout: L019
#[test]
fn reader_views_are_read_only_except_roster() {
    let (mut test, name) = start("values-views");
    let mut writer = Writer::create(&*name).unwrap();
    writer.set(b"first").unwrap();
    for section in ["root", "~control-00000001", "~lanes-00000001"] {
        let mut child = child(&mut test, "reader", &name);
        child.expect(&format!(
            "root:{READ} ~control-00000001:{READ} ~lanes-00000001:{READ} ~roster-00000001:{WRITE}"
        ));
        child.tell(&format!("allow {section}"));
        assert!(child.hear().starts_with("-1 permission denied"));
        child.tell(&format!("write {section}"));
        child.expect("writing");
        assert_eq!(child.finish().signal(), Some(libc::SIGSEGV));
    }
    writer.set(b"second").unwrap();
    let mut reader = Reader::open(&*name).unwrap();
    assert_eq!(reader.get().unwrap(), b"second");
}

// layout: L011 L046
#[test]
fn queue_endpoints_map_writable_only_own_sections() {
    let (mut test, name) = start("queue-views");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut child = child(&mut test, "sender", &name);
    child.expect(&format!(
        "root:{READ} ~control-00000001:{READ} ~lanes-00000001:{WRITE} ~roster-00000001:{WRITE}"
    ));
    // The receiver maps a lane when it first looks at the messages of its sender.
    assert_eq!(receiver.recv().unwrap(), b"first");
    let mine = views(&name);
    let of = |section: &str, may: &str| {
        let mut all = mine.iter().filter(|view| view.0 == section).peekable();
        assert!(all.peek().is_some(), "{mine:?}");
        assert!(all.all(|view| view.1 == may), "{section}: {mine:?}");
    };
    of("root", WRITE);
    of("~control-00000001", WRITE);
    of("~lanes-00000001", READ);
    of("~roster-00000001", WRITE);
    child.tell("write ~control-00000001");
    child.expect("writing");
    assert_eq!(child.finish().signal(), Some(libc::SIGSEGV));
}

#[test]
fn call_endpoints_map_writable_only_own_sections() {
    let (mut test, name) = start("calls-views");
    let mut server = Server::create(&*name).unwrap();
    // The first view of the lanes, in sorted order, is the read-only view of the responses.
    for section in ["root", "~control-00000001", "~lanes-00000001"] {
        let mut child = child(&mut test, "client", &name);
        server.recv().unwrap().respond(b"FIRST").unwrap();
        let views = child.hear();
        let wanted = format!(
            "root:{READ} ~control-00000001:{READ} ~lanes-00000001:{READ} ~lanes-00000001:{WRITE} \
             ~roster-00000001:{WRITE}"
        );
        // Other views may follow.
        assert!(views.starts_with(&wanted), "{views}");
        child.tell(&format!("allow {section}"));
        assert!(child.hear().starts_with("-1 permission denied"));
        child.tell(&format!("write {section}"));
        child.expect("writing");
        assert_eq!(child.finish().signal(), Some(libc::SIGSEGV));
    }
    // The server has one lane of requests and one of responses for each client that it has had at a
    // time.
    let mine = views(&name);
    let count = |section: &str, may: &str| {
        let is = |view: &&(String, String, usize)| view.0 == section && view.1 == may;
        mine.iter().filter(is).count()
    };
    let [requests, responses] = [READ, WRITE].map(|may| count("~lanes-00000001", may));
    assert!(requests == responses && (1..=3).contains(&requests));
    assert_eq!(count("~control-00000001", READ), 0);
    let mut client = Client::open(&*name).unwrap();
    let call = client.send(b"first").unwrap();
    server.recv().unwrap().respond(b"FIRST").unwrap();
    assert_eq!(client.recv(&call).unwrap(), b"FIRST");
}

/// Observers of one generation in one process share descriptors and views.
#[test]
fn observers_in_one_process_share_views() {
    let (_test, name) = start("shared-views");
    let mut publisher = Publisher::create(&*name).unwrap();
    publisher.send(b"first").unwrap();
    let observe = || Subscriber::options().observer(true).open(&*name).unwrap();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let mut first = observe();
    let before = (views(&name).len(), descriptors());
    let mut all: Vec<Subscriber> = (0..200).map(|_| observe()).collect();
    assert_eq!((views(&name).len(), descriptors()), before);
    assert_eq!(first.recv().unwrap(), b"first");
    drop(first);
    // The first of them has gone, and the others still have what they share.
    publisher.send(b"second").unwrap();
    for observer in &mut all {
        assert_eq!(observer.recv().unwrap(), b"first");
        assert_eq!(observer.recv().unwrap(), b"second");
    }
    drop(all);
    assert!(views(&name).len() < before.0);
}
