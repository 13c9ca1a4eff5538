-- Tells the API that a hold on an instance was placed or lifted, whichever daemon did it.
CREATE OR REPLACE FUNCTION announce_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('zlh_events', json_build_object('customer_id', i.customer_id, 'instance_id', i.id)::text)
    FROM instances i WHERE i.id = NEW.instance_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER holds_announce AFTER INSERT OR UPDATE ON holds FOR EACH ROW
    EXECUTE FUNCTION announce_hold();
