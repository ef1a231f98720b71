-- Count the changes of API keys and of tenants' caps, so that a process knows when to reload them.
--
-- The counter is a row, updated in the transaction of the change: a process that reads the new
-- number also reads the change. A sequence would show the number before the change is committed.
-- Triggers: api_keys_change_access, tenants_change_access.
CREATE OR REPLACE FUNCTION count_access_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO access_generation AS g (generation) VALUES (1)
    ON CONFLICT (one) DO UPDATE SET generation = g.generation + 1;
    RETURN NULL;
END
$$
