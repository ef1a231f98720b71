-- Keep script versions immutable: the database guarantees it, whatever the code does.
-- Trigger: script_versions_are_immutable.
CREATE OR REPLACE FUNCTION refuse_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a script version is immutable' USING ERRCODE = 'restrict_violation';
END
$$
