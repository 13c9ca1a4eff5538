-- What enforcement did is history: it takes new rows and nothing else, whoever asks.
CREATE OR REPLACE FUNCTION billing_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'billing_enforcement_events is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE TRIGGER billing_events_append_only BEFORE UPDATE OR DELETE ON billing_enforcement_events
    FOR EACH ROW EXECUTE FUNCTION billing_events_are_append_only();
CREATE OR REPLACE TRIGGER billing_events_no_truncate BEFORE TRUNCATE ON billing_enforcement_events
    FOR EACH STATEMENT EXECUTE FUNCTION billing_events_are_append_only();
