"""HTTP routes of records: by key, by many keys, and in the order of a snapshot's files."""

from typing import Final
from uuid import UUID

from litestar import Response, post
from litestar.response import Stream

from app.auth.model import Scope
from app.blobs import BlobMissing
from app.datasets import record_reference as reference, record_service
from app.datasets.catalog import Catalogs
from app.datasets.model import FindRecords
from app.datasets.record_responses import (
    NDJSON,
    respond_with_found,
    respond_with_history,
    respond_with_lines,
    respond_with_record,
)
from app.datasets.record_service import OpenSnapshot
from app.datasets.reference import SnapshotQuery
from app.datasets.refs import parse_ref
from app.errors import invalid
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.methods import get
from app.http.raw_paths import path_after
from app.limits import MAX_UPLOAD_BYTES
from app.resources import Resources


@get(
    "/datasets/{dataset:str}/records/{key:path}",
    operation_class=reference.SHOW_RECORD,
    **needs(Scope.READ),
)
async def show_record(
    dataset: str, request: AnyRequest, resources: Resources, catalogs: Catalogs, tenant: UUID
) -> Response[bytes] | Stream:
    """Find a record.

    Returns the bytes of the line with this key, without its line break. Of several in a snapshot,
    the last line of the file that was published last wins. The key is a string, or with
    `?type=number` a number as JSON writes it: `"123"` and `123` are two keys, and so are `1` and
    `1.0`. `?history=true` returns a list with older values as well, newest first, each as
    `{"snapshot":7,"record":{…}}`.
    """
    choices = read_query(request, reference.RecordQuery)
    ref = parse_ref(dataset, snapshot=choices.snapshot or None)
    is_number = choices.type == "number"
    key = record_service.key_in_path(path_after(request, names=3), is_number=is_number)
    if choices.history:
        opened = await record_service.open_snapshot(resources, catalogs, tenant, ref)
        values = record_service.find_history(
            resources, catalogs, tenant, opened, key, limit=choices.limit
        )
        return await respond_with_history(request, opened, values)
    found, snapshot = await record_service.find_record(resources, catalogs, tenant, ref, key)
    again = record_service.read_again(resources, catalogs, tenant, snapshot, key)
    return await respond_with_record(request, found, snapshot, again)


@post(
    "/datasets/{dataset:str}/records",
    status_code=200,
    media_type=NDJSON,
    operation_class=reference.FIND_RECORDS,
    **needs(Scope.READ),
)
async def find_records(
    dataset: str, request: AnyRequest, resources: Resources, catalogs: Catalogs, tenant: UUID
) -> Stream:
    """Find records by up to 1,000 keys.

    The response has a line for each key, in the order of the request, all from one snapshot:
    `{"key":"123","snapshot":7,"record":{…}}`, where `record` is null if there is none, and
    `snapshot` is the one that added the record's file.
    """
    wanted = await read_json(request, FindRecords, max_bytes=MAX_UPLOAD_BYTES)
    choices = read_query(request, SnapshotQuery)
    ref = parse_ref(dataset, snapshot=choices.snapshot or None)
    keys = record_service.keys_in_json(wanted.keys)
    snapshot = await record_service.open_snapshot(resources, catalogs, tenant, ref)
    found = record_service.find_records(resources, catalogs, tenant, snapshot, keys)
    return await respond_with_found(request, snapshot, wanted.keys, found)


@get(
    "/datasets/{dataset:str}/records",
    media_type=NDJSON,
    operation_class=reference.LIST_RECORDS,
    **needs(Scope.READ),
)
async def list_records(
    dataset: str, request: AnyRequest, resources: Resources, catalogs: Catalogs, tenant: UUID
) -> Stream:
    """List records in the order of the files.

    Returns the bytes of lines, each ended by LF, blank ones too, from line `from` on (the first
    is 0), in the order in which its files were published. A `Link` header has the address of the
    next page, which is in the same snapshot.
    """
    if path_after(request, names=3):
        # The router takes off slashes at the end.
        raise invalid("/key", "has only slashes; find it with POST")
    choices = read_query(request, reference.RecordListQuery)
    ref = parse_ref(dataset, snapshot=choices.snapshot or None)
    snapshot = await record_service.open_snapshot(resources, catalogs, tenant, ref)
    try:
        response = await _respond(request, catalogs, snapshot, choices)
    except BlobMissing:
        # Retention may have deleted files since the snapshot was opened.
        snapshot = await record_service.open_snapshot(resources, catalogs, tenant, ref)
        response = await _respond(request, catalogs, snapshot, choices)
    following = choices.from_ + choices.limit
    if following < (snapshot.resolved.lines or 0):
        address = f"/datasets/{snapshot.ref}/records?from={following}&limit={choices.limit}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


async def _respond(
    request: AnyRequest,
    catalogs: Catalogs,
    snapshot: OpenSnapshot,
    choices: reference.RecordListQuery,
) -> Stream:
    lines = record_service.read_records(
        catalogs, snapshot, first=choices.from_, count=choices.limit
    )
    return await respond_with_lines(request, snapshot, lines)


routes: Final = (show_record, find_records, list_records)
