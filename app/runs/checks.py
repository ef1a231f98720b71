"""Check that a script can do over a dataset what a run asks for."""

from collections.abc import Sequence

from msgspec import UNSET

from app.datasets.parts import Format as DatasetFormat, parse_pointer
from app.errors import invalid
from app.runs.model import CreateRun, Emit, Offer
from app.sandbox.outcomes import Io, ScriptKind
from app.sandbox.parts import Format, Task


def tasks_of(wanted: CreateRun, offer: Offer) -> Sequence[Task]:
    """Return the tasks that read the dataset: MAP for an output, FOLD for a result.

    Raises InvalidRequest.
    """
    folds = ScriptKind.FOLD in offer.kinds
    if wanted.output is None:
        _require_no_map(wanted)
        if not folds:
            message = (
                f"is missing, and {wanted.script!r} has no fold (`start`, `step` and `finish`) "
                "whose result could be that of the run"
            )
            raise invalid("/output", message)
        return [Task.FOLD]
    _require_map(wanted, offer)
    return [Task.MAP, Task.FOLD] if folds else [Task.MAP]


def require_format(wanted: CreateRun, dataset: DatasetFormat) -> None:
    """Require lines in the dataset for a run over anything but bytes. Raises InvalidRequest."""
    if dataset is DatasetFormat.BYTES and wanted.format is not Format.BYTES:
        message = (
            f"is {wanted.format}, and {wanted.dataset!r} has bytes; the format has to be bytes"
        )
        raise invalid("/format", message)


def output_format(wanted: CreateRun) -> DatasetFormat:
    """Return the format of the output, and require that it can have the key that is asked for.

    Raises InvalidRequest.
    """
    key = None if wanted.output is None else wanted.output.key
    if key is UNSET:
        key = None
    if wanted.format is Format.BYTES:
        if key is not None:
            raise invalid("/output/key", "needs records; the output of a run over bytes has none")
        return DatasetFormat.BYTES
    if key is not None:
        try:
            parse_pointer(key)
        except ValueError as error:
            raise invalid("/output/key", str(error)) from None
    return DatasetFormat.JSONL


def _require_map(wanted: CreateRun, offer: Offer) -> None:
    kinds = offer.kinds
    if wanted.each is not None:
        if ScriptKind.PROCESS not in kinds:
            raise invalid("/each", f"needs `process`, which {wanted.script!r} does not have")
        if offer.io is not Io.JSON:
            raise invalid("/each", f"needs JSON; `process` of {wanted.script!r} takes {offer.io}")
        if wanted.format is not Format.RECORDS:
            raise invalid("/each", f"needs the format records; it is {wanted.format}")
        if wanted.emit is Emit.MANY:
            raise invalid("/emit", "needs `map`; `process` returns one value")
    elif ScriptKind.MAP not in kinds:
        hint = ""
        if ScriptKind.PROCESS in kinds and wanted.format is Format.RECORDS:
            hint = '; with "each": "record" the records go through `process`'
        raise invalid("/output", f"needs `map`, which {wanted.script!r} does not have{hint}")


def _require_no_map(wanted: CreateRun) -> None:
    if wanted.each is not None:
        raise invalid("/each", "needs an output, which takes what `process` returns")
    if wanted.emit is Emit.MANY:
        raise invalid("/emit", "needs an output, which takes what `map` returns")
