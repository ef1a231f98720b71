"""The options of `crivo export` that say what is exported."""

from dataclasses import dataclass
from typing import Annotated, Literal, cast

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from crivo.cli.arguments import labels_argument
from crivo.cli.exit_codes import UsageError
from crivo.cli.export_fields import Fields, has_time_of
from crivo.options import ExportOptions


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """What is exported, and how it is laid out."""

    dedupe: Annotated[
        str | None, Parameter(help="The member, or members with commas, that is the key.")
    ] = None
    latest: Annotated[
        str | None,
        Parameter(
            help="The member whose highest value counts; by default the last record in file order "
            "does."
        ),
    ] = None
    partition: Annotated[
        str | None,
        Parameter(
            help="The levels of the folders, with commas: `day` is year, month and day of "
            "--latest, `day=created` of another member, and `year`, `month` and `hour` are alike. "
            "Other names are members, `kind=event_type` one under another name."
        ),
    ] = None
    column: Annotated[
        tuple[str, ...],
        Parameter(
            help="NAME or NAME=MEMBER, and then maybe :TYPE, such as `amount:decimal(18,2)` or "
            "`data:json`; repeatable. By default all members.",
            show_default=False,
        ),
    ] = ()
    since: Annotated[
        PositiveInt | Literal["last"] | None,
        Parameter(
            help="A snapshot that was exported with the same options: only what has changed since "
            "is written. `last` is that of the export in --to; without one, all is written."
        ),
    ] = None
    script: Annotated[
        str | None,
        Parameter(
            help="A script whose `map` each record goes through, such as `normalise@2`, before "
            "duplicates are dropped: `null` for the newest record of a key brings an older one "
            "back, so mark what is deleted by a member, for readers to filter by."
        ),
    ] = None
    bad_rows: Annotated[
        Literal["fail", "dead-letter", "dead_letter"],
        Parameter(
            help="What happens after a record that cannot be exported: `dead-letter` leaves it "
            "out, for `crivo exports errors ID` to list."
        ),
    ] = "fail"
    label: Annotated[
        tuple[str, ...],
        Parameter(help="NAME:VALUE to find the export by; repeatable.", show_default=False),
    ] = ()

    def options(self, fields: Fields, *, to: str | None) -> ExportOptions:
        """Return the options that were given. Raises UsageError."""
        latest = None if self.latest is None else fields.pointer("--latest", self.latest)
        levels = None if self.partition is None else fields.levels(self.partition, latest)
        if latest is not None and self.dedupe is None and not has_time_of(levels or [], latest):
            raise UsageError(
                "--latest: says which record of a key counts, or which time the folders have; "
                "add --dedupe KEY, or a level such as `--partition day`"
            )
        given = {
            "deduplicate": self._deduplicate(fields, latest),
            "partition_by": levels,
            "columns": fields.columns(self.column) or None,
            "since": None if self.since == "last" else self.since,
            "script": self.script,
            "on_bad_row": None if self.bad_rows == "fail" else self.bad_rows.replace("-", "_"),
            "labels": labels_argument(self.label) or None,
            "to": to,
        }
        return cast(ExportOptions, {k: v for k, v in given.items() if v is not None})

    def _deduplicate(self, fields: Fields, latest: str | None) -> dict[str, object] | None:
        if self.dedupe is None:
            return None
        keys = fields.members("--dedupe", self.dedupe)
        key = keys if len(keys) > 1 else keys[0]
        return {"key": key} if latest is None else {"key": key, "latest_by": latest}
