//! argon2id on a bounded pool: a flood of logins must not take all memory and every thread.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// OWASP Password Storage Cheat Sheet: argon2id with m = 46 MiB, t = 1, p = 1. Of its equally strong choices this is
/// the one above glibc's largest dynamic mmap threshold (32 MiB): the memory goes back to the system after each hash,
/// while that of smaller choices would stay with the process for good.
const MEMORY_KIB: u32 = 46 * 1024;
const PASSES: u32 = 1;
const LANES: u32 = 1;

/// Hashes and verifies passwords. Clones share the bounds.
#[derive(Clone)]
pub struct Passwords {
    /// Those that are hashed or wait.
    queue: Arc<Semaphore>,
    /// Those that are hashed.
    running: Arc<Semaphore>,
    /// A hash that no password has: what an unknown account is compared with, so that it takes as long.
    decoy: Arc<str>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or no such account.
    Wrong,
    /// The right one.
    Right,
    /// The right one; its hash was made with other parameters than today's and is to be made anew.
    RightButOld,
}

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many passwords are being hashed")]
    Busy,
    /// A fault of ours.
    #[error("hashing a password failed: {0}")]
    Failed(String),
}

impl Passwords {
    /// At most `concurrency` at once and `queue` more that wait.
    pub fn new(concurrency: u32, queue: u32) -> Self {
        let decoy = format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$bm8gYWNjb3VudCBoYXM$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        Self {
            queue: Arc::new(Semaphore::new((concurrency + queue) as usize)),
            running: Arc::new(Semaphore::new(concurrency as usize)),
            decoy: decoy.into(),
        }
    }

    /// The PHC string of a password, with a salt of its own.
    pub async fn hash(&self, password: SecretString) -> Result<String, HashError> {
        let hashed = self.run(move || {
            let hash = today()?.hash_password(password.expose_secret().as_bytes())?;
            Ok::<_, argon2::password_hash::Error>(hash.to_string())
        });
        hashed.await?.map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Compares a password with a hash. Without an account (`None`) it takes as long and is always wrong.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<Verdict, HashError> {
        let decoy = self.decoy.clone();
        self.run(move || compare(&password, hash.as_deref(), &decoy)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (_waiting, permit) = self.enter().await?;
        // The permit goes along: work whose request is gone still counts until it has ended.
        let done = tokio::task::spawn_blocking(move || (work(), permit)).await;
        done.map(|(value, _)| value).map_err(|error| HashError::Failed(error.to_string()))
    }

    async fn enter(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), HashError> {
        let waiting = self.queue.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| HashError::Busy)?;
        Ok((waiting, running))
    }
}

fn today() -> Result<Argon2<'static>, argon2::Error> {
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(MEMORY_KIB, PASSES, LANES, None)?))
}

fn compare(password: &SecretString, hash: Option<&str>, decoy: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(decoy)) else {
        tracing::error!(
            "a stored password hash cannot be read; its owner cannot sign in until the password is set anew"
        );
        return Verdict::Wrong;
    };
    // The parameters are those of the hash, whatever this value's are.
    let matches = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
    match (matches && hash.is_some(), is_todays(&parsed)) {
        (false, _) => Verdict::Wrong,
        (true, true) => Verdict::Right,
        (true, false) => Verdict::RightButOld,
    }
}

fn is_todays(hash: &PasswordHash) -> bool {
    let params = Params::try_from(hash).ok();
    let same = params.is_some_and(|p| (p.m_cost(), p.t_cost(), p.p_cost()) == (MEMORY_KIB, PASSES, LANES));
    same && hash.algorithm.as_str() == "argon2id"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[tokio::test]
    async fn a_password_is_recognised_and_another_is_not() {
        let passwords = Passwords::new(1, 4);
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{hash}");
        assert_eq!(
            passwords.verify(secret("correct horse"), Some(hash.clone())).await.unwrap(),
            Verdict::Right
        );
        assert_eq!(passwords.verify(secret("wrong horse"), Some(hash)).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn an_unknown_account_is_hashed_for_as_well() {
        let passwords = Passwords::new(1, 4);
        assert!(
            PasswordHash::new(&passwords.decoy).is_ok_and(|decoy| is_todays(&decoy)),
            "it must cost the same"
        );
        assert_eq!(passwords.verify(secret("anything"), None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_to_be_made_anew() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let hash = weak.hash_password(b"correct horse").unwrap().to_string();
        let verdict = Passwords::new(1, 4).verify(secret("correct horse"), Some(hash)).await.unwrap();
        assert_eq!(verdict, Verdict::RightButOld);
    }

    #[tokio::test]
    async fn beyond_the_queue_the_answer_is_to_come_back_later() {
        let passwords = Passwords::new(1, 1);
        let _first = passwords.enter().await.unwrap();
        let second = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.enter().await.map(drop) }
        });
        while passwords.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.enter().await, Err(HashError::Busy)));
        second.abort();
    }
}
