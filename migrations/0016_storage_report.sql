-- What the backup storage has, against the rows: compared by the worker that has the storage's credentials, so that who only
-- looks needs none.

CREATE TABLE storage_report (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    -- Nobody begins another comparison before this time: of all workers one compares.
    next_at     timestamptz NOT NULL DEFAULT '-infinity',
    -- When somebody tried last, whatever came of it; NULL while nobody has.
    reported_at timestamptz,
    -- When storage and rows were compared last, by the beginning of the comparison; NULL while they never could be.
    compared_at timestamptz,
    -- What differed (domain: `StorageReport`).
    report      jsonb NOT NULL DEFAULT '{}',
    -- Why they could not be compared, since they could not.
    error       text,
    CHECK (compared_at IS NULL OR reported_at IS NOT NULL)
);
INSERT INTO storage_report DEFAULT VALUES;

GRANT SELECT, UPDATE ON storage_report TO zlh_provision;
GRANT SELECT ON storage_report TO zlh_controller, zlh_api;
