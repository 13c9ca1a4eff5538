-- Changes of plans, and of subscriptions that there are.
--
-- What makes a server bigger is paid first and done then; what makes it smaller is done first, and then paid less for. Either way
-- the node keeps room for the bigger of both until the change has ended.

-- A purchase is the begin of a subscription, or a change of the one that there is.
ALTER TABLE checkouts
    ADD COLUMN kind text NOT NULL DEFAULT 'subscribe' CHECK (kind IN ('subscribe', 'amend')),
    -- What the subscription is to become (domain::billing::Amendment).
    ADD COLUMN amendment jsonb,
    ADD CONSTRAINT checkouts_amendment CHECK ((kind = 'amend') = (amendment IS NOT NULL));

CREATE TABLE plan_changes (
    id               uuid PRIMARY KEY,
    customer_id      uuid NOT NULL REFERENCES customers (id),
    instance_id      uuid NOT NULL REFERENCES instances (id),
    state            text NOT NULL CHECK (state IN ('paying', 'ready', 'applying', 'settling', 'done', 'reverting', 'failed')),
    from_plan        text NOT NULL,
    from_memory_mib  integer NOT NULL CHECK (from_memory_mib > 0),
    from_cpu_percent integer NOT NULL CHECK (from_cpu_percent > 0),
    from_disk_mib    integer NOT NULL CHECK (from_disk_mib > 0),
    to_plan          text NOT NULL,
    to_memory_mib    integer NOT NULL CHECK (to_memory_mib > 0),
    to_cpu_percent   integer NOT NULL CHECK (to_cpu_percent > 0),
    to_disk_mib      integer NOT NULL CHECK (to_disk_mib > 0),
    -- What the subscription becomes for it; NULL where nothing is to be paid.
    amendment        jsonb,
    -- Its payment, where it is paid first.
    checkout_id      uuid REFERENCES checkouts (id),
    -- What changes the server.
    operation_id     uuid UNIQUE REFERENCES operations (id),
    -- Why it came to nothing.
    failure_code     text,
    failure_message  text,
    -- Attempts to bring the subscription to what it is to be.
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    run_after        timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor            text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz,
    CHECK ((state IN ('done', 'failed')) = (ended_at IS NOT NULL)),
    CHECK ((failure_code IS NULL) = (failure_message IS NULL))
);
CREATE UNIQUE INDEX plan_changes_one ON plan_changes (instance_id) WHERE ended_at IS NULL;
CREATE INDEX plan_changes_due ON plan_changes (run_after) WHERE state IN ('paying', 'ready', 'settling', 'reverting');

ALTER TABLE operations DROP CONSTRAINT operations_kind_check,
    ADD CONSTRAINT operations_kind_check CHECK (kind IN ('create', 'delete', 'backup', 'restore', 'verify', 'change_plan')),
    DROP CONSTRAINT operations_step_known,
    ADD CONSTRAINT operations_step_known CHECK (step IN (
        'create_container', 'start_container', 'enrol_agent', 'install', 'start_service', 'await_ready',
        'publish_edge', 'mark_active', 'withdraw_edge', 'stop_service', 'stop_container', 'delete_container',
        'mark_deleted', 'store_archive', 'mark_backed_up', 'stage_backup', 'pause_service', 'swap_files',
        'resume_service', 'mark_restored', 'check_backup', 'mark_verified', 'pause_for_resize', 'resize_container',
        'resume_resized', 'mark_plan_changed'));
ALTER TABLE operation_steps DROP CONSTRAINT operation_steps_name_known,
    ADD CONSTRAINT operation_steps_name_known CHECK (name IN (
        'create_container', 'start_container', 'enrol_agent', 'install', 'start_service', 'await_ready',
        'publish_edge', 'mark_active', 'withdraw_edge', 'stop_service', 'stop_container', 'delete_container',
        'mark_deleted', 'store_archive', 'mark_backed_up', 'stage_backup', 'pause_service', 'swap_files',
        'resume_service', 'mark_restored', 'check_backup', 'mark_verified', 'pause_for_resize', 'resize_container',
        'resume_resized', 'mark_plan_changed'));

-- One more argument: functions/instances_beyond.sql makes it anew.
DROP FUNCTION IF EXISTS instances_beyond(uuid, text, boolean);

GRANT SELECT, INSERT, UPDATE ON plan_changes TO zlh_api;
-- A change of a subscription is complete in the request that asks for it: what it keeps room for can be made for a day.
GRANT UPDATE (expires_at) ON capacity_reservations TO zlh_api;
GRANT SELECT, UPDATE ON plan_changes TO zlh_provision;

-- The controller says when events of Stripe do not arrive, or are not processed.
GRANT SELECT (event_id, last_error) ON billing_tasks TO zlh_controller;
