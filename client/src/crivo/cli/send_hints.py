"""Say what a file is that cannot be sent as it is, and what to do about it."""

import re
from pathlib import Path
from typing import Final

from crivo.dataset_models import BadLine

_HEAD_BYTES: Final = 4096
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NOT_JSON: Final = "not JSON"
_CSV: Final = "--format csv"
# The service's way out is for programs that make requests.
_ENCODED: Final = re.compile(r": send it with Content-Encoding: \w+, or unpack it")
_SEPARATORS: Final = re.compile(rb"[,;\t|]")


def reason_of(line: BadLine) -> str:
    """Return why a line is bad, with what the command line can do."""
    return _ENCODED.sub(": unpack it before", line.message)


def hint_at(line: BadLine, path: Path) -> str | None:
    """Return what a file looks like whose line is not JSON; None: like lines of JSON."""
    if not line.message.startswith(_NOT_JSON):
        return None
    head = _head(path)
    if head.startswith(b"["):
        return _array_hint(path)
    if head.startswith(b"{"):
        # The first record goes over several lines.
        if head[1:].lstrip(b" \t")[:1] in {b"\n", b"\r"}:
            return f"it looks like JSON over several lines; `jq -c . {path}` writes a record a line"
        return None
    if _SEPARATORS.search(head.partition(b"\n")[0]):
        return f"it looks like CSV, which {_CSV} takes, for a new dataset"
    return None


def hint_at_array(path: Path) -> str | None:
    """Return what a file looks like whose first line is one array; None: it is none."""
    return _array_hint(path) if _head(path).startswith(b"[") else None


def is_of_other_format(line: BadLine, path: Path) -> bool:
    """Whether a dataset of another format may take the file, or one of another schema or key."""
    if line.message.startswith(_NOT_JSON):
        return _CSV in (hint_at(line, path) or "")
    return line.byte is None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES).removeprefix(_BYTE_ORDER_MARK).lstrip()


def _array_hint(path: Path) -> str:
    return f"it looks like an array; `jq -c '.[]' {path}` writes a record a line"
