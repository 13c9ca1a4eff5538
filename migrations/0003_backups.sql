-- Backups: what is in object storage, or is to be, and what is known of it. A row's id is stored before anything is made
-- outside.

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
    changed_files    bigint NOT NULL DEFAULT 0 CHECK (changed_files >= 0),
    -- The storage's handle of an upload under way, so that anybody can finish or abort it.
    upload_id        text,
    verified_at      timestamptz,
    -- Why the last verification failed; such a backup is never the last good one.
    verify_failure   text,
    -- When storage was searched for what a failed backup may have left, and nothing of it remained.
    reconciled_at    timestamptz,
    -- Who looks whether a failed backup is complete after all, and removes it if it is not, has it for itself until then:
    -- what one has found nobody else removes. By the database's clock.
    reconciling_until timestamptz,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    CHECK (state <> 'available'
           OR (archive_bytes IS NOT NULL AND archive_sha256 IS NOT NULL AND manifest_sha256 IS NOT NULL))
);
CREATE INDEX backups_instance ON backups (instance_id, id);
CREATE INDEX backups_unreconciled ON backups (id)
    WHERE state = 'deleting' OR (state = 'failed' AND reconciled_at IS NULL);
-- Whether a storage is the right one shows by the newest backups.
CREATE INDEX backups_available ON backups (id) WHERE state = 'available';
-- At most one backup of an instance is being made.
CREATE UNIQUE INDEX backups_one_running ON backups (instance_id) WHERE state = 'running';
