//! When tokens are used.

use redb::{AccessGuard, ReadableTable, TableDefinition};

use super::{Reading, Writing, record_key};
use crate::{id::TokenId, store::Key, usage::Usage};

/// Token → last used and last reused, in seconds; 0: never.
pub(super) const USAGE: TableDefinition<'_, i64, (u32, u32)> = TableDefinition::new("usage");

impl Reading {
    pub(in super::super) fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, redb::Error> {
        let usage = self.0.open_table(USAGE)?;
        tokens.iter().map(|token| Ok(loaded(usage.get(token.get())?))).collect()
    }
}

impl Writing<'_> {
    pub(in super::super) fn merge_usage(
        &mut self,
        notes: &[(TokenId, Usage)],
    ) -> Result<(), redb::Error> {
        for (token, noted) in notes {
            if self.records.get(record_key(&Key::Token(*token)).as_slice())?.is_none() {
                continue;
            }
            let old = loaded(self.usage.get(token.get())?);
            let new = old.merged(*noted);
            if new != old {
                self.usage.insert(token.get(), new.to_seconds())?;
                self.changed = true;
            }
        }
        Ok(())
    }

    pub(in super::super) fn forget_usage(&mut self, tokens: &[TokenId]) -> Result<(), redb::Error> {
        for token in tokens {
            self.changed |= self.usage.remove(token.get())?.is_some();
        }
        Ok(())
    }
}

fn loaded(found: Option<AccessGuard<'_, (u32, u32)>>) -> Usage {
    Usage::from_seconds(found.map_or((0, 0), |found| found.value()))
}
