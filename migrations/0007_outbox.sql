-- What is to be told outside (mail, chat, webhooks): written in the transaction that caused it, sent by one loop. Rows stay
-- when they are sent or given up, so that their key keeps others of the same meaning away.
CREATE TABLE notifications (
    id               uuid PRIMARY KEY,
    -- Who sends it: the name of a sender's channel.
    channel          text NOT NULL CHECK (channel ~ '^[a-z_]{1,40}$'),
    -- What it means: told once on a channel, however often it is asked for.
    dedupe_key       text NOT NULL CHECK (length(dedupe_key) BETWEEN 1 AND 255),
    payload          jsonb NOT NULL,
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
    -- How often it was taken to be sent.
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Not before this time; by the database's clock.
    run_after        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- From here on it is worth nothing to anybody: not sent any more.
    expires_at       timestamptz NOT NULL,
    last_error       text,
    lease_owner      text,
    lease_term       bigint NOT NULL DEFAULT 0 CHECK (lease_term >= 0),
    lease_expires_at timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at          timestamptz,
    CONSTRAINT notifications_lease_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT notifications_lease_at_work CHECK (state = 'pending' OR lease_owner IS NULL),
    CONSTRAINT notifications_sent CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT notifications_dead CHECK (state <> 'dead' OR last_error IS NOT NULL)
);
CREATE UNIQUE INDEX notifications_once ON notifications (channel, dedupe_key);
CREATE INDEX notifications_pending ON notifications (channel, run_after) WHERE state = 'pending';
