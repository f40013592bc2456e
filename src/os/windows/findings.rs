//! The findings of this account on this system: system, session, privileges, integrity.

use super::access::token::MEDIUM;
use super::access::{account, token};
use super::{ntdll, win32};
use crate::os::{Finding, Health};

pub(crate) fn findings() -> Vec<Finding> {
    let mut findings = vec![
        system(),
        account(),
        session(),
        global(),
        locked_memory(),
        holders(),
    ];
    findings.extend(win32::rules().map(rules));
    findings
}

/// Returns the finding of a build for tests: see `nt_rules.rs`.
fn rules(played: &str) -> Finding {
    let says = format!("the rules of NT are enforced, for this simulated account: {played}");
    Finding::new("build", Health::Limited, says)
        .advise("for tests only: build without --cfg shmkit_nt_rules")
}

fn system() -> Finding {
    let (major, minor, build) = ntdll::version().unwrap_or_default();
    let windows = format!("Windows {major}.{minor}, build {build}");
    match ntdll::wine_version() {
        Some(wine) => {
            let says = format!("Wine {wine}, which reports {windows}");
            Finding::new("system", Health::Limited, says)
                .advise("for tests: it checks no privilege, integrity level or commit limit")
        }
        None if major < 10 => {
            Finding::new("system", Health::Limited, windows).advise("made for Windows 10 and later")
        }
        None => Finding::new("system", Health::Good, windows),
    }
}

fn account() -> Finding {
    let topic = "account";
    let Some(me) = token::identity() else {
        return Finding::new(
            topic,
            Health::Bad,
            "the system does not report the account of this process",
        )
        .advise(
            "without a known user, access cannot be limited to that user: run outside the sandbox",
        );
    };

    let level = match me.integrity {
        0..0x1000 => "untrusted integrity",
        0x1000..MEDIUM => "low integrity",
        MEDIUM..0x3000 => "medium integrity",
        0x3000..0x4000 => "high integrity",
        _ => "system integrity",
    };
    let elevated = if token::is_elevated() {
        "elevated"
    } else {
        "not elevated"
    };

    let user = account::shown(&me.user);
    let says = format!("{user}, {elevated}, {level}");

    if me.integrity < MEDIUM {
        let advice = "this process cannot write objects of programs with medium integrity";
        return Finding::new(topic, Health::Limited, says).advise(advice);
    }
    Finding::new(topic, Health::Good, says)
}

fn session() -> Finding {
    match token::session() {
        0 => Finding::new("session", Health::Good, "0, the session of the services")
            .advise("desktop programs see only the objects in Global\\"),
        session => Finding::new("session", Health::Good, session.to_string()),
    }
}

fn global() -> Finding {
    let topic = "SeCreateGlobalPrivilege";
    if token::may_create_global() {
        Finding::new(
            topic,
            Health::Good,
            "is enabled: sections can be created in Global\\",
        )
    } else {
        Finding::new(
            topic,
            Health::Limited,
            "is missing: no sections can be created in Global\\",
        )
        .advise("run elevated or as a service; opening a section in Global\\ needs no privilege")
    }
}

fn locked_memory() -> Finding {
    let topic = "SeLockMemoryPrivilege";
    if token::has_privilege("SeLockMemoryPrivilege") == Some(true) {
        Finding::new(
            topic,
            Health::Good,
            "is enabled: memory can be locked in large pages",
        )
    } else {
        Finding::new(
            topic,
            Health::Good,
            "is missing: no large pages, which shmkit does not use",
        )
    }
}

fn holders() -> Finding {
    let topic = "who holds an object";
    match ntdll::all_handles() {
        Some(_) => Finding::new(topic, Health::Good, "can be listed"),
        None => Finding::new(topic, Health::Limited, "the system does not list them")
            .advise("run outside the sandbox"),
    }
}
