"""Refuse requests that are not authenticated or not authorized."""

from typing import Final

from app.errors import Problem

# Part of a header: ASCII without quotes. Wrong secrets and unknown ids are not told apart.
KEY_UNKNOWN: Final = "the key is unknown"
KEY_REVOKED: Final = "the key was revoked"
KEY_EXPIRED: Final = "the key has expired"


class AuthError(Problem):
    """A caller has no access, or no longer."""


class KeyRequired(AuthError):
    """The request needs a key and has none."""

    status = 401
    code = "key-required"
    title = "An API key is needed"

    def __init__(self) -> None:
        """Explain how to send a key, and how to get one."""
        super().__init__(
            "send a key with 'Authorization: Bearer crv_…'; ./start.sh admin creates keys"
        )


class InvalidKey(AuthError):
    """The request's key is unknown, revoked or expired."""

    status = 401
    code = "invalid-key"
    title = "The API key is not valid"


class InvalidToken(AuthError):
    """The event token is unknown, expired, or for another execution."""

    status = 401
    code = "invalid-token"
    title = "The token is not valid"


class MissingScope(AuthError):
    """The key is valid and lacks the scope that the operation requires."""

    status = 403
    code = "missing-scope"
    title = "The API key lacks a scope"

    def __init__(self, scope: str) -> None:
        """Name the scope that is missing."""
        super().__init__(f"this operation requires the scope {scope!s}, which the key lacks")
        self.scope = scope


class TenantSuspended(AuthError):
    """The tenant of the key is suspended."""

    status = 403
    code = "tenant-suspended"
    title = "The tenant is suspended"

    def __init__(self) -> None:
        """Name the remedy."""
        super().__init__("the key's tenant is suspended; the operator of the service can resume it")
