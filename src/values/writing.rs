//! How a writer stores values, and which values a next writer takes over.
//!
//! A writer stores each new content of a value in another value slot than the last content, and
//! leaves alone the value slots that readers hold. `slots/mod.rs` explains that algorithm.

use crate::error::Result;
use crate::error::channel::SetError;
use crate::name::Name;
use crate::os::ValidityBackend;
use crate::segment::options::Common;
use crate::segment::participant::Participant;
use crate::segment::roster::{Roster, WakeTarget};
use crate::segment::{Geometry, Owned};
use crate::slots::{Look, TableGeometry, ValueReader, ValueWriter};
use crate::sync::{Shared, WindowMut, WordsMut};
use std::collections::HashMap;

/// The writer of values of any type.
#[derive(Debug)]
pub struct Writing {
    pub values: ValueWriter<WindowMut>,
    pub names: Vec<String>,
    participant: Participant,
    // Declared last, so that it is dropped last: it holds the name.
    pub segment: Owned,
}

impl Writing {
    pub fn create(
        common: &Common,
        table: TableGeometry,
        names: Vec<String>,
        name: &Name,
    ) -> Result<Writing> {
        let geometry = Geometry::Values {
            slots: common.slots,
            table,
        };
        let (mut segment, participant) =
            Owned::create(name, geometry, &common.access, &common.layouts)?;
        let mut values = lay_out(&segment, table, &names, common.prefault)?;

        // This writer takes over the values of a dead writer. No process sets them meanwhile.
        let mut older = segment.older()?;
        for (older, _) in &older {
            if older.has_type_of(&segment) {
                carry_over(older, &mut values, &names);
            }
        }
        segment.publish(&mut older);

        Ok(Writing {
            values,
            names,
            participant,
            segment,
        })
    }

    pub fn resize(
        &mut self,
        common: &Common,
        table: TableGeometry,
        names: Vec<String>,
    ) -> Result<()> {
        self.participant.check()?;
        let geometry = Geometry::Values {
            slots: common.slots,
            table,
        };
        let (mut segment, mut participant) = self.segment.next(geometry, &common.layouts)?;
        let mut values = lay_out(&segment, table, &names, common.prefault)?;

        if self.segment.has_type_of(&segment) {
            carry_over(&self.segment, &mut values, &names);
        }

        segment.follow(&mut self.segment);
        self.names = names;
        participant.stay(&mut self.participant);
        (self.values, self.participant, self.segment) = (values, participant, segment);
        Ok(())
    }

    // layout: L097 L136
    #[inline]
    pub fn set_at(&mut self, index: usize, value: &[u8]) -> Result<(), SetError> {
        self.participant.validity.check()?;
        let (len, max) = (value.len(), self.values.table_geometry().max());
        if len > max {
            return Err(SetError::TooLong { len, max });
        }
        store(&mut self.values, self.segment.roster(), index, value);
        self.participant.wake(WakeTarget::AllSlots);
        Ok(())
    }
}

/// Creates the table, and stores the names of the values.
// layout: L075
fn lay_out(
    segment: &Owned,
    table: TableGeometry,
    names: &[String],
    prefault: bool,
) -> Result<ValueWriter<WindowMut>> {
    let values = ValueWriter::new(segment.values_mut(prefault)?, table);
    for (index, name) in names.iter().enumerate() {
        values.name(index, name);
    }
    Ok(values)
}

/// Stores a value, and leaves alone the value slots that readers hold.
#[inline]
pub(crate) fn store<V: WordsMut, W: Shared>(
    values: &mut ValueWriter<V>,
    roster: &Roster<W>,
    index: usize,
    value: &[u8],
) {
    let guards = values.table_geometry().guards();
    values.store(index, value, |index| roster.held(index, guards));
}

impl Drop for Writing {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// Sets the values that an earlier generation has under the same names, if they fit.
fn carry_over(older: &Owned, values: &mut ValueWriter<WindowMut>, names: &[String]) {
    let (Geometry::Values { table, .. }, Ok(words)) = (older.geometry, older.values()) else {
        return;
    };
    let reader = ValueReader::new(words, table);
    let theirs: HashMap<String, usize> = (0..table.count()).map(|n| (reader.name(n), n)).collect();
    let mut buffer = vec![0; table.max()];

    for (index, name) in names.iter().enumerate() {
        let Some(&there) = theirs.get(name) else {
            continue;
        };
        if let Look::Value(len, _) = reader.load(there, &mut buffer)
            && len <= values.table_geometry().max()
        {
            // No reader knows this generation yet.
            values.store(index, &buffer[..len], |_| 0);
        }
    }
}
