"""Decide whether a worker of an engine may run parts, by its proof."""

from msgspec import Struct

from app.runs.engines.messages import Proof
from app.version import VERSION


class Requirements(Struct, frozen=True, kw_only=True):
    """What a worker of an engine must be: as the worker that claims, which would not start else."""

    v8_version: str
    without_seccomp: bool

    def refusal_of(self, proof: Proof) -> str:
        """Return why a worker may not run parts; empty: it may."""
        seccomp = proof.lockdown.get("seccomp", "off")
        if seccomp != "on" and not self.without_seccomp:
            return f"system calls of user code are not filtered (seccomp is {seccomp})"
        if proof.version != VERSION:
            return f"it runs Crivo {proof.version}, not {VERSION}"
        if proof.v8_version != self.v8_version:
            # Another V8 may give other bytes.
            return f"it runs V8 {proof.v8_version}, not {self.v8_version}"
        if not proof.knows_worker:
            return "its database is another one"
        return proof.trouble or ""
