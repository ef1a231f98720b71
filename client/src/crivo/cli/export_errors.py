"""Name the options of `crivo export` where the API names members of its request."""

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
    r"^query parameter (location|name|dialect): ": r"--\1: ",
    r"; omit `since` ": "; omit --since ",
    r"`deduplicate/key` \(": "--dedupe (",
    r"`deduplicate/latest_by` \(": "--latest (",
    r"`partition_by` \(": "--partition (",
    r"`on_bad_row` \(": "--bad-rows (",
    r"`columns` \(": "--column (",
    r"`(to|script)` \(": r"--\1 (",
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
