-- Development workspaces: one-time tickets and the cookies they become, as SHA-256 of 256 random bits. Both end with
-- the session that asked for them.
CREATE TABLE ide_tickets (
    ticket_hash bytea PRIMARY KEY CHECK (length(ticket_hash) = 32),
    instance_id uuid NOT NULL REFERENCES instances (id),
    session_id  uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX ide_tickets_age ON ide_tickets (expires_at);

CREATE TABLE ide_sessions (
    id          uuid PRIMARY KEY,
    token_hash  bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    instance_id uuid NOT NULL REFERENCES instances (id),
    session_id  uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX ide_sessions_session ON ide_sessions (session_id);
CREATE INDEX ide_sessions_age ON ide_sessions (expires_at);
