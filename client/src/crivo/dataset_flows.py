"""Flows of datasets, their snapshots and files."""

from typing import Any

from msgspec import json

from crivo.bodies import Body
from crivo.dataset_models import Dataset, File, Snapshot
from crivo.errors import Conflict, NotFound
from crivo.models import Page
from crivo.options import as_query
from crivo.retries import Flow
from crivo.session import Session
from crivo.wire import JSON, Reply, Request, path_segments, path_to, segment


def put(
    session: Session, name: str, document: dict[str, Any], *, only_new: bool = False
) -> Flow[Dataset]:
    """Create or change a dataset. Raises Conflict where only a new one is wanted."""
    condition = {"If-None-Match": "*"} if only_new else {}
    request = Request(
        method="PUT",
        path=path_of(name),
        headers={**JSON, **condition},
        body=Body(json.encode({k: v for k, v in document.items() if v is not None})),
    )
    return (yield from session.fetch(request, Dataset))


def ensure(
    session: Session,
    name: str,
    *,
    key: str | None,
    format: str | None,  # noqa: A002 - the API's word
    schema: str | None = None,
) -> Flow[Dataset]:
    """Create a dataset unless it exists.

    Raises Conflict if it has another key, format or schema.
    """
    try:
        found = yield from show(session, name)
    except NotFound as error:
        if error.code != "dataset-not-found":
            raise
    else:
        is_same = key in (None, found.key) and format in (None, found.format)
        if is_same and schema in (None, found.schema):
            return found
        # The service says what differs; the other members stay.
        kept = {
            "description": found.description,
            "keep_snapshots": found.keep_snapshots,
            "keep_days": found.keep_days,
        }
        # An empty key is a pointer, too: to the whole record.
        wanted = {
            "key": found.key if key is None else key,
            "format": found.format if format is None else format,
            "schema": found.schema if schema is None else schema,
        }
        return (yield from put(session, name, {**kept, **wanted}))
    try:
        wanted = {"key": key, "format": format, "schema": schema}
        return (yield from put(session, name, wanted, only_new=True))
    except Conflict:
        # Another process has created it meanwhile, or this one and the response was lost.
        return (yield from ensure(session, name, key=key, format=format, schema=schema))


def show(session: Session, dataset: str) -> Flow[Dataset]:
    """Show a dataset."""
    return (yield from session.get(path_of(dataset), Dataset))


def datasets_page(session: Session, cursor: str | None, *, size: int) -> Flow[Page[Dataset]]:
    """Show one page of the datasets, newest first."""
    query = as_query({"cursor": cursor, "limit": size})
    return (yield from session.get("/datasets", Page[Dataset], query))


def delete(session: Session, dataset: str) -> Flow[Reply]:
    """Delete a dataset with everything in it."""
    return (yield from session.deliver(Request(method="DELETE", path=path_of(dataset))))


def snapshots_page(
    session: Session, dataset: str, cursor: str | None, *, size: int
) -> Flow[Page[Snapshot]]:
    """Show one page of a dataset's snapshots, newest first."""
    query = as_query({"cursor": cursor, "limit": size})
    return (yield from session.get(path_of(dataset, "snapshots"), Page[Snapshot], query))


def snapshot(session: Session, dataset: str, number: int | str) -> Flow[Snapshot]:
    """Show a snapshot, by its number or `latest`."""
    path = path_of(dataset, f"snapshots/{segment(number)}")
    return (yield from session.get(path, Snapshot))


def delete_snapshot(session: Session, dataset: str, number: int) -> Flow[Reply]:
    """Delete a snapshot. Raises Conflict for the newest one."""
    path = path_of(dataset, f"snapshots/{segment(number)}")
    return (yield from session.deliver(Request(method="DELETE", path=path)))


def files_page(
    session: Session, dataset: str, cursor: str | None, *, size: int
) -> Flow[Page[File]]:
    """Show one page of the files of a snapshot, by path."""
    query = as_query({"cursor": cursor, "limit": size})
    return (yield from session.get(path_of(dataset, "files"), Page[File], query))


def path_of(dataset: str, part: str = "") -> str:
    """Return the path of a dataset or of a reference such as `scores@7`, or of a part of it."""
    return path_to("datasets", dataset, part)


def path_of_file(dataset: str, path: str) -> str:
    """Return the path of a file's bytes."""
    return path_of(dataset, f"files/{path_segments(path)}")
