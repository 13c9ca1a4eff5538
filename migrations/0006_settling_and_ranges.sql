-- Which ports a node may hand out, as it said last: one outside that comes back from its server is not handed out again.
ALTER TABLE nodes
    ADD COLUMN first_port integer CHECK (first_port BETWEEN 1 AND 65535),
    ADD COLUMN last_port  integer CHECK (last_port BETWEEN 1 AND 65535);

-- Who looks whether a failed backup is complete after all, and removes it if it is not, has it for itself until then:
-- what one has found nobody else removes. By the database's clock.
ALTER TABLE backups ADD COLUMN settling_until timestamptz;

-- A verification that nobody asked for keeps away from schedules.
GRANT SELECT (instance_id, action, next_run_at) ON schedules TO zlh_provision;

-- Whether a storage is the right one shows by the newest backups.
CREATE INDEX backups_available ON backups (id) WHERE state = 'available';
