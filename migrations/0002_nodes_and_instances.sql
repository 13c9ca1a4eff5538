-- Nodes and instances. An instance's state has axes (lifecycle, desired power, observed power,
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
    created_at       timestamptz NOT NULL,
    -- Which ports it may hand out, as it said last: one outside that comes back from its server is not handed out again.
    first_port       integer CHECK (first_port BETWEEN 1 AND 65535),
    last_port        integer CHECK (last_port BETWEEN 1 AND 65535),
    -- The port that was handed out last of those that never were before. Ports that were handed out leave dead entries at
    -- the front of the index of free ones until a vacuum; the search begins behind them.
    last_fresh_port  integer NOT NULL DEFAULT 0,
    CONSTRAINT nodes_ports_range CHECK ((first_port IS NULL) = (last_port IS NULL) AND first_port <= last_port)
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
    observed_power       text NOT NULL DEFAULT 'unknown'
                         CHECK (observed_power IN ('unknown', 'starting', 'running', 'stopping', 'stopped', 'crashed')),
    eula_accepted_at     timestamptz,
    row_version          bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    -- When somebody last used a workspace through the proxy; for stopping idle ones.
    last_used_at         timestamptz,
    CHECK (lifecycle NOT IN ('deleted', 'failed') OR NOT capacity_held)
);
CREATE INDEX instances_customer ON instances (customer_id, id);
CREATE UNIQUE INDEX instances_live_name ON instances (customer_id, lower(name))
    WHERE lifecycle IN ('provisioning', 'active', 'deleting');
CREATE UNIQUE INDEX instances_live_hostname ON instances (hostname)
    WHERE lifecycle IN ('provisioning', 'active', 'deleting');

-- What is to be looked at soon: a state that passes.
CREATE INDEX instances_in_transition ON instances (id)
    WHERE lifecycle = 'active' AND observed_power IN ('starting', 'stopping');

-- What was asked for last of a server, until its agent has taken it. Whoever holds the lease brings it; `id` is another
-- one for each request, so that an answer to an earlier one does not end a later one.
CREATE TABLE power_requests (
    instance_id      uuid PRIMARY KEY REFERENCES instances (id),
    id               uuid NOT NULL,
    action           text NOT NULL CHECK (action IN ('start', 'stop', 'restart', 'kill')),
    requested_by     text NOT NULL,
    requested_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Not before this time; by the database's clock.
    run_after        timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_owner      text,
    lease_term       bigint NOT NULL DEFAULT 0 CHECK (lease_term >= 0),
    lease_expires_at timestamptz,
    CONSTRAINT power_requests_lease_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL))
);
CREATE INDEX power_requests_due ON power_requests (run_after);

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
