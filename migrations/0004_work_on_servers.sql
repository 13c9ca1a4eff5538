-- What a customer does with a server: backups, schedules, development workspaces, and what operations need for them.

-- New kinds. A restore and a backup refer to a backup row; its id is stored before anything is made outside.
ALTER TABLE operations DROP CONSTRAINT operations_kind_check;
ALTER TABLE operations ADD CONSTRAINT operations_kind_check
    CHECK (kind IN ('create', 'delete', 'backup', 'restore', 'verify'));

CREATE TABLE backups (
    id               uuid PRIMARY KEY,
    instance_id      uuid NOT NULL REFERENCES instances (id),
    customer_id      uuid NOT NULL REFERENCES customers (id),
    name             text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    state            text NOT NULL DEFAULT 'running'
                     CHECK (state IN ('running', 'available', 'failed', 'deleting', 'deleted')),
    -- Kept by retention and refused by delete while true.
    locked           boolean NOT NULL DEFAULT false,
    -- Who asked: a person or script, a schedule, or the restore that keeps what it replaces.
    origin           text NOT NULL CHECK (origin IN ('customer', 'schedule')),
    -- Gitignore-style patterns, relative to the data folder.
    ignore_patterns  text[] NOT NULL DEFAULT '{}',
    -- How many backups the plan keeps of a server, as it was when this one was asked for.
    keep             integer NOT NULL CHECK (keep >= 0),
    -- Known once the archive is complete. Sizes in bytes; hashes are SHA-256, hex.
    archive_bytes    bigint CHECK (archive_bytes >= 0),
    archive_sha256   text CHECK (archive_sha256 ~ '^[0-9a-f]{64}$'),
    manifest_sha256  text CHECK (manifest_sha256 ~ '^[0-9a-f]{64}$'),
    content_bytes    bigint CHECK (content_bytes >= 0),
    files            bigint CHECK (files >= 0),
    -- Files that changed while they were read.
    changed_files    bigint NOT NULL DEFAULT 0,
    -- The storage's handle of an upload under way, so that anybody can finish or abort it.
    upload_id        text,
    verified_at      timestamptz,
    -- Why the last verification failed; such a backup is never the last good one.
    verify_failure   text,
    -- When the storage was searched for what a failed backup may have left, and nothing of it remained.
    swept_at         timestamptz,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    CHECK (state <> 'available'
           OR (archive_bytes IS NOT NULL AND archive_sha256 IS NOT NULL AND manifest_sha256 IS NOT NULL))
);
CREATE INDEX backups_instance ON backups (instance_id, id);
CREATE INDEX backups_unsettled ON backups (id)
    WHERE state = 'deleting' OR (state = 'failed' AND swept_at IS NULL);
-- At most one backup of an instance is being made.
CREATE UNIQUE INDEX backups_one_running ON backups (instance_id) WHERE state = 'running';

-- Which backup an operation is about.
ALTER TABLE operations ADD COLUMN backup_id uuid REFERENCES backups (id);
ALTER TABLE operations ADD CONSTRAINT operations_backup_check
    CHECK ((backup_id IS NOT NULL) = (kind IN ('backup', 'restore', 'verify')));
CREATE INDEX operations_backup ON operations (backup_id) WHERE backup_id IS NOT NULL;

CREATE TABLE schedules (
    id           uuid PRIMARY KEY,
    instance_id  uuid NOT NULL REFERENCES instances (id),
    customer_id  uuid NOT NULL REFERENCES customers (id),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- Five fields: minute, hour, day of month, month, day of week.
    cron         text NOT NULL CHECK (length(cron) <= 100),
    -- IANA name.
    time_zone    text NOT NULL CHECK (length(time_zone) <= 64),
    action       text NOT NULL CHECK (action IN ('start', 'stop', 'restart', 'command', 'backup')),
    -- The line for the console; only with `command`.
    command      text CHECK (length(command) <= 1024),
    enabled      boolean NOT NULL DEFAULT true,
    -- Null while disabled, or when no further time exists.
    next_run_at  timestamptz,
    row_version  bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CHECK ((action = 'command') = (command IS NOT NULL))
);
CREATE INDEX schedules_instance ON schedules (instance_id, id);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE next_run_at IS NOT NULL;

-- What became of each time. A run that could not be carried out says why.
CREATE TABLE schedule_runs (
    id            uuid PRIMARY KEY,
    schedule_id   uuid NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    planned_for   timestamptz NOT NULL,
    origin        text NOT NULL CHECK (origin IN ('timetable', 'customer')),
    state         text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed', 'skipped')),
    reason_code   text,
    reason        text,
    operation_id  uuid REFERENCES operations (id),
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    CHECK ((reason_code IS NULL) = (reason IS NULL)),
    CHECK ((state = 'running') = (finished_at IS NULL))
);
-- One run per planned time, however many daemons look.
CREATE UNIQUE INDEX schedule_runs_once ON schedule_runs (schedule_id, planned_for) WHERE origin = 'timetable';
CREATE INDEX schedule_runs_open ON schedule_runs (started_at) WHERE state = 'running';
CREATE INDEX schedule_runs_schedule ON schedule_runs (schedule_id, id);

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

-- When somebody last used a workspace through the proxy; for stopping idle ones.
ALTER TABLE instances ADD COLUMN last_used_at timestamptz;

GRANT SELECT, INSERT ON backups TO zlh_api;
GRANT UPDATE (name, locked, state) ON backups TO zlh_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON schedules TO zlh_api;
GRANT SELECT, INSERT, UPDATE ON schedule_runs TO zlh_api;
GRANT DELETE ON schedule_runs TO zlh_api;
GRANT SELECT, INSERT, DELETE ON ide_tickets, ide_sessions TO zlh_api;
GRANT UPDATE (expires_at) ON ide_sessions TO zlh_api;
GRANT UPDATE (last_used_at) ON instances TO zlh_api;
GRANT SELECT, UPDATE ON backups TO zlh_provision;

-- A verification that nobody asked for: the worker's role cannot INSERT operations, since that could be a delete. Runs
-- with its owner's rights and can make nothing but a 'verify' of an available backup of an idle, active instance.
-- False when there is none, or the instance is busy or on hold. The search path names `pg_temp` last: unnamed it comes
-- first, and a caller's temporary tables would stand in for ours, with their owner's code run as ours.
CREATE FUNCTION request_verification(operation uuid, backup uuid, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO operations (id, instance_id, customer_id, kind, backup_id, created_at)
    SELECT operation, b.instance_id, b.customer_id, 'verify', b.id, at
    FROM backups b JOIN instances i ON i.id = b.instance_id
    WHERE b.id = backup AND b.state = 'available' AND i.lifecycle = 'active'
      AND NOT EXISTS (SELECT FROM holds h WHERE h.instance_id = i.id AND h.lifted_at IS NULL)
    FOR NO KEY UPDATE OF b
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION request_verification FROM PUBLIC;
GRANT EXECUTE ON FUNCTION request_verification TO zlh_provision;

-- No daemon needs temporary tables.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
