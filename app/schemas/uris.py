"""Resolve references against a base, as RFC 3986 has it (section 5.2)."""

import re
from typing import Final

from app.sandbox.schema_checks import URI_PREFIX

_PARTS: Final = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)


def is_reserved(uri: str) -> bool:
    """Say whether a URI may be a registered version's: no ``$id`` may take it."""
    return uri.startswith(URI_PREFIX) and "@" in uri


def resolve_uri(base: str, reference: str) -> tuple[str, str]:
    """Return the absolute URI that a reference leads to, without fragment, and its fragment."""
    scheme, authority, path, query, fragment = _parts(reference)
    if scheme is None:
        scheme, base_authority, base_path, base_query, _ = _parts(base)
        if authority is None:
            authority = base_authority
            if not path:
                path, query = base_path or "", base_query if query is None else query
            elif not path.startswith("/"):
                path = _merge(base_authority, base_path or "", path)
    written = "" if scheme is None else f"{scheme}:"
    written += "" if authority is None else f"//{authority}"
    written += _without_dots(path or "")
    return written + ("" if query is None else f"?{query}"), fragment or ""


def _parts(uri: str) -> tuple[str | None, ...]:
    match = _PARTS.fullmatch(uri)
    # Every part may be missing, so any text matches.
    return match.groups() if match else (None, None, uri, None, None)


def _merge(authority: str | None, base_path: str, path: str) -> str:
    if authority is not None and not base_path:
        return f"/{path}"
    return base_path[: base_path.rfind("/") + 1] + path


def _without_dots(path: str) -> str:
    if "/." not in path and not path.startswith("."):
        return path
    steps: list[str] = []
    parts = path.split("/")
    for index, step in enumerate(parts):
        last = index == len(parts) - 1
        if step == "..":
            if len(steps) > 1 or (steps and steps[0]):
                steps.pop()
        elif step != ".":
            steps.append(step)
            continue
        if last:
            steps.append("")
    return "/".join(steps)
