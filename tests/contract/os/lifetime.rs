//! The names and the lifetime of sections, and sections of files.

use super::*;

// layout: L015
#[test]
fn bare_section_name_is_same_as_local() {
    let (_test, name) = start("scope");
    let (local, global) = (format!("Local\\{name}"), format!("Global\\{name}"));
    let section = with_text(&name);
    assert_eq!(text(&open(&local)), TEXT);
    refused(Kind::AlreadyExists, Section::create_new(&local, 1));
    // Names are case-sensitive.
    create(&local.to_uppercase().replace("LOCAL", "Local"), 4096);
    if is_one_namespace() {
        assert_eq!(text(&open(&global)), TEXT);
        return;
    }
    assert_gone(&global);
    if may_create_global() {
        let wide = create(&global, 4096);
        assert_eq!(wide.name().unwrap().as_str(), global);
        drop(section);
        assert_gone(&name);
        assert_gone(&local);
        open(&global);
    }
}

#[test]
fn odd_names_are_used_verbatim() {
    let (mut test, stem) = start("odd");
    let odd = "$pcars2$ _ 🦀é a/b:*?\"<>| %2F %2f % %25 / // . .. \u{1} .section";
    let names = odd.split(' ').map(|odd| format!("{stem}{odd}"));
    let names: Vec<_> = names.chain([format!("{stem} a b ")]).collect();
    let sections: Vec<_> = names.iter().map(|name| create(name, 99)).collect();
    for (name, section) in names.iter().zip(&sections) {
        put(section, 0, name);
    }
    for name in &names {
        let shown = listed(&mut test, name).expect(name).name;
        assert_eq!(bytes(&open(name), 0, name.len()), name.as_bytes());
        assert_eq!(bytes(&open(&shown), 0, name.len()), name.as_bytes());
    }
    drop(sections);
    names.iter().for_each(|name| assert_gone(name));
}

#[test]
fn invalid_names_are_refused_without_system_error() {
    let _test = start("");
    let long = "x".repeat(Name::MAX_UTF16 + 1);
    let wrong = " a\0b \0 Local\\ Global\\ local\\a GLOBAL\\a a\\b \\a \\ a\\ \
                 Local\\a\\b Global\\Local\\a Session\\1\\a";
    for name in wrong.split(' ').chain([&*long]) {
        for result in [Section::open(name), Section::create_new(name, 1)] {
            let error = refused(Kind::InvalidName, result);
            assert_eq!(error.code(), None, "{name:?}");
            assert!(!error.advice().is_empty(), "{name:?}");
        }
    }
}

#[test]
fn long_names_work_or_report_limit() {
    let (_test, name) = start("long");
    for prefix in prefixes() {
        let name = format!("{:x<190}", format!("{prefix}{name}"));
        let _section = with_text(&name);
        assert_eq!(text(&open(&name)), TEXT);
        assert_gone(&name[..189]);
        let longest = format!("{name:x<0$}", Name::MAX_UTF16);
        Name::new(&longest).unwrap();
        match Section::create_new(&longest, 1) {
            Ok(_section) => drop(open(&longest)),
            result => {
                let error = refused(Kind::InvalidName, result);
                assert!(!cfg!(windows) && error.code().is_none());
                assert!(error.to_string().contains("limit"), "{error}");
            }
        }
    }
}

// layout: L200
#[test]
fn name_is_free_after_last_handle_closes() {
    let (_test, name) = start("free");
    for _ in 0..50 {
        let creator = with_text(&name);
        let others = [open(&name), open(&name)];
        let view = others[0].map(..).unwrap();
        drop((creator, others, view));
        assert_gone(&name);
        drop(with_text(&name));
    }
    assert_gone(&name);
}

// layout: L018 L220
#[test]
fn open_view_keeps_section_name() {
    let (_test, name) = start("view");
    let writing = with_text(&name).map_rw(..).unwrap();
    let reading = open(&name).map(..10).unwrap();
    drop(writing);
    let private = open(&name).map_copy_on_write(5..).unwrap();
    drop(reading);
    assert_eq!(text(&open(&name)), TEXT);
    refused(Kind::AlreadyExists, Section::create_new(&name, 1));
    drop(private);
    assert_gone(&name);
}

#[test]
fn a_section_outlives_its_creator() {
    let (mut test, name) = start("orphan");
    let leave = |child: TestChild| assert!(child.finish().success());
    for end in [TestChild::kill, leave] {
        let mut creator = test.child("os/create", &[&name]);
        creator.expect(TEXT);
        let section = open(&name);
        end(creator);
        assert_eq!(text(&section), TEXT);
        refused(Kind::AlreadyExists, Section::create_new(&name, 1));
        let mut third = test.child("os/read", &[&name]);
        third.expect(TEXT);
        drop(section);
        assert_eq!(text(&open(&name)), TEXT);
        assert!(third.finish().success());
        assert_gone(&name);
    }
}

// layout: L194
#[test]
fn a_killed_last_holder_leaves_nothing() {
    let (mut test, name) = start("killed");
    for round in 0..30 {
        // The child finds its new section all zero.
        let mut holder = test.child("os/create", &[&name]);
        holder.expect(TEXT);
        holder.kill();
        match round % 3 {
            0 => assert_gone(&name),
            1 => assert!(listed(&mut test, &name).is_none()),
            _ => drop(create(&name, 4096)),
        }
    }
    assert_gone(&name);
}

// layout: L196 L197
#[test]
fn section_survives_concurrent_opens_and_kill() {
    let (mut test, name) = start("storm");
    let section = with_text(&name);
    let mut children: Vec<_> = (0..4).map(|_| test.child("os/storm", &[&name])).collect();
    children.iter_mut().for_each(|c| c.expect("ready"));
    let random = RandomState::new().hash_one(0) as usize;
    let mut victim = Some(children.swap_remove(random % 4));
    for n in 0..900 {
        assert_eq!(text(&open(&name)), TEXT);
        if n == random / 4 % 600 {
            victim.take().unwrap().kill();
        }
    }
    put(&section, 100, "stop");
    assert!(children.into_iter().all(|c| c.finish().success()));
    drop(section);
    assert_gone(&name);
}

// layout: L201
#[test]
fn default_section_is_not_inherited() {
    let (mut test, name) = start("private");
    let (creator, view) = (with_text(&name), open(&name).map(..).unwrap());
    let mut child = test.child("os/idle", &[""]);
    child.expect("idle");
    drop((creator, view));
    assert_gone(&name);
    create(&name, 1);
    assert!(child.finish().success(), "the child was alive until now");
}

#[test]
fn inheritable_section_is_inherited_by_child() {
    let (mut test, name) = start("heir");
    // Runs in `spawning`, since any other child would inherit the section too.
    let child = test.spawning(|| {
        let options = Section::options().inheritable(true);
        let section = options.create_new(&name, 4096).unwrap();
        put(&section, 0, TEXT);
        let number = section.as_raw() as usize;
        let mut child = TestChild::spawn("os/inherit", &[&number.to_string()]);
        child.expect(&name);
        child.expect(TEXT);
        child
    });
    assert_eq!(text(&open(&name)), TEXT);
    refused(Kind::AlreadyExists, Section::create_new(&name, 1));
    assert!(child.finish().success());
    assert_gone(&name);
}

#[test]
fn file_section_keeps_content_and_length() {
    let (mut test, name) = start("file");
    let path = &std::env::temp_dir().join(name);
    let section = Section::options().create_new_file(path, 5000).unwrap();
    assert!(section.name().is_none() && section.is_writable());
    assert_eq!(bytes(&section, 0, 5000), [0; 5000]);
    put(&section, 0, TEXT);
    put(&section, 4999, "!");
    let mut child = test.child("os/file", &[path.to_str().unwrap()]);
    child.expect(TEXT);
    assert!(child.finish().success());
    section.map_rw(..).unwrap().flush().unwrap();
    drop(section);
    let on_disk = std::fs::read(path).unwrap();
    assert_eq!(on_disk.len(), 5000);
    assert!(on_disk.starts_with(TEXT.as_bytes()) && on_disk.ends_with(b"\0!"));
    let section = Section::options().write(true).open_file(path).unwrap();
    assert_eq!(section.len().unwrap(), 5000);
    refused(Kind::OutOfBounds, section.map(..5001));
    put(&section, 4000, "again");
    drop(section);
    let on_disk = std::fs::read(path).unwrap();
    assert_eq!((on_disk.len(), &on_disk[4000..4005]), (5000, &b"again"[..]));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn file_section_refuses_access_option() {
    let (_test, name) = start("file-access");
    let path = std::env::temp_dir().join(&name);
    let options = Section::options().access(shmkit::Access::UsersReadOnly);
    refused(Kind::Unsupported, options.create_new_file(&path, 100));
    assert!(!path.exists());
}

#[test]
fn open_file_never_creates_or_overwrites() {
    let (_test, name) = start("nofile");
    let path = &std::env::temp_dir().join(name);
    let options = Section::options();
    refused(Kind::NotFound, options.open_file(path));
    assert!(!path.exists(), "opening never creates");
    std::fs::write(path, "").unwrap();
    refused(Kind::OutOfBounds, options.open_file(path));
    std::fs::write(path, TEXT).unwrap();
    refused(Kind::AlreadyExists, options.create_new_file(path, 5));
    let section = options.open_file(path).unwrap();
    refused(Kind::ReadOnly, section.map_rw(..));
    let private = section.map_copy_on_write(..).unwrap();
    private.write(0, b"mine").unwrap();
    drop((section, private));
    assert_eq!(std::fs::read_to_string(path).unwrap(), TEXT);
    std::fs::remove_file(path).unwrap();
    let nowhere = path.with_extension("folder").join("file");
    refused(Kind::NotFound, options.create_new_file(&nowhere, 5));
    refused(Kind::NotFound, options.open_file(&nowhere));
}

#[test]
fn list_shows_section_until_last_holder_ends() {
    let (mut test, name) = start("list");
    for prefix in prefixes() {
        let name = format!("{prefix}{name}");
        let section = create(&name, 5000);
        let found = listed(&mut test, &name).unwrap();
        assert_eq!(found.len, Some(section.info().unwrap().kernel_len));
        let view = open(&found.name).map(..).unwrap();
        drop(section);
        assert!(listed(&mut test, &name).is_some(), "a view is a holder");
        drop(view);
        assert!(listed(&mut test, &name).is_none());
    }
}

#[test]
fn empty_copies_succeed_in_uncommitted_memory() {
    let (_test, name) = start("nothing");
    let section = reserve(&name, 1 << 20);
    let view = section.map_rw(..).unwrap();
    view.read(100, &mut []).unwrap();
    view.write(100, &[]).unwrap();
    let read = view.read(100, &mut [0; 8]).map_err(|error| error.kind());
    // On Linux a read of uncommitted memory succeeds.
    let expected = if cfg!(windows) {
        Err(Kind::NotCommitted)
    } else {
        Ok(())
    };
    assert_eq!(read, expected);
}

#[test]
fn every_kind_of_view_can_be_prefaulted() {
    let (_test, name) = start("prefault");
    let path = std::env::temp_dir().join(&name);
    let file = Section::options().create_new_file(&path, 200_001);
    let reserved = reserve(&name, 1 << 20);
    reserved.commit(4096..8192).unwrap();
    let committed = create(&(name + "2"), 200_001);
    for section in [reserved, committed, file.unwrap()] {
        for range in [0..200_001, 4095..4097, 70_001..200_001] {
            let view = section.map(range.clone()).unwrap();
            view.prefault().unwrap();
            let view = section.map_rw(range.clone()).unwrap();
            view.prefault().unwrap();
            let view = section.map_copy_on_write(range).unwrap();
            view.prefault().unwrap();
        }
        assert_eq!(look(&section, 0, 200_001), vec![0; 200_001]);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn error_message_is_complete_and_single_line() {
    let (_test, name) = start("error");
    // A name may contain a line break; the text of the error may not.
    let whole = format!("Local\\{name}\nX");
    let error = refused(Kind::NotFound, Section::open(&whole));
    assert_eq!(error.operation(), Operation::Open);
    assert_eq!(error.subject(), whole);
    let system = format!("(os error {})", error.code().unwrap());
    let text = error.to_string();
    for part in [&name, error.meaning(), error.advice(), &system] {
        assert!(!part.is_empty() && text.contains(part), "{part}: {text}");
    }
}

#[test]
fn thousands_of_sections_leave_nothing() {
    let (mut test, stem) = start("many");
    for n in 0..3000 {
        let section = with_text(&format!("{stem}-{n}"));
        assert_eq!(text(&section), TEXT);
    }
    let left = test.alone(shmkit::inspect::list).unwrap();
    assert!(left.iter().all(|l| !l.name.contains(&stem)));
}
