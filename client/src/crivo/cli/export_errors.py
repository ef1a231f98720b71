"""Name the options of exports and tables where the API names members, and ways out."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from crivo.cli.export_choices import choices_of
from crivo.errors import ExportFailed, Refused

_OPTIONS: Final = {
    r"^/columns/([^/:]+)(/type|/pointer)?: ": r"--column \1: ",
    r"^/columns: ": "--column: ",
    r"^/partition_by(/[^:]*)?: ": "--partition: ",
    r"^/deduplicate/latest_by: ": "--latest: ",
    r"^/deduplicate(/[^:]*)?: ": "--dedupe: ",
    r"^/labels(/[^:]*)?: ": "--label: ",
    r"^/(since|script|to): ": r"--\1: ",
    r"^query parameter (location|name|dialect|partition): ": r"--\1: ",
    r"; add it to `columns`; ": "; add it by --column; ",
    r"; omit `since` ": "; omit --since ",
    r"; `\"replace\": true` ": "; --force ",
    r"\(PUT /pipes/NAME with (\{.*\})\)": r"(`crivo pipes put NAME FILE`, FILE having \1)",
    r"`deduplicate/key` \(": "--dedupe (",
    r"`deduplicate/latest_by` \(": "--latest (",
    r"`partition_by` \(": "--partition (",
    r"`on_bad_row` \(": "--bad-rows (",
    r"`columns` \(": "--column (",
    r"`(to|script)` \(": r"--\1 (",
    r"; omit it, and download the files$": (
        "; the operator allows some by CRIVO_EXPORT_DESTINATIONS. `--to DIRECTORY` downloads the "
        "files"
    ),
    r" is a field of the schema$": (
        " is a field of the schema, and a table has one column of a name: call the level "
        "otherwise, or let `crivo exports ddl ID` print the table of an export, whose files do not "
        "have the members that are levels"
    ),
}


# A type does not make the key of earlier files, or of other records, one kind.
MIXED_KEY: Final = (
    "a key that is a text in some records and a number in others cannot be continued by --since: "
    "let a pipe's or a run's script make it one kind"
)


@contextmanager
def advising(*, mistyped: Collection[str] = ()) -> Iterator[None]:
    """Let the failure of an export in a block name what can be done.

    Of `mistyped` pointers all records may lack the member; to leave those out is no way out.
    """
    try:
        yield
    except ExportFailed as error:
        if error.kind == "bad_row" and error.pointer not in mistyped:
            error.args = (f"{error}; --bad-rows dead-letter leaves such rows out",)
        elif error.kind == "columns_differ" and _names_key(error):
            error.args = (f"{error}; {MIXED_KEY}",)
        raise


def _names_key(error: ExportFailed) -> bool:
    return any(
        error.pointer == key or error.message.startswith(f"{key}: ")
        for key in choices_of(error.export).key_pointers()
    )


@contextmanager
def naming_options() -> Iterator[None]:
    """Let the refusals of a block name options; their problem documents stay as they are."""
    try:
        yield
    except Refused as error:
        message = str(error)
        for place, option in _OPTIONS.items():
            message = re.sub(place, option, message)
        error.args = (message,)
        raise
