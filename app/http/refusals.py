"""What a request is told that brings no key, or not the right one."""

from typing import Final

from app.errors import Problem

_CHALLENGE: Final = 'Bearer realm="crivo"'

HOW: Final = "send a key with 'Authorization: Bearer crv_…'; ./start.sh admin makes keys"
SUSPENDED: Final = "the key's tenant is suspended; whoever runs this service can resume it"
# Goes into a header: ASCII without quotes. Wrong secrets and unknown ids are told the same.
UNKNOWN: Final = "the key is unknown"
REVOKED: Final = "the key was revoked"
EXPIRED: Final = "the key has expired"


class NoKey(Problem):
    """The request brings no key, and needs one."""

    status = 401
    code = "key-required"
    title = "An API key is needed"

    def __init__(self, detail: str) -> None:
        """Ask for one; without an error code, as RFC 6750 (3.1) wants it."""
        super().__init__(detail, headers={"WWW-Authenticate": _CHALLENGE})


class InvalidKey(Problem):
    """The request brings what is no key of ours, or no longer."""

    status = 401
    code = "invalid-key"
    title = "The API key is not valid"

    def __init__(self, detail: str) -> None:
        """Ask for another."""
        challenge = f'{_CHALLENGE}, error="invalid_token", error_description="{detail}"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class MissingScope(Problem):
    """The key is valid, and may not do this."""

    status = 403
    code = "missing-scope"
    title = "The API key lacks a scope"

    def __init__(self, scope: str) -> None:
        """Name the scope that is missing."""
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        super().__init__(
            f"this needs the scope {scope!s}, which the key does not have",
            headers={"WWW-Authenticate": challenge},
        )


class TenantSuspended(Problem):
    """The tenant of the key is suspended."""

    status = 403
    code = "tenant-suspended"
    title = "The tenant is suspended"


def refusals(scope: str) -> tuple[Problem, ...]:
    """Give what everybody without the right key meets, for the reference."""
    return (NoKey(HOW), InvalidKey(UNKNOWN), MissingScope(scope), TenantSuspended(SUSPENDED))
