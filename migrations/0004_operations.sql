-- Operations: the durable work on instances, their journal, and the keys under which they were asked for.
--
-- The names of steps are listed twice below: a migration that adds one changes both constraints.

CREATE TABLE operations (
    id               uuid PRIMARY KEY,
    instance_id      uuid NOT NULL REFERENCES instances (id),
    customer_id      uuid NOT NULL REFERENCES customers (id),
    kind             text NOT NULL CHECK (kind IN ('create', 'delete', 'backup', 'restore', 'verify')),
    -- Which backup it is about.
    backup_id        uuid REFERENCES backups (id),
    state            text NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'undoing', 'succeeded', 'failed', 'stuck')),
    step             text,
    step_detail      text,
    progress         smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    failure_code     text,
    failure_message  text,
    interruptions    integer NOT NULL DEFAULT 0 CHECK (interruptions >= 0),
    -- Failed attempts of an operation that can only go forward (delete).
    failed_attempts  integer NOT NULL DEFAULT 0 CHECK (failed_attempts >= 0),
    -- Not before this time; by the database's clock.
    run_after        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the queue was last told of it.
    enqueued_at      timestamptz,
    lease_owner      text,
    lease_term       bigint NOT NULL DEFAULT 0 CHECK (lease_term >= 0),
    lease_expires_at timestamptz,
    created_at       timestamptz NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    CONSTRAINT operations_backup_check
        CHECK ((backup_id IS NOT NULL) = (kind IN ('backup', 'restore', 'verify'))),
    CONSTRAINT operations_step_known CHECK (step IN (
        'create_container', 'start_container', 'enrol_agent', 'install', 'start_service', 'await_ready',
        'publish_edge', 'mark_active', 'withdraw_edge', 'stop_service', 'stop_container', 'delete_container',
        'mark_deleted', 'store_archive', 'mark_backed_up', 'stage_backup', 'pause_service', 'swap_files',
        'resume_service', 'mark_restored', 'check_backup', 'mark_verified')),
    CONSTRAINT operations_lease_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    -- Who waits, is stuck or has ended is nobody's.
    CONSTRAINT operations_lease_at_work CHECK (state IN ('running', 'undoing') OR lease_owner IS NULL),
    CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CHECK ((state IN ('succeeded', 'failed')) = (finished_at IS NOT NULL))
);
-- Invariant: one active operation per instance.
CREATE UNIQUE INDEX operations_one_active ON operations (instance_id)
    WHERE state IN ('queued', 'running', 'undoing', 'stuck');
CREATE INDEX operations_customer ON operations (customer_id, id);
CREATE INDEX operations_instance ON operations (instance_id, id);
CREATE INDEX operations_backup ON operations (backup_id) WHERE backup_id IS NOT NULL;
CREATE INDEX operations_unheld ON operations (enqueued_at NULLS FIRST) WHERE state IN ('queued', 'running', 'undoing');

-- The journal. A row is written before its step runs: that is the registration of the undo.
CREATE TABLE operation_steps (
    operation_id uuid NOT NULL REFERENCES operations (id),
    name         text NOT NULL,
    ordinal      smallint NOT NULL CHECK (ordinal >= 0),
    state        text NOT NULL CHECK (state IN ('applying', 'applied', 'undone', 'undo_failed')),
    attempts     integer NOT NULL DEFAULT 1 CHECK (attempts >= 1),
    lease_term   bigint NOT NULL,
    error        text,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    PRIMARY KEY (operation_id, name),
    CONSTRAINT operation_steps_name_known CHECK (name IN (
        'create_container', 'start_container', 'enrol_agent', 'install', 'start_service', 'await_ready',
        'publish_edge', 'mark_active', 'withdraw_edge', 'stop_service', 'stop_container', 'delete_container',
        'mark_deleted', 'store_archive', 'mark_backed_up', 'stage_backup', 'pause_service', 'swap_files',
        'resume_service', 'mark_restored', 'check_backup', 'mark_verified')),
    CONSTRAINT operation_steps_ended CHECK ((state = 'applying') = (finished_at IS NULL)),
    CONSTRAINT operation_steps_error CHECK ((state = 'undo_failed') = (error IS NOT NULL))
);

-- Same key, same body: the same operation for 24 h.
CREATE TABLE idempotency_keys (
    customer_id  uuid NOT NULL REFERENCES customers (id),
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_hash    bytea NOT NULL CHECK (length(body_hash) = 32),
    operation_id uuid NOT NULL REFERENCES operations (id),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (customer_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
