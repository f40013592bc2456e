//! The types of the messages of a segment, as a participant sees them.

use super::{Found, Pattern, layouts_in};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Layout, MAX_TEXT, fingerprint};
use crate::format::layout::control;
use crate::sync::Words;

impl Found {
    /// Returns the layouts that the owner has stored: the layout of the messages, or the layouts of
    /// requests and responses. Returns no layout if messages are bare bytes.
    // layout: L033 L041 L178
    pub fn layouts(&self) -> Result<Vec<Layout>> {
        let len = self.control.load32(control::TYPE_LEN) as usize;
        let fingerprint = self.control.load64(control::TYPE_FINGERPRINT);
        if (len, fingerprint) == (0, 0) {
            return Ok(Vec::new());
        }

        let mut bytes = [0; MAX_TEXT];
        let text = bytes.get_mut(..len).and_then(|bytes| {
            self.control.copy_out(control::TYPE, bytes);
            str::from_utf8(bytes).ok()
        });
        let text = text.filter(|text| self::fingerprint(text) == fingerprint);
        let count = match self.geometry.pattern() {
            Pattern::Calls => 2,
            Pattern::Queue | Pattern::Topic | Pattern::Values => 1,
        };

        let layouts = text.and_then(layouts_in);
        let fits = |layout: &Layout| layout.size <= self.geometry.max();
        match layouts.filter(|layouts| layouts.len() == count && layouts.iter().all(fits)) {
            Some(layouts) => Ok(layouts),
            None => {
                let meaning = "its description of the message type is invalid";
                let error = Error::new(ErrorKind::Corrupt, Operation::Open, &self.name, meaning);
                Err(error.with_advice("restart the program that created it"))
            }
        }
    }

    /// Returns an error if the messages have other types than these.
    // layout: L040
    pub fn expect_layouts(&self, layouts: &[Layout]) -> Result<()> {
        let there = self.layouts()?;
        let what: &[&str] = match layouts {
            [_] => &["messages"],
            _ => &["requests", "responses"],
        };

        let differ = |((here, there), what): ((&Layout, &Layout), &&str)| {
            let difference = here.difference(there)?;
            Some(format!("its {what} are of another type: {difference}"))
        };
        let (meaning, advice) = match layouts.iter().zip(&there).zip(what).find_map(differ) {
            Some(meaning) => (
                meaning,
                "use one struct on both sides, or open it without a type",
            ),
            None if !there.is_empty() => return Ok(()),
            None => (
                format!("its {} are bare bytes: its creator gave no type", what[0]),
                "let the creator give the type, or open the name without a type",
            ),
        };

        let error = Error::new(ErrorKind::WrongType, Operation::Open, &self.name, meaning);
        Err(error.with_advice(advice))
    }
}
