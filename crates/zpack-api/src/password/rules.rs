//! Which passwords are accepted: long enough, and not one of those that everybody tries first. No rules about digits
//! and capitals (NIST SP 800-63B, 5.1.1.2).

/// Least length, in characters.
pub const MIN_CHARS: usize = 10;
/// Greatest length, in characters; at most four bytes each.
pub const MAX_CHARS: usize = 128;

/// Of the usual lists of leaked passwords: those of at least [`MIN_CHARS`].
const COMMON: &str = include_str!("common.txt");

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has {MIN_CHARS} to {MAX_CHARS} characters")]
    Length,
    /// Everybody who writes to its owner knows it.
    #[error("a password is not the e-mail address")]
    Address,
    /// On every guesser's list.
    #[error("this is one of the passwords that are tried first; several unrelated words make a good one")]
    Common,
}

/// Whether a password has a length that may be chosen.
pub fn check_length(password: &str) -> Result<(), PasswordError> {
    let fits = (MIN_CHARS..=MAX_CHARS).contains(&password.chars().count());
    if fits { Ok(()) } else { Err(PasswordError::Length) }
}

/// Whether a password may be chosen for the account with this address.
pub fn check_password(password: &str, email: &str) -> Result<(), PasswordError> {
    check_length(password)?;
    let lower = password.to_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    if lower == email || (local.len() >= MIN_CHARS && lower == local) {
        return Err(PasswordError::Address);
    }
    let mut distinct = lower.chars().collect::<Vec<_>>();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 4 || COMMON.lines().any(|common| common == lower) {
        return Err(PasswordError::Common);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_passwords_of_any_kind_are_accepted() {
        for good in ["correct horse battery", "пароль из слов", "7382910465", &"ab cd".repeat(25)]
        {
            assert!(check_password(good, "ada@example.org").is_ok(), "{good}");
        }
    }

    #[test]
    fn passwords_that_are_tried_first_are_refused() {
        let long = "x y z w".repeat(20);
        for bad in ["", "short", "aaaaaaaaaaaa", "Password123", "1234567890", "Ada@Example.org", &long] {
            assert!(check_password(bad, "ada@example.org").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_list_has_only_entries_that_the_length_would_let_through() {
        assert!(COMMON.lines().count() > 100);
        for line in COMMON.lines() {
            assert!(line.chars().count() >= MIN_CHARS && line == line.to_lowercase(), "{line}");
        }
    }
}
