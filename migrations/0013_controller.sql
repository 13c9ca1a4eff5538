-- The controller: who leads and what it may do, what it found, and what was repaired because of it.
--
-- Levels: 1 can be repaired by a machine, 2 and 3 are proposals to people. No table has room for an action that is not of
-- Level 1, but that of repairs, so that a request for one can be kept with its rejection.

CREATE TABLE controller (
    only_one        boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    -- The fence: whoever leads has the newest term, and writes nothing under an older one.
    term            bigint NOT NULL DEFAULT 0 CHECK (term >= 0),
    leader          text,
    led_since       timestamptz,
    mode            text NOT NULL DEFAULT 'observe' CHECK (mode IN ('observe', 'level1')),
    paused          boolean NOT NULL DEFAULT false,
    -- The last word of an operator.
    changed_at      timestamptz,
    changed_by      text,
    change_reason   text,
    -- The last pass that is worth keeping: one that differs from the one before, or a minute later.
    pass_at         timestamptz,
    pass_ms         integer CHECK (pass_ms >= 0),
    pass_instances  integer CHECK (pass_instances >= 0),
    pass_findings   integer CHECK (pass_findings >= 0),
    -- What could not be seen; NULL when all was.
    pass_incomplete text,
    -- Why nothing is repaired whatever is found; NULL while the breaker is closed.
    breaker         text
);
INSERT INTO controller DEFAULT VALUES;

CREATE TABLE findings (
    id           uuid PRIMARY KEY,
    -- The same for the same difference.
    fingerprint  text NOT NULL CHECK (length(fingerprint) BETWEEN 1 AND 500),
    rule         text NOT NULL CHECK (rule ~ '^[a-z_]{1,40}$'),
    level        smallint NOT NULL CHECK (level BETWEEN 1 AND 3),
    action       text CHECK (action IN ('clear_stale_operation_lock', 'edge_republish')),
    instance_id  uuid REFERENCES instances (id),
    operation_id uuid REFERENCES operations (id),
    subject      text NOT NULL,
    desired      text NOT NULL,
    observed     text NOT NULL,
    proposal     text,
    -- Passes in a row of the leader of this term that saw it.
    term         bigint NOT NULL,
    seen_count   integer NOT NULL DEFAULT 1 CHECK (seen_count >= 1),
    -- Why it is not repaired now; NULL when it is to be.
    reason       text CHECK (reason ~ '^[a-z_0-9]{1,40}$'),
    opened_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at    timestamptz,
    CHECK (action IS NULL OR level = 1)
);
CREATE UNIQUE INDEX findings_open ON findings (fingerprint) WHERE closed_at IS NULL;
CREATE INDEX findings_opened ON findings (opened_at);

CREATE TABLE repairs (
    id               uuid PRIMARY KEY,
    finding_id       uuid NOT NULL REFERENCES findings (id),
    action           text NOT NULL CHECK (action ~ '^[a-z_0-9]{1,40}$'),
    -- Whose word it is.
    term             bigint NOT NULL,
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'ended')),
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,
    enqueued_at      timestamptz,
    lease_owner      text,
    lease_term       bigint NOT NULL DEFAULT 0 CHECK (lease_term >= 0),
    lease_expires_at timestamptz,
    CONSTRAINT repairs_lease_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT repairs_lease_at_work CHECK (state = 'running' OR lease_owner IS NULL),
    CONSTRAINT repairs_ended CHECK ((state = 'ended') = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX repairs_one_pending ON repairs (finding_id) WHERE state <> 'ended';
CREATE INDEX repairs_finding ON repairs (finding_id);
CREATE INDEX repairs_created ON repairs (created_at);

-- What a repair did, or why it did nothing: one row for each, for ever.
CREATE TABLE repair_events (
    id          uuid PRIMARY KEY,
    repair_id   uuid NOT NULL REFERENCES repairs (id),
    finding_id  uuid NOT NULL REFERENCES findings (id),
    instance_id uuid REFERENCES instances (id),
    action      text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('repaired', 'not_needed', 'rejected', 'failed')),
    -- What was there before and after.
    before      text NOT NULL,
    after       text NOT NULL,
    reason      text NOT NULL,
    done_by     text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX repair_events_once ON repair_events (repair_id);
CREATE INDEX repair_events_at ON repair_events (at);

-- Least privilege. Neither role can delete anything, nor ask for an operation.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['zlh_controller', 'zlh_repair'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO zlh_controller, zlh_repair;

GRANT SELECT ON instances, operations, nodes, port_allocations, holds, instance_status, blueprint_versions, repairs,
    repair_events TO zlh_controller;
GRANT SELECT, UPDATE ON controller TO zlh_controller;
GRANT SELECT, INSERT, UPDATE ON findings TO zlh_controller;
GRANT INSERT ON repairs, audit_log, notifications TO zlh_controller;
GRANT UPDATE (enqueued_at) ON repairs TO zlh_controller;

GRANT SELECT ON instances, operations, nodes, port_allocations, holds, instance_status, blueprint_versions, controller,
    findings TO zlh_repair;
-- The lock of an operation that its worker has left, and the address under which a server was published again.
GRANT UPDATE (lease_owner, lease_term, lease_expires_at, enqueued_at, run_after) ON operations TO zlh_repair;
GRANT UPDATE (address) ON instances TO zlh_repair;
GRANT SELECT, UPDATE ON repairs TO zlh_repair;
GRANT SELECT, INSERT ON repair_events TO zlh_repair;
GRANT INSERT ON audit_log, notifications TO zlh_repair;

GRANT SELECT ON controller, findings, repairs, repair_events TO zlh_api;
