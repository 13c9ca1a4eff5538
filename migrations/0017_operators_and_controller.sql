-- Operators give the controller their word in the Portal as well: by the same statement as its own command, and nothing more.

ALTER TABLE controller
    -- Whether who leads has a way to tell operators, for whoever has something to tell them.
    ADD COLUMN tells boolean NOT NULL DEFAULT false;

GRANT UPDATE (mode, paused, changed_at, changed_by, change_reason) ON controller TO zlh_api;
