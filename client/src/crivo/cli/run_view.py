"""Show how far a run has come: live on a terminal, in plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from rich.console import RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crivo.cli.output import say, terminal, visible
from crivo.run_models import Run, RunProgress

ShowRun = Callable[[Run], None]

# Seconds between plain lines: a log is read later.
_LINE_SECONDS: Final = 10.0
_BAR_WIDTH: Final = 50


@contextmanager
def following(run: UUID | str, *, is_silent: bool) -> Iterator[ShowRun | None]:
    """Show the states of a run on standard error; None: nobody looks."""
    if is_silent:
        yield None
    elif terminal().is_terminal:
        first = Text(f"run {run}")
        with Live(first, console=terminal(), transient=True, refresh_per_second=4) as live:
            yield lambda state: live.update(_drawn(state))
    else:
        yield _Lines().show


def described(progress: RunProgress) -> str:
    """Describe in one line what is done, and how fast."""
    parts = [f"{progress.parts_done}/{progress.parts} parts"]
    if progress.bytes:
        parts.append(f"{decimal(progress.bytes_done)} of {decimal(progress.bytes)}")
    parts.append(f"{progress.rows_in:,} rows in")
    if progress.rows_out:
        parts.append(f"{progress.rows_out:,} out")
    if progress.rows_failed:
        parts.append(f"{progress.rows_failed:,} failed")
    if progress.bytes_per_second is not None:
        parts.append(f"{decimal(int(progress.bytes_per_second))}/s")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Write seconds as a clock does."""
    return str(timedelta(seconds=round(seconds)))


class _Lines:
    """Lines of the first state, of the last, and of those between at times."""

    def __init__(self) -> None:
        self._next_line = 0.0
        self._last = ""

    def show(self, run: Run) -> None:
        line = f"{_head(run)}: {described(run.progress)}"
        if line == self._last or (time.monotonic() < self._next_line and not run.is_final):
            return
        self._next_line = time.monotonic() + _LINE_SECONDS
        self._last = line
        say(line)


def _drawn(run: Run) -> RenderableType:
    progress = run.progress
    done, total = progress.bytes_done, progress.bytes
    if not total:
        done, total = progress.parts_done, progress.parts
    lines = Table.grid()
    lines.add_row(_line(_head(run)))
    lines.add_row(ProgressBar(total=total or 1, completed=done, width=_BAR_WIDTH))
    lines.add_row(_line(described(progress)))
    return lines


def _head(run: Run) -> str:
    left = run.progress.remaining_seconds
    return f"run {run.id} {run.status}" + ("" if left is None else f", {duration(left)} left")


def _line(text: str) -> Text:
    return Text(visible(text), no_wrap=True, overflow="ellipsis")
