//! What Minecraft's version numbers mean.

use std::cmp::Ordering;

/// The Java major version that a Minecraft version runs on: 21 from 1.20.5 (Mojang's change with 24w14a), else 17.
/// Snapshots and anything that is not a dotted number count as new.
pub fn java_for_minecraft(version: &str) -> u16 {
    match numbers(version) {
        Some(parts) if parts.as_slice() < [1, 20, 5].as_slice() => 17,
        _ => 21,
    }
}

/// Orders versions newest first: dotted numbers by value, anything else after them.
pub fn newest_first(a: &str, b: &str) -> Ordering {
    match (numbers(a), numbers(b)) {
        (Some(x), Some(y)) => y.cmp(&x),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => b.cmp(a),
    }
}

/// `1.20.4-forge-49` is `[1, 20, 4]`; `24w14a` is nothing.
fn numbers(version: &str) -> Option<Vec<u32>> {
    let release = version.split(['-', '+', '_']).next()?;
    release.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_21_begins_with_1_20_5() {
        for (version, java) in [
            ("1.16.5", 17),
            ("1.20", 17),
            ("1.20.4", 17),
            ("1.20.4-forge-49.0.1", 17),
            ("1.20.5", 21),
            ("1.20.10", 21),
            ("1.21", 21),
            ("26.1", 21),
            ("24w14a", 21),
        ] {
            assert_eq!(java_for_minecraft(version), java, "{version}");
        }
    }

    #[test]
    fn versions_are_ordered_by_value_not_by_letters() {
        let mut versions = vec!["1.9", "24w14a", "1.20.10", "1.20.9", "1.21"];
        versions.sort_by(|a, b| newest_first(a, b));
        assert_eq!(versions, ["1.21", "1.20.10", "1.20.9", "1.9", "24w14a"]);
    }
}
