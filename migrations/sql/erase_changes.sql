-- Erase what comparisons show of an execution's result, as its data is erased or deleted.
--
-- Whoever stores changes locks the inputs of both executions first (app/comparisons/store.py): the
-- erasure waits and then finds them, or they are not stored.
CREATE OR REPLACE FUNCTION erase_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE comparison_items
    SET changes = NULL
    WHERE changes IS NOT NULL AND OLD.execution_id IN (from_execution_id, to_execution_id);
    RETURN NULL;
END
$$
