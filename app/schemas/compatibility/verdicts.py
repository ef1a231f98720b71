"""Verdicts: whether what one version of a schema accepts, the other accepts too."""

from enum import StrEnum

from msgspec import Struct


class Direction(StrEnum):
    """Which documents a verdict is about."""

    BACKWARD = "backward"
    """Those that are valid under the old version."""
    FORWARD = "forward"
    """Those that are valid under the new version."""


class Reason(Struct, frozen=True):
    """Why a direction does not hold, or cannot be decided."""

    direction: Direction
    pointer: str
    """A place in the version that refuses: the new one for backward, the old one for forward.

    In a registered schema that it refers to, the pointer follows ``URI#``.
    """
    message: str


class Verdict(Struct, frozen=True):
    """What is known of two versions of a schema; None: not decided by the rules."""

    backward: bool | None
    """Every document that is valid under the old version is valid under the new one."""
    forward: bool | None
    """Every document that is valid under the new version is valid under the old one."""
    reasons: tuple[Reason, ...]
    """At least one for each direction that is not True."""
