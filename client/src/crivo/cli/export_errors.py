"""Name the options of exports and tables where the API names members of its request."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from crivo.errors import Refused

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
