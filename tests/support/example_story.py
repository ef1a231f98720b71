"""The order in which the examples of the OpenAPI document are sent, and what they need."""

from typing import Final

# In order: scripts are created before they run, and archived last.
STORY: Final = (
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
