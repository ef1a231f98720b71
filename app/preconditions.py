"""Evaluate preconditions, which make a change depend on the entity tag of its target."""

import re
from typing import Final

from msgspec import Struct

from app.errors import Problem

_ETAG: Final = re.compile(r'(W/)?"([^"]*)"')
# How much of a condition a message repeats.
_MAX_SHOWN: Final = 200


class PreconditionFailed(Problem):
    """A precondition is false; nothing was changed."""

    status = 412
    code = "precondition-failed"
    title = "A precondition failed"


class Preconditions(Struct, frozen=True, kw_only=True):
    """The values of If-Match and If-None-Match (RFC 9110, 13.1); None where one is absent."""

    if_match: str | None = None
    if_none_match: str | None = None

    def require(self, etag: str | None) -> None:
        """Compare with the target's entity tag; None means that there is no target.

        Raises PreconditionFailed.
        """
        actual = "none exists" if etag is None else "the current ETag differs"
        if self.if_match is not None and not etag_matches(self.if_match, etag, weak=False):
            raise PreconditionFailed(
                f"If-Match is {self.if_match[:_MAX_SHOWN]}, but {actual}; GET it again"
            )
        if self.if_none_match is not None and etag_matches(self.if_none_match, etag, weak=True):
            raise PreconditionFailed(
                f"If-None-Match is {self.if_none_match[:_MAX_SHOWN]}, but one exists already"
            )


NO_PRECONDITIONS: Final = Preconditions()


def etag_matches(condition: str, etag: str | None, *, weak: bool) -> bool:
    """Return whether a list of entity tags, or `*`, includes this one.

    `weak` selects weak comparison (RFC 9110, 8.8.3.2).
    """
    if etag is None:
        return False
    if condition == "*":
        return True
    tags = _ETAG.findall(condition)
    return any(f'"{tag}"' == etag and (weak or not is_weak) for is_weak, tag in tags)
