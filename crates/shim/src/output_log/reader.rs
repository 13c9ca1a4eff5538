//! Those who read, by number.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    SEGMENT,
    record::{self, Decoded, Entry, HEADER},
    segment_path, segments,
};

/// Places remembered: whoever reads on begins where it stopped, and few read at a time.
const PLACES: usize = 32;
/// Tries to find a segment that is being dropped while it is read.
const TRIES: usize = 8;

/// Reads entries by number.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    places: Mutex<VecDeque<Place>>,
}

/// Where an entry begins, or will.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    seq: u64,
    offset: u64,
}

/// Entries that follow each other without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The oldest number kept; when what was asked for was lost, the first one after it that is kept.
    pub first: u64,
    /// In order.
    pub entries: Vec<Entry>,
    /// The number after the last of them.
    pub next: u64,
}

impl Reader {
    /// Reads what is, and will be, in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), places: Mutex::default() }
    }

    /// The number that the next entry will get, as far as can be seen from what is kept.
    pub fn end(&self) -> io::Result<u64> {
        let Some(last) = segments(&self.folder)?.pop() else { return Ok(1) };
        let mut next = last;
        loop {
            let part = self.read(next, usize::MAX, usize::MAX)?;
            if part.entries.is_empty() {
                return Ok(part.next);
            }
            next = part.next;
        }
    }

    /// The first number of the last segment but `back`; 1 when there is none.
    pub fn near_end(&self, back: usize) -> io::Result<u64> {
        let firsts = segments(&self.folder)?;
        Ok(firsts.iter().rev().nth(back).or(firsts.first()).copied().unwrap_or(1))
    }

    /// Entries from `from` on, at most so many and so many bytes of text. Whoever has room for one of the longest
    /// ([`MAX_TEXT`](super::MAX_TEXT)) gets on.
    pub fn read(&self, from: u64, count: usize, bytes: usize) -> io::Result<Part> {
        for _ in 0..TRIES {
            match self.try_read(from.max(1), count, bytes) {
                // Dropped between the look and the reading.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "segments are dropped faster than they can be read"))
    }

    fn try_read(&self, from: u64, count: usize, bytes: usize) -> io::Result<Part> {
        let firsts = segments(&self.folder)?;
        let Some(&oldest) = firsts.first() else { return Ok(Part { first: 1, next: 1, ..Part::default() }) };
        let mut part = Part { first: oldest, entries: Vec::new(), next: from.max(oldest) };
        let mut room = Room { count, bytes };
        let mut index = firsts.partition_point(|first| *first <= part.next) - 1;
        loop {
            let end = self.scan(firsts[index], &mut part, &mut room)?;
            index += 1;
            let Some(&following) = firsts.get(index) else { return Ok(part) };
            if room.is_used_up() || (following > end && !part.entries.is_empty()) {
                return Ok(part);
            }
            if following > part.next {
                // What was asked for stood between the two.
                (part.first, part.next) = (following, following);
            }
        }
    }

    /// Reads on in one segment; the number after its last entry, or after the last one there was room for.
    fn scan(&self, segment: u64, part: &mut Part, room: &mut Room) -> io::Result<u64> {
        let mut place = self.nearest(segment, part.next);
        let mut file = File::open(segment_path(&self.folder, segment))?;
        file.seek(SeekFrom::Start(place.offset))?;
        let mut content = Vec::new();
        file.take(SEGMENT).read_to_end(&mut content)?;
        let mut rest = &content[..];
        while let Decoded::Record { at_ms, text } = record::decode(rest, place.seq) {
            if place.seq >= part.next {
                if !room.takes(text.len()) {
                    break;
                }
                part.entries.push(Entry { seq: place.seq, at_ms, text: text.to_vec() });
                part.next = place.seq + 1;
            }
            place.seq += 1;
            place.offset += (HEADER + text.len()) as u64;
            rest = &rest[HEADER + text.len()..];
        }
        self.remember(place);
        Ok(place.seq)
    }

    fn nearest(&self, segment: u64, seq: u64) -> Place {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.iter().filter(|place| place.segment == segment && place.seq <= seq);
        known.max_by_key(|place| place.seq).copied().unwrap_or(Place { segment, seq: segment, offset: 0 })
    }

    fn remember(&self, place: Place) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|known| (known.segment, known.seq) != (place.segment, place.seq));
        places.push_back(place);
        if places.len() > PLACES {
            places.pop_front();
        }
    }
}

/// How much more fits into an answer.
struct Room {
    count: usize,
    bytes: usize,
}

impl Room {
    /// The first one that does not fit is the end of it.
    fn takes(&mut self, length: usize) -> bool {
        let fits = self.count > 0 && length <= self.bytes;
        if fits {
            self.count -= 1;
            self.bytes -= length;
        } else {
            self.count = 0;
        }
        fits
    }

    fn is_used_up(&self) -> bool {
        self.count == 0
    }
}
