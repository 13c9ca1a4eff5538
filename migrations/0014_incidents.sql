-- Incidents: how people are told of findings. One incident is one message, which is changed when the incident changes.

ALTER TABLE findings
    -- Where it was seen: while nothing can be seen there, the finding is neither counted again nor closed.
    ADD COLUMN source text NOT NULL DEFAULT 'rows' CHECK (length(source) BETWEEN 1 AND 200);

CREATE TABLE incidents (
    id           uuid PRIMARY KEY,
    -- The rule of its findings, or `several` when more begin at once than anybody reads one by one.
    kind         text NOT NULL CHECK (kind ~ '^[a-z_0-9]{1,40}$'),
    opened_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the last of its findings was gone; it can begin again.
    ended_at     timestamptz,
    -- Counts its changes, and up to which of them people were told. More than one behind: a notification waits already.
    version      bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    told_version bigint NOT NULL DEFAULT 0 CHECK (told_version BETWEEN 0 AND version),
    -- The message at its receiver, once there is one.
    message_id   text CHECK (length(message_id) BETWEEN 1 AND 100)
);
CREATE INDEX incidents_kind ON incidents (kind, opened_at);

ALTER TABLE findings ADD COLUMN incident_id uuid REFERENCES incidents (id);
CREATE INDEX findings_incident ON findings (incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX findings_untold ON findings (rule) WHERE closed_at IS NULL AND incident_id IS NULL;

GRANT SELECT, INSERT, UPDATE ON incidents TO zlh_controller;
GRANT SELECT ON incidents TO zlh_api;
-- The controller sends what it tells, so that it is told also while the API is down.
GRANT SELECT, UPDATE ON notifications TO zlh_controller;
