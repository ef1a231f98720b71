-- Tables
--   access_generation          one row: counts the changes of API keys and tenants
--   api_keys                   API keys; of a secret only its hash
--   audit_log                  changes by operators and callers; append-only
--   batch_inputs               inputs of batches whose upload is not accepted yet
--   batches                    uploads of many inputs; their items are executions
--   callback_attempts          attempts to deliver callbacks, the last fifty of each
--   callback_secrets           keys of tenants that sign their callbacks; readable, since they sign
--   callbacks                  outbox of callbacks; added by a trigger as their subjects end
--   comparison_items           the inputs of comparisons, the executions of both versions and how they compare
--   comparisons                comparisons of two versions of a script over recorded inputs
--   dataset_files              files of uploads and snapshots; immutable once published
--   dataset_parts              parts of files: whole lines, stored as one blob each
--   dataset_segments           merged key indexes of datasets, each of a range of parts
--   dataset_snapshots          immutable states of datasets, with their totals
--   dataset_uploads            uploads: open until committed, deleted when they expire
--   datasets                   named collections of files; their content is that of snapshots
--   dead_letter_counts         counters of dead letters; a number is the sum of its shards
--   dead_letters               events that a pipe could not forward, with the reason
--   disabled_callback_urls     URLs whose receivers have answered that they are gone
--   executions                 executions: what was accepted, how it runs, how it ended
--   export_emptied_partitions  partitions of the continued export that have no file any more
--   export_errors              rows that an attempt could not export, and went on without
--   export_files               files that an attempt of a task has written; those published are its result
--   export_tasks               the tasks of an export, each a lease of a worker
--   export_turns               when the latest task of each tenant began, for the order of claims
--   exports                    a snapshot of a dataset as deduplicated, partitioned Parquet files
--   idempotency_keys           keys of requests, and what each request created
--   installation               one row: the id that tells this installation's blobs from another's
--   payloads                   inputs, params, results and logs, or where they are in the blob store
--   pipe_activity              what pipes did in the last minutes, in slots of ten seconds
--   pipe_inbox                 events that arrived over HTTP and are not forwarded yet
--   pipe_inbox_counts          counters of events in inboxes; a number is the sum of its shards
--   pipes                      pipes: where events come from, what they must satisfy, where they go
--   queue                      the queued executions, in the order of claims; kept by triggers on executions
--   redrive_executions         failed executions that a re-drive replays, or has moved
--   redrives                   attempts to bring failed work back, by filter
--   replays                    executions that repeat another, and the outcome of that one
--   request_counts             requests that each API process has admitted, for shared rate limits
--   retention_duties           how far each periodic task of retention has come
--   run_attempts               rows that an attempt of a part has read, written and failed on
--   run_errors                 records that an attempt has failed on, and went on without
--   run_outputs                parts of datasets that an attempt has written, until they are published
--   run_parts                  what each part of a run reads, and the execution that does it
--   runs                       runs of a script over a snapshot of a dataset; their parts are executions
--   schema_aliases             movable names for versions
--   schema_references          registered schemas that a version refers to, directly
--   schema_versions            immutable versions of schemas
--   schemas                    JSON Schemas by name; their content is that of versions
--   script_aliases             names for versions of a script
--   script_versions            the sources of scripts; immutable
--   scripts                    scripts: what their versions have in common
--   slot_offers                idle slots of workers, which acceptances may fill
--   tenant_shares              worker-seconds that each tenant has used; claims take turns by them
--   tenant_usage               counters for quotas, in shards; kept by triggers on executions and payloads
--   tenants                    tenants and their caps
--   workers                    worker processes and when each was last seen

-- Functions
--   accept_batch_v1            Accept a batch
--   accept_batch_v2            Accept a batch
--   accept_executions_v1       Accept several executions of one tenant; return those that are stored, with their versions
--   accept_executions_v2       Accept several executions of one tenant; return those that are stored, with their versions
--   accept_executions_v3       Accept several executions of one tenant; return those that are stored, with their versions
--   add_callback               Add the callback of a resource that has just ended, in the transaction that ends it
--   begin_execution_v1         Begin an execution that was handed over to a worker
--   claim_callbacks_v1         Claim up to `room` callbacks that are due, in turns by tenant and within the part of each host
--   claim_executions           Call claim_executions_v2 without a limit of memory, for workers that do not send one
--   claim_executions_v2        Claim up to `most` queued executions for a worker
--   claim_executions_v3        Claim up to `most` queued executions for a worker, and up to `ahead` more that it will begin within moments
--   claim_executions_v4        Claim up to `most` queued executions for a worker, and up to `ahead` more that it will begin within moments
--   claim_parts_v1             Claim up to `most` queued parts of runs for the engine of a worker, whose slots hold nothing else
--   count_access_change        Count the changes of API keys and of tenants' caps, so that a process knows when to reload them
--   count_batch_items          Count the items of batches that end, and end a batch with its last item
--   count_bytes                Count each tenant's stored bytes, and the input bytes of the day, in tenant_usage
--   count_dataset_bytes        Count the bytes of datasets' parts in tenant_usage
--   count_dataset_bytes_v2     Count the bytes of datasets' parts in tenant_usage
--   count_dead_letters         Count dead letters by pipe, kind and state, and their bytes in tenant_usage
--   count_export_errors        Count the bytes of rows that exports could not take in tenant_usage, as stored
--   count_export_files         Count the bytes of files that exports keep here in tenant_usage, as stored
--   count_pipe_inbox_v1        Count the events that wait in the inboxes of pipes
--   count_queued               Count each tenant's queued executions in tenant_usage
--   count_run_bytes            Count the bytes that runs have staged as output in tenant_usage, as those of datasets' parts
--   count_run_errors           Count the bytes of failed records that runs keep in tenant_usage, as stored
--   delete_callback            Delete the callback of a resource that is deleted, and with it the attempts
--   erase_changes              Erase what comparisons show of an execution's result, as its data is erased or deleted
--   faded                      Return how much of a tenant's worker-seconds still counts
--   find_idempotency_key_v1    Find what a request with this key has created; no row if the key is free
--   finish_execution           Record the outcome of an execution, commit, and notify the readers that wait for it
--   finish_execution_v2        Record the outcome of an execution as finish_execution does, with its warnings
--   finish_execution_v3        Record the outcome of an execution, commit, and notify the readers that wait for it
--   finish_execution_v4        Record the outcome of an execution, commit, and notify the readers that wait for it
--   finish_execution_v5        Record the outcome of an execution, commit, and notify the readers that wait for it
--   finish_execution_v6        Record the outcome of an execution, commit, and notify the readers that wait for it
--   finish_executions_v1       Record the outcomes of several executions as finish_execution_v3 does, with one notification
--   hand_over_execution_v1     Hand an execution that is being accepted over to a worker that has offered a slot, and return the worker and the fencing token; without a row it has to be queued
--   hold_quota_of_bytes        Refuse a result or logs that would take a tenant over its quota of stored bytes
--   input_of_execution_v1      Return whether the version of an execution takes bytes, and of which media type its input is
--   input_of_execution_v2      Return whether the version of an execution takes bytes, of which media type its input is, and the schemas that the version names
--   keep_queue                 Keep the table `queue` equal to the queued executions
--   keep_queue_v2              Keep the table `queue` equal to the queued executions
--   quota_against_batch_v1     Return the quota that so many more queued executions and bytes would exceed, if any
--   quota_against_execution    Call quota_against_execution_v2, for the API processes of release 0.1.0
--   quota_against_execution_v2 Return the quota that one more execution with `size_bytes` of input would exceed, if any
--   quota_against_part_v1      Return the quota that one more part of a dataset would exceed, if any
--   quota_against_upload       Call quota_against_upload_v2, for the API processes of release 0.1.0
--   quota_against_upload_v2    Return the quota that an upload of one version, and of `more_scripts` scripts, would exceed
--   refuse_audit_change        Keep the audit log append-only
--   refuse_version_change      Keep script versions immutable
--   usage_shard                Choose the shard of tenant_usage that this connection counts in
--   utc_today                  Return the current day in UTC, by which max_bytes_per_day counts

CREATE FUNCTION accept_batch_v1(tenant uuid, batch uuid, upload uuid, items integer, script uuid, script_version integer, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint, ceiling_wall_ms integer, ceiling_cpu_ms integer, ceiling_memory_bytes bigint, ceiling_output_bytes bigint, labels jsonb, seed bigint, priority smallint, params bytea, traceparent text, request_id text, callback_url text, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint, seen_within_seconds double precision) RETURNS TABLE(quota text, cap bigint, used bigint, limit_bytes bigint, largest_bytes bigint)
    LANGUAGE plpgsql
    SET jit TO 'off'
    SET enable_mergejoin TO 'off'; -- migrations/sql/accept_batch_v1.sql

CREATE FUNCTION accept_batch_v2(tenant uuid, batch uuid, upload uuid, items integer, script uuid, script_version integer, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint, ceiling_wall_ms integer, ceiling_cpu_ms integer, ceiling_memory_bytes bigint, ceiling_output_bytes bigint, labels jsonb, seed bigint, priority smallint, params bytea, traceparent text, request_id text, callback_url text, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint, seen_within_seconds double precision) RETURNS TABLE(quota text, cap bigint, used bigint, limit_bytes bigint, largest_bytes bigint)
    LANGUAGE plpgsql
    SET jit TO 'off'
    SET enable_mergejoin TO 'off'; -- migrations/sql/accept_batch_v2.sql

CREATE FUNCTION accept_executions_v1(tenant uuid, ids uuid[], script_ids uuid[], script_names text[], script_versions integer[], aliases text[], walls_ms integer[], max_cpus_ms integer[], memories_bytes bigint[], max_outputs_bytes bigint[], default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint, ceiling_wall_ms integer, ceiling_cpu_ms integer, ceiling_memory_bytes bigint, ceiling_output_bytes bigint, labels jsonb[], seeds bigint[], priorities smallint[], traceparents text[], request_ids text[], input_sha256s bytea[], input_sizes bigint[], input_bodies bytea[], input_params bytea[], max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint, seen_within_seconds double precision) RETURNS TABLE(id uuid, script_id uuid, version integer)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/accept_executions_v1.sql

CREATE FUNCTION accept_executions_v2(tenant uuid, ids uuid[], script_ids uuid[], script_names text[], script_versions integer[], aliases text[], walls_ms integer[], max_cpus_ms integer[], memories_bytes bigint[], max_outputs_bytes bigint[], default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint, ceiling_wall_ms integer, ceiling_cpu_ms integer, ceiling_memory_bytes bigint, ceiling_output_bytes bigint, labels jsonb[], seeds bigint[], priorities smallint[], traceparents text[], request_ids text[], input_sha256s bytea[], input_sizes bigint[], input_bodies bytea[], input_params bytea[], keys text[], fingerprints bytea[], idempotency_hours integer, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint, seen_within_seconds double precision) RETURNS TABLE(id uuid, script_id uuid, version integer)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/accept_executions_v2.sql

CREATE FUNCTION accept_executions_v3(tenant uuid, ids uuid[], script_ids uuid[], script_names text[], script_versions integer[], aliases text[], walls_ms integer[], max_cpus_ms integer[], memories_bytes bigint[], max_outputs_bytes bigint[], default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint, ceiling_wall_ms integer, ceiling_cpu_ms integer, ceiling_memory_bytes bigint, ceiling_output_bytes bigint, labels jsonb[], seeds bigint[], priorities smallint[], traceparents text[], request_ids text[], input_sha256s bytea[], input_sizes bigint[], input_bodies bytea[], input_params bytea[], input_types text[], keys text[], fingerprints bytea[], idempotency_hours integer, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint, seen_within_seconds double precision) RETURNS TABLE(id uuid, script_id uuid, version integer)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/accept_executions_v3.sql

CREATE FUNCTION add_callback() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/add_callback.sql

CREATE FUNCTION begin_execution_v1(execution uuid, token bigint, lease_seconds double precision) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text, script text, version integer, labels jsonb, params bytea, request_id text)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/begin_execution_v1.sql

CREATE FUNCTION claim_callbacks_v1(subjects text[], room integer, reserved integer, most_of_tenant integer, most_of_host integer, lease_seconds double precision, longest_lease_seconds double precision, busy_tenants uuid[], attempts_of_tenants integer[], busy_hosts text[], attempts_of_hosts integer[]) RETURNS TABLE(id uuid, tenant_id uuid, subject text, subject_id uuid, url text, host text, tries integer, unrecorded integer, lease_token bigint)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/claim_callbacks_v1.sql

CREATE FUNCTION claim_executions(worker uuid, most integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[]) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text)
    LANGUAGE sql; -- migrations/sql/claim_executions.sql

CREATE FUNCTION claim_executions_v2(worker uuid, most integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[], room_bytes bigint, largest_bytes bigint, overhead_bytes bigint, may_wait boolean) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text, script text, version integer, labels jsonb, params bytea, request_id text, passed_over boolean)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/claim_executions_v2.sql

CREATE FUNCTION claim_executions_v3(worker uuid, most integer, ahead integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[], room_bytes bigint, largest_bytes bigint, overhead_bytes bigint, may_wait boolean, seen_within_seconds double precision) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text, script text, version integer, labels jsonb, params bytea, request_id text, held boolean, passed_over boolean)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/claim_executions_v3.sql

CREATE FUNCTION claim_executions_v4(worker uuid, most integer, ahead integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[], room_bytes bigint, largest_bytes bigint, overhead_bytes bigint, may_wait boolean, seen_within_seconds double precision, only_executions boolean) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text, script text, version integer, labels jsonb, params bytea, request_id text, held boolean, passed_over boolean, batch_id uuid, run_id uuid)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/claim_executions_v4.sql

CREATE FUNCTION claim_parts_v1(worker uuid, most integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[], max_memory_bytes bigint) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text, script text, version integer, labels jsonb, params bytea, request_id text, run_id uuid)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/claim_parts_v1.sql

CREATE FUNCTION count_access_change() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_access_change.sql

CREATE FUNCTION count_batch_items() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_batch_items.sql

CREATE FUNCTION count_bytes() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_bytes.sql

CREATE FUNCTION count_dataset_bytes() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_dataset_bytes.sql

CREATE FUNCTION count_dataset_bytes_v2() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_dataset_bytes_v2.sql

CREATE FUNCTION count_dead_letters() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_dead_letters.sql

CREATE FUNCTION count_export_errors() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_export_errors.sql

CREATE FUNCTION count_export_files() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_export_files.sql

CREATE FUNCTION count_pipe_inbox_v1() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_pipe_inbox_v1.sql

CREATE FUNCTION count_queued() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_queued.sql

CREATE FUNCTION count_run_bytes() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_run_bytes.sql

CREATE FUNCTION count_run_errors() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/count_run_errors.sql

CREATE FUNCTION delete_callback() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/delete_callback.sql

CREATE FUNCTION erase_changes() RETURNS trigger
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'; -- migrations/sql/erase_changes.sql

CREATE FUNCTION faded(seconds double precision, since timestamp with time zone, moment timestamp with time zone) RETURNS double precision
    LANGUAGE sql IMMUTABLE; -- migrations/sql/faded.sql

CREATE FUNCTION find_idempotency_key_v1(tenant uuid, wanted_key text) RETURNS TABLE(in_progress boolean, fingerprint bytea, resource text)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'; -- migrations/sql/find_idempotency_key_v1.sql

CREATE PROCEDURE finish_execution(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql; -- migrations/sql/finish_execution.sql

CREATE PROCEDURE finish_execution_v2(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, IN its_warnings bytea, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql; -- migrations/sql/finish_execution_v2.sql

CREATE PROCEDURE finish_execution_v3(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, IN its_warnings bytea, IN its_isolation text, IN begun_ms_ago double precision, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql; -- migrations/sql/finish_execution_v3.sql

CREATE PROCEDURE finish_execution_v4(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, IN its_warnings bytea, IN its_isolation text, IN begun_ms_ago double precision, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql; -- migrations/sql/finish_execution_v4.sql

CREATE PROCEDURE finish_execution_v5(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN result_type text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, IN its_warnings bytea, IN its_isolation text, IN begun_ms_ago double precision, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql; -- migrations/sql/finish_execution_v5.sql

CREATE PROCEDURE finish_execution_v6(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN result_type text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, IN its_warnings bytea, IN its_isolation text, IN begun_ms_ago double precision, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql; -- migrations/sql/finish_execution_v6.sql

CREATE PROCEDURE finish_executions_v1(IN claimed uuid[], IN tokens bigint[], IN statuses text[], IN error_kinds text[], IN errors bytea[], IN v8_versions text[], IN runs_ms double precision[], IN cpus_ms double precision[], IN peaks_bytes bigint[], IN result_sha256s bytea[], IN result_sizes bigint[], IN result_bodies bytea[], IN result_keys text[], IN logs_sha256s bytea[], IN logs_sizes bigint[], IN logs_bodies bytea[], IN logs_keys text[], IN its_warnings bytea[], IN isolations text[], IN begun_ms_ago double precision[], INOUT ids uuid[] DEFAULT NULL::uuid[], INOUT valid_tokens bigint[] DEFAULT NULL::bigint[], INOUT tenants text[] DEFAULT NULL::text[], INOUT scripts text[] DEFAULT NULL::text[], INOUT versions integer[] DEFAULT NULL::integer[], INOUT attempts smallint[] DEFAULT NULL::smallint[], INOUT created_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], INOUT started_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], INOUT finished_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], INOUT worker_ids uuid[] DEFAULT NULL::uuid[], INOUT traceparents text[] DEFAULT NULL::text[])
    LANGUAGE plpgsql; -- migrations/sql/finish_executions_v1.sql

CREATE FUNCTION hand_over_execution_v1(tenant uuid, execution uuid, memory_bytes bigint, acceptable boolean) RETURNS TABLE(worker_id uuid, lease_token bigint)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/hand_over_execution_v1.sql

CREATE FUNCTION hold_quota_of_bytes() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/hold_quota_of_bytes.sql

CREATE FUNCTION input_of_execution_v1(tenant uuid, execution uuid) RETURNS TABLE(io text, media_type text)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/input_of_execution_v1.sql

CREATE FUNCTION input_of_execution_v2(tenant uuid, execution uuid) RETURNS TABLE(io text, media_type text, input_schema_id uuid, input_schema_version integer, output_schema_id uuid, output_schema_version integer)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'; -- migrations/sql/input_of_execution_v2.sql

CREATE FUNCTION keep_queue() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/keep_queue.sql

CREATE FUNCTION keep_queue_v2() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/keep_queue_v2.sql

CREATE FUNCTION quota_against_batch_v1(tenant uuid, items bigint, input_bytes bigint, params_bytes bigint, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE sql; -- migrations/sql/quota_against_batch_v1.sql

CREATE FUNCTION quota_against_execution(tenant uuid, size_bytes bigint, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE sql; -- migrations/sql/quota_against_execution.sql

CREATE FUNCTION quota_against_execution_v2(tenant uuid, size_bytes bigint, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE plpgsql; -- migrations/sql/quota_against_execution_v2.sql

CREATE FUNCTION quota_against_part_v1(tenant uuid, more_stored_bytes bigint, more_day_bytes bigint, max_stored_bytes bigint, max_bytes_per_day bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE plpgsql; -- migrations/sql/quota_against_part_v1.sql

CREATE FUNCTION quota_against_upload(tenant uuid, more_scripts bigint, max_scripts bigint, max_versions bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE sql; -- migrations/sql/quota_against_upload.sql

CREATE FUNCTION quota_against_upload_v2(tenant uuid, more_scripts bigint, max_scripts bigint, max_versions bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE plpgsql; -- migrations/sql/quota_against_upload_v2.sql

CREATE FUNCTION refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/refuse_audit_change.sql

CREATE FUNCTION refuse_version_change() RETURNS trigger
    LANGUAGE plpgsql; -- migrations/sql/refuse_version_change.sql

CREATE FUNCTION usage_shard() RETURNS smallint
    LANGUAGE sql STABLE; -- migrations/sql/usage_shard.sql

CREATE FUNCTION utc_today() RETURNS date
    LANGUAGE sql STABLE; -- migrations/sql/utc_today.sql

CREATE TABLE access_generation (
    one boolean DEFAULT true NOT NULL,
    generation bigint NOT NULL,
    CONSTRAINT access_generation_one_check CHECK (one)
);

CREATE TABLE api_keys (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    secret_sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_admin_check CHECK (((NOT ('admin'::text = ANY (scopes))) OR (tenant_id = '00000000-0000-7000-8000-000000000001'::uuid))),
    CONSTRAINT api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['read'::text, 'scripts:write'::text, 'executions:write'::text, 'datasets:write'::text, 'schemas:write'::text, 'pipes:write'::text, 'events:write'::text, 'admin'::text]))),
    CONSTRAINT api_keys_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32))
);

COMMENT ON COLUMN api_keys.last_used_at IS 'approximate: written at intervals';

CREATE TABLE audit_log (
    id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    tenant_id uuid NOT NULL,
    via text NOT NULL,
    key_id uuid,
    address inet,
    request_id text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_log_action_check CHECK ((action ~ '^[a-z]+\.[a-z]+$'::text)),
    CONSTRAINT audit_log_check CHECK (((via = 'key'::text) = (key_id IS NOT NULL))),
    CONSTRAINT audit_log_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
    CONSTRAINT audit_log_via_check CHECK ((via = ANY (ARRAY['key'::text, 'open'::text, 'command'::text])))
);

COMMENT ON COLUMN audit_log.tenant_id IS 'the tenant of the thing that changed';

COMMENT ON COLUMN audit_log.target IS 'the id or name of the thing that changed';

CREATE UNLOGGED TABLE batch_inputs (
    upload_id uuid NOT NULL,
    line integer NOT NULL,
    tenant_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    body bytea,
    blob_key text,
    error bytea,
    script_id uuid,
    version integer,
    wall_ms integer,
    max_cpu_ms integer,
    memory_bytes bigint,
    max_output_bytes bigint,
    seed bigint,
    clock_ms bigint,
    labels jsonb,
    priority smallint,
    params bytea,
    replay_of uuid,
    staged_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    media_type text,
    CONSTRAINT batch_inputs_media_type_check CHECK (((octet_length(media_type) >= 3) AND (octet_length(media_type) <= 255)))
);
ALTER TABLE ONLY batch_inputs ALTER COLUMN body SET STORAGE EXTERNAL;

COMMENT ON COLUMN batch_inputs.media_type IS 'NULL: not of bytes';

CREATE TABLE batches (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    script_id uuid,
    version integer,
    items integer NOT NULL,
    succeeded integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    cancelled integer DEFAULT 0 NOT NULL,
    input_bytes bigint NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    request_id text,
    created_at timestamp with time zone NOT NULL,
    first_ended_at timestamp with time zone,
    last_ended_at timestamp with time zone,
    cancelled_at timestamp with time zone,
    finished_at timestamp with time zone,
    callback_url text,
    CONSTRAINT batches_callback_url_check CHECK ((octet_length(callback_url) <= 2048)),
    CONSTRAINT batches_check CHECK (((succeeded >= 0) AND (failed >= 0) AND (cancelled >= 0))),
    CONSTRAINT batches_check1 CHECK (((((succeeded + failed) + cancelled) = items) = (finished_at IS NOT NULL))),
    CONSTRAINT batches_items_check CHECK ((items > 0))
)
WITH (fillfactor='50');

COMMENT ON COLUMN batches.version IS 'NULL: the items run versions of their own';

COMMENT ON COLUMN batches.succeeded IS 'counted by a trigger on executions';

COMMENT ON COLUMN batches.first_ended_at IS 'when the first item ended, for the estimate';

COMMENT ON COLUMN batches.callback_url IS 'receives a callback when the batch ends';

CREATE TABLE callback_attempts (
    callback_id uuid NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    status_code smallint,
    CONSTRAINT callback_attempts_number_check CHECK ((number > 0))
);

COMMENT ON COLUMN callback_attempts.status_code IS 'NULL: no answer';

CREATE TABLE callback_secrets (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    secret bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT callback_secrets_secret_check CHECK ((octet_length(secret) = 32))
);

COMMENT ON COLUMN callback_secrets.expires_at IS 'NULL: the newest; a replaced one signs until then';

CREATE TABLE callbacks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant_id uuid NOT NULL,
    subject text NOT NULL,
    subject_id uuid NOT NULL,
    url text NOT NULL,
    host text GENERATED ALWAYS AS ("substring"(url, '^[a-z]+://([^/?]+)'::text)) STORED NOT NULL,
    status text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    unrecorded integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone,
    lease_token bigint,
    CONSTRAINT callbacks_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT callbacks_check CHECK (((status = 'pending'::text) = (next_attempt_at IS NOT NULL))),
    CONSTRAINT callbacks_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text, 'disabled'::text]))),
    CONSTRAINT callbacks_subject_check CHECK ((subject = ANY (ARRAY['execution'::text, 'batch'::text, 'run'::text, 'export'::text]))),
    CONSTRAINT callbacks_tries_check CHECK ((tries >= 0)),
    CONSTRAINT callbacks_unrecorded_check CHECK ((unrecorded >= 0))
);

COMMENT ON COLUMN callbacks.subject IS 'what ended: a row of executions or batches; deleted with it by a trigger';

COMMENT ON COLUMN callbacks.attempts IS 'attempts begun';

COMMENT ON COLUMN callbacks.tries IS 'attempts recorded since it was added or resent: the place in the schedule';

COMMENT ON COLUMN callbacks.unrecorded IS 'claims since the last record; more than one: processes died';

COMMENT ON COLUMN callbacks.next_attempt_at IS 'while an attempt is under way, when it is given up for lost';

COMMENT ON COLUMN callbacks.lease_token IS 'fences reports of an attempt';

CREATE TABLE comparison_items (
    comparison_id uuid NOT NULL,
    "position" integer NOT NULL,
    tenant_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    from_execution_id uuid NOT NULL,
    to_execution_id uuid NOT NULL,
    outcome text,
    changes bytea,
    CONSTRAINT comparison_items_check CHECK (((changes IS NULL) OR (outcome = 'differing'::text))),
    CONSTRAINT comparison_items_outcome_check CHECK ((outcome = ANY (ARRAY['same'::text, 'differing'::text, 'newly_failed'::text, 'newly_fixed'::text, 'undecided'::text]))),
    CONSTRAINT comparison_items_position_check CHECK (("position" > 0))
);

COMMENT ON COLUMN comparison_items.changes IS 'where two results differ, as MessagePack; erased with the data of either execution';

CREATE TABLE comparisons (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    script_id uuid NOT NULL,
    from_version integer NOT NULL,
    to_version integer NOT NULL,
    priority smallint NOT NULL,
    batch_id uuid NOT NULL,
    inputs integer NOT NULL,
    erased integer NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    lease_expires_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    same integer DEFAULT 0 NOT NULL,
    differing integer DEFAULT 0 NOT NULL,
    newly_failed integer DEFAULT 0 NOT NULL,
    newly_fixed integer DEFAULT 0 NOT NULL,
    undecided integer DEFAULT 0 NOT NULL,
    from_cpu_ms double precision,
    to_cpu_ms double precision,
    clean boolean GENERATED ALWAYS AS (((state = 'finished'::text) AND (same > 0) AND ((((differing + newly_failed) + newly_fixed) + undecided) = 0))) STORED NOT NULL,
    CONSTRAINT comparisons_check CHECK (((state = 'finished'::text) = (finished_at IS NOT NULL))),
    CONSTRAINT comparisons_check1 CHECK (((state = 'running'::text) OR (((((same + differing) + newly_failed) + newly_fixed) + undecided) = inputs))),
    CONSTRAINT comparisons_erased_check CHECK ((erased >= 0)),
    CONSTRAINT comparisons_inputs_check CHECK ((inputs > 0)),
    CONSTRAINT comparisons_state_check CHECK ((state = ANY (ARRAY['running'::text, 'finished'::text])))
);

COMMENT ON COLUMN comparisons.lease_expires_at IS 'until when a worker compares the results; only then another one may';

COMMENT ON COLUMN comparisons.clean IS 'something was compared, and everything is the same';

CREATE TABLE dataset_files (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    upload_id uuid NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    added_in integer,
    removed_in integer,
    "position" integer,
    digest bytea,
    parts integer,
    raw_bytes bigint,
    stored_bytes bigint,
    lines bigint,
    records bigint,
    missing_keys bigint,
    duplicates bigint,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dataset_files_check CHECK ((removed_in > added_in)),
    CONSTRAINT dataset_files_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT dataset_files_path_check CHECK (((octet_length(path) >= 1) AND (octet_length(path) <= 1024))),
    CONSTRAINT dataset_files_published_check CHECK ((num_nulls(added_in, "position", digest, parts, raw_bytes, stored_bytes, lines, records, missing_keys, duplicates) = ANY (ARRAY[0, 10])))
);

COMMENT ON COLUMN dataset_files.added_in IS 'the first snapshot with the file; NULL until published';

COMMENT ON COLUMN dataset_files.removed_in IS 'the first later snapshot without the file; NULL: none';

COMMENT ON COLUMN dataset_files.digest IS 'SHA-256 of the SHA-256 digests of the parts, in their order';

CREATE TABLE dataset_parts (
    file_id uuid NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    dataset_id uuid,
    sequence bigint,
    first_byte bigint,
    first_line bigint,
    sha256 bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    index_bytes bigint NOT NULL,
    lines bigint NOT NULL,
    records bigint NOT NULL,
    missing_keys bigint NOT NULL,
    duplicates bigint NOT NULL,
    ends_line boolean NOT NULL,
    blob_key text NOT NULL,
    index_key text,
    CONSTRAINT dataset_parts_duplicates_check CHECK ((duplicates >= 0)),
    CONSTRAINT dataset_parts_index_bytes_check CHECK ((index_bytes >= 0)),
    CONSTRAINT dataset_parts_lines_check CHECK ((lines >= 0)),
    CONSTRAINT dataset_parts_missing_keys_check CHECK ((missing_keys >= 0)),
    CONSTRAINT dataset_parts_number_check CHECK ((number > 0)),
    CONSTRAINT dataset_parts_published_check CHECK ((num_nulls(dataset_id, sequence, first_byte, first_line) = ANY (ARRAY[0, 4]))),
    CONSTRAINT dataset_parts_raw_bytes_check CHECK ((raw_bytes >= 0)),
    CONSTRAINT dataset_parts_records_check CHECK ((records >= 0)),
    CONSTRAINT dataset_parts_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT dataset_parts_stored_bytes_check CHECK ((stored_bytes >= 0))
);

COMMENT ON COLUMN dataset_parts.dataset_id IS 'the dataset of the file; NULL until published';

COMMENT ON COLUMN dataset_parts.sequence IS 'order of the parts of a dataset; of two records, the later wins';

COMMENT ON COLUMN dataset_parts.sha256 IS 'digest of the raw bytes';

COMMENT ON COLUMN dataset_parts.index_key IS 'the blob of the part''s own index, until it is merged';

CREATE TABLE dataset_segments (
    blob_key text NOT NULL,
    tenant_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    entries bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dataset_segments_entries_check CHECK ((entries >= 0)),
    CONSTRAINT dataset_segments_range_check CHECK ((first_sequence <= last_sequence)),
    CONSTRAINT dataset_segments_stored_bytes_check CHECK ((stored_bytes >= 0))
);

CREATE TABLE dataset_snapshots (
    dataset_id uuid NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    mode text NOT NULL,
    files integer NOT NULL,
    raw_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    lines bigint NOT NULL,
    records bigint NOT NULL,
    missing_keys bigint NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dataset_snapshots_files_check CHECK ((files >= 0)),
    CONSTRAINT dataset_snapshots_lines_check CHECK ((lines >= 0)),
    CONSTRAINT dataset_snapshots_missing_keys_check CHECK ((missing_keys >= 0)),
    CONSTRAINT dataset_snapshots_mode_check CHECK ((mode = ANY (ARRAY['append'::text, 'replace'::text]))),
    CONSTRAINT dataset_snapshots_number_check CHECK ((number > 0)),
    CONSTRAINT dataset_snapshots_raw_bytes_check CHECK ((raw_bytes >= 0)),
    CONSTRAINT dataset_snapshots_records_check CHECK ((records >= 0)),
    CONSTRAINT dataset_snapshots_stored_bytes_check CHECK ((stored_bytes >= 0))
);

CREATE TABLE dataset_uploads (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    mode text NOT NULL,
    snapshot integer,
    files integer DEFAULT 0 NOT NULL,
    path_bytes integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT dataset_uploads_files_check CHECK ((files >= 0)),
    CONSTRAINT dataset_uploads_mode_check CHECK ((mode = ANY (ARRAY['append'::text, 'replace'::text]))),
    CONSTRAINT dataset_uploads_path_bytes_check CHECK ((path_bytes >= 0))
);

COMMENT ON COLUMN dataset_uploads.snapshot IS 'the snapshot that the commit published; NULL while open';

COMMENT ON COLUMN dataset_uploads.files IS 'files that it has received, which one commit must be able to name';

CREATE TABLE datasets (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    format text NOT NULL,
    key text,
    hash_seed bigint NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    keep_snapshots integer,
    keep_days integer,
    last_snapshot integer DEFAULT 0 NOT NULL,
    next_sequence bigint DEFAULT 0 NOT NULL,
    revision bigint DEFAULT 0 NOT NULL,
    unmerged integer DEFAULT 0 NOT NULL,
    merging_until timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    record_schema_id uuid,
    record_schema_version integer,
    CONSTRAINT datasets_check CHECK (((key IS NULL) OR (format = 'jsonl'::text))),
    CONSTRAINT datasets_format_check CHECK ((format = ANY (ARRAY['jsonl'::text, 'text'::text, 'csv'::text, 'bytes'::text]))),
    CONSTRAINT datasets_hash_seed_check CHECK ((hash_seed >= 0)),
    CONSTRAINT datasets_keep_days_check CHECK ((keep_days > 0)),
    CONSTRAINT datasets_keep_snapshots_check CHECK ((keep_snapshots > 0)),
    CONSTRAINT datasets_last_snapshot_check CHECK ((last_snapshot >= 0)),
    CONSTRAINT datasets_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
    CONSTRAINT datasets_next_sequence_check CHECK ((next_sequence <= '4294967296'::bigint)),
    CONSTRAINT datasets_record_schema_check CHECK ((num_nulls(record_schema_id, record_schema_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT datasets_unmerged_check CHECK ((unmerged >= 0))
);

COMMENT ON COLUMN datasets.key IS 'JSON pointer to the member of a record that is its key';

COMMENT ON COLUMN datasets.hash_seed IS 'secret seed of the hashes of keys; indexes are unreadable without it';

COMMENT ON COLUMN datasets.revision IS 'changes with every commit, merge and deletion; caches compare it';

COMMENT ON COLUMN datasets.unmerged IS 'published parts whose index is still an object of its own';

COMMENT ON COLUMN datasets.merging_until IS 'until when a worker has claimed the merging of indexes';

COMMENT ON COLUMN datasets.record_schema_id IS 'each record must satisfy it; NULL: unchecked';

CREATE TABLE dead_letter_counts (
    tenant_id uuid NOT NULL,
    pipe_id uuid NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    shard smallint NOT NULL,
    dead bigint NOT NULL,
    moved bigint NOT NULL,
    dropped bigint NOT NULL,
    erased bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE dead_letters (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    pipe_id uuid NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    sha256 bytea NOT NULL,
    state text DEFAULT 'dead'::text NOT NULL,
    kind text NOT NULL,
    error bytea NOT NULL,
    pointers bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    event bytea,
    size_bytes integer NOT NULL,
    has_line_feed boolean NOT NULL,
    schema_id uuid,
    schema_version integer,
    script_id uuid,
    script_version integer,
    last_kind text,
    last_error bytea,
    last_pointers bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    last_schema_id uuid,
    last_schema_version integer,
    last_script_id uuid,
    last_script_version integer,
    attempts integer DEFAULT 1 NOT NULL,
    redrive_id uuid,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    failed_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    moved_at timestamp with time zone,
    dropped_at timestamp with time zone,
    erased_at timestamp with time zone,
    retried_at timestamp with time zone,
    CONSTRAINT dead_letters_attempts_check CHECK ((attempts > 0)),
    CONSTRAINT dead_letters_dropped_check CHECK (((state <> 'dropped'::text) OR (dropped_at IS NOT NULL))),
    CONSTRAINT dead_letters_erased_check CHECK (((state = 'erased'::text) = (erased_at IS NOT NULL))),
    CONSTRAINT dead_letters_event_check CHECK (((event IS NULL) = (state = 'erased'::text))),
    CONSTRAINT dead_letters_event_id_check CHECK (((octet_length(event_id) >= 1) AND (octet_length(event_id) <= 200))),
    CONSTRAINT dead_letters_last_check CHECK (((num_nulls(last_kind, last_error) = ANY (ARRAY[0, 2])) AND (num_nulls(last_schema_id, last_schema_version) = ANY (ARRAY[0, 2])) AND (num_nulls(last_script_id, last_script_version) = ANY (ARRAY[0, 2])))),
    CONSTRAINT dead_letters_moved_check CHECK (((state <> 'moved'::text) OR (moved_at IS NOT NULL))),
    CONSTRAINT dead_letters_schema_check CHECK ((num_nulls(schema_id, schema_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT dead_letters_script_check CHECK ((num_nulls(script_id, script_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT dead_letters_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT dead_letters_size_bytes_check CHECK (((size_bytes >= 0) AND (size_bytes <= 1048576))),
    CONSTRAINT dead_letters_state_check CHECK ((state = ANY (ARRAY['dead'::text, 'moved'::text, 'dropped'::text, 'erased'::text])))
);

COMMENT ON COLUMN dead_letters.pipe_id IS 'a pipe, which may have been deleted since';

COMMENT ON COLUMN dead_letters.event_id IS 'the event''s stable id, as the sink would get it';

COMMENT ON COLUMN dead_letters.sha256 IS 'of the event; it stays after the bytes are erased';

COMMENT ON COLUMN dead_letters.error IS 'the error document of the pipe, as ASCII JSON';

COMMENT ON COLUMN dead_letters.pointers IS 'hashes of the pointers in error';

COMMENT ON COLUMN dead_letters.event IS 'the event as it arrived, byte for byte; NULL: erased';

COMMENT ON COLUMN dead_letters.size_bytes IS 'of the event; it stays after the bytes are erased';

COMMENT ON COLUMN dead_letters.last_error IS 'that of the last re-drive which has failed; NULL: none has';

COMMENT ON COLUMN dead_letters.last_pointers IS 'hashes of those in last_error';

COMMENT ON COLUMN dead_letters.redrive_id IS 'the re-drive that tries it, or has tried it last';

COMMENT ON COLUMN dead_letters.dropped_at IS 'when a script has returned null for it in a re-drive';

COMMENT ON COLUMN dead_letters.retried_at IS 'when its re-drive has tried it; NULL: it has not';

CREATE TABLE disabled_callback_urls (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    url text NOT NULL,
    disabled_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE executions (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    script_id uuid NOT NULL,
    version integer NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    wall_ms integer NOT NULL,
    memory_bytes bigint NOT NULL,
    max_output_bytes bigint NOT NULL,
    seed bigint NOT NULL,
    clock_ms bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    attempts smallint DEFAULT 0 NOT NULL,
    worker_id uuid,
    lease_token bigint,
    lease_expires_at timestamp with time zone,
    error_kind text,
    error bytea,
    v8_version text,
    run_ms double precision,
    cpu_ms double precision,
    peak_memory_bytes bigint,
    max_cpu_ms integer NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    traceparent text,
    warnings bytea,
    request_id text,
    isolation text,
    held boolean DEFAULT false NOT NULL,
    callback_url text,
    batch_id uuid,
    batch_line integer,
    run_id uuid,
    CONSTRAINT executions_callback_url_check CHECK ((octet_length(callback_url) <= 2048)),
    CONSTRAINT executions_check CHECK (((status = 'failed'::text) = (error_kind IS NOT NULL))),
    CONSTRAINT executions_check1 CHECK (((error_kind IS NULL) = (error IS NULL))),
    CONSTRAINT executions_check2 CHECK (((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT executions_check3 CHECK (((status = 'running'::text) = (lease_expires_at IS NOT NULL))),
    CONSTRAINT executions_check4 CHECK (((status <> 'running'::text) OR ((started_at IS NOT NULL) AND (lease_token IS NOT NULL)))),
    CONSTRAINT executions_error_kind_check CHECK ((error_kind = ANY (ARRAY['script_error'::text, 'timeout'::text, 'out_of_memory'::text, 'invalid_input'::text, 'invalid_result'::text, 'output_too_large'::text, 'unsettled_promise'::text, 'sandbox_crash'::text, 'worker_lost'::text, 'input_schema_mismatch'::text, 'output_schema_mismatch'::text]))),
    CONSTRAINT executions_isolation_check CHECK ((isolation = ANY (ARRAY['context'::text, 'isolate'::text, 'process'::text]))),
    CONSTRAINT executions_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT executions_max_cpu_ms_check CHECK ((max_cpu_ms > 0)),
    CONSTRAINT executions_max_output_bytes_check CHECK ((max_output_bytes > 0)),
    CONSTRAINT executions_memory_bytes_check CHECK ((memory_bytes > 0)),
    CONSTRAINT executions_priority_check CHECK (((priority >= '-10'::integer) AND (priority <= 10))),
    CONSTRAINT executions_request_id_check CHECK (((length(request_id) >= 1) AND (length(request_id) <= 128))),
    CONSTRAINT executions_seed_check CHECK (((seed >= 0) AND (seed < '9007199254740992'::bigint))),
    CONSTRAINT executions_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT executions_traceparent_check CHECK ((octet_length(traceparent) = 55)),
    CONSTRAINT executions_wall_ms_check CHECK ((wall_ms > 0)),
    CONSTRAINT executions_warnings_check CHECK ((octet_length(warnings) <= 262144))
)
WITH (fillfactor='90');

COMMENT ON COLUMN executions.seed IS 'seed of the script''s random numbers';

COMMENT ON COLUMN executions.clock_ms IS 'what the script''s clock shows, in ms since 1970';

COMMENT ON COLUMN executions.lease_token IS 'fences reports of a claim; negative: cancelled while it ran';

COMMENT ON COLUMN executions.error IS 'ASCII JSON: text of scripts may hold what PostgreSQL''s text refuses';

COMMENT ON COLUMN executions.run_ms IS 'wall time of the last run';

COMMENT ON COLUMN executions.traceparent IS 'W3C Trace Context of the acceptance';

COMMENT ON COLUMN executions.warnings IS 'what the result lost on its way to JSON; ASCII JSON';

COMMENT ON COLUMN executions.held IS 'claimed ahead, and not reported as begun: a rescue counts no attempt';

COMMENT ON COLUMN executions.callback_url IS 'receives a callback when the execution ends';

COMMENT ON COLUMN executions.batch_line IS 'line of the upload that is its input, from 1';

COMMENT ON COLUMN executions.run_id IS 'the run that it is a part of';

CREATE TABLE export_emptied_partitions (
    export_id uuid NOT NULL,
    folder text NOT NULL COLLATE pg_catalog."C",
    tenant_id uuid NOT NULL,
    partition bytea NOT NULL
);

CREATE TABLE export_errors (
    export_id uuid NOT NULL,
    lease_token bigint NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    path text NOT NULL,
    line bigint NOT NULL,
    error bytea NOT NULL,
    record bytea NOT NULL,
    CONSTRAINT export_errors_line_check CHECK ((line > 0)),
    CONSTRAINT export_errors_number_check CHECK ((number > 0))
);

COMMENT ON COLUMN export_errors.line IS 'with a script, the number of a record that it has returned for the file';

CREATE TABLE export_files (
    export_id uuid NOT NULL,
    lease_token bigint NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    stage text NOT NULL,
    bucket integer,
    partition bytea NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    blob_key text,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    published boolean DEFAULT false NOT NULL,
    CONSTRAINT export_files_number_check CHECK ((number > 0)),
    CONSTRAINT export_files_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT export_files_stage_check CHECK ((stage = ANY (ARRAY['whole'::text, 'map'::text, 'bucket'::text, 'write'::text, 'base'::text])))
);

COMMENT ON COLUMN export_files.stage IS 'what has written it; base: a file of the continued export that stays';

COMMENT ON COLUMN export_files.partition IS 'values of the partition as a JSON array of texts and nulls';

COMMENT ON COLUMN export_files.name IS 'the path below the destination, with Hive''s folders';

COMMENT ON COLUMN export_files.blob_key IS 'where its bytes are here; NULL: only at the destination';

CREATE TABLE export_tasks (
    export_id uuid NOT NULL,
    stage text NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    input bytea DEFAULT '\x7b7d'::bytea NOT NULL,
    raw_bytes bigint DEFAULT 0 NOT NULL,
    raw_bytes_done bigint DEFAULT 0 NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    due_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    worker_id uuid,
    lease_token bigint,
    lease_expires_at timestamp with time zone,
    trouble text,
    trouble_since timestamp with time zone,
    done_token bigint,
    found bytea,
    finished_at timestamp with time zone,
    CONSTRAINT export_tasks_check CHECK ((num_nulls(worker_id, lease_token, lease_expires_at) = ANY (ARRAY[0, 3]))),
    CONSTRAINT export_tasks_check1 CHECK (((trouble IS NULL) = (trouble_since IS NULL))),
    CONSTRAINT export_tasks_check2 CHECK (((done_token IS NULL) = (finished_at IS NULL))),
    CONSTRAINT export_tasks_number_check CHECK ((number > 0)),
    CONSTRAINT export_tasks_stage_check CHECK ((stage = ANY (ARRAY['script'::text, 'whole'::text, 'map'::text, 'bucket'::text, 'write'::text, 'publish'::text])))
)
WITH (fillfactor='50');

COMMENT ON COLUMN export_tasks.input IS 'what it reads, as JSON: parts of the dataset, a bucket or partitions';

COMMENT ON COLUMN export_tasks.trouble IS 'why the last attempt was given up; NULL: it got further since';

COMMENT ON COLUMN export_tasks.done_token IS 'the attempt that counts; NULL until its outcome is recorded';

COMMENT ON COLUMN export_tasks.found IS 'as JSON: columns of a map task, rows by partition of a bucket';

CREATE TABLE export_turns (
    tenant_id uuid NOT NULL,
    began_at timestamp with time zone NOT NULL
);

CREATE TABLE exports (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    dataset text NOT NULL,
    snapshot integer NOT NULL,
    since integer,
    base_id uuid,
    request bytea NOT NULL,
    plan bytea NOT NULL,
    plan_sha256 bytea NOT NULL,
    destination text,
    script_id uuid,
    script_version integer,
    run_id uuid,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    callback_url text,
    request_id text,
    traceparent text,
    input_sha256 bytea NOT NULL,
    output_sha256 bytea,
    engine text,
    status text DEFAULT 'queued'::text NOT NULL,
    stage text NOT NULL,
    tasks integer DEFAULT 0 NOT NULL,
    tasks_done integer DEFAULT 0 NOT NULL,
    raw_bytes bigint NOT NULL,
    raw_bytes_done bigint DEFAULT 0 NOT NULL,
    rows_in bigint DEFAULT 0 NOT NULL,
    duplicates bigint DEFAULT 0 NOT NULL,
    rows_failed bigint DEFAULT 0 NOT NULL,
    rows_dropped bigint DEFAULT 0 NOT NULL,
    script_rows_failed bigint DEFAULT 0 NOT NULL,
    rows_out bigint,
    files integer,
    bytes bigint,
    partitions integer,
    columns bytea,
    nulls bigint[],
    level_nulls bigint[],
    cpu_ms double precision DEFAULT 0 NOT NULL,
    peak_memory_bytes bigint,
    duckdb_versions text[] DEFAULT '{}'::text[] NOT NULL,
    error bytea,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    publishing_at timestamp with time zone,
    finished_at timestamp with time zone,
    files_deleted_at timestamp with time zone,
    errors_deleted_at timestamp with time zone,
    CONSTRAINT exports_callback_url_check CHECK ((octet_length(callback_url) <= 2048)),
    CONSTRAINT exports_check CHECK (((status = 'failed'::text) = (error IS NOT NULL))),
    CONSTRAINT exports_check1 CHECK (((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT exports_check2 CHECK (((since IS NULL) = (base_id IS NULL))),
    CONSTRAINT exports_check3 CHECK ((num_nulls(script_id, script_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT exports_input_sha256_check CHECK ((octet_length(input_sha256) = 32)),
    CONSTRAINT exports_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT exports_output_sha256_check CHECK ((octet_length(output_sha256) = 32)),
    CONSTRAINT exports_plan_sha256_check CHECK ((octet_length(plan_sha256) = 32)),
    CONSTRAINT exports_request_id_check CHECK (((length(request_id) >= 1) AND (length(request_id) <= 128))),
    CONSTRAINT exports_since_check CHECK ((since > 0)),
    CONSTRAINT exports_stage_check CHECK ((stage = ANY (ARRAY['script'::text, 'whole'::text, 'map'::text, 'bucket'::text, 'write'::text, 'publish'::text]))),
    CONSTRAINT exports_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT exports_tasks_check CHECK ((tasks >= 0)),
    CONSTRAINT exports_tasks_done_check CHECK ((tasks_done >= 0)),
    CONSTRAINT exports_traceparent_check CHECK ((octet_length(traceparent) = 55))
)
WITH (fillfactor='50');

COMMENT ON COLUMN exports.base_id IS 'the export that it continues, of the snapshot `since`';

COMMENT ON COLUMN exports.request IS 'what was asked for, as ASCII JSON';

COMMENT ON COLUMN exports.plan IS 'what is done to rows, as JSON of app/exports/plan/model.py';

COMMENT ON COLUMN exports.plan_sha256 IS 'of the plan and the destination: only equal ones can be continued';

COMMENT ON COLUMN exports.run_id IS 'the run whose output is exported, where a script stands before';

COMMENT ON COLUMN exports.rows_dropped IS 'records for which the script has returned nothing';

COMMENT ON COLUMN exports.script_rows_failed IS 'of rows_failed, those that the script has failed at';

COMMENT ON COLUMN exports.columns IS 'the columns of the records with their types, as JSON';

COMMENT ON COLUMN exports.nulls IS 'rows without a value in its files, by the columns that the files have';

COMMENT ON COLUMN exports.level_nulls IS 'published rows in the default partition, by the levels of the folders';

COMMENT ON COLUMN exports.duckdb_versions IS 'of its tasks: more than one only if workers differ';

COMMENT ON COLUMN exports.error IS 'ASCII JSON, as of executions';

COMMENT ON COLUMN exports.publishing_at IS 'since when a destination is changed: no longer to be cancelled';

COMMENT ON COLUMN exports.files_deleted_at IS 'when files of it were deleted, here or at its destination';

CREATE TABLE idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    resource text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_check CHECK ((length(fingerprint) = 32)),
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT idempotency_keys_resource_check CHECK ((resource <> ''::text))
);

CREATE TABLE installation (
    one boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT installation_one_check CHECK (one)
);

CREATE SEQUENCE lease_tokens
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE payloads (
    execution_id uuid NOT NULL,
    kind text NOT NULL,
    tenant_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    body bytea,
    blob_key text,
    erased_at timestamp with time zone,
    media_type text,
    CONSTRAINT payloads_kept_or_erased_check CHECK ((num_nonnulls(body, blob_key, erased_at) = 1)),
    CONSTRAINT payloads_kind_check CHECK ((kind = ANY (ARRAY['input'::text, 'params'::text, 'result'::text, 'logs'::text]))),
    CONSTRAINT payloads_media_type_check CHECK (((octet_length(media_type) >= 3) AND (octet_length(media_type) <= 255))),
    CONSTRAINT payloads_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT payloads_size_bytes_check CHECK ((size_bytes >= 0))
);
ALTER TABLE ONLY payloads ALTER COLUMN body SET STORAGE EXTERNAL;

COMMENT ON COLUMN payloads.blob_key IS 'where the bytes are in the blob store, if not in body';

COMMENT ON COLUMN payloads.erased_at IS 'when the bytes were erased; hash and size stay for the receipt';

COMMENT ON COLUMN payloads.media_type IS 'NULL: not of bytes';

CREATE TABLE pipe_activity (
    pipe_id uuid NOT NULL,
    slot timestamp with time zone NOT NULL,
    tenant_id uuid NOT NULL,
    events_in bigint NOT NULL,
    forwarded bigint NOT NULL,
    refused bigint NOT NULL
);

CREATE TABLE pipe_inbox (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    pipe_id uuid NOT NULL,
    events integer NOT NULL,
    events_done integer DEFAULT 0 NOT NULL,
    event_id text,
    body bytea NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipe_inbox_check CHECK (((events_done >= 0) AND (events_done < events))),
    CONSTRAINT pipe_inbox_event_id_check CHECK (((octet_length(event_id) >= 1) AND (octet_length(event_id) <= 200))),
    CONSTRAINT pipe_inbox_events_check CHECK ((events > 0)),
    CONSTRAINT pipe_inbox_single_check CHECK (((event_id IS NULL) OR (events = 1)))
);

COMMENT ON COLUMN pipe_inbox.events_done IS 'events at the beginning of the body that need no more work';

COMMENT ON COLUMN pipe_inbox.event_id IS 'the client''s own id of a single event';

COMMENT ON COLUMN pipe_inbox.body IS 'the events as they arrived: one, or several, one a line';

CREATE TABLE pipe_inbox_counts (
    tenant_id uuid NOT NULL,
    pipe_id uuid NOT NULL,
    shard smallint NOT NULL,
    events bigint NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE pipe_inbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME pipe_inbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE pipes (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    definition jsonb NOT NULL,
    source_revision integer DEFAULT 1 NOT NULL,
    "position" jsonb,
    paused_at timestamp with time zone,
    events_in bigint DEFAULT 0 NOT NULL,
    events_forwarded bigint DEFAULT 0 NOT NULL,
    events_refused bigint DEFAULT 0 NOT NULL,
    last_event_at timestamp with time zone,
    lag_events bigint,
    oldest_at timestamp with time zone,
    trouble text,
    trouble_since timestamp with time zone,
    worker_id uuid,
    lease_token bigint,
    lease_expires_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipes_events_forwarded_check CHECK ((events_forwarded >= 0)),
    CONSTRAINT pipes_events_in_check CHECK ((events_in >= 0)),
    CONSTRAINT pipes_events_refused_check CHECK ((events_refused >= 0)),
    CONSTRAINT pipes_lag_events_check CHECK ((lag_events >= 0)),
    CONSTRAINT pipes_lease_check CHECK (((worker_id IS NULL) = (lease_token IS NULL))),
    CONSTRAINT pipes_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
    CONSTRAINT pipes_revision_check CHECK ((revision > 0)),
    CONSTRAINT pipes_source_revision_check CHECK ((source_revision > 0)),
    CONSTRAINT pipes_trouble_check CHECK (((trouble IS NULL) = (trouble_since IS NULL)))
);

COMMENT ON COLUMN pipes.definition IS 'source, schema, script and sink, as they were last put';

COMMENT ON COLUMN pipes.source_revision IS 'the revision that changed the source last: a position is of it';

COMMENT ON COLUMN pipes."position" IS 'how far a source without acknowledgements has been read';

COMMENT ON COLUMN pipes.lag_events IS 'events that the source had at the last look; NULL: it cannot say';

COMMENT ON COLUMN pipes.oldest_at IS 'since when the oldest of them waits; NULL: none, or it cannot say';

COMMENT ON COLUMN pipes.trouble IS 'why the pipe stands still; NULL: it does not';

COMMENT ON COLUMN pipes.lease_expires_at IS 'until when a worker holds the pipe, or since when it waits for one';

CREATE TABLE queue (
    tenant_id uuid NOT NULL,
    priority smallint NOT NULL,
    execution_id uuid NOT NULL,
    memory_bytes bigint DEFAULT 0 NOT NULL,
    queued_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    is_part boolean DEFAULT false NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');

COMMENT ON COLUMN queue.memory_bytes IS 'the execution''s limit';

COMMENT ON COLUMN queue.is_part IS 'it is a part of a run, which gives way to executions';

CREATE TABLE redrive_executions (
    execution_id uuid NOT NULL,
    redrive_id uuid NOT NULL,
    tenant_id uuid NOT NULL
);

CREATE TABLE redrives (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    kind text NOT NULL,
    filter bytea NOT NULL,
    pipe_id uuid,
    run_id uuid,
    batch_id uuid,
    script_id uuid,
    script_version integer,
    per_second integer,
    status text DEFAULT 'queued'::text NOT NULL,
    matched bigint NOT NULL,
    moved bigint DEFAULT 0 NOT NULL,
    dropped bigint DEFAULT 0 NOT NULL,
    failed_again bigint DEFAULT 0 NOT NULL,
    left_out bigint DEFAULT 0 NOT NULL,
    failures bytea DEFAULT '\x5b5d'::bytea NOT NULL,
    output_dataset text,
    output_snapshot integer,
    trouble text,
    due_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    worker_id uuid,
    lease_token bigint,
    lease_expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT redrives_counts_check CHECK (((((moved + dropped) + failed_again) + left_out) <= matched)),
    CONSTRAINT redrives_dropped_check CHECK ((dropped >= 0)),
    CONSTRAINT redrives_failed_again_check CHECK ((failed_again >= 0)),
    CONSTRAINT redrives_finished_check CHECK (((status = ANY (ARRAY['finished'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT redrives_kind_check CHECK ((kind = ANY (ARRAY['pipe'::text, 'run'::text, 'execution'::text]))),
    CONSTRAINT redrives_lease_check CHECK ((num_nulls(worker_id, lease_token, lease_expires_at) = ANY (ARRAY[0, 3]))),
    CONSTRAINT redrives_left_out_check CHECK ((left_out >= 0)),
    CONSTRAINT redrives_matched_check CHECK ((matched >= 0)),
    CONSTRAINT redrives_moved_check CHECK ((moved >= 0)),
    CONSTRAINT redrives_per_second_check CHECK ((per_second > 0)),
    CONSTRAINT redrives_script_check CHECK ((num_nulls(script_id, script_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT redrives_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'finished'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT redrives_subject_check CHECK ((
CASE kind
    WHEN 'pipe'::text THEN pipe_id
    WHEN 'run'::text THEN run_id
    ELSE batch_id
END IS NOT NULL))
);

COMMENT ON COLUMN redrives.filter IS 'what it matched, as JSON; bytes, as jsonb refuses some text';

COMMENT ON COLUMN redrives.matched IS 'what it has marked as its own as it was created';

COMMENT ON COLUMN redrives.dropped IS 'dead letters for which a script has returned null';

COMMENT ON COLUMN redrives.left_out IS 'what could not be tried: erased since, or cut as it was kept';

COMMENT ON COLUMN redrives.failures IS 'the first failures, as ASCII JSON';

COMMENT ON COLUMN redrives.trouble IS 'why it waits, or why it has failed; NULL: neither';

COMMENT ON COLUMN redrives.due_at IS 'when its next batch may be tried';

COMMENT ON COLUMN redrives.lease_token IS 'kept by a cancelled one until its last batch is recorded';

CREATE TABLE replays (
    execution_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    replay_of uuid NOT NULL,
    status text NOT NULL,
    output_sha256 bytea,
    error bytea,
    CONSTRAINT replays_output_sha256_check CHECK ((length(output_sha256) = 32))
);

CREATE UNLOGGED TABLE request_counts (
    tenant_id uuid NOT NULL,
    process_id uuid NOT NULL,
    requests bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE retention_duties (
    duty text NOT NULL,
    due_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    id uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    CONSTRAINT retention_duties_duty_check CHECK ((duty = ANY (ARRAY['payloads'::text, 'blobs'::text])))
);

COMMENT ON COLUMN retention_duties.id IS 'where the next step goes on';

CREATE TABLE run_attempts (
    execution_id uuid NOT NULL,
    lease_token bigint NOT NULL,
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    rows_in bigint NOT NULL,
    rows_out bigint NOT NULL,
    rows_failed bigint NOT NULL
);

CREATE TABLE run_errors (
    execution_id uuid NOT NULL,
    lease_token bigint NOT NULL,
    number integer NOT NULL,
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    line bigint NOT NULL,
    error bytea NOT NULL,
    record bytea,
    redrive_id uuid,
    retried_at timestamp with time zone,
    moved_at timestamp with time zone,
    CONSTRAINT run_errors_line_check CHECK ((line > 0)),
    CONSTRAINT run_errors_moved_check CHECK (((moved_at IS NULL) OR (retried_at IS NOT NULL))),
    CONSTRAINT run_errors_number_check CHECK ((number > 0))
);

COMMENT ON COLUMN run_errors.error IS 'ASCII JSON, as of executions';

COMMENT ON COLUMN run_errors.redrive_id IS 'the re-drive that tries it, or has tried it last';

COMMENT ON COLUMN run_errors.retried_at IS 'when that one has tried it; NULL: it has not';

COMMENT ON COLUMN run_errors.moved_at IS 'when its values were published after all';

CREATE TABLE run_outputs (
    execution_id uuid NOT NULL,
    lease_token bigint NOT NULL,
    number integer NOT NULL,
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    index_bytes bigint NOT NULL,
    lines bigint NOT NULL,
    records bigint NOT NULL,
    missing_keys bigint NOT NULL,
    duplicates bigint NOT NULL,
    ends_line boolean NOT NULL,
    blob_key text NOT NULL,
    index_key text,
    CONSTRAINT run_outputs_number_check CHECK ((number > 0)),
    CONSTRAINT run_outputs_sha256_check CHECK ((octet_length(sha256) = 32))
);

CREATE TABLE run_parts (
    run_id uuid NOT NULL,
    task text NOT NULL,
    level integer NOT NULL,
    number integer NOT NULL,
    tenant_id uuid NOT NULL,
    finishes boolean NOT NULL,
    file_id uuid,
    first_part integer,
    last_part integer,
    first_line bigint DEFAULT 0 NOT NULL,
    raw_bytes bigint DEFAULT 0 NOT NULL,
    first_state integer,
    last_state integer,
    execution_id uuid,
    lease_token bigint,
    forgotten smallint DEFAULT 0 NOT NULL,
    CONSTRAINT run_parts_check CHECK (((level = 0) = (task <> 'merge'::text))),
    CONSTRAINT run_parts_check1 CHECK (((level = 0) = (file_id IS NOT NULL))),
    CONSTRAINT run_parts_check2 CHECK ((num_nulls(file_id, first_part, last_part) = ANY (ARRAY[0, 3]))),
    CONSTRAINT run_parts_check3 CHECK (((task = 'merge'::text) = (first_state IS NOT NULL))),
    CONSTRAINT run_parts_check4 CHECK ((num_nulls(first_state, last_state) = ANY (ARRAY[0, 2]))),
    CONSTRAINT run_parts_check5 CHECK (((execution_id IS NOT NULL) OR (lease_token IS NULL))),
    CONSTRAINT run_parts_number_check CHECK ((number > 0)),
    CONSTRAINT run_parts_task_check CHECK ((task = ANY (ARRAY['map'::text, 'fold'::text, 'merge'::text])))
);

COMMENT ON COLUMN run_parts.level IS '0 reads the dataset; above, states of the level below are merged';

COMMENT ON COLUMN run_parts.finishes IS 'it calls `finish`, and its result is that of the run';

COMMENT ON COLUMN run_parts.first_line IS 'lines of the file before it';

COMMENT ON COLUMN run_parts.lease_token IS 'the attempt that counts; NULL until its outcome is recorded';

COMMENT ON COLUMN run_parts.forgotten IS 'how often a worker of an older release has taken it';

CREATE TABLE runs (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    script_id uuid NOT NULL,
    version integer NOT NULL,
    dataset_id uuid NOT NULL,
    dataset text NOT NULL,
    snapshot integer NOT NULL,
    format text NOT NULL,
    each text,
    emit text NOT NULL,
    on_error text NOT NULL,
    max_errors integer NOT NULL,
    folds boolean NOT NULL,
    merges boolean NOT NULL,
    output_dataset_id uuid,
    output_dataset text,
    output_mode text,
    publishes boolean DEFAULT true NOT NULL,
    output_snapshot integer,
    output_sha256 bytea,
    input_sha256 bytea NOT NULL,
    params bytea,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    priority smallint NOT NULL,
    seed bigint NOT NULL,
    clock_ms bigint NOT NULL,
    wall_ms integer NOT NULL,
    max_cpu_ms integer NOT NULL,
    memory_bytes bigint NOT NULL,
    max_output_bytes bigint NOT NULL,
    callback_url text,
    request_id text,
    traceparent text,
    replay_of uuid,
    status text DEFAULT 'queued'::text NOT NULL,
    parts integer NOT NULL,
    parts_done integer DEFAULT 0 NOT NULL,
    raw_bytes bigint NOT NULL,
    raw_bytes_done bigint DEFAULT 0 NOT NULL,
    rows_in bigint DEFAULT 0 NOT NULL,
    rows_out bigint DEFAULT 0 NOT NULL,
    rows_failed bigint DEFAULT 0 NOT NULL,
    result_of uuid,
    error bytea,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    last_done_at timestamp with time zone,
    finished_at timestamp with time zone,
    record_schema_id uuid,
    record_schema_version integer,
    CONSTRAINT runs_callback_url_check CHECK ((octet_length(callback_url) <= 2048)),
    CONSTRAINT runs_check CHECK (((status = 'failed'::text) = (error IS NOT NULL))),
    CONSTRAINT runs_check1 CHECK (((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT runs_check2 CHECK (((output_dataset_id IS NULL) = (output_mode IS NULL))),
    CONSTRAINT runs_check3 CHECK ((folds OR (output_dataset_id IS NOT NULL))),
    CONSTRAINT runs_each_check CHECK ((each = 'record'::text)),
    CONSTRAINT runs_emit_check CHECK ((emit = ANY (ARRAY['one'::text, 'many'::text]))),
    CONSTRAINT runs_format_check CHECK ((format = ANY (ARRAY['records'::text, 'lines'::text, 'text'::text, 'bytes'::text]))),
    CONSTRAINT runs_input_sha256_check CHECK ((octet_length(input_sha256) = 32)),
    CONSTRAINT runs_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT runs_max_cpu_ms_check CHECK ((max_cpu_ms > 0)),
    CONSTRAINT runs_max_errors_check CHECK ((max_errors >= 0)),
    CONSTRAINT runs_max_output_bytes_check CHECK ((max_output_bytes > 0)),
    CONSTRAINT runs_memory_bytes_check CHECK ((memory_bytes > 0)),
    CONSTRAINT runs_on_error_check CHECK ((on_error = ANY (ARRAY['fail'::text, 'skip'::text, 'dead_letter'::text]))),
    CONSTRAINT runs_output_mode_check CHECK ((output_mode = ANY (ARRAY['append'::text, 'replace'::text]))),
    CONSTRAINT runs_output_sha256_check CHECK ((octet_length(output_sha256) = 32)),
    CONSTRAINT runs_parts_check CHECK ((parts >= 0)),
    CONSTRAINT runs_priority_check CHECK (((priority >= '-10'::integer) AND (priority <= 10))),
    CONSTRAINT runs_record_schema_check CHECK ((num_nulls(record_schema_id, record_schema_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT runs_request_id_check CHECK (((length(request_id) >= 1) AND (length(request_id) <= 128))),
    CONSTRAINT runs_seed_check CHECK (((seed >= 0) AND (seed < '9007199254740992'::bigint))),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT runs_traceparent_check CHECK ((octet_length(traceparent) = 55)),
    CONSTRAINT runs_wall_ms_check CHECK ((wall_ms > 0))
)
WITH (fillfactor='50');

COMMENT ON COLUMN runs.folds IS 'its result is that of the fold';

COMMENT ON COLUMN runs.merges IS 'parts are folded in any order, and their states are merged';

COMMENT ON COLUMN runs.publishes IS 'false: what it writes is hashed and dropped';

COMMENT ON COLUMN runs.output_sha256 IS 'the same of the files that it has written';

COMMENT ON COLUMN runs.input_sha256 IS 'SHA-256 of the paths and digests of the input files, in their order';

COMMENT ON COLUMN runs.parts IS 'parts that read the dataset; merges are not counted';

COMMENT ON COLUMN runs.result_of IS 'the execution whose result is that of the run';

COMMENT ON COLUMN runs.error IS 'ASCII JSON: text of scripts may hold what PostgreSQL''s text refuses';

COMMENT ON COLUMN runs.record_schema_id IS 'that of the dataset which takes the output, as the run was accepted';

CREATE TABLE schema_aliases (
    schema_id uuid NOT NULL,
    alias text NOT NULL,
    tenant_id uuid NOT NULL,
    version integer NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT schema_aliases_alias_check CHECK (((alias ~ '^[a-z][a-z0-9._-]{0,62}$'::text) AND (alias <> 'latest'::text)))
);

CREATE TABLE schema_references (
    schema_id uuid NOT NULL,
    version integer NOT NULL,
    target_id uuid NOT NULL,
    target_version integer NOT NULL,
    tenant_id uuid NOT NULL
);

CREATE TABLE schema_versions (
    schema_id uuid NOT NULL,
    version integer NOT NULL,
    tenant_id uuid NOT NULL,
    document bytea NOT NULL,
    size_bytes integer GENERATED ALWAYS AS (octet_length(document)) STORED NOT NULL,
    sha256 bytea GENERATED ALWAYS AS (sha256(document)) STORED NOT NULL,
    strict boolean NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    verdict jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT schema_versions_document_check CHECK ((octet_length(document) <= 1048576)),
    CONSTRAINT schema_versions_version_check CHECK ((version > 0))
);

COMMENT ON COLUMN schema_versions.document IS 'the schema as it was sent, byte for byte';

COMMENT ON COLUMN schema_versions.strict IS 'whether objects refuse fields that the schema does not register';

COMMENT ON COLUMN schema_versions.verdict IS 'compatibility with the version before, with reasons; NULL: first';

CREATE TABLE schemas (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    compatibility text DEFAULT 'none'::text NOT NULL,
    archived_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT schemas_compatibility_check CHECK ((compatibility = ANY (ARRAY['none'::text, 'backward'::text, 'forward'::text, 'full'::text]))),
    CONSTRAINT schemas_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text))
);

COMMENT ON COLUMN schemas.compatibility IS 'what a new version must be to the one before';

CREATE TABLE script_aliases (
    script_id uuid NOT NULL,
    alias text NOT NULL,
    tenant_id uuid NOT NULL,
    version integer NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT script_aliases_alias_check CHECK (((alias ~ '^[a-z][a-z0-9._-]{0,62}$'::text) AND (alias <> 'latest'::text)))
);

CREATE TABLE script_versions (
    script_id uuid NOT NULL,
    version integer NOT NULL,
    tenant_id uuid NOT NULL,
    source bytea NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes integer GENERATED ALWAYS AS (octet_length(source)) STORED NOT NULL,
    wall_ms integer,
    memory_bytes bigint,
    max_output_bytes bigint,
    note text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    max_cpu_ms integer,
    kinds text[] DEFAULT '{process}'::text[] NOT NULL,
    io text DEFAULT 'json'::text NOT NULL,
    input_schema_id uuid,
    input_schema_version integer,
    output_schema_id uuid,
    output_schema_version integer,
    CONSTRAINT script_versions_input_schema_check CHECK ((num_nulls(input_schema_id, input_schema_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT script_versions_io_check CHECK ((io = ANY (ARRAY['json'::text, 'bytes'::text]))),
    CONSTRAINT script_versions_kinds_check CHECK (((kinds <@ '{process,map,fold,merge}'::text[]) AND (kinds <> '{}'::text[]))),
    CONSTRAINT script_versions_output_schema_check CHECK ((num_nulls(output_schema_id, output_schema_version) = ANY (ARRAY[0, 2]))),
    CONSTRAINT script_versions_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT script_versions_version_check CHECK ((version > 0))
);

COMMENT ON COLUMN script_versions.wall_ms IS 'a limit that is NULL is the default of the installation';

COMMENT ON COLUMN script_versions.kinds IS 'what the script can be run as, by the functions that it defines';

COMMENT ON COLUMN script_versions.io IS 'what `process` gets and returns';

COMMENT ON COLUMN script_versions.input_schema_id IS 'what `process` and `map` get must satisfy it; NULL: unchecked';

COMMENT ON COLUMN script_versions.output_schema_id IS 'what they return must satisfy it; NULL: unchecked';

CREATE TABLE scripts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT scripts_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text))
);

CREATE UNLOGGED TABLE slot_offers (
    worker_id uuid NOT NULL,
    slot smallint NOT NULL,
    max_memory_bytes bigint,
    expires_at timestamp with time zone NOT NULL
)
WITH (fillfactor='20');

COMMENT ON COLUMN slot_offers.max_memory_bytes IS 'the highest memory limit it has room for; NULL is any';

CREATE TABLE tenant_shares (
    tenant_id uuid NOT NULL,
    used_seconds double precision DEFAULT 0 NOT NULL,
    used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    mean_seconds double precision DEFAULT 0.1 NOT NULL,
    active boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50');

COMMENT ON COLUMN tenant_shares.used_seconds IS 'as of used_at; half of it counts after 60 s';

COMMENT ON COLUMN tenant_shares.mean_seconds IS 'moving average of what an execution took';

COMMENT ON COLUMN tenant_shares.active IS 'has something queued or running';

CREATE TABLE tenant_usage (
    tenant_id uuid NOT NULL,
    shard smallint NOT NULL,
    queued bigint DEFAULT 0 NOT NULL,
    stored_bytes bigint DEFAULT 0 NOT NULL,
    day date NOT NULL,
    day_bytes bigint DEFAULT 0 NOT NULL,
    inbox_events bigint DEFAULT 0 NOT NULL,
    inbox_bytes bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='20');

COMMENT ON COLUMN tenant_usage.day_bytes IS 'bytes of inputs and of parts of datasets that were accepted on `day`, in UTC';

COMMENT ON COLUMN tenant_usage.inbox_events IS 'events in the inboxes of pipes';

COMMENT ON COLUMN tenant_usage.inbox_bytes IS 'bytes of them, which are in stored_bytes, too';

CREATE TABLE tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    suspended_at timestamp with time zone,
    weight integer DEFAULT 100 NOT NULL,
    max_queued integer,
    max_running integer,
    max_stored_bytes bigint,
    max_bytes_per_day bigint,
    max_scripts integer,
    max_versions integer,
    max_requests_per_second integer,
    CONSTRAINT tenants_max_bytes_per_day_check CHECK ((max_bytes_per_day > 0)),
    CONSTRAINT tenants_max_queued_check CHECK ((max_queued > 0)),
    CONSTRAINT tenants_max_requests_per_second_check CHECK ((max_requests_per_second > 0)),
    CONSTRAINT tenants_max_running_check CHECK ((max_running > 0)),
    CONSTRAINT tenants_max_scripts_check CHECK ((max_scripts > 0)),
    CONSTRAINT tenants_max_stored_bytes_check CHECK ((max_stored_bytes > 0)),
    CONSTRAINT tenants_max_versions_check CHECK ((max_versions > 0)),
    CONSTRAINT tenants_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
    CONSTRAINT tenants_weight_check CHECK (((weight >= 1) AND (weight <= 10000)))
);

COMMENT ON COLUMN tenants.weight IS 'share of the workers, relative to the other tenants''';

COMMENT ON COLUMN tenants.max_queued IS 'a cap that is NULL is the default of the installation';

CREATE TABLE workers (
    id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    slots integer NOT NULL,
    v8_version text NOT NULL,
    lockdown jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    trouble text,
    max_memory_bytes bigint,
    engine jsonb,
    CONSTRAINT workers_max_memory_bytes_check CHECK ((max_memory_bytes >= 0)),
    CONSTRAINT workers_slots_check CHECK ((slots > 0))
);

COMMENT ON COLUMN workers.trouble IS 'what keeps it from running executions, if anything';

COMMENT ON COLUMN workers.max_memory_bytes IS 'the highest memory limit it can keep; NULL: any';

COMMENT ON COLUMN workers.engine IS 'what runs parts of runs for it, beside its slots; NULL: nothing';

ALTER TABLE ONLY access_generation
    ADD CONSTRAINT access_generation_pkey PRIMARY KEY (one);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY batch_inputs
    ADD CONSTRAINT batch_inputs_pkey PRIMARY KEY (upload_id, line);

ALTER TABLE ONLY batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (id);

ALTER TABLE ONLY callback_attempts
    ADD CONSTRAINT callback_attempts_pkey PRIMARY KEY (callback_id, number);

ALTER TABLE ONLY callback_secrets
    ADD CONSTRAINT callback_secrets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY callbacks
    ADD CONSTRAINT callbacks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY callbacks
    ADD CONSTRAINT callbacks_subject_id_subject_key UNIQUE (subject_id, subject);

ALTER TABLE ONLY comparison_items
    ADD CONSTRAINT comparison_items_pkey PRIMARY KEY (comparison_id, "position");

ALTER TABLE ONLY comparisons
    ADD CONSTRAINT comparisons_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dataset_files
    ADD CONSTRAINT dataset_files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dataset_files
    ADD CONSTRAINT dataset_files_upload_key UNIQUE (upload_id, path);

ALTER TABLE ONLY dataset_parts
    ADD CONSTRAINT dataset_parts_pkey PRIMARY KEY (file_id, number);

ALTER TABLE ONLY dataset_segments
    ADD CONSTRAINT dataset_segments_pkey PRIMARY KEY (blob_key);

ALTER TABLE ONLY dataset_snapshots
    ADD CONSTRAINT dataset_snapshots_pkey PRIMARY KEY (dataset_id, number);

ALTER TABLE ONLY dataset_uploads
    ADD CONSTRAINT dataset_uploads_pkey PRIMARY KEY (id);

ALTER TABLE ONLY datasets
    ADD CONSTRAINT datasets_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY datasets
    ADD CONSTRAINT datasets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY dead_letter_counts
    ADD CONSTRAINT dead_letter_counts_pkey PRIMARY KEY (tenant_id, pipe_id, kind, shard);

ALTER TABLE ONLY dead_letters
    ADD CONSTRAINT dead_letters_event_key UNIQUE (event_id, pipe_id, sha256);

ALTER TABLE ONLY dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY disabled_callback_urls
    ADD CONSTRAINT disabled_callback_urls_pkey PRIMARY KEY (id);

ALTER TABLE ONLY disabled_callback_urls
    ADD CONSTRAINT disabled_callback_urls_tenant_id_url_key UNIQUE (tenant_id, url);

ALTER TABLE ONLY executions
    ADD CONSTRAINT executions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY export_emptied_partitions
    ADD CONSTRAINT export_emptied_partitions_pkey PRIMARY KEY (export_id, folder);

ALTER TABLE ONLY export_errors
    ADD CONSTRAINT export_errors_pkey PRIMARY KEY (export_id, lease_token, number);

ALTER TABLE ONLY export_files
    ADD CONSTRAINT export_files_pkey PRIMARY KEY (export_id, lease_token, number);

ALTER TABLE ONLY export_tasks
    ADD CONSTRAINT export_tasks_pkey PRIMARY KEY (export_id, stage, number);

ALTER TABLE ONLY export_turns
    ADD CONSTRAINT export_turns_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY exports
    ADD CONSTRAINT exports_pkey PRIMARY KEY (id);

ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);

ALTER TABLE ONLY installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (one);

ALTER TABLE ONLY payloads
    ADD CONSTRAINT payloads_pkey PRIMARY KEY (execution_id, kind);

ALTER TABLE ONLY pipe_activity
    ADD CONSTRAINT pipe_activity_pkey PRIMARY KEY (pipe_id, slot);

ALTER TABLE ONLY pipe_inbox_counts
    ADD CONSTRAINT pipe_inbox_counts_pkey PRIMARY KEY (tenant_id, pipe_id, shard);

ALTER TABLE ONLY pipe_inbox
    ADD CONSTRAINT pipe_inbox_pkey PRIMARY KEY (pipe_id, id);

ALTER TABLE ONLY pipes
    ADD CONSTRAINT pipes_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY pipes
    ADD CONSTRAINT pipes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY redrive_executions
    ADD CONSTRAINT redrive_executions_pkey PRIMARY KEY (execution_id);

ALTER TABLE ONLY redrives
    ADD CONSTRAINT redrives_pkey PRIMARY KEY (id);

ALTER TABLE ONLY replays
    ADD CONSTRAINT replays_pkey PRIMARY KEY (execution_id);

ALTER TABLE ONLY request_counts
    ADD CONSTRAINT request_counts_pkey PRIMARY KEY (tenant_id, process_id);

ALTER TABLE ONLY retention_duties
    ADD CONSTRAINT retention_duties_pkey PRIMARY KEY (duty);

ALTER TABLE ONLY run_attempts
    ADD CONSTRAINT run_attempts_pkey PRIMARY KEY (execution_id, lease_token);

ALTER TABLE ONLY run_errors
    ADD CONSTRAINT run_errors_pkey PRIMARY KEY (execution_id, lease_token, number);

ALTER TABLE ONLY run_outputs
    ADD CONSTRAINT run_outputs_pkey PRIMARY KEY (execution_id, lease_token, number);

ALTER TABLE ONLY run_parts
    ADD CONSTRAINT run_parts_pkey PRIMARY KEY (run_id, task, level, number);

ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY schema_aliases
    ADD CONSTRAINT schema_aliases_pkey PRIMARY KEY (schema_id, alias);

ALTER TABLE ONLY schema_references
    ADD CONSTRAINT schema_references_pkey PRIMARY KEY (schema_id, version, target_id, target_version);

ALTER TABLE ONLY schema_versions
    ADD CONSTRAINT schema_versions_pkey PRIMARY KEY (schema_id, version);

ALTER TABLE ONLY schemas
    ADD CONSTRAINT schemas_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY schemas
    ADD CONSTRAINT schemas_pkey PRIMARY KEY (id);

ALTER TABLE ONLY script_aliases
    ADD CONSTRAINT script_aliases_pkey PRIMARY KEY (script_id, alias);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_pkey PRIMARY KEY (script_id, version);

ALTER TABLE ONLY scripts
    ADD CONSTRAINT scripts_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY scripts
    ADD CONSTRAINT scripts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY slot_offers
    ADD CONSTRAINT slot_offers_pkey PRIMARY KEY (worker_id, slot);

ALTER TABLE ONLY tenant_shares
    ADD CONSTRAINT tenant_shares_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY tenant_usage
    ADD CONSTRAINT tenant_usage_pkey PRIMARY KEY (tenant_id, shard);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_name_key UNIQUE (name);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

CREATE INDEX api_keys_page_idx ON api_keys USING btree (tenant_id, id DESC);

CREATE INDEX audit_log_target_idx ON audit_log USING btree (target, id DESC);

CREATE INDEX audit_log_tenant_idx ON audit_log USING btree (tenant_id, id DESC);

CREATE INDEX batch_inputs_blob_idx ON batch_inputs USING btree (blob_key) WHERE (blob_key IS NOT NULL);

CREATE INDEX batches_finished_idx ON batches USING btree (finished_at, id) WHERE (finished_at IS NOT NULL);

CREATE INDEX batches_page_idx ON batches USING btree (tenant_id, id DESC);

CREATE INDEX batches_uncancelled_idx ON batches USING btree (id) WHERE ((cancelled_at IS NOT NULL) AND (finished_at IS NULL));

CREATE INDEX callback_secrets_tenant_idx ON callback_secrets USING btree (tenant_id, id DESC);

CREATE INDEX callbacks_host_idx ON callbacks USING btree (tenant_id, host, next_attempt_at) WHERE (status = 'pending'::text);

CREATE INDEX callbacks_pending_idx ON callbacks USING btree (tenant_id, next_attempt_at) WHERE (status = 'pending'::text);

CREATE INDEX comparison_items_from_idx ON comparison_items USING btree (from_execution_id) WHERE (changes IS NOT NULL);

CREATE INDEX comparison_items_to_idx ON comparison_items USING btree (to_execution_id) WHERE (changes IS NOT NULL);

CREATE INDEX comparisons_created_idx ON comparisons USING btree (created_at);

CREATE INDEX comparisons_finished_idx ON comparisons USING btree (tenant_id, finished_at);

CREATE INDEX comparisons_running_idx ON comparisons USING btree (id) WHERE (state = 'running'::text);

CREATE INDEX dataset_files_added_idx ON dataset_files USING btree (dataset_id, added_in, "position") WHERE (added_in IS NOT NULL);

CREATE UNIQUE INDEX dataset_files_current_idx ON dataset_files USING btree (dataset_id, path) WHERE ((added_in IS NOT NULL) AND (removed_in IS NULL));

CREATE INDEX dataset_files_path_idx ON dataset_files USING btree (dataset_id, path, added_in) WHERE (added_in IS NOT NULL);

CREATE INDEX dataset_files_removed_idx ON dataset_files USING btree (dataset_id, removed_in, id) WHERE (removed_in IS NOT NULL);

CREATE INDEX dataset_parts_blob_idx ON dataset_parts USING btree (blob_key);

CREATE INDEX dataset_parts_byte_idx ON dataset_parts USING btree (file_id, first_byte, number) WHERE (first_byte IS NOT NULL);

CREATE INDEX dataset_parts_index_idx ON dataset_parts USING btree (index_key) WHERE (index_key IS NOT NULL);

CREATE UNIQUE INDEX dataset_parts_sequence_idx ON dataset_parts USING btree (dataset_id, sequence) WHERE (dataset_id IS NOT NULL);

CREATE INDEX dataset_parts_unmerged_idx ON dataset_parts USING btree (dataset_id, sequence) WHERE ((dataset_id IS NOT NULL) AND (index_key IS NOT NULL));

CREATE UNIQUE INDEX dataset_segments_range_idx ON dataset_segments USING btree (dataset_id, first_sequence);

CREATE INDEX dataset_uploads_dataset_idx ON dataset_uploads USING btree (dataset_id);

CREATE INDEX dataset_uploads_expiry_idx ON dataset_uploads USING btree (expires_at);

CREATE INDEX dataset_uploads_open_idx ON dataset_uploads USING btree (tenant_id) WHERE (snapshot IS NULL);

CREATE INDEX datasets_unmerged_idx ON datasets USING btree (id) WHERE (unmerged > 1);

CREATE INDEX dead_letters_age_idx ON dead_letters USING btree (failed_at, id);

CREATE INDEX dead_letters_dead_idx ON dead_letters USING btree (tenant_id, id) WHERE (state = 'dead'::text);

CREATE INDEX dead_letters_dead_of_pipe_idx ON dead_letters USING btree (tenant_id, pipe_id, id) WHERE (state = 'dead'::text);

CREATE INDEX dead_letters_pipe_idx ON dead_letters USING btree (tenant_id, pipe_id, id);

CREATE INDEX dead_letters_redrive_idx ON dead_letters USING btree (redrive_id, id) WHERE ((redrive_id IS NOT NULL) AND (retried_at IS NULL));

CREATE UNIQUE INDEX executions_batch_idx ON executions USING btree (batch_id, batch_line) WHERE (batch_id IS NOT NULL);

CREATE INDEX executions_finished_idx ON executions USING btree (finished_at, id) WHERE (finished_at IS NOT NULL);

CREATE INDEX executions_labels_idx ON executions USING gin (labels jsonb_path_ops);

CREATE INDEX executions_page_idx ON executions USING btree (tenant_id, id DESC);

CREATE INDEX executions_run_idx ON executions USING btree (run_id, id) WHERE (run_id IS NOT NULL);

CREATE INDEX executions_running_idx ON executions USING btree (tenant_id) WHERE (status = 'running'::text);

CREATE INDEX executions_script_idx ON executions USING btree (tenant_id, script_id, id DESC);

CREATE INDEX executions_status_idx ON executions USING btree (tenant_id, status, id DESC);

CREATE INDEX export_files_blob_idx ON export_files USING btree (blob_key) WHERE (blob_key IS NOT NULL);

CREATE INDEX export_files_name_idx ON export_files USING btree (export_id, name) WHERE published;

CREATE INDEX export_tasks_due_idx ON export_tasks USING btree (tenant_id, due_at, export_id, number) WHERE (done_token IS NULL);

CREATE INDEX export_tasks_leased_idx ON export_tasks USING btree (tenant_id) WHERE ((lease_token IS NOT NULL) AND (done_token IS NULL));

CREATE INDEX export_tasks_left_idx ON export_tasks USING btree (export_id, stage) WHERE (done_token IS NULL);

CREATE INDEX exports_active_idx ON exports USING btree (tenant_id, dataset_id) WHERE (finished_at IS NULL);

CREATE INDEX exports_base_idx ON exports USING btree (tenant_id, dataset_id, snapshot, id DESC) WHERE (status = 'succeeded'::text);

CREATE INDEX exports_destination_idx ON exports USING btree (tenant_id, destination, id) WHERE ((destination IS NOT NULL) AND (finished_at IS NULL));

CREATE INDEX exports_errors_idx ON exports USING btree (finished_at) WHERE ((rows_failed > 0) AND (errors_deleted_at IS NULL));

CREATE INDEX exports_files_idx ON exports USING btree (finished_at) WHERE ((destination IS NULL) AND (status = 'succeeded'::text) AND (files_deleted_at IS NULL));

CREATE INDEX exports_finished_idx ON exports USING btree (finished_at, id) WHERE (finished_at IS NOT NULL);

CREATE INDEX exports_page_idx ON exports USING btree (tenant_id, id DESC);

CREATE INDEX exports_published_idx ON exports USING btree (tenant_id, destination, id) WHERE ((destination IS NOT NULL) AND (status = 'succeeded'::text) AND (files_deleted_at IS NULL));

CREATE INDEX exports_script_idx ON exports USING btree (finished_at) WHERE (run_id IS NOT NULL);

CREATE INDEX idempotency_keys_expires_at ON idempotency_keys USING btree (expires_at);

CREATE INDEX payloads_blob_idx ON payloads USING btree (blob_key) WHERE (blob_key IS NOT NULL);

CREATE INDEX pipes_lease_idx ON pipes USING btree (lease_expires_at) WHERE (paused_at IS NULL);

CREATE INDEX pipes_tenant_idx ON pipes USING btree (tenant_id, id);

CREATE INDEX queue_parts_idx ON queue USING btree (tenant_id) WHERE is_part;

CREATE UNIQUE INDEX queue_turn_idx ON queue USING btree (tenant_id, priority DESC, execution_id);

CREATE INDEX redrive_executions_redrive_idx ON redrive_executions USING btree (redrive_id);

CREATE INDEX redrives_finished_idx ON redrives USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX redrives_open_idx ON redrives USING btree (due_at) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text]));

CREATE INDEX redrives_tenant_idx ON redrives USING btree (tenant_id, id);

CREATE INDEX run_attempts_run_idx ON run_attempts USING btree (run_id);

CREATE INDEX run_errors_redrive_idx ON run_errors USING btree (redrive_id) WHERE ((redrive_id IS NOT NULL) AND (retried_at IS NULL));

CREATE INDEX run_errors_run_idx ON run_errors USING btree (run_id);

CREATE INDEX run_outputs_blob_idx ON run_outputs USING btree (blob_key);

CREATE INDEX run_outputs_index_idx ON run_outputs USING btree (index_key) WHERE (index_key IS NOT NULL);

CREATE INDEX run_outputs_run_idx ON run_outputs USING btree (run_id);

CREATE UNIQUE INDEX run_parts_execution_idx ON run_parts USING btree (execution_id) WHERE (execution_id IS NOT NULL);

CREATE INDEX run_parts_order_idx ON run_parts USING btree (run_id, level, number);

CREATE INDEX run_parts_outstanding_idx ON run_parts USING btree (run_id) WHERE ((execution_id IS NOT NULL) AND (lease_token IS NULL));

CREATE INDEX run_parts_waiting_idx ON run_parts USING btree (run_id, level, number, task) WHERE (execution_id IS NULL);

CREATE INDEX run_parts_waiting_of_task_idx ON run_parts USING btree (run_id, task, level, number) WHERE (execution_id IS NULL);

CREATE INDEX runs_active_idx ON runs USING btree (dataset_id, snapshot) WHERE (finished_at IS NULL);

CREATE INDEX runs_active_of_tenant_idx ON runs USING btree (tenant_id) WHERE (finished_at IS NULL);

CREATE INDEX runs_finished_idx ON runs USING btree (finished_at, id) WHERE (finished_at IS NOT NULL);

CREATE INDEX runs_page_idx ON runs USING btree (tenant_id, id DESC);

CREATE INDEX schema_versions_tenant_idx ON schema_versions USING btree (tenant_id);

CREATE INDEX schemas_page_idx ON schemas USING btree (tenant_id, id DESC);

CREATE INDEX script_versions_tenant_idx ON script_versions USING btree (tenant_id);

CREATE INDEX scripts_page_idx ON scripts USING btree (tenant_id, id DESC);

CREATE INDEX tenant_shares_active_idx ON tenant_shares USING btree (tenant_id) WHERE active;

CREATE TRIGGER api_keys_change_access AFTER INSERT OR DELETE OR UPDATE OF tenant_id, secret_sha256, scopes, expires_at, revoked_at ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION count_access_change();

CREATE TRIGGER audit_log_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE TRIGGER batches_deletion_deletes_callback AFTER DELETE ON batches FOR EACH ROW WHEN ((old.callback_url IS NOT NULL)) EXECUTE FUNCTION delete_callback('batch');

CREATE TRIGGER batches_end_adds_callback AFTER UPDATE OF finished_at ON batches FOR EACH ROW WHEN (((old.finished_at IS NULL) AND (new.finished_at IS NOT NULL) AND (new.callback_url IS NOT NULL))) EXECUTE FUNCTION add_callback('batch');

CREATE TRIGGER dataset_parts_delete_counts AFTER DELETE ON dataset_parts REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_dataset_bytes_v2();

CREATE TRIGGER dataset_parts_insert_counts AFTER INSERT ON dataset_parts REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_dataset_bytes_v2();

CREATE TRIGGER dead_letters_delete_counts AFTER DELETE ON dead_letters REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters();

CREATE TRIGGER dead_letters_insert_counts AFTER INSERT ON dead_letters REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters();

CREATE TRIGGER dead_letters_update_counts AFTER UPDATE ON dead_letters REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters();

CREATE TRIGGER executions_delete_counts AFTER DELETE ON executions REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_queued();

CREATE TRIGGER executions_delete_queues AFTER DELETE ON executions FOR EACH ROW WHEN ((old.status = 'queued'::text)) EXECUTE FUNCTION keep_queue_v2();

CREATE TRIGGER executions_deletion_deletes_callback AFTER DELETE ON executions FOR EACH ROW WHEN ((old.callback_url IS NOT NULL)) EXECUTE FUNCTION delete_callback('execution');

CREATE TRIGGER executions_end_adds_callback AFTER UPDATE OF finished_at ON executions FOR EACH ROW WHEN (((old.finished_at IS NULL) AND (new.finished_at IS NOT NULL) AND (new.callback_url IS NOT NULL))) EXECUTE FUNCTION add_callback('execution');

CREATE TRIGGER executions_insert_counts AFTER INSERT ON executions REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_queued();

CREATE TRIGGER executions_insert_queues AFTER INSERT ON executions FOR EACH ROW WHEN ((new.status = 'queued'::text)) EXECUTE FUNCTION keep_queue_v2();

CREATE TRIGGER executions_update_counts AFTER UPDATE ON executions REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_queued();

CREATE TRIGGER executions_update_counts_batch_items AFTER UPDATE ON executions REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_batch_items();

CREATE TRIGGER executions_update_queues AFTER UPDATE OF status, priority ON executions FOR EACH ROW WHEN ((((old.status = 'queued'::text) OR (new.status = 'queued'::text)) AND ((old.status IS DISTINCT FROM new.status) OR (old.priority IS DISTINCT FROM new.priority)))) EXECUTE FUNCTION keep_queue_v2();

CREATE TRIGGER export_errors_delete_counts AFTER DELETE ON export_errors REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_export_errors();

CREATE TRIGGER export_errors_insert_counts AFTER INSERT ON export_errors REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_export_errors();

CREATE TRIGGER export_files_delete_counts AFTER DELETE ON export_files REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_export_files();

CREATE TRIGGER export_files_insert_counts AFTER INSERT ON export_files REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_export_files();

CREATE TRIGGER exports_deletion_deletes_callback AFTER DELETE ON exports FOR EACH ROW WHEN ((old.callback_url IS NOT NULL)) EXECUTE FUNCTION delete_callback('export');

CREATE TRIGGER exports_end_adds_callback AFTER UPDATE OF finished_at ON exports FOR EACH ROW WHEN (((old.finished_at IS NULL) AND (new.finished_at IS NOT NULL) AND (new.callback_url IS NOT NULL))) EXECUTE FUNCTION add_callback('export');

CREATE TRIGGER payloads_delete_changes AFTER DELETE ON payloads FOR EACH ROW WHEN ((old.kind = 'input'::text)) EXECUTE FUNCTION erase_changes();

CREATE TRIGGER payloads_delete_counts AFTER DELETE ON payloads REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_bytes();

CREATE TRIGGER payloads_erase_changes AFTER UPDATE OF erased_at ON payloads FOR EACH ROW WHEN (((new.kind = 'input'::text) AND (old.erased_at IS NULL) AND (new.erased_at IS NOT NULL))) EXECUTE FUNCTION erase_changes();

CREATE TRIGGER payloads_insert_counts AFTER INSERT ON payloads REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_bytes();

CREATE TRIGGER payloads_insert_holds_quota AFTER INSERT ON payloads REFERENCING NEW TABLE AS added FOR EACH ROW WHEN (((new.kind = 'result'::text) OR ((new.kind = 'logs'::text) AND (new.size_bytes > 64)))) EXECUTE FUNCTION hold_quota_of_bytes();

CREATE TRIGGER payloads_update_counts AFTER UPDATE ON payloads REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_bytes();

CREATE TRIGGER pipe_inbox_delete_counts AFTER DELETE ON pipe_inbox REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_pipe_inbox_v1();

CREATE TRIGGER pipe_inbox_insert_counts AFTER INSERT ON pipe_inbox REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_pipe_inbox_v1();

CREATE TRIGGER pipe_inbox_update_counts AFTER UPDATE ON pipe_inbox REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_pipe_inbox_v1();

CREATE TRIGGER run_errors_delete_counts AFTER DELETE ON run_errors REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_run_errors();

CREATE TRIGGER run_errors_insert_counts AFTER INSERT ON run_errors REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_run_errors();

CREATE TRIGGER run_outputs_delete_counts AFTER DELETE ON run_outputs REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_run_bytes();

CREATE TRIGGER run_outputs_insert_counts AFTER INSERT ON run_outputs REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_run_bytes();

CREATE TRIGGER runs_deletion_deletes_callback AFTER DELETE ON runs FOR EACH ROW WHEN ((old.callback_url IS NOT NULL)) EXECUTE FUNCTION delete_callback('run');

CREATE TRIGGER runs_end_adds_callback AFTER UPDATE OF finished_at ON runs FOR EACH ROW WHEN (((old.finished_at IS NULL) AND (new.finished_at IS NOT NULL) AND (new.callback_url IS NOT NULL))) EXECUTE FUNCTION add_callback('run');

CREATE TRIGGER schema_versions_are_immutable BEFORE UPDATE ON schema_versions FOR EACH ROW EXECUTE FUNCTION refuse_version_change();

CREATE TRIGGER script_versions_are_immutable BEFORE UPDATE ON script_versions FOR EACH ROW EXECUTE FUNCTION refuse_version_change();

CREATE TRIGGER tenants_change_access AFTER INSERT OR DELETE OR UPDATE OF name, suspended_at, weight, max_queued, max_running, max_stored_bytes, max_bytes_per_day, max_scripts, max_versions, max_requests_per_second ON tenants FOR EACH STATEMENT EXECUTE FUNCTION count_access_change();

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys(id);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY batches
    ADD CONSTRAINT batches_script_id_version_fkey FOREIGN KEY (script_id, version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY batches
    ADD CONSTRAINT batches_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY callback_attempts
    ADD CONSTRAINT callback_attempts_callback_id_fkey FOREIGN KEY (callback_id) REFERENCES callbacks(id) ON DELETE CASCADE;

ALTER TABLE ONLY callback_attempts
    ADD CONSTRAINT callback_attempts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY callback_secrets
    ADD CONSTRAINT callback_secrets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY callbacks
    ADD CONSTRAINT callbacks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY comparison_items
    ADD CONSTRAINT comparison_items_comparison_id_fkey FOREIGN KEY (comparison_id) REFERENCES comparisons(id) ON DELETE CASCADE;

ALTER TABLE ONLY comparison_items
    ADD CONSTRAINT comparison_items_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY comparisons
    ADD CONSTRAINT comparisons_script_id_from_version_fkey FOREIGN KEY (script_id, from_version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY comparisons
    ADD CONSTRAINT comparisons_script_id_to_version_fkey FOREIGN KEY (script_id, to_version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY comparisons
    ADD CONSTRAINT comparisons_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dataset_files
    ADD CONSTRAINT dataset_files_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES datasets(id);

ALTER TABLE ONLY dataset_files
    ADD CONSTRAINT dataset_files_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dataset_parts
    ADD CONSTRAINT dataset_parts_file_id_fkey FOREIGN KEY (file_id) REFERENCES dataset_files(id);

ALTER TABLE ONLY dataset_parts
    ADD CONSTRAINT dataset_parts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dataset_segments
    ADD CONSTRAINT dataset_segments_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES datasets(id);

ALTER TABLE ONLY dataset_segments
    ADD CONSTRAINT dataset_segments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dataset_snapshots
    ADD CONSTRAINT dataset_snapshots_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES datasets(id);

ALTER TABLE ONLY dataset_snapshots
    ADD CONSTRAINT dataset_snapshots_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dataset_uploads
    ADD CONSTRAINT dataset_uploads_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES datasets(id);

ALTER TABLE ONLY dataset_uploads
    ADD CONSTRAINT dataset_uploads_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY datasets
    ADD CONSTRAINT datasets_record_schema_fkey FOREIGN KEY (record_schema_id, record_schema_version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY datasets
    ADD CONSTRAINT datasets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dead_letter_counts
    ADD CONSTRAINT dead_letter_counts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY dead_letters
    ADD CONSTRAINT dead_letters_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY disabled_callback_urls
    ADD CONSTRAINT disabled_callback_urls_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY executions
    ADD CONSTRAINT executions_script_id_version_fkey FOREIGN KEY (script_id, version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY executions
    ADD CONSTRAINT executions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY export_emptied_partitions
    ADD CONSTRAINT export_emptied_partitions_export_id_fkey FOREIGN KEY (export_id) REFERENCES exports(id) ON DELETE CASCADE;

ALTER TABLE ONLY export_errors
    ADD CONSTRAINT export_errors_export_id_fkey FOREIGN KEY (export_id) REFERENCES exports(id) ON DELETE CASCADE;

ALTER TABLE ONLY export_files
    ADD CONSTRAINT export_files_export_id_fkey FOREIGN KEY (export_id) REFERENCES exports(id);

ALTER TABLE ONLY export_tasks
    ADD CONSTRAINT export_tasks_export_id_fkey FOREIGN KEY (export_id) REFERENCES exports(id) ON DELETE CASCADE;

ALTER TABLE ONLY export_turns
    ADD CONSTRAINT export_turns_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY exports
    ADD CONSTRAINT exports_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY payloads
    ADD CONSTRAINT payloads_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES executions(id);

ALTER TABLE ONLY payloads
    ADD CONSTRAINT payloads_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY pipe_activity
    ADD CONSTRAINT pipe_activity_pipe_id_fkey FOREIGN KEY (pipe_id) REFERENCES pipes(id) ON DELETE CASCADE;

ALTER TABLE ONLY pipe_activity
    ADD CONSTRAINT pipe_activity_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY pipe_inbox_counts
    ADD CONSTRAINT pipe_inbox_counts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY pipe_inbox
    ADD CONSTRAINT pipe_inbox_pipe_id_fkey FOREIGN KEY (pipe_id) REFERENCES pipes(id);

ALTER TABLE ONLY pipe_inbox
    ADD CONSTRAINT pipe_inbox_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY pipes
    ADD CONSTRAINT pipes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY redrive_executions
    ADD CONSTRAINT redrive_executions_redrive_id_fkey FOREIGN KEY (redrive_id) REFERENCES redrives(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY redrive_executions
    ADD CONSTRAINT redrive_executions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY redrives
    ADD CONSTRAINT redrives_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY replays
    ADD CONSTRAINT replays_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES executions(id) ON DELETE CASCADE;

ALTER TABLE ONLY replays
    ADD CONSTRAINT replays_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY run_attempts
    ADD CONSTRAINT run_attempts_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY run_errors
    ADD CONSTRAINT run_errors_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY run_outputs
    ADD CONSTRAINT run_outputs_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id);

ALTER TABLE ONLY run_parts
    ADD CONSTRAINT run_parts_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id) ON DELETE CASCADE;

ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_record_schema_fkey FOREIGN KEY (record_schema_id, record_schema_version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_script_id_version_fkey FOREIGN KEY (script_id, version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY runs
    ADD CONSTRAINT runs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY schema_aliases
    ADD CONSTRAINT schema_aliases_schema_id_fkey FOREIGN KEY (schema_id) REFERENCES schemas(id);

ALTER TABLE ONLY schema_aliases
    ADD CONSTRAINT schema_aliases_schema_id_version_fkey FOREIGN KEY (schema_id, version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY schema_aliases
    ADD CONSTRAINT schema_aliases_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY schema_references
    ADD CONSTRAINT schema_references_schema_id_version_fkey FOREIGN KEY (schema_id, version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY schema_references
    ADD CONSTRAINT schema_references_target_id_target_version_fkey FOREIGN KEY (target_id, target_version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY schema_references
    ADD CONSTRAINT schema_references_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY schema_versions
    ADD CONSTRAINT schema_versions_schema_id_fkey FOREIGN KEY (schema_id) REFERENCES schemas(id);

ALTER TABLE ONLY schema_versions
    ADD CONSTRAINT schema_versions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY schemas
    ADD CONSTRAINT schemas_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY script_aliases
    ADD CONSTRAINT script_aliases_script_id_version_fkey FOREIGN KEY (script_id, version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY script_aliases
    ADD CONSTRAINT script_aliases_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_input_schema_fkey FOREIGN KEY (input_schema_id, input_schema_version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_output_schema_fkey FOREIGN KEY (output_schema_id, output_schema_version) REFERENCES schema_versions(schema_id, version);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_script_id_fkey FOREIGN KEY (script_id) REFERENCES scripts(id);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY scripts
    ADD CONSTRAINT scripts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY tenant_shares
    ADD CONSTRAINT tenant_shares_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY tenant_usage
    ADD CONSTRAINT tenant_usage_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);
