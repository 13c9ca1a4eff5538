//! The manifest: a head, and an entry for everything in the data folder, in the archive's order. See
//! [`BackupManifestHead`] for its form; entries are read one by one, so that a million of them need no memory.

use std::{fmt, io::Read};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::agent::{BACKUP_FORMAT, BACKUP_VERSION, BackupManifestHead};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::error::BackupError;

/// A path or the target of a link: text where it is UTF-8, else `{"base64": …}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name(pub(super) Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NameForm {
    Text(String),
    Bytes { base64: String },
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => NameForm::Bytes { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NameForm::deserialize(deserializer)? {
            NameForm::Text(text) => Ok(Self(text.into_bytes())),
            NameForm::Bytes { base64 } => STANDARD.decode(base64).map(Self).map_err(D::Error::custom),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Seconds since 1970 and nanoseconds, as stat(2) has them.
pub(super) type Time = (i64, u32);

/// One thing in the data folder. Its path is relative to it; the folder itself is the first entry, with an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Entry {
    Folder {
        path: Name,
        mode: u32,
        mtime: Time,
    },
    File {
        path: Name,
        mode: u32,
        mtime: Time,
        size: u64,
        sha256: String,
        /// It changed while it was read; the archive has what was read.
        #[serde(default, skip_serializing_if = "is_false")]
        changed: bool,
        /// It had holes.
        #[serde(default, skip_serializing_if = "is_false")]
        sparse: bool,
    },
    Link {
        path: Name,
        mtime: Time,
        target: Name,
    },
    /// Not in the archive.
    Skipped {
        path: Name,
        reason: Skip,
    },
}

/// Why something is not in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Skip {
    /// A socket, a FIFO or a device.
    Special,
    /// It was gone, or something else, when it was to be read.
    Vanished,
    /// It cannot be read.
    Unreadable,
    /// It lies below too many folders.
    TooDeep,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Reads a manifest: `head` sees what it begins with, then `entry` each entry.
pub(super) fn read(
    text: impl Read,
    head: impl FnOnce(&BackupManifestHead) -> Result<(), BackupError>,
    entry: impl FnMut(Entry) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let mut failure = None;
    let reader = Reader { head, entry, failure: &mut failure };
    let mut json = serde_json::Deserializer::from_reader(text);
    let outcome = json.deserialize_map(reader).and_then(|()| json.end());
    match (failure, outcome) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(BackupError::Corrupt(format!("its manifest makes no sense ({error})"))),
    }
}

struct Reader<'f, H, E> {
    head: H,
    entry: E,
    failure: &'f mut Option<BackupError>,
}

impl<'de, H, E> Visitor<'de> for Reader<'_, H, E>
where
    H: FnOnce(&BackupManifestHead) -> Result<(), BackupError>,
    E: FnMut(Entry) -> Result<(), BackupError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { head, entry, failure } = self;
        let mut members = serde_json::Map::new();
        let mut stop = |error: BackupError| {
            *failure = Some(error);
            A::Error::custom("given up")
        };
        while let Some(key) = map.next_key::<String>()? {
            if key != "entries" {
                members.insert(key, map.next_value()?);
                continue;
            }
            let found: BackupManifestHead =
                serde_json::from_value(members.into()).map_err(A::Error::custom)?;
            if (found.format.as_str(), found.version) != (BACKUP_FORMAT, BACKUP_VERSION) {
                let what = format!("its format is {} {}, which is not known", found.format, found.version);
                return Err(stop(BackupError::Corrupt(what)));
            }
            head(&found).map_err(&mut stop)?;
            map.next_value_seed(Entries { entry, failure })?;
            while map.next_entry::<String, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        Err(A::Error::missing_field("entries"))
    }
}

struct Entries<'f, E> {
    entry: E,
    failure: &'f mut Option<BackupError>,
}

impl<'de, E> DeserializeSeed<'de> for Entries<'_, E>
where
    E: FnMut(Entry) -> Result<(), BackupError>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, E> Visitor<'de> for Entries<'_, E>
where
    E: FnMut(Entry) -> Result<(), BackupError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(entry) = seq.next_element()? {
            if let Err(error) = (self.entry)(entry) {
                *self.failure = Some(error);
                return Err(A::Error::custom("given up"));
            }
        }
        Ok(())
    }
}
