-- Erase what comparisons show of an execution's result, as its data is erased or deleted.
--
-- Whoever stores changes locks the inputs of both executions first (app/comparisons/store.py): the
-- erasure waits and then finds them, or they are not stored. A session that planned while the table
-- was small would read it whole for each row later.
CREATE OR REPLACE FUNCTION erase_changes() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
BEGIN
    UPDATE comparison_items
    SET changes = NULL
    WHERE changes IS NOT NULL AND OLD.execution_id IN (from_execution_id, to_execution_id);
    RETURN NULL;
END
$$
