"""Mark slow tests: those of whole systems, of the sandbox and of programs that they start.

`scripts/test --fast` leaves them out. What is left are unit tests and tests of the stores on a
real PostgreSQL and Redis.
"""

from functools import cache
from pathlib import Path
from typing import Final

import pytest

# Each starts an API and a worker.
_WHOLE_SYSTEMS: Final = {"system", "keyed", "stopped_system", "calling"}
# Folders and files, relative to tests/, whose tests start processes of their own.
_SLOW_PATHS: Final = (
    "acceptance",
    "client/test_installation.py",
    "client/test_wrong_servers.py",
    "clients",
    "containers",
    "docs",
    "embedded",
    "examples",
    "keys/test_bootstrap.py",
    "migrations/test_rolling_upgrade.py",
    "sandbox",
    "security",
    "test_benchmarks.py",
    "test_lifecycle.py",
)
_TESTS: Final = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "slow: starts a whole system, a sandbox or a program")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by its fixtures or by its place."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _WHOLE_SYSTEMS or _is_slow(item.path.relative_to(_TESTS)):
            item.add_marker(pytest.mark.slow)


@cache
def _is_slow(path: Path) -> bool:
    return any(path.is_relative_to(each) for each in _SLOW_PATHS)
