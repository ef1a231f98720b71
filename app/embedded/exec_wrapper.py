"""Execute another program that dies with its parent; started by `processes`, never imported.

    python -I -S exec_wrapper.py PARENT_PID DEATH_SIGNAL IDENTITY COMMAND...

IDENTITY is `self`, `namespace` or `UID:GID`. A namespace is a user namespace in which root is an
ordinary user, since PostgreSQL refuses to run as root. Only the standard library is available.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

# linux/prctl.h and linux/sched.h
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000

# Distinct from the exit codes of the programs that it executes.
EXIT_REFUSED = 97
ORDINARY_ID = 1000


def main(parent: int, death_signal: int, identity: str, command: list[str]) -> None:
    """Take the identity, set the death signal, and execute the command."""
    # The launcher's blocked signals must not stay blocked in its children.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        take_identity(identity)
    except OSError as error:
        sys.stderr.write(f"exec_wrapper: cannot become {identity}: {error}\n")
        sys.exit(EXIT_REFUSED)
    # After the identity: a change of credentials clears the death signal (prctl(2)).
    die_with_parent(parent, death_signal)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the purpose


def take_identity(identity: str) -> None:
    """Change to the user that runs the command. Raises OSError if the system refuses."""
    if identity == "namespace":
        user, group = os.getuid(), os.getgid()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{ORDINARY_ID} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{ORDINARY_ID} {group} 1", encoding="ascii")
    elif identity != "self":
        user, group = (int(number) for number in identity.split(":"))
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Have the kernel send this process the signal when its parent dies."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    # The parent may have died before prctl. Its pid is the same for another user, as no pid
    # namespace is entered.
    if os.getppid() != parent:
        sys.exit(EXIT_REFUSED)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
