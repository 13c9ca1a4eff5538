//! Rules for fields that several requests and commands have, each with one message.

use domain::{account::normal_email, name::check_name};
use secrecy::{ExposeSecret as _, SecretString};

use crate::password::{MAX_CHARS, PasswordError, check_length};

/// An address's form.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a custom rule")]
pub fn email(text: &str, (): &()) -> garde::Result {
    match normal_email(text) {
        Some(_) => Ok(()),
        None => Err(garde::Error::new("this is not an e-mail address")),
    }
}

/// A name that people see: nothing hidden in it, and nothing that cannot be stored.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a custom rule")]
pub fn name(text: &str, (): &()) -> garde::Result {
    check_name(text).map_err(garde::Error::new)
}

/// The length of a password that is chosen. How easy it is to guess is for
/// [`check_password`](crate::password::check_password).
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a custom rule")]
pub fn chosen_password(password: &SecretString, (): &()) -> garde::Result {
    check_length(password.expose_secret()).map_err(garde::Error::new)
}

/// Bounds a password that is to be proved before anything looks at it. A short one is just wrong.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a custom rule")]
pub fn given_password(password: &SecretString, (): &()) -> garde::Result {
    if (1..=MAX_CHARS).contains(&password.expose_secret().chars().count()) {
        return Ok(());
    }
    Err(garde::Error::new(PasswordError::Length))
}
