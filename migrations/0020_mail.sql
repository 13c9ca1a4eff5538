-- Mail, and what operators see of the outbox.

ALTER TABLE notifications
    -- What operators see of a payload, and what limits count by. The payload itself is for its sender alone: a mail's has
    -- links that let people in.
    ADD COLUMN template      text GENERATED ALWAYS AS (payload ->> 'template') STORED,
    ADD COLUMN recipient     text GENERATED ALWAYS AS (lower(payload ->> 'to')) STORED,
    -- What the last failure means: it may go well later, nothing on the channel can be sent, it never will, or a rule of ours
    -- is against it.
    ADD COLUMN failure       text CHECK (failure IN ('later', 'blocked', 'never', 'dropped')),
    -- The receiver's code for it, such as SMTP's 550.
    ADD COLUMN code          smallint CHECK (code BETWEEN 100 AND 599),
    -- Since when nothing on its channel could be sent.
    ADD COLUMN blocked_since timestamptz,
    -- When its recipient's limit let it through last.
    ADD COLUMN admitted_at   timestamptz,
    ADD CONSTRAINT notifications_blocked CHECK ((blocked_since IS NOT NULL) <= (failure IS NOT DISTINCT FROM 'blocked'));
CREATE INDEX notifications_admitted ON notifications (recipient, template, admitted_at) WHERE admitted_at IS NOT NULL;
CREATE INDEX notifications_last_sent ON notifications (channel, sent_at) WHERE state = 'sent';
CREATE INDEX notifications_by_state ON notifications (state, id);

-- The ways to reach people, as the process that has them said when it started.
CREATE TABLE outbox_channels (
    channel       text PRIMARY KEY CHECK (channel ~ '^[a-z_]{1,40}$'),
    -- Where it sends, for people and without secrets; null when nothing is configured: then its notifications wait.
    route         text CHECK (length(route) BETWEEN 1 AND 300),
    -- When its settings were read.
    configured_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE ON outbox_channels TO zlh_controller;

-- Operators see what waits and why, and no payload.
GRANT SELECT ON outbox_channels TO zlh_api;
GRANT SELECT (id, channel, dedupe_key, template, recipient, state, attempts, run_after, expires_at, last_error, failure, code,
    blocked_since, lease_expires_at, created_at, sent_at) ON notifications TO zlh_api;
