"""Destinations: a tenant writes below its own folders, under one spelling, and nowhere else."""

import pytest

from app.errors import InvalidRequest
from app.exports.destinations import (
    DestinationsNotUsable,
    allowed_root,
    require_allowed,
    require_usable_destinations,
)
from app.exports.plan.model import Grain, PartitionColumn
from app.exports.plans import plan_of
from app.exports.requests import CreateExport
from app.settings import Settings

SETTINGS = Settings(
    export_destinations="s3://lake/{tenant}/, s3://out-{tenant}, file:///mnt/lake/x-{tenant}/"
)


@pytest.mark.parametrize(
    ("to", "spelling"),
    [
        ("s3://lake/acme", "s3://lake/acme"),
        ("s3://lake/acme/events/v=1/", "s3://lake/acme/events/v=1"),
        ("s3://out-acme/", "s3://out-acme"),
        ("file:///mnt/lake/x-acme/events", "file:///mnt/lake/x-acme/events"),
    ],
)
def test_a_destination_below_a_folder_of_the_tenant_has_one_spelling(
    to: str, spelling: str
) -> None:
    assert require_allowed(SETTINGS, "acme", to) == spelling
    assert require_allowed(SETTINGS, "acme", spelling) == spelling


@pytest.mark.parametrize(
    "to",
    [
        "s3://lake",
        "s3://lake/acme-eu/events",
        "s3://lake/other",
        "s3://lake/acme/../other",
        "s3://lake/acme/./events",
        "s3://lake/acme//events",
        "s3://lake/acme/%2e%2e/other",
        "s3://lake/acme/events?versionId=1",
        "s3://lake/acme/events#1",
        "s3://lake/acme/_crivo",
        "s3://lake/acme/a\\b",
        "s3://lake/acme/events\n",
        "s3://user@lake/acme",
        "s3://LAKE/acme",
        "S3://lake/acme",
        "file:/mnt/lake/x-acme",
        "file://localhost/mnt/lake/x-acme",
        "file:///mnt/lake/acme",
        "file:///",
        "https://lake/acme",
        "lake/acme",
        "",
    ],
)
def test_another_destination_is_refused(to: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        require_allowed(SETTINGS, "acme", to)
    assert refused.value.errors[0]["pointer"] == "/to"


YEAR = PartitionColumn(name="year", grain=Grain.YEAR, pointer="/t")
KIND = PartitionColumn(name="kind", grain=Grain.VALUE, pointer="/k")


@pytest.mark.parametrize("levels", [(), (YEAR,), (YEAR, KIND)])
def test_a_destination_whose_keys_cannot_be_long_enough_is_refused(
    levels: tuple[PartitionColumn, ...],
) -> None:
    shortest = "".join({"year": "/year=2021", "kind": "/kind=a"}[each.name] for each in levels)
    most = 1_024 - max(len(f"{shortest}/0123456789ab-2147483647.parquet"), 54 + 1)
    fits = f"s3://lake/{'x' * most}"

    wanted = CreateExport(dataset="d", partition_by=[{each.name: each.pointer} for each in levels])

    plan = plan_of(wanted, (), fits)

    assert plan.max_folder_bytes is not None
    assert plan.max_folder_bytes >= len(shortest.removeprefix("/"))
    with pytest.raises(InvalidRequest, match="a key of a bucket has 1024 at most") as refused:
        plan_of(wanted, (), f"{fits}x")
    assert refused.value.errors[0]["pointer"] == "/to"
    assert plan_of(wanted, (), f"file:///{'x' * 2_000}").max_folder_bytes is None


def test_without_the_setting_there_is_no_destination() -> None:
    with pytest.raises(InvalidRequest, match="no destination is allowed here"):
        require_allowed(Settings(), "acme", "s3://lake/acme")


def test_what_must_be_there_is_the_part_of_the_operator() -> None:
    assert allowed_root(SETTINGS, "acme", "file:///mnt/lake/x-acme/a/b") == "file:///mnt/lake"
    assert allowed_root(SETTINGS, "other", "file:///mnt/lake/x-acme/a/b") is None


@pytest.mark.parametrize(
    "setting",
    [
        "s3://lake/",
        "s3://lake/{tenant}/{tenant}",
        "s3://lake/{tenants}",
        "gs://lake/{tenant}",
        "file:///mnt/../{tenant}",
        "s3://lake/{tenant}, lake",
    ],
)
def test_a_process_does_not_start_with_a_setting_that_has_no_tenant_or_no_sense(
    setting: str,
) -> None:
    require_usable_destinations(SETTINGS)
    with pytest.raises(DestinationsNotUsable, match="CRIVO_EXPORT_DESTINATIONS"):
        require_usable_destinations(Settings(export_destinations=setting))
