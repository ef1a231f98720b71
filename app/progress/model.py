"""Define what the states of all that takes a while have in common."""

from enum import StrEnum


class EndingStatus(StrEnum):
    """A status that is `queued`, then `running`, then a final one."""

    @property
    def final(self) -> bool:
        """Whether the status can never change again."""
        return self not in ("queued", "running")
