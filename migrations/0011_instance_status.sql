-- What was seen of servers beside their power: when their agents answered last, what they use, when and why they stopped.
-- Apart from `instances`, since it is written every few seconds and nobody waits for it.

CREATE TABLE instance_status (
    instance_id       uuid PRIMARY KEY REFERENCES instances (id),
    -- When its agent answered last.
    heard_at          timestamptz,
    -- When what follows was measured.
    measured_at       timestamptz,
    -- Of one core; NULL when there was nothing to compare with.
    cpu_percent       real CHECK (cpu_percent >= 0),
    memory_bytes      bigint CHECK (memory_bytes >= 0),
    disk_bytes        bigint CHECK (disk_bytes >= 0),
    players_online    integer CHECK (players_online >= 0),
    players_max       integer CHECK (players_max >= 0),
    -- Who asked it to stop last, and as what, until somebody asks it to start.
    stop_requested_by text,
    stop_requested_as text CHECK (stop_requested_as IN ('requested', 'idle', 'hold')),
    -- Since when it does not run, why, by whom, and what its agent said of it.
    stopped_at        timestamptz,
    stop_reason       text CHECK (stop_reason IN ('requested', 'idle', 'hold', 'exited', 'crashed')),
    stopped_by        text,
    stop_message      text,
    CHECK ((players_online IS NULL) = (players_max IS NULL)),
    CHECK (measured_at IS NOT NULL OR (memory_bytes IS NULL AND disk_bytes IS NULL)),
    CHECK ((stop_requested_by IS NULL) = (stop_requested_as IS NULL)),
    CHECK ((stopped_at IS NULL) = (stop_reason IS NULL))
) WITH (fillfactor = 50);

-- An hour of load, for graphs. Instances are never removed, so nothing has to keep this table from telling of one that is
-- not there: no foreign key, whose locks every look would pay for.
CREATE TABLE load_samples (
    instance_id    uuid NOT NULL,
    at             timestamptz NOT NULL,
    cpu_percent    real CHECK (cpu_percent >= 0),
    memory_bytes   bigint NOT NULL CHECK (memory_bytes >= 0),
    disk_bytes     bigint NOT NULL CHECK (disk_bytes >= 0),
    players_online integer CHECK (players_online >= 0),
    PRIMARY KEY (instance_id, at)
);
CREATE INDEX load_samples_age ON load_samples (at);

GRANT SELECT, INSERT, UPDATE ON instance_status TO zlh_api;
GRANT SELECT, INSERT, DELETE ON load_samples TO zlh_api;
GRANT SELECT ON instance_status TO zlh_provision;

-- Customers see what was done to their servers, and how many wait before them.
GRANT SELECT ON audit_log, operation_turns TO zlh_api;
