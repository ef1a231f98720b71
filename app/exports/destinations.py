"""Decide to which destinations an export may write."""

from app.errors import invalid
from app.settings import Settings


def require_allowed(settings: Settings, tenant_name: str, to: str) -> str:
    """Return the one spelling of a destination that a tenant may write to.

    Raises InvalidRequest.
    """
    del settings, tenant_name, to
    raise invalid("/to", "no destination is allowed here; omit it, and download the files")
