//! Cursor pagination: newest first, by id, since ids are ordered by time of creation.

use uuid::Uuid;

/// Most rows in one page.
const MAX_LIMIT: i64 = 100;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows older than this id.
    before: Uuid,
    /// How many rows at most, 1 to 100.
    limit: i64,
}

impl Page {
    /// A page of at most `limit` rows (held to 1–100) older than `before`; without one it begins with the newest.
    pub fn new(before: Option<Uuid>, limit: u32) -> Self {
        Self { before: before.unwrap_or(Uuid::max()), limit: i64::from(limit).clamp(1, MAX_LIMIT) }
    }

    /// What the rows' ids are below; ids grow with time (UUIDv7).
    pub(crate) fn before(self) -> Uuid {
        self.before
    }

    /// One more than asked for, to know whether there is another page.
    pub(crate) fn fetch(self) -> i64 {
        self.limit + 1
    }

    /// Cuts a fetched list to the page and says where the next one begins.
    pub(crate) fn cut<T>(self, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
        let limit = usize::try_from(self.limit).unwrap_or(1);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(id) } else { None };
        (rows, next)
    }
}
