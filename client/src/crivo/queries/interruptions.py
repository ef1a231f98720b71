"""Run DuckDB so that Ctrl-C ends it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from duckdb import DuckDBPyConnection

T = TypeVar("T")


def interruptible(database: DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Do work of a database, in a thread; an interruption of this one ends it.

    In the main thread, DuckDB would look for signals only between its tasks, which may be long.
    """
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            return done.result()
        except KeyboardInterrupt:
            database.interrupt()
            raise
