//! A file as the lexer of the compiler sees it: paths, functions and literals in any place.
//!
//! The laws look at tokens and not at a syntax tree, since a syntax tree ends at each macro.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// `crate::os::Section`, or an identifier alone. Each branch of a `use` is a path of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub segments: Vec<String>,
    /// The name by which a `use` imports the path, if it renames it.
    pub renamed: Option<String>,
    pub is_use: bool,
    /// The number of modules of this file that are around the path.
    pub depth: usize,
    pub line: usize,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    /// From the line of `fn` to that of the closing brace.
    pub lines: usize,
}

/// What a file consists of.
#[derive(Debug, Default)]
pub struct Tokens {
    pub paths: Vec<Path>,
    pub functions: Vec<Function>,
    /// The text of each literal, with its quotes.
    pub literals: Vec<(String, usize)>,
    /// The identifiers inside each `cfg(…)`, `cfg!(…)` and `cfg_attr(…)`, in their order.
    pub conditions: Vec<(Vec<String>, usize)>,
}

/// Words that can stand before a path and are no part of it: `return ::std::mem::take(x)`.
const WORDS: [&str; 13] = [
    "as", "break", "dyn", "else", "for", "if", "impl", "in", "match", "move", "mut", "return",
    "use",
];

/// The context in which the walk is.
#[derive(Clone, Copy, Default)]
struct Place {
    is_use: bool,
    in_condition: bool,
    depth: usize,
}

impl Tokens {
    pub fn of(text: &str) -> Tokens {
        let stream: TokenStream = text.parse().expect("the file is valid Rust");
        let mut found = Tokens::default();
        found.walk(stream, Place::default());
        found
    }

    fn walk(&mut self, stream: TokenStream, outside: Place) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut place = outside;
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) => {
                    self.read_function(&tokens, at);
                    if word == "use" && !is_punct(tokens.get(at + 1), '<') {
                        place.is_use = true;
                    }
                    at = self.read_path(&tokens, at, Vec::new(), place);
                    continue;
                }
                TokenTree::Group(group) => {
                    let inside = Place {
                        is_use: place.is_use && group.delimiter() == Delimiter::Brace,
                        in_condition: outside.in_condition || is_condition(&tokens[..at]),
                        depth: outside.depth + usize::from(is_module(&tokens[..at])),
                    };
                    if inside.in_condition && !outside.in_condition {
                        let line = group.span_open().start().line;
                        self.conditions.push((Vec::new(), line));
                    }
                    self.walk(group.stream(), inside);
                }
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    self.literals.push((literal.to_string(), line));
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => place.is_use = false,
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }

    /// Reads the path that begins at this identifier, with the leading `segments`, and returns the
    /// index at which it ends.
    fn read_path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        mut segments: Vec<String>,
        place: Place,
    ) -> usize {
        let line = tokens[at].span().start().line;
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(word)) => segments.push(word.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".into()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.read_branches(group, &segments, place);
                    return at + 1;
                }
                _ => break,
            }
            let is_word = segments.last().is_some_and(|word| WORDS.contains(&&**word));
            at += 1;
            if is_word || !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
                break;
            }
            at += 2;
        }
        let mut renamed = None;
        if let (true, Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) =
            (place.is_use, tokens.get(at), tokens.get(at + 1))
            && word == "as"
        {
            renamed = Some(name.to_string());
            at += 2;
        }
        if let (true, Some((words, _))) = (place.in_condition, self.conditions.last_mut()) {
            words.extend(segments.iter().cloned());
        }
        self.paths.push(Path {
            segments,
            renamed,
            is_use: place.is_use,
            depth: place.depth,
            line,
        });
        at
    }

    /// Reads the branches of a `use`, each with the `leading` segments.
    fn read_branches(&mut self, group: &Group, leading: &[String], place: Place) {
        let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() != '*' => at + 1,
                _ => self
                    .read_path(&tokens, at, leading.to_vec(), place)
                    .max(at + 1),
            };
        }
    }

    fn read_function(&mut self, tokens: &[TokenTree], at: usize) {
        let (TokenTree::Ident(word), Some(TokenTree::Ident(name))) =
            (&tokens[at], tokens.get(at + 1))
        else {
            return;
        };
        if word != "fn" {
            return;
        }
        let ends = |token: &&TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            other => is_punct(Some(other), ';'),
        };
        if let Some(TokenTree::Group(body)) = tokens[at..].iter().find(ends) {
            let line = word.span().start().line;
            self.functions.push(Function {
                name: name.to_string(),
                line,
                lines: body.span_close().end().line - line + 1,
            });
        }
    }
}

fn is_punct(token: Option<&TokenTree>, is: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == is)
}

/// Returns the last word before a group, without the `!` of a macro.
fn word_before(tokens: &[TokenTree]) -> Option<String> {
    let tokens = match tokens.split_last() {
        Some((last, rest)) if is_punct(Some(last), '!') => rest,
        _ => tokens,
    };
    match tokens.last() {
        Some(TokenTree::Ident(word)) => Some(word.to_string()),
        _ => None,
    }
}

fn is_condition(tokens: &[TokenTree]) -> bool {
    word_before(tokens).is_some_and(|word| word == "cfg" || word == "cfg_attr")
}

/// Returns whether a group is the body of `mod name`.
fn is_module(tokens: &[TokenTree]) -> bool {
    let before = tokens.split_last().map_or(tokens, |(_, rest)| rest);
    word_before(tokens).is_some()
        && matches!(before.last(), Some(TokenTree::Ident(word)) if word == "mod")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let paths = Tokens::of(text).paths;
        paths
            .into_iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn each_import_branch_is_one_path() {
        let found = paths("use a::{b, c::{self, d as e, f::*}, g};");
        assert_eq!(
            found,
            ["use", "a::b", "a::c::self", "a::c::d", "a::c::f::*", "a::g"]
        );
        let tokens = Tokens::of("use {a, b::c as d}; e::f(g);");
        let is_use = |path: &&Path| path.is_use;
        let imports: Vec<&Path> = tokens.paths.iter().filter(is_use).skip(1).collect();
        assert_eq!(imports.len(), 2, "{imports:?}");
        assert_eq!(imports[1].renamed.as_deref(), Some("d"));
    }

    #[test]
    fn paths_in_code_and_macros_are_found() {
        let text = "macro_rules! m { () => { $crate::a::B } } fn f(x: <C as d::E>::F) { g!(h::i) }";
        let found = paths(text);
        for path in ["crate::a::B", "d::E", "F", "h::i"] {
            assert!(found.iter().any(|one| one == path), "{path} in {found:?}");
        }
    }

    #[test]
    fn depth_counts_enclosing_modules() {
        let tokens = Tokens::of("mod a { mod b { fn f() { super::x } } } fn g() { y }");
        let depth = |name: &str| {
            let is_it = |path: &&Path| path.segments.last().is_some_and(|last| last == name);
            tokens.paths.iter().find(is_it).unwrap().depth
        };
        assert_eq!((depth("x"), depth("y")), (2, 0));
    }

    #[test]
    fn all_kinds_of_functions_are_measured() {
        let kinds = [
            "fn f() {\n}",
            "pub(in a::b) async fn f() {\n}",
            "pub const unsafe extern \"C\" fn f<const N: usize>(x: [u8; { 3 }]) -> u8 {\n}",
            "impl A for B { fn f() where [(); { 1 }]: {\n} }",
            "trait A { fn g(); fn f() {\n} }",
            "fn g() { fn f() {\n} }",
            "macro_rules! m { () => { fn f() {\n} } }",
            "m! { fn f() {\n} }",
            "#[cfg(test)] mod tests { #[test] fn f() {\n} }",
        ];
        for kind in kinds {
            let functions = Tokens::of(kind).functions;
            let is = |one: &Function| one.name == "f" && one.lines == 2;
            assert!(functions.iter().any(is), "{kind}: {functions:?}");
        }
        assert!(
            Tokens::of("fn g(); type A = fn(u8) -> u8;")
                .functions
                .is_empty()
        );
    }

    #[test]
    fn cfg_condition_words_are_found() {
        for text in [
            "#[cfg(not(a))] mod m;",
            "fn f() { cfg!(a) }",
            "#[cfg_attr(all(b, a), c)] x",
        ] {
            let found = Tokens::of(text).conditions;
            assert!(
                found
                    .iter()
                    .any(|(words, _)| words.contains(&"a".to_string())),
                "{text}: {found:?}"
            );
        }
        assert!(Tokens::of("a(a)").conditions.is_empty());
    }
}
