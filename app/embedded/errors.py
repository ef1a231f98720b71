"""What ends a start: with exit code 2 before anything ran, with 1 afterwards."""

from app.errors import CrivoError


class CannotStart(CrivoError):
    """Nothing was started, as something is not as it must be; one line says what."""


class ServiceFailed(CrivoError):
    """A server does not come up or does not stay up; the message ends with its last words."""
