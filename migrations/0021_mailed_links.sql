-- Links that are mailed: for a new password, and to show that an address is its account's.

ALTER TABLE customers ADD COLUMN email_verified_at timestamptz;
-- Whoever was here before was never asked.
UPDATE customers SET email_verified_at = created_at;

CREATE TABLE mailed_links (
    customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    purpose     text NOT NULL CHECK (purpose IN ('password_reset', 'verify_email')),
    -- SHA-256 of 256 random bits, as of sessions.
    token_hash  bytea NOT NULL CHECK (length(token_hash) = 32),
    -- Where it was mailed: it shows that this address is read, and none that came later.
    email       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL,
    -- One of each kind: a new link takes the place of the one before, and one that was used is gone.
    PRIMARY KEY (customer_id, purpose)
);
CREATE UNIQUE INDEX mailed_links_token_hash ON mailed_links (token_hash);

GRANT SELECT, INSERT, UPDATE, DELETE ON mailed_links TO zlh_api;
GRANT UPDATE (email_verified_at) ON customers TO zlh_api;
