-- Nodes, instances and the work on them. An instance's state has axes (lifecycle, desired power, observed power,
-- holds, active operation): none is derived from another.

CREATE TABLE nodes (
    id               uuid PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    -- Host name or address that customers connect to.
    public_host      text NOT NULL,
    -- Address of the agents as the control plane sees it.
    agent_host       text NOT NULL,
    cordoned         boolean NOT NULL DEFAULT false,
    memory_mib       bigint NOT NULL CHECK (memory_mib > 0),
    cpu_percent      bigint NOT NULL CHECK (cpu_percent > 0),
    disk_mib         bigint NOT NULL CHECK (disk_mib > 0),
    used_memory_mib  bigint NOT NULL DEFAULT 0 CHECK (used_memory_mib BETWEEN 0 AND memory_mib),
    used_cpu_percent bigint NOT NULL DEFAULT 0 CHECK (used_cpu_percent BETWEEN 0 AND cpu_percent),
    used_disk_mib    bigint NOT NULL DEFAULT 0 CHECK (used_disk_mib BETWEEN 0 AND disk_mib),
    created_at       timestamptz NOT NULL
);

-- Content of the blueprints in use, so that editing a file changes nothing for servers that exist.
CREATE TABLE blueprint_versions (
    id         text PRIMARY KEY,
    blueprint  text NOT NULL,
    body       jsonb NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE instances (
    id                   uuid PRIMARY KEY,
    customer_id          uuid NOT NULL REFERENCES customers (id),
    name                 text NOT NULL,
    hostname             text NOT NULL,
    kind                 text NOT NULL CHECK (kind IN ('game', 'dev')),
    blueprint            text NOT NULL,
    blueprint_version    text NOT NULL REFERENCES blueprint_versions (id),
    variant              text NOT NULL,
    version              text NOT NULL,
    plan                 text NOT NULL,
    memory_mib           integer NOT NULL CHECK (memory_mib > 0),
    cpu_percent          integer NOT NULL CHECK (cpu_percent > 0),
    disk_mib             integer NOT NULL CHECK (disk_mib > 0),
    node_id              uuid NOT NULL REFERENCES nodes (id),
    -- Whether the node's used_ columns count this instance: set back exactly once, with the ports.
    capacity_held        boolean NOT NULL DEFAULT true,
    address              text,
    agent_fingerprint    text CHECK (agent_fingerprint ~ '^[0-9a-f]{64}$'),
    lifecycle            text NOT NULL DEFAULT 'provisioning'
                         CHECK (lifecycle IN ('provisioning', 'active', 'deleting', 'deleted', 'failed')),
    desired_power        text NOT NULL DEFAULT 'running' CHECK (desired_power IN ('running', 'stopped')),
    -- What the customer asked for last, until the agent has taken it: it is asked again when it is back.
    pending_power        text CHECK (pending_power IN ('start', 'stop', 'restart', 'kill')),
    observed_power       text NOT NULL DEFAULT 'unknown'
                         CHECK (observed_power IN ('unknown', 'starting', 'running', 'stopping', 'stopped', 'crashed')),
    eula_accepted_at     timestamptz,
    row_version          bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CHECK (lifecycle NOT IN ('deleted', 'failed') OR NOT capacity_held)
);
CREATE INDEX instances_customer ON instances (customer_id, id);
CREATE UNIQUE INDEX instances_live_name ON instances (customer_id, lower(name))
    WHERE lifecycle IN ('provisioning', 'active', 'deleting');
CREATE UNIQUE INDEX instances_live_hostname ON instances (hostname)
    WHERE lifecycle IN ('provisioning', 'active', 'deleting');

-- What is to be looked at soon: a wish to deliver, or a state that passes.
CREATE INDEX instances_unsettled ON instances (id)
    WHERE lifecycle = 'active' AND (pending_power IS NOT NULL OR observed_power IN ('starting', 'stopping'));

-- Every port of a node that may be handed out, free or not. One row is one port: nothing is handed out twice.
-- Free ports come back in the order of their release, so that a late packet rarely meets a new owner.
CREATE TABLE port_allocations (
    node_id     uuid NOT NULL REFERENCES nodes (id),
    port        integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    instance_id uuid REFERENCES instances (id),
    name        text,
    protocol    text CHECK (protocol IN ('tcp', 'udp')),
    released_at timestamptz,
    PRIMARY KEY (node_id, port),
    CHECK ((instance_id IS NULL) = (name IS NULL) AND (name IS NULL) = (protocol IS NULL))
);
CREATE INDEX port_allocations_free ON port_allocations (node_id, released_at NULLS FIRST, port)
    WHERE instance_id IS NULL;
CREATE UNIQUE INDEX port_allocations_instance ON port_allocations (instance_id, name) WHERE instance_id IS NOT NULL;

CREATE TABLE holds (
    id          uuid PRIMARY KEY,
    instance_id uuid NOT NULL REFERENCES instances (id),
    reason      text NOT NULL CHECK (reason IN ('billing', 'abuse', 'operator')),
    note        text NOT NULL,
    placed_by   text NOT NULL,
    placed_at   timestamptz NOT NULL,
    lifted_at   timestamptz
);
CREATE UNIQUE INDEX holds_in_force ON holds (instance_id, reason) WHERE lifted_at IS NULL;

CREATE TABLE operations (
    id               uuid PRIMARY KEY,
    instance_id      uuid NOT NULL REFERENCES instances (id),
    customer_id      uuid NOT NULL REFERENCES customers (id),
    kind             text NOT NULL CHECK (kind IN ('create', 'delete')),
    state            text NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'running', 'undoing', 'succeeded', 'failed', 'stuck')),
    step             text,
    step_detail      text,
    progress         smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    failure_code     text,
    failure_message  text,
    interruptions    integer NOT NULL DEFAULT 0,
    -- Failed attempts of an operation that can only go forward (delete).
    failed_attempts  integer NOT NULL DEFAULT 0,
    -- Not before this time; by the database's clock.
    run_after        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the queue was last told of it.
    rung_at          timestamptz,
    lease_owner      text,
    lease_term       bigint NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,
    created_at       timestamptz NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CHECK ((state IN ('succeeded', 'failed')) = (finished_at IS NOT NULL))
);
-- Invariant: one active operation per instance.
CREATE UNIQUE INDEX operations_one_active ON operations (instance_id)
    WHERE state IN ('queued', 'running', 'undoing', 'stuck');
CREATE INDEX operations_customer ON operations (customer_id, id);
CREATE INDEX operations_instance ON operations (instance_id, id);
CREATE INDEX operations_unheld ON operations (rung_at NULLS FIRST) WHERE state IN ('queued', 'running', 'undoing');

-- The journal. A row is written before its step runs: that is the registration of the undo.
CREATE TABLE operation_steps (
    operation_id uuid NOT NULL REFERENCES operations (id),
    name         text NOT NULL,
    ordinal      smallint NOT NULL,
    state        text NOT NULL CHECK (state IN ('applying', 'applied', 'undone', 'undo_failed')),
    attempts     integer NOT NULL DEFAULT 1,
    lease_term   bigint NOT NULL,
    error        text,
    begun_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    PRIMARY KEY (operation_id, name)
);

-- Same key, same body: the same operation for 24 h.
CREATE TABLE idempotency_keys (
    customer_id  uuid NOT NULL REFERENCES customers (id),
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_hash    bytea NOT NULL CHECK (length(body_hash) = 32),
    operation_id uuid NOT NULL REFERENCES operations (id),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (customer_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Tells the API that something a customer sees has changed. The first row of an operation is announced by the API
-- itself after its commit: a NOTIFY inside a transaction makes all such commits wait for one another.
CREATE FUNCTION announce_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('zlh_events', json_build_object(
        'customer_id', NEW.customer_id, 'instance_id', NEW.instance_id, 'operation_id', NEW.id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER operations_announce AFTER UPDATE ON operations FOR EACH ROW
    WHEN ((OLD.state, OLD.step, OLD.step_detail, OLD.progress) IS DISTINCT FROM
          (NEW.state, NEW.step, NEW.step_detail, NEW.progress))
    EXECUTE FUNCTION announce_operation();

CREATE FUNCTION announce_instance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('zlh_events', json_build_object(
        'customer_id', NEW.customer_id, 'instance_id', NEW.id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER instances_announce AFTER UPDATE ON instances FOR EACH ROW
    WHEN ((OLD.name, OLD.address, OLD.lifecycle, OLD.desired_power, OLD.observed_power) IS DISTINCT FROM
          (NEW.name, NEW.address, NEW.lifecycle, NEW.desired_power, NEW.observed_power))
    EXECUTE FUNCTION announce_instance();
