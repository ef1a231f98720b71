"""Start Python with one system call made unavailable, as on a kernel that lacks it.

The arguments are the call's number and those of Python. A filter of its own answers that
call with ENOSYS from here on: what a kernel without it does, or a container's profile.
"""

import ctypes
import errno
import os
import platform
import sys

from app.sandbox import seccomp

_PR_SET_NO_NEW_PRIVS = 38
_RETURN_ERROR = 0x0005_0000


def main() -> None:
    loads = seccomp._NUMBER_OF_SECCOMP[platform.machine()]
    program = [
        seccomp.Instruction(seccomp._LOAD, seccomp._NUMBER_AT),
        seccomp.Instruction(seccomp._JUMP_EQUAL, int(sys.argv[1]), if_false=1),
        seccomp.Instruction(seccomp._RETURN, _RETURN_ERROR | errno.ENOSYS),
        seccomp.Instruction(seccomp._RETURN, seccomp.ALLOW),
    ]
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    assert seccomp._load(program, loads) == "on"
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
