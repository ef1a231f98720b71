"""The order in which the examples of the OpenAPI document are sent, and what they need."""

from typing import Final

from app.dead_letters.pointers import pointer_hash

# In order: schemas are put before scripts and datasets name them, scripts are created before they
# run, and archived last.
STORY: Final = (
    "putSchema",
    "checkSchema",
    "listSchemas",
    "showSchema",
    "describeSchema",
    "listSchemaVersions",
    "showSchemaVersion",
    "showSchemaDocument",
    "showSchemaTable",
    "validateDocuments",
    "moveSchemaAlias",
    "listSchemaAliases",
    "showSchemaAlias",
    "removeSchemaAlias",
    "archiveSchema",
    "createScript",
    "checkScript",
    "addVersion",
    "putScript",
    "listVersions",
    "moveAlias",
    "showVersion",
    "showSource",
    "listAliases",
    "showAlias",
    "showScript",
    "listScripts",
    "describeScript",
    "archiveScript",
    # Before the first callback, which would create one on demand.
    "createCallbackSecret",
    "listCallbackSecrets",
    "submitRaw",
    "submitEnvelope",
    "listExecutions",
    "showExecution",
    "showEvents",
    "createEventsToken",
    "showResult",
    "showInput",
    "showLogs",
    "replayExecution",
    "submitBatch",
    "listBatches",
    "showBatch",
    "showBatchResults",
    "showBatchEvents",
    "createBatchEventsToken",
    "cancelExecution",
    "cancelBatch",
    "eraseData",
    "listCallbacks",
    "resendCallback",
    "listBatchCallbacks",
    "resendBatchCallback",
    "listDisabledUrls",
    "enableUrl",
    "createReplays",
    "createComparison",
    "showComparison",
    "removeAlias",
    "createTenant",
    "listTenants",
    "showTenant",
    "changeTenant",
    "createKey",
    "listKeys",
    "showKey",
    "revokeKey",
    "listChanges",
    "putDataset",
    "putFile",
    "createUpload",
    "putPart",
    "showUpload",
    "commitUpload",
    "listUploads",
    "removeFile",
    "abandonUpload",
    "showDataset",
    "listDatasets",
    "listSnapshots",
    "showSnapshot",
    "listFiles",
    "showFile",
    "showRecord",
    "findRecords",
    "listRecords",
    "createRun",
    "listRuns",
    "showRun",
    "showRunResult",
    "listRunErrors",
    "showRunEvents",
    "createRunEventsToken",
    "replayRun",
    "cancelRun",
    "listRunCallbacks",
    "resendRunCallback",
    "createExport",
    "listExports",
    "showExport",
    "listExportFiles",
    "showExportFile",
    "listExportErrors",
    "showExportManifest",
    "showExportTable",
    "showExportEvents",
    "createExportEventsToken",
    "cancelExport",
    "listExportCallbacks",
    "resendExportCallback",
    "createRedrive",
    "listRedrives",
    "showRedrive",
    "cancelRedrive",
    "listDeadLetters",
    "countDeadLetters",
    "downloadDeadLetters",
    "showDeadLetter",
    "showDeadLetterEvent",
    "eraseDeadLetter",
    "eraseDeadLetters",
    "putPipe",
    "resumePipe",
    "pausePipe",
    "sendEvents",
    "showPipe",
    "listPipes",
    "deletePipe",
    "deleteSnapshot",
    "deleteDataset",
    "live",
    "ready",
    "showMetrics",
    "showIndex",
)

# What runs take the scores of the story through.
PASSED: Final = """
function map(record, { params }) {
  if (record.score === 100) throw new RangeError(`${record.pk} has the default`);
  return record.score >= params.pass ? record : null;
}
function start() { return { records: 0, total: 0 } }
function step(state, records) {
  for (const { score } of records) state.total += score;
  return { ...state, records: state.records + records.length };
}
function merge(a, b) { return { records: a.records + b.records, total: a.total + b.total } }
function finish(state) { return state }
"""

# A version that a re-drive tries the records with that PASSED could not take.
MENDED: Final = PASSED.replace(
    "throw new RangeError(`${record.pk} has the default`)", "return { ...record, score: null }"
)

# Dead letters of a pipe that stands still. Their ids are those of the recorded examples.
LETTERS: Final = """
INSERT INTO pipes (id, tenant_id, name, definition, paused_at)
SELECT '01a221d0-0000-7000-8000-000000000000', id, 'payments',
       '{"from": {"http": {}}, "schema": "payment", "to": {"dataset": {"dataset": "paid"}}}', now()
FROM tenants WHERE name = 'default';
INSERT INTO dead_letters
       (id, tenant_id, pipe_id, event_id, kind, error, pointers, event, sha256, size_bytes,
        has_line_feed, schema_id, schema_version, script_id, script_version, state, redrive_id,
        moved_at)
SELECT l.id::uuid, t.id, '01a221d0-0000-7000-8000-000000000000', l.event_id, l.kind,
       convert_to(l.error, 'UTF8'), l.pointers::bigint[], convert_to(l.event, 'UTF8'),
       sha256(convert_to(l.event, 'UTF8')), octet_length(l.event), l.event LIKE E'%\\n%', s.id, 1,
       CASE WHEN l.kind <> 'input_schema_mismatch' THEN c.id END,
       CASE WHEN l.kind <> 'input_schema_mismatch' THEN 1 END, l.state, l.redrive::uuid,
       CASE WHEN l.redrive IS NOT NULL THEN now() END
FROM tenants AS t
JOIN schemas AS s ON s.tenant_id = t.id AND s.name = 'payment'
JOIN scripts AS c ON c.tenant_id = t.id AND c.name = 'passed'
CROSS JOIN (VALUES
    ('01a221d0-0000-7000-8000-000000000001', '1', 'input_schema_mismatch',
     '{"kind": "input_schema_mismatch", "message": "/amount: is a string, not a number '
     '(payment@1)", "schema": "payment@1", "schema_errors": [{"pointer": "/amount", "keyword": '
     '"type", "schema_pointer": "/properties/amount/type", "message": "is a string, not a '
     'number"}]}', '{-1}', '{"id": 1, "amount": "12.50"}', 'dead', NULL),
    ('01a221d0-0000-7000-8000-000000000002', '2', 'script_error',
     '{"kind": "script_error", "message": "no rate for EUR", "name": "RangeError"}', '{}',
     E'{\\n  "id": 2,\\n  "amount": 7\\n}', 'moved', '01a221d0-0000-7000-8000-00000000000f'),
    ('01a221d0-0000-7000-8000-000000000003', '3', 'timeout',
     '{"kind": "timeout", "message": "the script ran longer than its limit of 1000 ms", '
     '"limit_ms": 1000}', '{}', '{"id": 3, "amount": 9, "name": "Ada"}', 'dead', NULL)
) AS l (id, event_id, kind, error, pointers, event, state, redrive)
WHERE t.name = 'default'
""".replace("{-1}", f"{{{pointer_hash('/amount')}}}")
PAYMENT: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "amount": {"type": "number"},
        "name": {"type": "string"},
    },
}
