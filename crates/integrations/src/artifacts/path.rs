//! What may be a part of an artifact's address.

use super::ArtifactError;

/// Longest part, in bytes: a file name's limit on Linux.
const MAX_PART_BYTES: usize = 255;

/// The part, when it is one path segment that stays where it is.
pub(super) fn checked(part: &str) -> Result<&str, ArtifactError> {
    let moves = matches!(part, "" | "." | "..");
    let bad = |c: char| c == '/' || c == '\\' || c.is_control();
    if moves || part.len() > MAX_PART_BYTES || part.contains(bad) {
        return Err(ArtifactError::BadName(part.to_owned()));
    }
    Ok(part)
}
