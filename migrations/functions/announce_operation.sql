-- Tells the API that something a customer sees has changed. The first row of an operation is announced by the API
-- itself after its commit: a NOTIFY inside a transaction makes all such commits wait for one another.
CREATE OR REPLACE FUNCTION announce_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('zlh_events', json_build_object(
        'customer_id', NEW.customer_id, 'instance_id', NEW.instance_id, 'operation_id', NEW.id)::text);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER operations_announce AFTER UPDATE ON operations FOR EACH ROW
    WHEN ((OLD.state, OLD.step, OLD.step_detail, OLD.progress) IS DISTINCT FROM
          (NEW.state, NEW.step, NEW.step_detail, NEW.progress))
    EXECUTE FUNCTION announce_operation();
