"""Say why a re-drive cannot go on, has to wait, or has to read anew."""

from app.errors import CrivoError


class CannotGoOn(CrivoError):
    """What the re-drive needs has been deleted; it fails, for the reason in the message."""


class MarksChanged(CrivoError):
    """What was tried has been deleted meanwhile, or is another's: nothing of it is recorded."""


class MustWait(CrivoError):
    """The re-drive tries again after a while; the message is shown until then."""

    def __init__(self, message: str, *, seconds: float) -> None:
        """Take the reason, and for how long to wait."""
        super().__init__(message)
        self.seconds = seconds
