-- Billing: what customers may have, what Stripe says of them, and what follows from it.
--
-- What is at Stripe is copied here as it was when it was asked for last, so that no page and no gate waits for Stripe. Nothing
-- here can remove anything of a customer's: billing-worker's role has no DELETE anywhere, and of servers it can ask for nothing
-- but stop and start (functions/suspend_for_payment.sql, functions/restore_after_payment.sql).

-- Servers that an operator lets a customer have without a subscription.
CREATE TABLE entitlement_grants (
    id          uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers (id),
    -- NULL: of any plan.
    plan        text,
    quantity    integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    granted_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz,
    revoked_at  timestamptz,
    revoked_by  text,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX entitlement_grants_customer ON entitlement_grants (customer_id) WHERE revoked_at IS NULL;

-- Who has servers already may have as many as before.
INSERT INTO entitlement_grants (id, customer_id, quantity, reason, granted_by)
SELECT gen_random_uuid(), id, greatest(instance_limit, 1), 'Had an account before there were subscriptions.', 'migration'
FROM customers;

-- A customer at Stripe. One that was deleted there stays here; the next checkout makes another one.
CREATE TABLE stripe_customers (
    stripe_id   text PRIMARY KEY CHECK (length(stripe_id) BETWEEN 1 AND 255),
    customer_id uuid NOT NULL REFERENCES customers (id),
    livemode    boolean NOT NULL,
    test_clock  text,
    -- How far the customer's time is ahead of ours: they are on a test clock, which there is in test mode only.
    ahead_by    interval NOT NULL DEFAULT '0' CHECK (ahead_by = '0' OR NOT livemode),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at  timestamptz
);
-- One for real money and one for trials: they never mix.
CREATE UNIQUE INDEX stripe_customers_one ON stripe_customers (customer_id, livemode) WHERE deleted_at IS NULL;

CREATE TABLE subscriptions (
    id                text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    customer_id       uuid NOT NULL REFERENCES customers (id),
    status            text NOT NULL,
    -- The one that decides. Another one is reported and changes nothing.
    of_record         boolean NOT NULL,
    -- Whether servers may be had by it now.
    entitles          boolean NOT NULL,
    currency          text NOT NULL,
    collection_paused boolean NOT NULL DEFAULT false,
    period_start      timestamptz,
    period_end        timestamptz,
    ends_at           timestamptz,
    trial_end         timestamptz,
    -- What it is paid with, in words: "Visa ending in 4242".
    paid_with         text,
    created_at        timestamptz NOT NULL,
    fetched_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX subscriptions_of_record ON subscriptions (customer_id) WHERE of_record;
CREATE INDEX subscriptions_customer ON subscriptions (customer_id);

CREATE TABLE subscription_items (
    id              text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    subscription_id text NOT NULL REFERENCES subscriptions (id),
    price_id        text NOT NULL,
    -- NULL: a price that the catalogue does not name, which entitles to nothing.
    plan            text,
    -- What is left of an item that was taken out is 0.
    quantity        integer NOT NULL CHECK (quantity >= 0),
    amount_minor    bigint NOT NULL
);
CREATE INDEX subscription_items_subscription ON subscription_items (subscription_id);

CREATE TABLE invoices (
    id                 text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    customer_id        uuid NOT NULL REFERENCES customers (id),
    subscription_id    text,
    number             text,
    status             text NOT NULL,
    currency           text NOT NULL,
    total_minor        bigint NOT NULL,
    remaining_minor    bigint NOT NULL,
    collection         text NOT NULL,
    attempted          boolean NOT NULL,
    processing         boolean NOT NULL,
    finalized_at       timestamptz,
    due_at             timestamptz,
    next_attempt_at    timestamptz,
    -- Why the last attempt failed, as the bank said it to Stripe.
    failure            text,
    dispute_status     text,
    dispute_lost_at    timestamptz,
    -- Where it can be paid and read. Both are secrets in the sense that whoever has them needs no password.
    hosted_invoice_url text,
    pdf_url            text,
    created_at         timestamptz NOT NULL,
    fetched_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX invoices_customer ON invoices (customer_id, created_at);

-- A purchase under way.
CREATE TABLE checkouts (
    id          uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers (id),
    -- NULL until Stripe has answered.
    stripe_id   text,
    url         text,
    items       jsonb NOT NULL,
    currency    text NOT NULL,
    -- pending: completed, and the bank is at it for days.
    state       text NOT NULL CHECK (state IN ('open', 'pending', 'completed', 'expired', 'failed')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    CHECK ((state IN ('open', 'pending')) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX checkouts_stripe ON checkouts (stripe_id) WHERE stripe_id IS NOT NULL;
CREATE UNIQUE INDEX checkouts_one_open ON checkouts (customer_id) WHERE ended_at IS NULL;

-- Room for servers that are being paid for, counted as used on the node until the server is made or the purchase comes to
-- nothing.
CREATE TABLE capacity_reservations (
    id          uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers (id),
    checkout_id uuid NOT NULL REFERENCES checkouts (id),
    plan        text NOT NULL,
    node_id     uuid NOT NULL REFERENCES nodes (id),
    memory_mib  integer NOT NULL CHECK (memory_mib > 0),
    cpu_percent integer NOT NULL CHECK (cpu_percent > 0),
    disk_mib    integer NOT NULL CHECK (disk_mib > 0),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL,
    released_at timestamptz
);
CREATE INDEX capacity_reservations_held ON capacity_reservations (customer_id, plan) WHERE released_at IS NULL;

-- How far enforcement has come with a customer. One row for each who was ever looked at.
CREATE TABLE billing_enforcement_states (
    customer_id    uuid PRIMARY KEY REFERENCES customers (id),
    stage          text NOT NULL DEFAULT 'good_standing'
                   CHECK (stage IN ('good_standing', 'payment_failed', 'final_warning', 'suspended', 'restored')),
    entered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    cause          text NOT NULL DEFAULT 'nothing_open',
    -- Since when something is past due.
    since          timestamptz,
    evidence       jsonb NOT NULL DEFAULT '{}',
    next_stage     text CHECK (next_stage IN ('payment_failed', 'final_warning', 'suspended')),
    next_at        timestamptz,
    -- When it is looked at again at the latest, by the customer's time (stripe_customers.ahead_by).
    look_again_at  timestamptz,
    -- What a person has to look at: a status that we do not know, a second subscription.
    trouble        text,
    -- An operator's leniency.
    exempt         boolean NOT NULL DEFAULT false,
    extended_until timestamptz,
    -- A dispute is open. It does nothing by itself.
    disputed       boolean NOT NULL DEFAULT false,
    synced_at      timestamptz,
    version        bigint NOT NULL DEFAULT 1,
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((next_stage IS NULL) = (next_at IS NULL))
);
CREATE INDEX billing_enforcement_states_stage ON billing_enforcement_states (stage) WHERE stage <> 'good_standing';
CREATE INDEX billing_enforcement_states_due ON billing_enforcement_states (look_again_at) WHERE look_again_at IS NOT NULL;

-- What happened, for ever (functions/billing_events_are_append_only.sql).
CREATE TABLE billing_enforcement_events (
    id          uuid PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    customer_id uuid NOT NULL REFERENCES customers (id),
    -- stage, extended, exempted, exemption_ended, granted, revoked, rejected, disputed, dispute_ended
    kind        text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    from_stage  text,
    to_stage    text,
    cause       text NOT NULL,
    evidence    jsonb NOT NULL DEFAULT '{}',
    actor       text NOT NULL
);
CREATE INDEX billing_enforcement_events_customer ON billing_enforcement_events (customer_id, at);

-- Stripe's events as they came (StripeEventLog). An event is a hint that something changed; what it is about is fetched.
CREATE TABLE stripe_events (
    id           text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    type         text NOT NULL,
    api_version  text,
    livemode     boolean NOT NULL,
    -- Of the customer at Stripe, as far as it says so.
    stripe_customer text,
    object_id    text,
    payload      jsonb NOT NULL,
    -- webhook, or backfill: it never arrived and was fetched.
    source       text NOT NULL CHECK (source IN ('webhook', 'backfill')),
    created_at   timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- NULL until what follows from it was done.
    processed_at timestamptz,
    -- done, ignored (nothing of ours), unresolved (nothing that we can find)
    outcome      text,
    CHECK ((processed_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX stripe_events_received ON stripe_events (received_at);
CREATE INDEX stripe_events_unprocessed ON stripe_events (received_at) WHERE processed_at IS NULL;

-- Work for billing-worker.
CREATE TABLE billing_tasks (
    id               uuid PRIMARY KEY,
    -- Text: somebody may ask for what must not be done, and gets an answer.
    action           text NOT NULL CHECK (length(action) BETWEEN 1 AND 64),
    event_id         text REFERENCES stripe_events (id),
    customer_id      uuid REFERENCES customers (id),
    requested_by     text NOT NULL,
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'rejected')),
    outcome          text,
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error       text,
    run_after        timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,
    enqueued_at      timestamptz,
    lease_owner      text,
    lease_term       bigint NOT NULL DEFAULT 0 CHECK (lease_term >= 0),
    lease_expires_at timestamptz,
    CONSTRAINT billing_tasks_lease_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT billing_tasks_lease_at_work CHECK (state = 'running' OR lease_owner IS NULL),
    CONSTRAINT billing_tasks_ended CHECK ((state IN ('done', 'rejected')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX billing_tasks_event ON billing_tasks (event_id) WHERE event_id IS NOT NULL;
-- A customer who waits to be looked at needs no second look.
CREATE UNIQUE INDEX billing_tasks_one_sync ON billing_tasks (customer_id)
    WHERE state = 'queued' AND action = 'sync' AND event_id IS NULL;
CREATE INDEX billing_tasks_due ON billing_tasks (run_after) WHERE state IN ('queued', 'running');

-- When objects were compared last without an event, and whether Stripe still sends events.
CREATE TABLE billing_status (
    only_one          boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    backfilled_at     timestamptz,
    backfill_found    integer,
    endpoint_problem  text
);
INSERT INTO billing_status DEFAULT VALUES;

DO $$
BEGIN
    CREATE ROLE zlh_billing LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;
GRANT USAGE ON SCHEMA public TO zlh_billing;

-- billing-worker: looks at servers, writes what it knows of payments, and nothing else. No DELETE, no operation, no hold and
-- no power request but by the two functions.
GRANT SELECT (id, email, display_name, disabled_at) ON customers TO zlh_billing;
GRANT SELECT ON instances, holds, entitlement_grants TO zlh_billing;
GRANT SELECT, INSERT, UPDATE ON stripe_customers, subscriptions, subscription_items, invoices, billing_enforcement_states,
    stripe_events, billing_tasks TO zlh_billing;
GRANT SELECT, UPDATE ON checkouts, billing_status TO zlh_billing;
GRANT SELECT ON capacity_reservations TO zlh_billing;
GRANT UPDATE (expires_at) ON capacity_reservations TO zlh_billing;
GRANT SELECT, INSERT ON billing_enforcement_events TO zlh_billing;
GRANT INSERT ON audit_log, notifications TO zlh_billing;

-- zpack-api: takes events, sells, shows, and writes down what operators grant.
GRANT SELECT, INSERT ON stripe_events, billing_tasks, billing_enforcement_events, entitlement_grants, capacity_reservations,
    stripe_customers, checkouts, billing_enforcement_states TO zlh_api;
GRANT SELECT ON subscriptions, subscription_items, invoices, billing_status TO zlh_api;
GRANT UPDATE ON checkouts TO zlh_api;
GRANT UPDATE (released_at) ON capacity_reservations TO zlh_api;
GRANT UPDATE (revoked_at, revoked_by) ON entitlement_grants TO zlh_api;
GRANT UPDATE (exempt, extended_until, version, updated_at) ON billing_enforcement_states TO zlh_api;
-- Operators put and lift holds.
GRANT INSERT ON holds TO zlh_api;
GRANT UPDATE (lifted_at) ON holds TO zlh_api;

GRANT SELECT ON billing_enforcement_states, billing_status, stripe_events TO zlh_controller;
