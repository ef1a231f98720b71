"""Check that a script can do over a dataset what a run asks for."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from app.datasets.parts import Format as DatasetFormat, parse_pointer
from app.errors import invalid
from app.runs.model import CreateRun, Emit, Offer
from app.sandbox.outcomes import Io, ScriptKind
from app.sandbox.parts import Format, Task

_FORMATS: Final = {
    DatasetFormat.JSONL: Format.RECORDS,
    DatasetFormat.TEXT: Format.LINES,
    DatasetFormat.CSV: Format.LINES,
    DatasetFormat.BYTES: Format.BYTES,
}


def format_of(wanted: CreateRun, dataset: DatasetFormat) -> Format:
    """Return what the script gets of a dataset: what is asked for, or else what the dataset has.

    Raises InvalidRequest if the dataset has bytes, and is to be read as something else.
    """
    if dataset is DatasetFormat.BYTES:
        if wanted.format not in (None, Format.BYTES):
            message = (
                f"is {wanted.format}, and {wanted.dataset!r} has bytes; the format has to be bytes"
            )
            raise invalid("/format", message)
        return Format.BYTES
    if wanted.format is not None:
        return wanted.format
    # `process` takes JSON, and any text may hold it.
    return _FORMATS[dataset] if wanted.each is None else Format.RECORDS


def tasks_of(wanted: CreateRun, offer: Offer, format_: Format) -> Sequence[Task]:
    """Return the tasks that read the dataset: MAP for an output, FOLD for a result.

    Raises InvalidRequest.
    """
    folds = ScriptKind.FOLD in offer.kinds
    if wanted.output is None:
        _require_no_map(wanted)
        if not folds:
            message = (
                f"is missing, and {wanted.script!r} has no fold (`start`, `step` and `finish`) "
                f"whose result could be that of the run{_hint(offer)}"
            )
            raise invalid("/output", message)
        return [Task.FOLD]
    _require_map(wanted, offer, format_)
    return [Task.MAP, Task.FOLD] if folds else [Task.MAP]


def output_format(wanted: CreateRun, format_: Format) -> DatasetFormat:
    """Return the format of the output, and require that it can have the key that is asked for.

    Raises InvalidRequest.
    """
    key = None if wanted.output is None else wanted.output.key
    if key is UNSET:
        key = None
    if format_ is Format.BYTES:
        if key is not None:
            raise invalid("/output/key", "needs records; the output of a run over bytes has none")
        return DatasetFormat.BYTES
    if key is not None:
        try:
            parse_pointer(key)
        except ValueError as error:
            raise invalid("/output/key", str(error)) from None
    return DatasetFormat.JSONL


def require_checkable(offer: Offer, format_: Format) -> None:
    """Require records where the version checks them. Raises InvalidRequest."""
    if offer.input_schema is not None and format_ is not Format.RECORDS:
        message = f"is {format_}, and {offer.input_schema}, which the input has to satisfy, is of"
        raise invalid("/format", f"{message} records")
    if offer.output_schema is not None and format_ is Format.BYTES:
        message = f"is bytes, and {offer.output_schema}, which the output has to satisfy, is of"
        raise invalid("/format", f"{message} records")


def _hint(offer: Offer) -> str:
    if offer.io is not Io.JSON or ScriptKind.PROCESS not in offer.kinds:
        return ""
    return '; with "each": "record" and an "output" the records go through `process`'


def _require_map(wanted: CreateRun, offer: Offer, format_: Format) -> None:
    kinds = offer.kinds
    if wanted.each is not None:
        if ScriptKind.PROCESS not in kinds:
            raise invalid("/each", f"needs `process`, which {wanted.script!r} does not have")
        if offer.io is not Io.JSON:
            raise invalid("/each", f"needs JSON; `process` of {wanted.script!r} takes {offer.io}")
        if format_ is not Format.RECORDS:
            raise invalid("/each", f"needs the format records; it is {format_}")
        if wanted.emit is Emit.MANY:
            raise invalid("/emit", "needs `map`; `process` returns one value")
    elif ScriptKind.MAP not in kinds:
        raise invalid(
            "/output", f"needs `map`, which {wanted.script!r} does not have{_hint(offer)}"
        )


def _require_no_map(wanted: CreateRun) -> None:
    if wanted.each is not None:
        raise invalid("/each", "needs an output, which takes what `process` returns")
    if wanted.emit is Emit.MANY:
        raise invalid("/emit", "needs an output, which takes what `map` returns")
