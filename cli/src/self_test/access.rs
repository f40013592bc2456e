//! Checks of the access rights and the owner of an object.

use super::check::{Check, Checked, PATIENCE, Wrong, fails, must, refused, same, unique};
use super::child::Child;
use super::roles::{queue, table, topic};
use shmkit::ErrorKind::{
    AccessDenied, AlreadyExists, InvalidArgument, InvalidName, PrivilegeMissing, ReadOnly,
    Unsupported, WrongOwner,
};
use shmkit::inspect::ObjectInfo;
use shmkit::{
    Access, Client, Delivery, Event, Mutex, Owner, Reader, Reset, Section, Sender, Server,
    Subscriber,
};

const fn access(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("access", name, run)
}

pub const CHECKS: [Check; 12] = [
    access("a created object belongs to this user", belongs_to_me),
    access("an object of another user is refused", foreign_objects),
    access(
        "endpoints of queues, topics, values and calls refuse a foreign owner",
        foreign_owners,
    ),
    access("by default only this user has access", same_user),
    access("the read-only presets let other users read", others_look),
    access(
        "a group and AppContainers get the rights to take part, and no others",
        others_take_part,
    ),
    access(
        "no access list has a generic right or lets other users write",
        no_generic_right,
    ),
    access(
        "a section that was opened for reading cannot be written",
        read_only,
    ),
    access(
        "another process of this user can open a section of each preset",
        own_processes,
    ),
    access(
        "an access list with only the right to read allows nothing else",
        only_look,
    ),
    access("an invalid security descriptor is refused", descriptors),
    access("a section in Global\\ can be created and opened", global),
];

/// Returns an account other than the account of this user: on Linux a user id without a user, on
/// Windows the account of the system.
fn other_account() -> Owner {
    Owner::Account(if cfg!(windows) { "S-1-5-18" } else { "4711" }.to_string())
}

/// Returns whether this user has the account that [`other_account`] returns. For this account, no
/// object of the check is foreign.
fn is_other_account(info: &ObjectInfo) -> bool {
    cfg!(windows)
        && info
            .owner
            .as_ref()
            .is_some_and(|owner| owner.ends_with("(S-1-5-18)"))
}

/// Creates a section, an event and a mutex with this access, and returns their facts.
fn infos(access: &Access) -> Result<[ObjectInfo; 3], Wrong> {
    let names = [(); 3].map(|()| unique());
    let section = Section::options().access(access.clone());
    let event = Event::options().access(access.clone());
    let mutex = Mutex::options().access(access.clone());
    Ok([
        section.create_new(&*names[0], 4096)?.info()?.object,
        event.create_new(&*names[1], Reset::Manual)?.info(),
        mutex.create_new(&*names[2])?.info(),
    ])
}

/// Returns the access list: SDDL on Windows, the mode on Linux.
fn list(info: &ObjectInfo) -> Result<&str, Wrong> {
    let list = info.access.as_deref();
    list.ok_or_else(|| Wrong::new("the object has an access list", "none"))
}

const PRESETS: [Access; 3] = [
    Access::SameUser,
    Access::UsersReadOnly,
    Access::InteractiveReadOnly,
];

fn belongs_to_me(name: &str) -> Checked {
    let _made = Section::create_new(name, 1)?;
    Section::options().expect_owner(Owner::Me).open(name)?;
    let (event, mutex) = (format!("{name}-e"), format!("{name}-m"));
    let _event = Event::create_new(&*event, Reset::Auto)?;
    Event::options().expect_owner(Owner::Me).open(&*event)?;
    let _mutex = Mutex::create_new(&*mutex)?;
    Mutex::options().expect_owner(Owner::Me).open(&*mutex)?;
    for access in PRESETS {
        for info in infos(&access)? {
            must("the object has an owner", info.owner.is_some())?;
        }
    }
    Ok(())
}

fn foreign_objects(name: &str) -> Checked {
    let made = Section::create_new(name, 1)?;
    if is_other_account(&made.info()?.object) {
        return Err(Wrong::Skipped(
            "this is the account of the system".to_string(),
        ));
    }

    let section = Section::options().expect_owner(other_account());
    refused(WrongOwner, section.open(name))?;
    refused(WrongOwner, section.open_or_create(name, 1))?;

    let (event, mutex) = (format!("{name}-e"), format!("{name}-m"));
    let _event = Event::create_new(&*event, Reset::Auto)?;
    let options = Event::options().expect_owner(other_account());
    refused(WrongOwner, options.open(&*event))?;
    let _mutex = Mutex::create_new(&*mutex)?;
    let options = Mutex::options().expect_owner(other_account());
    refused(WrongOwner, options.open(&*mutex))
}

fn foreign_owners(name: &str) -> Checked {
    let names = ["q", "t", "v", "c"].map(|kind| format!("{name}-{kind}"));
    let [q, t, v, c] = names.each_ref().map(|name| &**name);
    let _receiver = queue(q)?;
    let _publisher = topic(t, Delivery::Lossy)?;
    let _writer = table(v)?;
    let _server = Server::create(c)?;

    Sender::options().expect_owner(Owner::Me).open(q)?;
    Subscriber::options().expect_owner(Owner::Me).open(t)?;
    Reader::options().expect_owner(Owner::Me).open(v)?;
    Client::options().expect_owner(Owner::Me).open(c)?;

    let probe = Section::create_new(name, 1)?;
    if is_other_account(&probe.info()?.object) {
        return Err(Wrong::Skipped(
            "this is the account of the system".to_string(),
        ));
    }

    refused(
        WrongOwner,
        Sender::options().expect_owner(other_account()).open(q),
    )?;
    refused(
        WrongOwner,
        Subscriber::options().expect_owner(other_account()).open(t),
    )?;
    refused(
        WrongOwner,
        Reader::options().expect_owner(other_account()).open(v),
    )?;
    refused(
        WrongOwner,
        Client::options().expect_owner(other_account()).open(c),
    )
}

fn same_user(_: &str) -> Checked {
    for info in infos(&Access::default())? {
        same("the number of granted accounts", info.grants.len(), 1)?;

        if cfg!(unix) {
            let mode = list(&info)?;
            must("the mode is 0600", mode.ends_with("600"))?;
        }
        if cfg!(windows) {
            same(
                "the rights of this user",
                &*info.grants[0].may,
                "everything",
            )?;
            let owner = info.owner.as_deref().unwrap_or_default();
            same("the granted account", &*info.grants[0].account, owner)?;
        }
    }
    Ok(())
}

fn others_look(_: &str) -> Checked {
    for (access, sid) in [
        (Access::UsersReadOnly, "AU"),
        (Access::InteractiveReadOnly, "IU"),
    ] {
        let [section, event, _] = infos(&access)?;
        must("other users have access", section.grants.len() > 1)?;
        let may = section.grants.last().map(|grant| &*grant.may);

        if cfg!(windows) {
            same("their rights to a section", may, Some("read"))?;
            let may = event.grants.last().map(|grant| &*grant.may);
            same("their rights to an event", may, Some("wait"))?;
            for info in [&section, &event] {
                let dacl = list(info)?.split("S:").next().unwrap_or_default();
                let ends = dacl.ends_with(&format!(";;;{sid})"));
                must(&format!("the list ends with {sid}: {dacl}"), ends)?;
            }
        }

        if cfg!(unix) {
            must("the mode is 0644", list(&section)?.ends_with("644"))?;
        }
    }
    Ok(())
}

fn others_take_part(name: &str) -> Checked {
    /// The users of the machine.
    const USERS: &str = "S-1-5-32-545";
    if cfg!(unix) {
        let containers = Section::options().access(Access::AppContainer);
        refused(Unsupported, containers.create_new(name, 1))?;
        // Other users do not find a name of this session.
        let group = Section::options().access(Access::Group("0".to_string()));
        return refused(InvalidName, group.create_new(name, 1));
    }

    for access in [Access::Group(USERS.to_string()), Access::AppContainer] {
        let infos = infos(&access)?;
        for (info, may) in infos.iter().zip(["read, write", "wait, set", "take"]) {
            same("the number of granted accounts", info.grants.len(), 2)?;
            same("their rights", &*info.grants[1].may, may)?;
        }

        let name = format!("{name}-{access}").replace(':', "-");
        let options = shmkit::Receiver::options().access(access);
        let mut receiver = options.create(&*name)?;
        let mut child = Child::start("sender", &name)?;
        child.order("send 0 1", "done")?;
        receiver.recv_timeout(PATIENCE)?;
        let control = Section::open(&*format!("{name}~control-00000001"))?;
        let grants = control.info()?.object.grants;
        same("their rights to control", &*grants[1].may, "read")?;
    }
    Ok(())
}

fn no_generic_right(_: &str) -> Checked {
    for access in PRESETS {
        for info in infos(&access)? {
            let list = list(&info)?;
            let parts = list.split([';', '(', ')']);

            for part in parts.filter(|_| cfg!(windows)) {
                // The rights of an entry are pairs of letters, or a number.
                let mut pairs = part.as_bytes().chunks(2);
                let letters = part.bytes().all(|byte| byte.is_ascii_uppercase());
                let generic = pairs.any(|pair| matches!(pair, b"GA" | b"GR" | b"GW" | b"GX"));
                must(
                    &format!("no generic right in {list}"),
                    !(letters && generic),
                )?;
            }

            if cfg!(unix) {
                let mode = u32::from_str_radix(list.trim_start_matches("mode "), 8);
                let closed = mode.as_ref().is_ok_and(|mode| mode & 0o022 == 0);
                must(&format!("other users cannot write: {list}"), closed)?;
            }
        }
    }
    Ok(())
}

fn read_only(name: &str) -> Checked {
    let made = Section::create_new(name, 4096)?;
    let opened = Section::open(name)?;
    must(
        "only the created section is writable",
        !opened.is_writable() && made.is_writable(),
    )?;
    refused(ReadOnly, opened.map_rw(..))?;
    opened.map(..)?;
    Section::open_rw(name)?.map_rw(..)?.write(0, b"new")?;
    same("the written bytes", opened.map(..)?.read_value(0)?, *b"new")
}

fn own_processes(name: &str) -> Checked {
    for (n, access) in PRESETS.into_iter().enumerate() {
        let name = format!("{name}-{n}");
        let options = Section::options().access(access);
        let view = options.create_new(&*name, 4096)?.map_rw(..)?;
        let mut child = Child::start("section", &name)?;
        child.order("write there", "done")?;
        same(
            "the bytes that the other process wrote",
            view.read_value(0)?,
            *b"there",
        )?;
    }
    Ok(())
}

/// Returns the SID of this user, which is the owner of a new object.
fn my_sid(name: &str) -> Result<String, Wrong> {
    let info = Mutex::create_new(&*format!("{name}-me"))?.info();
    let owner = info.owner.unwrap_or_default();
    let sid = owner.rsplit('(').next().unwrap_or_default();
    Ok(sid.trim_end_matches(')').to_string())
}

fn only_look(name: &str) -> Checked {
    if !cfg!(windows) {
        let why = "access lists exist on Windows only".to_string();
        return Err(Wrong::Skipped(why));
    }

    let look = Access::Sddl(format!("D:P(A;;GR;;;{})", my_sid(name)?));
    let options = Section::options().access(look.clone());
    let _made = options.create_new(name, 4096)?;
    let opened = Section::open(name)?;
    opened.map(..)?;
    refused(ReadOnly, opened.map_rw(..))?;
    refused(AccessDenied, Section::open_rw(name))?;

    let name = format!("{name}-e");
    let options = Event::options().access(look);
    let event = options.create_new(&*name, Reset::Auto)?;
    refused(AccessDenied, Event::open_rw(&*name))?;
    event.set()?;
    must(
        "the event can be waited for",
        Event::open(&*name)?.try_wait()?,
    )
}

fn descriptors(name: &str) -> Checked {
    let wrong = Section::options().access(Access::Sddl("no".to_string()));
    let kind = if cfg!(windows) {
        InvalidArgument
    } else {
        Unsupported
    };
    refused(kind, wrong.create_new(name, 1))?;
    refused(InvalidArgument, "everybody".parse::<Access>())?;
    drop(Section::create_new(name, 1)?);
    Ok(())
}

fn global(name: &str) -> Checked {
    let name = name.replace("Local\\", "Global\\");
    let options = Section::options().access(Access::UsersReadOnly);
    let view = match options.create_new(&*name, 4096) {
        Err(error) if error.kind() == PrivilegeMissing => {
            return Err(Wrong::Skipped(error.to_string()));
        }
        made => made?.map_rw(..)?,
    };

    refused(AlreadyExists, Section::create_new(&*name, 1))?;
    let mut child = Child::start("section", &name)?;
    child.order("write there", "done")?;
    same(
        "the bytes that the other process wrote",
        view.read_value(0)?,
        *b"there",
    )?;
    drop(child);

    let queue = format!("{name}-q");
    let mut receiver = queue_for_all(&queue)?;
    let mut child = Child::start("sender", &queue)?;
    child.order("send 0 1", "done")?;
    receiver.recv_timeout(PATIENCE)?;
    fails("Empty", receiver.try_recv())
}

fn queue_for_all(name: &str) -> shmkit::Result<shmkit::Receiver> {
    let options = shmkit::Receiver::options().access(Access::UsersReadOnly);
    options.create(name)
}
