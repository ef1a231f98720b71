"""Choose the user that runs PostgreSQL, which refuses to run as root."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

from app.embedded.errors import CannotStart
from app.embedded.processes import guarded

NAMESPACE = "namespace"
_NOBODY = "nobody"


class Identity(Struct, frozen=True):
    """A user to run a server as: `name` is an IDENTITY of `exec_wrapper`, `uid` owns the files."""

    name: str
    uid: int
    gid: int

    def own(self, folder: Path) -> None:
        """Change the owner of a folder and its content to this user."""
        if os.geteuid() != 0 or folder.stat().st_uid == self.uid:
            return
        for parent, _, names in os.walk(folder):
            for path in (parent, *(os.path.join(parent, name) for name in names)):  # noqa: PTH118 - os.walk's strings
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose_identity(data: Path, programs: Path) -> Identity:
    """Choose the user that runs PostgreSQL on the data folder's cluster.

    An ordinary user runs it directly. Root runs it in a user namespace, in which root is an
    ordinary user and can still access every path, or as `nobody` if the system refuses
    namespaces. Raises CannotStart if `nobody` cannot access the paths.
    """
    user = Identity("self", os.geteuid(), os.getegid())
    if user.uid != 0:
        return user
    namespace = Identity(NAMESPACE, user.uid, user.gid)
    if _can_run(namespace, [sys.executable, "-I", "-S", "-c", ""]):
        return namespace
    try:
        entry = pwd.getpwnam(_NOBODY)
    except KeyError:
        entry = None
    if entry is not None:
        nobody = Identity(f"{entry.pw_uid}:{entry.pw_gid}", entry.pw_uid, entry.pw_gid)
        # The data folder is ours, so `nobody` may pass through it; its parents are not.
        data.chmod(data.stat().st_mode | 0o011)
        program = str(programs / "postgres")
        if _can_run(nobody, [program, "--version"]) and _can_run(nobody, ["ls", "-d", f"{data}/."]):
            return nobody
    message = (
        "as root, PostgreSQL needs user namespaces, which this system refuses, or paths that the "
        f"user {_NOBODY} can reach, which {data} or {programs} is not: start as an ordinary user, "
        "move them, or set DATABASE_URL"
    )
    raise CannotStart(message)


def _can_run(identity: Identity, command: list[str]) -> bool:
    done = subprocess.run(  # noqa: S603 - fixed argv
        guarded(command, identity.name), capture_output=True, check=False
    )
    return done.returncode == 0
