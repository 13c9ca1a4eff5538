//! What may be the key of an object.

use super::ObjectError;

/// Longest key, in bytes (Amazon S3, "Naming objects").
const MAX_KEY_BYTES: usize = 1_024;
/// Longest segment, in bytes: a file name's limit on Linux, less what unfinished files add.
const MAX_SEGMENT_BYTES: usize = 200;

/// The key, when its segments are plain names: it means the same in a folder, in a bucket and in an address.
pub(super) fn checked(key: &str) -> Result<&str, ObjectError> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let segment = |segment: &str| {
        (1..=MAX_SEGMENT_BYTES).contains(&segment.len())
            && !segment.starts_with('.')
            && segment.bytes().all(plain)
    };
    if key.len() <= MAX_KEY_BYTES && key.split('/').all(segment) {
        Ok(key)
    } else {
        Err(ObjectError::BadKey(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_names_with_slashes_between() {
        for good in ["a", "a/b", "0198-x/archive.tar.zst"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in
            ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.b", "a b", "a%2fb", "a\\b", "ä", "a\0"]
        {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(checked(&"a/".repeat(600)).is_err() && checked(&"a".repeat(201)).is_err());
    }
}
