//! Counts the packages that a program compiles if it uses the library.

use super::source::root;
use std::collections::BTreeSet;
use std::process::Command;

/// The most packages for each system, with shmkit itself.
const MOST: [(&str, usize); 2] = [
    ("x86_64-unknown-linux-gnu", 5),
    ("x86_64-pc-windows-gnu", 4),
];

/// Lists what the library depends on, with its default features, one package on each line.
fn tree(target: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "shmkit"])
        .args(["--edges", "normal", "--prefix", "none", "--target", target])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Returns the packages of a tree. Cargo marks a package with `(*)` if it has listed the package
/// before.
fn packages(tree: &str) -> BTreeSet<&str> {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.filter(|line| !line.is_empty()).collect()
}

/// Runs on Linux only: under Wine there is no cargo, and the result is the same on every system.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "runs on Linux, for all systems")]
fn library_has_few_packages() {
    for (target, most) in MOST {
        let tree = tree(target);
        let packages = packages(&tree);
        assert!(
            packages.len() <= most,
            "{target}: {} packages, at most {most}: {packages:?}",
            packages.len()
        );
        let has_shmkit = packages.iter().any(|name| name.starts_with("shmkit v"));
        assert!(has_shmkit, "{target}: {packages:?}");
    }
}

#[test]
fn packages_are_counted_once() {
    let tree = "shmkit v0.1.0 (/shmkit)\na v1.0.0\nb v2.0.0\nb v2.0.0 (*)\na v1.1.0\n\n";
    let counted = packages(tree);
    assert_eq!(counted.len(), 4, "{counted:?}");
}
