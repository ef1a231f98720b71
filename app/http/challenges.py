"""Add the challenge of RFC 6750 to refusals: WWW-Authenticate."""

from typing import Any, Final

from litestar import Request, Response

from app.auth.errors import (
    KEY_UNKNOWN,
    AuthError,
    InvalidKey,
    KeyRequired,
    MissingScope,
    TenantSuspended,
)
from app.errors import Problem
from app.http.problems import render_problem

_CHALLENGE: Final = 'Bearer realm="crivo"'


def with_challenge(error: AuthError) -> AuthError:
    """Set the error's WWW-Authenticate header, where one applies."""
    match error:
        case KeyRequired():
            # Without an error code, as RFC 6750 (3.1) wants it.
            challenge = _CHALLENGE
        case InvalidKey(detail=detail):
            challenge = f'{_CHALLENGE}, error="invalid_token", error_description="{detail}"'
        case MissingScope(scope=scope):
            challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        case _:
            return error
    error.headers["WWW-Authenticate"] = challenge
    return error


def render_auth_error(request: Request[Any, Any, Any], error: AuthError) -> Response[bytes]:
    """Respond to a request that is not authenticated or not authorized."""
    return render_problem(request, with_challenge(error))


def documented_refusals(scope: str) -> tuple[Problem, ...]:
    """Return the refusals of an operation that requires a scope, for the OpenAPI document."""
    refusals = (KeyRequired(), InvalidKey(KEY_UNKNOWN), MissingScope(scope), TenantSuspended())
    return tuple(with_challenge(each) for each in refusals)
