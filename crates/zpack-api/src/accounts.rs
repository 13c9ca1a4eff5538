//! Making accounts and proving passwords: what the API and the command line have in common.

use chrono::{DateTime, Utc};
use domain::{
    account::{Customer, Role, normal_email},
    enforcement::Stage,
    ids::CustomerId,
    mail::LinkToken,
    name::MAX_NAME_CHARS,
};
use garde::Validate;
use secrecy::{ExposeSecret as _, SecretString};
use store::{
    Db,
    accounts::{
        customers::{self, Credentials, NewCustomer},
        links::NewLink,
    },
};

use crate::{
    auth::Secret,
    password::{Passwords, Verdict, check_password},
    problem::Problem,
    rules,
};

/// An account to be made.
#[derive(Validate)]
pub struct NewAccount {
    /// In any spelling.
    #[garde(custom(rules::email))]
    pub email: String,
    /// For people; the address's part before the @ if `None`.
    #[garde(inner(custom(rules::name)))]
    pub display_name: Option<String>,
    /// In the clear.
    #[garde(custom(rules::chosen_password))]
    pub password: SecretString,
    /// What it is for.
    #[garde(skip)]
    pub role: Role,
    /// How many live instances it may have.
    #[garde(skip)]
    pub instance_limit: u32,
    /// Servers that it may have without a subscription.
    #[garde(skip)]
    pub granted: u32,
    /// Who makes it, if not its owner.
    #[garde(skip)]
    pub by: Option<&'static str>,
    /// Whether its address is to be verified by mail. Whoever makes accounts for others vouches for theirs.
    #[garde(skip)]
    pub verify: bool,
}

/// A link to be mailed, with a token that nobody had before.
pub fn new_link() -> Result<NewLink, Problem> {
    let secret = Secret::link_token()?;
    let token = LinkToken::try_from(secret.expose().to_owned()).map_err(|error| Problem::internal(&error))?;
    Ok(NewLink { token, token_hash: secret.hash() })
}

/// Makes an account, if its address, its name and its password will do.
pub async fn create(
    db: &Db,
    passwords: &Passwords,
    new: NewAccount,
    now: DateTime<Utc>,
) -> Result<Customer, Problem> {
    new.validate().map_err(|report| Problem::from(&report))?;
    let email = normal_email(&new.email).unwrap_or_default();
    check_password(new.password.expose_secret(), &email).map_err(|why| Problem::password("password", why))?;
    let local = || email.chars().take_while(|c| *c != '@').take(MAX_NAME_CHARS).collect();
    let display_name = new.display_name.unwrap_or_else(local);
    let password_hash = passwords.hash(new.password).await?;
    let row = NewCustomer {
        id: CustomerId::generate(),
        display_name,
        email,
        password_hash,
        role: new.role,
        instance_limit: i32::try_from(new.instance_limit).unwrap_or(i32::MAX),
        granted: i32::try_from(new.granted).unwrap_or(i32::MAX).min(10_000),
        by: new.by,
        verification: new.verify.then(new_link).transpose()?,
    };
    customers::create(db, &row, now).await?;
    Ok(Customer {
        id: row.id,
        email: row.email,
        display_name: row.display_name,
        role: row.role,
        instance_limit: row.instance_limit,
        disabled_at: None,
        email_verified_at: (!new.verify).then_some(now),
        stage: Stage::GoodStanding,
        created_at: now,
    })
}

/// The account, if somebody knows its password. An unknown account takes as long as a wrong password, and a right
/// password whose hash has fallen behind today's parameters is hashed anew.
pub async fn prove(
    db: &Db,
    passwords: &Passwords,
    account: Option<Credentials>,
    password: SecretString,
    now: DateTime<Utc>,
) -> Result<Option<Credentials>, Problem> {
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let verdict = passwords.verify(password.clone(), hash).await?;
    let Some(mut account) = account.filter(|_| verdict != Verdict::Wrong) else { return Ok(None) };
    if verdict == Verdict::RightButOld {
        let id = account.customer.id;
        let new_hash = passwords.hash(password).await?;
        customers::rehash_password(db, id, &account.password_hash, &new_hash, now).await?;
        account.password_hash = new_hash;
    }
    Ok(Some(account))
}
