"""Say why a re-drive cannot go on, or has to wait."""

from app.errors import CrivoError


class CannotGoOn(CrivoError):
    """What the re-drive needs has been deleted; it fails, for the reason in the message."""


class MustWait(CrivoError):
    """The re-drive tries again after a while; the message is shown until then."""

    def __init__(self, message: str, *, seconds: float) -> None:
        """Take the reason, and for how long to wait."""
        super().__init__(message)
        self.seconds = seconds
