-- Notes: a text of a customer's for the account, and one for each server. Nobody but its owner reads it.

CREATE TABLE notes (
    id          uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers (id),
    -- NULL: the account's.
    instance_id uuid REFERENCES instances (id),
    body        text NOT NULL CHECK (octet_length(body) <= 30000),
    version     bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (customer_id, instance_id)
);

-- What it was before, so that what somebody has deleted by mistake comes back.
CREATE TABLE note_versions (
    note_id    uuid NOT NULL REFERENCES notes (id) ON DELETE CASCADE,
    version    bigint NOT NULL,
    body       text NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (note_id, version)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO zlh_api;
GRANT SELECT, INSERT, DELETE ON note_versions TO zlh_api;
