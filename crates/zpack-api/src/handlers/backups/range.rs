//! `Range` of a download (RFC 9110, 14.2): one range of bytes; anything else is all of it.

use axum::http::{HeaderMap, header};
use integrations::objects::ByteRange;

/// What of an object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// This part of it; `last` is always there.
    Part(ByteRange),
    /// A part that it does not have.
    None,
}

/// What the request wants of an object of this length with this ETag. A range with an `If-Range` of another ETag is
/// none: the client has a part of something else.
pub(super) fn wanted(headers: &HeaderMap, length: u64, etag: &str) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE) else { return Wanted::Whole };
    if text(header::IF_RANGE).is_some_and(|tag| tag != etag) {
        return Wanted::Whole;
    }
    let Some(range) = range.strip_prefix("bytes=").and_then(|range| parse(range.trim(), length)) else {
        return Wanted::Whole;
    };
    let (first, last) = range;
    if first >= length { Wanted::None } else { Wanted::Part(ByteRange { first, last: Some(last) }) }
}

fn parse(range: &str, length: u64) -> Option<(u64, u64)> {
    let end = length.saturating_sub(1);
    match range.split_once('-')? {
        ("", suffix) => match digits(suffix)? {
            // The last no bytes are none.
            0 => Some((length, end)),
            many => Some((length.saturating_sub(many), end)),
        },
        (first, "") => Some((digits(first)?, end)),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some((first, last.min(end)))
        }
    }
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|c| c.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str, if_range: Option<&str>) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(tag) = if_range {
            headers.insert(header::IF_RANGE, tag.parse().unwrap());
        }
        wanted(&headers, 100, "\"x\"")
    }

    #[test]
    fn one_range_is_a_part_and_what_is_not_understood_is_the_whole() {
        let part = |first, last| Wanted::Part(ByteRange { first, last: Some(last) });
        assert_eq!(of("bytes=0-0", None), part(0, 0));
        assert_eq!(of("bytes=90-", None), part(90, 99));
        assert_eq!(of("bytes=90-1000", None), part(90, 99));
        assert_eq!(of("bytes=-10", None), part(90, 99));
        assert_eq!(of("bytes=-1000", None), part(0, 99));
        assert_eq!(of("bytes=0-9", Some("\"x\"")), part(0, 9));
        assert_eq!(of("bytes=0-9", Some("\"y\"")), Wanted::Whole);
        assert_eq!(of("bytes=100-", None), Wanted::None);
        assert_eq!(of("bytes=-0", None), Wanted::None);
        for odd in ["bytes=0-1,5-6", "bytes=9-1", "bytes=a-b", "items=0-1", "bytes=-", "bytes=+1-2"] {
            assert_eq!(of(odd, None), Wanted::Whole, "{odd}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 100, "\"x\""), Wanted::Whole);
    }
}
