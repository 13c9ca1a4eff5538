-- What a node's engine has: reported by the worker that has the engine's credentials, so that who only looks needs none.

CREATE TABLE node_reports (
    node_id     uuid PRIMARY KEY REFERENCES nodes (id),
    -- When the worker looked last, whatever came of it.
    reported_at timestamptz NOT NULL,
    -- When the engine was listed last, before the list was asked for; NULL while it never could be.
    listed_at   timestamptz,
    -- Instances whose containers are there, with our mark.
    containers  uuid[] NOT NULL DEFAULT '{}',
    -- Instances under whose id there is something without our mark.
    unmarked    uuid[] NOT NULL DEFAULT '{}',
    -- Why the engine could not be listed, since it could not.
    error       text
);

GRANT SELECT, INSERT, UPDATE ON node_reports TO zlh_provision;
GRANT SELECT ON node_reports TO zlh_controller, zlh_repair, zlh_api;
