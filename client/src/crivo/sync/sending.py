"""Send a directory with threads."""

from collections.abc import Iterator
from threading import Event, Lock, Thread

from crivo.dataset_models import Sent
from crivo.sending import Job, Sending
from crivo.sync.driver import Driver


def send(driver: Driver, sending: Sending, *, parallel: int) -> Sent:
    """Send a directory to the end. Raises CrivoError, OSError."""
    with sending:
        driver.do(sending.begin())
        _Crew(driver, sending.comparisons()).work(parallel)
        driver.do(sending.settle())
        _Crew(driver, sending.parts()).work(parallel)
        sending.check()
        return driver.do(sending.finish())


class _Stopped(Exception):
    """Another thread has failed."""


class _Crew:
    """Threads that carry out jobs until there is none, or one has failed."""

    def __init__(self, driver: Driver, jobs: Iterator[Job]) -> None:
        self._driver = driver.pausing(self._pause)
        self._jobs = jobs
        self._lock = Lock()
        self._stopped = Event()
        self._errors: list[BaseException] = []

    def work(self, threads: int) -> None:
        """Carry out all jobs. Raises the first error."""
        # Daemons: an interrupted program does not wait for requests on their way.
        crew = [Thread(target=self._work, daemon=True) for _ in range(max(1, threads))]
        try:
            for each in crew:
                each.start()
            for each in crew:
                each.join()
        finally:
            self._stopped.set()
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._driver.do(job())
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            with self._lock:
                self._errors.append(error)
            self._stopped.set()

    def _next(self) -> Job | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._jobs, None)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise _Stopped
