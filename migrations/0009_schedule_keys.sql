-- The API key that made a schedule: when the key is revoked, what it left to be done later ends with it.
ALTER TABLE schedules ADD COLUMN api_key_id uuid REFERENCES api_keys (id);
CREATE INDEX schedules_api_key ON schedules (api_key_id) WHERE api_key_id IS NOT NULL;
