-- Tells the API that an instance's state has changed where a customer sees it.
CREATE OR REPLACE FUNCTION announce_instance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('zlh_events', json_build_object(
        'customer_id', NEW.customer_id, 'instance_id', NEW.id)::text);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER instances_announce AFTER UPDATE ON instances FOR EACH ROW
    WHEN ((OLD.name, OLD.address, OLD.lifecycle, OLD.desired_power, OLD.observed_power) IS DISTINCT FROM
          (NEW.name, NEW.address, NEW.lifecycle, NEW.desired_power, NEW.observed_power))
    EXECUTE FUNCTION announce_instance();
