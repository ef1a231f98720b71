"""Report requests without an answer; the messages are for operators, never for tenants."""

from app.errors import CrivoError


class NoAnswer(CrivoError):
    """A request got no answer: no address, no connection, no valid certificate, no time left."""


class InwardTarget(NoAnswer):
    """A host has an address that is not public; nothing was sent to it."""
