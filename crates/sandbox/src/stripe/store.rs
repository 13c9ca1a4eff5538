//! Everything that is kept: objects as they are shown, events, deliveries, answers by idempotency key. Fields of objects whose
//! names begin with `_` are ours alone.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs, io,
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    delivery::Delivery,
    failure::{Failure, Outcome},
    switches::Switches,
    time,
    value::{changed, int, text},
};

/// Events, deliveries and answers that are kept, each the newest.
pub(super) const KEPT: usize = 10_000;

/// Why a change happened, as its events tell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Cause {
    pub(super) request: Option<String>,
    pub(super) key: Option<String>,
}

/// An answer that a repeated call gets again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Method, path and a hash of the parameters.
    pub(super) call: (String, String),
    /// None while the first call is under way.
    pub(super) answer: Option<(u16, String)>,
    /// The first call's id.
    pub(super) request: String,
    /// When, by the machine's time.
    pub(super) at: i64,
}

/// The books.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Books {
    objects: BTreeMap<u64, Value>,
    next: u64,
    pub(super) events: VecDeque<Value>,
    pub(super) deliveries: VecDeque<Delivery>,
    pub(super) keys: BTreeMap<String, Kept>,
    pub(super) switches: Switches,
    #[serde(skip)]
    index: HashMap<String, u64>,
    /// The time of what has no test clock.
    #[serde(skip)]
    pub(super) now: i64,
    #[serde(skip)]
    pub(super) cause: Cause,
    /// Where this Stripe is reached: the pages' addresses begin so.
    #[serde(skip)]
    pub(super) base: String,
    #[serde(skip)]
    pub(super) is_dirty: bool,
}

impl Books {
    /// What is in the file, or nothing yet.
    pub(super) fn open(file: Option<&Path>, base: &str) -> io::Result<Self> {
        let mut books: Self = match file.map(fs::read) {
            Some(Ok(bytes)) => serde_json::from_slice(&bytes)?,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => Self::default(),
        };
        books.index = books.objects.iter().map(|(number, it)| (text(it, "id").to_owned(), *number)).collect();
        // Whoever waited for the answers of calls under way is gone.
        books.keys.retain(|_, kept| kept.answer.is_some());
        books.now = time::machine();
        base.clone_into(&mut books.base);
        Ok(books)
    }

    /// The object of this id.
    pub(super) fn find(&self, id: &str) -> Option<&Value> {
        self.objects.get(self.index.get(id)?)
    }

    /// The object of this id and kind, that an address names.
    pub(super) fn get(&self, object: &str, id: &str) -> Outcome {
        let found = self.find(id).filter(|it| text(it, "object") == object);
        found.cloned().ok_or_else(|| Failure::missing(&spoken(object), id))
    }

    /// The object of this id and kind, that a parameter names.
    pub(super) fn get_for(&self, param: &str, object: &str, id: &str) -> Outcome {
        let found =
            self.find(id).filter(|it| text(it, "object") == object && it["deleted"].as_bool() != Some(true));
        found.cloned().ok_or_else(|| Failure::missing_in(param, &spoken(object), id))
    }

    /// Objects of a kind, oldest first.
    pub(super) fn all<'a>(&'a self, object: &'a str) -> impl DoubleEndedIterator<Item = &'a Value> {
        self.objects.values().filter(move |it| it["object"] == object)
    }

    /// Every object with its number, oldest first.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &Value)> {
        self.objects.iter().map(|(number, it)| (*number, it))
    }

    /// Adds an object; gives its id.
    pub(super) fn insert(&mut self, object: Value) -> String {
        let id = text(&object, "id").to_owned();
        self.next += 1;
        self.index.insert(id.clone(), self.next);
        self.objects.insert(self.next, object);
        self.is_dirty = true;
        id
    }

    /// Adds an object and tells of it.
    pub(super) fn insert_with(&mut self, event: &str, object: Value) -> String {
        let id = self.insert(object);
        self.tell(event, &id);
        id
    }

    /// Changes an object, without telling of it.
    pub(super) fn set(&mut self, id: &str, change: impl FnOnce(&mut Value)) {
        if let Some(object) = self.index.get(id).and_then(|number| self.objects.get_mut(number)) {
            change(object);
            self.is_dirty = true;
        }
    }

    /// Changes an object and tells what was otherwise before; without a change there is nothing to tell.
    pub(super) fn update(&mut self, event: &str, id: &str, change: impl FnOnce(&mut Value)) {
        let Some(before) = self.find(id).cloned() else { return };
        self.set(id, change);
        let Some(after) = self.find(id).cloned() else { return };
        if let Some(previous) = changed(&before, &after) {
            self.emit(event, &after, Some(previous));
        }
    }

    /// Tells of an object as it is.
    pub(super) fn tell(&mut self, event: &str, id: &str) {
        if let Some(object) = self.find(id).cloned() {
            self.emit(event, &object, None);
        }
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, id: &str) {
        if let Some(number) = self.index.remove(id) {
            self.objects.remove(&number);
            self.is_dirty = true;
        }
    }

    /// The time of an object: its test clock's, or the machine's.
    pub(super) fn now_of(&self, object: &Value) -> i64 {
        self.now_at(clock_of(object))
    }

    /// The time of a test clock, or the machine's.
    pub(super) fn now_at(&self, clock: Option<&str>) -> i64 {
        clock.and_then(|id| self.find(id)).map_or(self.now, |clock| int(clock, "frozen_time"))
    }

    /// The file's content.
    pub(super) fn to_file(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// The test clock that an object goes by.
pub(super) fn clock_of(object: &Value) -> Option<&str> {
    object["test_clock"].as_str().or_else(|| object["_clock"].as_str())
}

/// The kind as messages say it.
fn spoken(object: &str) -> String {
    object.rsplit('.').next().unwrap_or(object).replace('_', " ")
}

/// Writes the file anew, and replaces the old one in one step.
pub(super) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, bytes)?;
    fs::rename(&new, file)
}
