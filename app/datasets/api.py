"""HTTP routes of datasets and their snapshots."""

from uuid import UUID

from litestar import Response, Router, delete, put

from app.auth.callers import Caller
from app.auth.model import Scope
from app.datasets import reference, service
from app.datasets.file_api import routes as file_routes
from app.datasets.model import Dataset, PutDataset, Snapshot
from app.datasets.record_api import routes as record_routes
from app.datasets.refs import parse_name, parse_new_name, parse_ref, parse_snapshot
from app.datasets.upload_api import routes as upload_routes
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.conditions import existence_of
from app.http.methods import get
from app.limits import MAX_SMALL_BODY_BYTES
from app.pagination import Page, PageQuery
from app.resources import Resources


@put(
    "/datasets/{dataset:str}",
    operation_class=reference.PUT_DATASET,
    **needs(Scope.WRITE_DATASETS),
)
async def put_dataset(
    dataset: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Dataset]:
    """Create or change a dataset.

    201 if it is new, 200 if it exists: then its description and retention become these. Format,
    key and schema do not change. `If-None-Match: *` only creates a dataset, `If-Match: *` only
    changes one.
    """
    name = parse_new_name(dataset)
    wanted = await read_json(request, PutDataset, max_bytes=MAX_SMALL_BODY_BYTES)
    current, is_new = await service.put(
        resources, caller, name, wanted, preconditions=existence_of(request)
    )
    headers = {"Location": f"/datasets/{name}"}
    return Response(current, status_code=201 if is_new else 200, headers=headers)


@get("/datasets", operation_class=reference.LIST_DATASETS, **needs(Scope.READ))
async def list_datasets(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Dataset]:
    """List datasets.

    Newest first, in pages, each with its newest snapshot.
    """
    choices = read_query(request, PageQuery)
    return await service.list_datasets(
        resources, tenant, cursor=choices.cursor or None, limit=choices.limit
    )


@get("/datasets/{dataset:str}", operation_class=reference.SHOW_DATASET, **needs(Scope.READ))
async def show_dataset(dataset: str, resources: Resources, tenant: UUID) -> Dataset:
    """Show a dataset.

    A name returns the dataset with its newest snapshot. A reference, such as `scores@7`, also
    returns the snapshot that it names, in `snapshot`.
    """
    return await service.show(resources, tenant, parse_ref(dataset))


@delete(
    "/datasets/{dataset:str}",
    operation_class=reference.DELETE_DATASET,
    **needs(Scope.WRITE_DATASETS),
)
async def delete_dataset(dataset: str, resources: Resources, caller: Caller) -> None:
    """Delete a dataset.

    Deletes its snapshots, files and open uploads for good; its name is free again. Runs
    and exports that read it fail.
    """
    await service.delete(resources, caller, parse_name(dataset))


@get(
    "/datasets/{dataset:str}/snapshots",
    operation_class=reference.LIST_SNAPSHOTS,
    **needs(Scope.READ),
)
async def list_snapshots(
    dataset: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Snapshot]:
    """List a dataset's snapshots.

    Newest first, in pages. Numbers rise by one with each commit, and are not used again.
    """
    choices = read_query(request, PageQuery)
    return await service.list_snapshots(
        resources,
        tenant,
        parse_name(dataset),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/datasets/{dataset:str}/snapshots/{number:str}",
    operation_class=reference.SHOW_SNAPSHOT,
    **needs(Scope.READ),
)
async def show_snapshot(dataset: str, number: str, resources: Resources, tenant: UUID) -> Snapshot:
    """Show a snapshot.

    Returns the totals of its files; `latest` is the newest snapshot.
    """
    return await service.show_snapshot(resources, tenant, parse_snapshot(dataset, number))


@delete(
    "/datasets/{dataset:str}/snapshots/{number:str}",
    operation_class=reference.DELETE_SNAPSHOT,
    **needs(Scope.WRITE_DATASETS),
)
async def delete_snapshot(dataset: str, number: str, resources: Resources, caller: Caller) -> None:
    """Delete a snapshot.

    Files that no other snapshot has are deleted for good. The newest snapshot stays: publish
    another one first, or delete the dataset. So does one that a run or an export reads, until that
    has ended.
    """
    await service.delete_snapshot(resources, caller, parse_snapshot(dataset, number))


router = Router(
    path="/",
    tags=["datasets"],
    route_handlers=[
        put_dataset,
        list_datasets,
        show_dataset,
        delete_dataset,
        list_snapshots,
        show_snapshot,
        delete_snapshot,
        *file_routes,
        *upload_routes,
        *record_routes,
    ],
)
