-- Return whether the version of an execution takes bytes, of which media type its input is, and the
-- schemas that the version names.
--
-- Beside the function that claims, in one statement: a function that is volatile sees what was
-- committed after that statement began, as that one does.
CREATE OR REPLACE FUNCTION input_of_execution_v2(
    tenant uuid, execution uuid
) RETURNS TABLE (
    io text, media_type text,
    input_schema_id uuid, input_schema_version integer,
    output_schema_id uuid, output_schema_version integer
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT v.io, i.media_type, v.input_schema_id, v.input_schema_version, v.output_schema_id,
           v.output_schema_version
    FROM executions AS e
    JOIN script_versions AS v ON v.script_id = e.script_id AND v.version = e.version
    LEFT JOIN payloads AS i ON i.execution_id = e.id AND i.kind = 'input'
    WHERE e.tenant_id = tenant AND e.id = execution;
END
$$
