//! POSIX objects of other programs.

use super::*;

#[test]
fn posix_object_opens_without_lock_or_unlink() {
    let (mut test, name) = start("posix");
    let object = ByHand::file(shm(&name), TEXT.as_bytes());
    let posix = format!("/{name}");
    let section = Section::open_rw(&posix).unwrap();
    assert_eq!(text(&section), TEXT);
    assert_eq!(section.len().unwrap(), TEXT.len() as u64);
    assert_eq!(section.info().unwrap().backing, Some(Backing::Posix));
    assert_eq!(section.name().unwrap().as_str(), posix);
    let view = section.map_rw(..).unwrap();
    view.write(0, b"m").unwrap();
    // The library holds no lock on the object, so its owner can lock it.
    let owner = fs::File::open(&object.0).unwrap();
    assert!(lock(&owner, libc::LOCK_EX));
    let reader = Section::open(&posix).unwrap();
    refused(Kind::ReadOnly, reader.map_rw(..));
    let listed = test.alone(shmkit::inspect::list).unwrap();
    assert!(
        listed
            .iter()
            .any(|l| l.name == posix && l.len == Some(TEXT.len() as u64))
    );
    drop((section, view, reader, owner));
    test.alone(shmkit::inspect::list).unwrap();
    assert!(fs::read(&object.0).unwrap().starts_with(b"message from"));
    // The object is not the section with the same name.
    assert_gone(&name);
    assert_gone(&format!("Local\\{posix}"));
}

#[test]
fn posix_object_may_grow_and_shrink() {
    let (_test, name) = start("grow");
    let object = ByHand::file(shm(&name), b"");
    let section = Section::open(format!("/{name}")).unwrap();
    assert_eq!(section.len().unwrap(), 0);
    refused(Kind::InvalidArgument, section.map(..));
    refused(Kind::OutOfBounds, section.map(..1));
    refused(Kind::OutOfBounds, section.read_at(0, &mut [0]));
    fs::write(&object.0, TEXT).unwrap();
    assert_eq!(section.len().unwrap(), TEXT.len() as u64);
    assert_eq!(section.map(..).unwrap().len(), TEXT.len());
    assert_eq!(text(&section), TEXT);
    fs::write(&object.0, "less").unwrap();
    refused(Kind::OutOfBounds, section.read_at(0, &mut [0; 5]));
    refused(Kind::OutOfBounds, section.map(..5));
    section.read_at(0, &mut [0; 4]).unwrap();
}

#[test]
fn posix_object_is_never_created() {
    let (_test, name) = start("noposix");
    // A line break in a name does not split the error message into two lines.
    for name in [format!("/{name}"), format!("/{name}\nX")] {
        assert_gone(&name);
        let error = refused(Kind::Unsupported, Section::create_new(&name, 4096));
        assert_eq!(error.code(), None);
        refused(Kind::Unsupported, Section::open_or_create(&name, 4096));
        assert!(!shm(&name[1..]).exists());
    }
    for wrong in ["/", "/.", "/..", "//", "/a/b"] {
        refused(Kind::InvalidName, Section::open(wrong));
        refused(Kind::InvalidName, Section::create_new(wrong, 1));
    }
}
