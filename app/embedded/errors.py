"""Define the errors that end a start: exit code 2 before anything ran, 1 afterwards."""

from app.errors import CrivoError


class CannotStart(CrivoError):
    """A precondition is not met and nothing was started; the message is one line."""


class ServiceFailed(CrivoError):
    """A service does not start or keeps exiting; the message ends with the tail of its log."""
