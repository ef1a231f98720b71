"""`crivo sample …`: make data to try the service with."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

from cyclopts import App, Parameter

from crivo.cli.arguments import Directory
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import Output
from crivo.cli.progress import counting

sample = App(name="sample", help="Make data to try the service with.", sort_key=17)

# Beyond it, JSON's readers lose digits.
_MAX_NUMBER: Final = 2**53 - 1
# The years have four digits.
_MAX_DAYS: Final = 2_900_000


@sample.command
def events(
    *,
    count: str,
    out: Directory,
    duplicates: float = 0.05,
    late: float = 0.01,
    days: int = 30,
    seed: int = 1,
    as_json: Annotated[bool, Parameter(name="--json", show_default=False)] = False,
) -> None:
    """Make events with newer versions of some, and the truth about what is left of them.

    Writes DIR/events, a file for each day of arrival, and DIR/truth.json with the number of events
    that count by day and type, and their digests. Equal arguments give equal bytes.

    Needs the extra `sample` of the package.

    Parameters
    ----------
    count
        How many lines, such as 5e6; one has about 370 bytes.
    out
        The directory DIR, which must be absent or empty.
    duplicates
        The share of the lines that are another version of an event, with a newer or equal time.
    late
        The share of the events that arrive in the file of a later day.
    days
        The number of days from 2021-01-01.
    seed
        Another one gives other events.
    as_json
        Write JSON.
    """
    lines = _whole(count)
    # Not a number is not within either.
    if not 0 <= duplicates < 1:
        raise UsageError("--duplicates: is at least 0, and less than 1")
    if not 0 <= late <= 1:
        raise UsageError("--late: is from 0 to 1")
    if not 1 <= days <= _MAX_DAYS:
        raise UsageError(f"--days: is from 1 to {_MAX_DAYS}")
    if late and days == 1:
        raise UsageError("--late: one day has no later day; use --late 0, or more --days")
    if not 0 <= seed <= _MAX_NUMBER:
        raise UsageError(f"--seed: is from 0 to {_MAX_NUMBER}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"--out: {out} is not an empty directory")
    try:
        # Faker is an extra.
        from crivo.samples.events import EventSample  # noqa: PLC0415
        from crivo.samples.writing import write_events  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(f"there is no {error.name}; pip install 'crivo[sample]'") from None
    wanted = EventSample(count=lines, duplicates=duplicates, late=late, days=days, seed=seed)
    with counting("events", lines, int) as show:
        truth = write_events(wanted, out, on_progress=show)
    facts = {
        "directory": out,
        "files": truth.files,
        "bytes": truth.bytes,
        "events": truth.keys,
        "lines": truth.lines,
        "late": truth.late,
        **{name.replace("_", " "): number for name, number in truth.versions.items()},
    }
    Output(as_json=as_json).facts(truth, facts)


def _whole(count: str) -> int:
    try:
        number = Decimal(count)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 1 <= number <= _MAX_NUMBER or number != int(number):
        raise UsageError(f"--count: {count} is not a whole number from 1, such as 5000000 or 5e6")
    return int(number)
