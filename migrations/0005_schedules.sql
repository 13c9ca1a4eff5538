-- Schedules: what is to be done with a server and when, and what became of each time.

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
