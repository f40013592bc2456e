//! Every kind of place that can contain a fault, to show that a law finds the fault there.

use super::source::Source;

/// Code around `FAULT`, which is an expression.
const CODE: [&str; 17] = [
    "fn f() {\n    FAULT;\n}",
    "pub fn f() -> X {\n    FAULT\n}",
    "pub(super) async fn f() {\n    FAULT;\n}",
    "pub(crate) const fn f() {\n    FAULT;\n}",
    "unsafe_fn! { fn f() { FAULT } }",
    "extern \"C\" fn f() {\n    FAULT;\n}",
    "const X: Y = FAULT;",
    "static X: Y = FAULT;",
    "impl A {\n    fn f() { FAULT; }\n}",
    "impl A for B {\n    fn f() { FAULT; }\n}",
    "trait A {\n    fn f() { FAULT; }\n}",
    "mod inner {\n    fn f() { FAULT; }\n}",
    "#[cfg(test)]\nmod tests {\n    #[test]\n    fn f() { FAULT; }\n}\nfn after() {}",
    "#[cfg(test)]\nmod tests;\nfn after() {\n    FAULT;\n}",
    "macro_rules! m {\n    () => { FAULT };\n}",
    "fn f() {\n    assert!(FAULT);\n}",
    "fn f() {\n    let c = move |x| { if x { FAULT } };\n}",
];

/// Imports of `PATH`, and types made of it.
const IMPORTS: [&str; 13] = [
    "use PATH;",
    "pub use PATH;",
    "pub(crate) use PATH as Other;",
    "use {core::fmt, PATH};",
    "use {core::{fmt, mem}, {PATH as X, fmt}};",
    "#[cfg(test)]\nmod tests {\n    use PATH;\n}",
    "mod inner {\n    use {PATH};\n}",
    "fn f() {\n    use PATH;\n}",
    "macro_rules! m {\n    () => { use PATH; };\n}",
    "fn f(x: &PATH) -> Vec<PATH> {}",
    "impl PATH for X {}",
    "struct X<T>(T) where T: PATH;",
    "type X = <Y as PATH>::Z;",
];

/// A law: returns the faults that it finds in a file.
type Law = fn(&Source) -> Vec<String>;

/// Checks that a law finds a fault in each kind of place, and finds nothing without the fault.
pub fn is_found(law: Law, path: &str, fault: &str) {
    check(law, path, &CODE, "FAULT", fault, "fine()");
}

/// Checks that a law finds a path in each kind of place, and finds nothing with another path there.
pub fn path_is_found(law: Law, path: &str, fault: &str) {
    check(law, path, &IMPORTS, "PATH", fault, "core::fmt");
    check(law, path, &CODE, "FAULT", fault, "fine()");
}

fn check(law: Law, path: &str, places: &[&str], mark: &str, fault: &str, fine: &str) {
    for place in places {
        let faults = law(&Source::new(path, &place.replace(mark, fault)));
        assert!(!faults.is_empty(), "{fault} is not found in: {place}");
        let faults = law(&Source::new(path, &place.replace(mark, fine)));
        assert_eq!(faults, [""; 0], "in: {place}");
    }
}
