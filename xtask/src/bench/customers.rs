//! Customers who are signed in, written straight into the database: what is measured begins after a sign-in.

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use crate::{postgres::Cluster, secrets, stack::DATABASE};

/// Somebody with a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Customer {
    /// Their id.
    pub(super) id: String,
    /// `name=token`.
    pub(super) cookie: String,
}

/// Makes `count` customers who may have as many servers as there is room for, each with a session just used.
pub(super) fn make(cluster: &Cluster, count: usize) -> Result<Vec<Customer>> {
    let tokens: Vec<_> = (0..count).map(|_| secrets::password()).collect();
    let ids = cluster.sql(DATABASE, &statement(&tokens))?;
    let customers = ids
        .lines()
        .zip(tokens)
        .map(|(id, token)| Customer { id: id.to_owned(), cookie: format!("zlh_session={token}") });
    Ok(customers.collect())
}

/// Nobody can sign in to them: what stands for the password's hash is none.
fn statement(tokens: &[String]) -> String {
    let hashes: Vec<_> =
        tokens.iter().map(|token| format!("'{}'", hex::encode(Sha256::digest(token)))).collect();
    format!(
        "WITH tokens AS (
             SELECT n, hash, hash || '@zlh.test' AS email FROM unnest(ARRAY[{}]) WITH ORDINALITY AS t (hash, n)
         ), made AS (
             INSERT INTO customers (id, email, display_name, password_hash, instance_limit, created_at, updated_at)
             SELECT gen_random_uuid(), email, 'Bench', '-', 1000000, now(), now() FROM tokens
             RETURNING id, email
         ), granted AS (
             INSERT INTO entitlement_grants (id, customer_id, quantity, reason, granted_by)
             SELECT gen_random_uuid(), id, 10000, 'bench', 'bench' FROM made
         ), opened AS (
             INSERT INTO sessions (id, customer_id, token_hash, created_at, last_seen_at, expires_at)
             SELECT gen_random_uuid(), id, decode(hash, 'hex'), now(), now(), now() + interval '1 day'
             FROM made JOIN tokens USING (email)
         )
         SELECT id FROM made JOIN tokens USING (email) ORDER BY n",
        hashes.join(", ")
    )
}

/// As pages that are open keep sessions in use: a session that was not used for minutes costs a write of its own.
pub(super) fn refresh(cluster: &Cluster) -> Result<()> {
    cluster.sql(DATABASE, "UPDATE sessions SET last_seen_at = now()").map(drop)
}
