-- An operation that is to be given up, and one that another follows: a restore that its customer wants a backup before.

ALTER TABLE operations
    -- When it was asked for that it be given up. A worker that sees it turns round.
    ADD COLUMN cancel_requested_at timestamptz,
    -- Of a backup: which one is restored once this one is made, and by which operation. Both are chosen when it is asked
    -- for, so that nothing can come between.
    ADD COLUMN then_restore_id uuid REFERENCES backups (id),
    ADD COLUMN next_operation_id uuid,
    ADD CONSTRAINT operations_next_whole CHECK (
        (then_restore_id IS NULL) = (next_operation_id IS NULL) AND (then_restore_id IS NULL OR kind = 'backup')),
    ADD CONSTRAINT operations_cancel_kind CHECK (cancel_requested_at IS NULL OR kind IN ('backup', 'verify'));
CREATE INDEX operations_then_restore ON operations (then_restore_id) WHERE then_restore_id IS NOT NULL;
