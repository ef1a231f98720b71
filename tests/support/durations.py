"""Report seconds by folder and the CPU time of all processes of a test run."""

import resource
from collections import defaultdict

import pytest

_SHOWN = 20


class _Durations:
    """Adds up the reports of all tests, as the controller of xdist's workers gets them."""

    def __init__(self) -> None:
        self.by_folder: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path = report.nodeid.partition("::")[0]
        folder, _, name = path.removeprefix("tests/").partition("/")
        self.by_folder[f"{folder}/" if name else folder] += report.duration

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if len(self.by_folder) < 2:
            return
        terminalreporter.section("seconds by folder")
        longest = sorted(self.by_folder.items(), key=lambda each: -each[1])[:_SHOWN]
        terminalreporter.write_line(
            ", ".join(f"{folder} {seconds:.0f}" for folder, seconds in longest)
        )
        terminalreporter.write_line(f"CPU of all ended processes: {_cpu_minutes():.1f} min")


def pytest_configure(config: pytest.Config) -> None:
    """Count in the process that reports: xdist's workers have none."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Durations())


def _cpu_minutes() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime) / 60
