"""Comparisons of two versions, synchronously."""

from collections.abc import Sequence
from uuid import UUID

from crivo import comparison_flows as flows
from crivo.comparison_models import Comparison
from crivo.options import Ref
from crivo.sync.calls import Calls
from crivo.waits import OnState

Id = UUID | str


class Comparisons(Calls):
    """Comparisons of two versions of a script over the inputs of earlier executions."""

    def start(
        self,
        script: Ref,
        old: int | str = "prod",
        new: int | str = "latest",
        *,
        last: int | None = None,
        status: Sequence[str] = (),
        priority: int | None = None,
    ) -> Comparison:
        """Start to run both versions over the inputs of the `last` executions with a status.

        `old` and `new` are numbers, aliases or `latest`.
        """
        return self._driver.do(
            flows.start(
                self._session, script, old, new, last=last, status=status, priority=priority
            )
        )

    def show(self, comparison: Id) -> Comparison:
        """Show a comparison as it is."""
        return self._driver.do(flows.show(self._session, comparison))

    def wait(
        self,
        comparison: Id,
        *,
        timeout: float | None = None,
        on_progress: OnState[Comparison] | None = None,
    ) -> Comparison:
        """Wait until it has finished. Raises NotFinished after `timeout` seconds.

        `on_progress` is called with the state about once a second, and at the end.
        """
        return self._driver.do(
            flows.wait(self._session, comparison, timeout=timeout, on_progress=on_progress)
        )
