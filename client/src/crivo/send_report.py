"""Count what has been sent of a directory, and what cannot be."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from msgspec import Struct

from crivo.cutting import Span, count_lines
from crivo.dataset_models import BadLine, Sent, Snapshot, Totals, UploadPart
from crivo.errors import Fault, NotPublished, Refused
from crivo.folders import Found, SourceFile

# Bytes that are done, of all.
ShowProgress = Callable[[int, int], None]

# After as many parts with bad lines, the others are not sent.
_MAX_BAD_PARTS: Final = 20
_MAX_NAMED: Final = 3


class _BadPart(Struct, frozen=True, kw_only=True):
    file: SourceFile
    span: Span
    error: Refused


class Report:
    """The parts of each file that the service holds, and what is wrong with others."""

    def __init__(self, found: Found, *, show: ShowProgress | None) -> None:
        """Start with nothing sent; `show` is called after each part, by one thread at a time."""
        self._found = found
        self._show = show
        self._lock = Lock()
        self._parts: dict[str, dict[int, UploadPart]] = defaultdict(dict)
        self._bad: list[_BadPart] = []
        self._changed: set[str] = set()
        self._sent = 0
        self._done_bytes = 0
        # Summed once: it is shown after each part.
        self._all_bytes = found.size

    @property
    def is_hopeless(self) -> bool:
        """Whether so much is wrong that the rest need not be sent."""
        return len(self._bad) >= _MAX_BAD_PARTS

    def has_changed(self, file: SourceFile) -> bool:
        """Whether a file has changed."""
        return file.name in self._changed

    def hold(self, file: SourceFile, part: UploadPart, *, is_new: bool) -> None:
        """Count a part that the service holds."""
        with self._lock:
            self._parts[file.name][part.part] = part
            self._sent += is_new
            self._done_bytes += part.raw_bytes
            if self._show is not None:
                self._show(self._done_bytes, self._all_bytes)

    def refuse(self, file: SourceFile, span: Span, error: Refused) -> None:
        """Remember a part that the service refuses for what it holds."""
        with self._lock:
            self._bad.append(_BadPart(file=file, span=span, error=error))

    def change(self, file: SourceFile) -> None:
        """Remember a file that has changed since it was found."""
        with self._lock:
            self._changed.add(file.name)

    def check(self, files: Sequence[SourceFile]) -> None:
        """Make sure that files can be published. Raises NotPublished, OSError."""
        self._changed |= {each.name for each in files if not each.is_unchanged}
        if not self._bad and not self._changed:
            return
        parts = [
            (each.error, _described(each))
            for each in self._bad
            if each.file.name not in self._changed
        ]
        bad = sorted(
            (line for _, lines in parts for line in lines), key=lambda each: (each.path, each.line)
        )
        # A line has an error for each place that a schema refuses.
        named = len({(each.path, each.line) for each in bad})
        count = sum(
            error.invalid_records or len({each.line for each in lines}) for error, lines in parts
        )
        changed = sorted(self._changed)
        reasons = []
        if bad:
            some = f", of which {named:,} are named" if named < count else ""
            reasons.append(f"{count:,} bad {'line' if count == 1 else 'lines'}{some}")
        if changed:
            more = ", …" if len(changed) > _MAX_NAMED else ""
            reasons.append(f"changed while being sent: {', '.join(changed[:_MAX_NAMED])}{more}")
        raise NotPublished(
            f"nothing was published: {'; '.join(reasons)}",
            bad_lines=bad,
            bad_line_count=count,
            changed=changed,
            totals=Totals(**self._totals()),
        )

    def to_commit(self, files: Sequence[SourceFile]) -> list[dict[str, object]]:
        """Name files as a commit does, each with the digest of its parts' digests."""
        named: list[dict[str, object]] = []
        for file in files:
            parts = sorted(self._parts[file.name].values(), key=lambda each: each.part)
            digest = hashlib.sha256(b"".join(bytes.fromhex(each.sha256) for each in parts))
            named.append({"path": file.name, "parts": len(parts), "digest": digest.hexdigest()})
        return named

    def sent(self, dataset: str, snapshot: Snapshot) -> Sent:
        """Return what was published."""
        return Sent(
            **self._totals(),
            dataset=dataset,
            snapshot=snapshot,
            left_out=list(self._found.left_out),
        )

    def _totals(self) -> dict[str, int]:
        parts = [part for parts in self._parts.values() for part in parts.values()]
        return {
            "files": len(self._found.files),
            "raw_bytes": sum(each.raw_bytes for each in parts),
            "records": sum(each.records for each in parts),
            "missing_keys": sum(each.missing_keys for each in parts),
            "duplicates": sum(each.duplicates for each in parts),
            "parts": len(parts),
            "parts_sent": self._sent,
        }


def _described(part: _BadPart) -> list[BadLine]:
    """Name the places of bad lines in their file; the service counts from the start of the part."""
    with part.file.path.open("rb", buffering=0) as file:
        lines = count_lines(file, part.span.start)
    # Without a place, it is about the part.
    faults = part.error.problem.errors or [Fault(message=str(part.error), byte=0)]
    return [
        BadLine(
            path=part.file.name,
            line=lines + (fault.line or 1),
            byte=None if fault.byte is None else part.span.start + fault.byte,
            message=f"{fault.pointer}: {fault.message}" if fault.pointer else fault.message,
        )
        for fault in faults
    ]
