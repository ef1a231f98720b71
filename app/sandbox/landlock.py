"""Restrict a cell with Landlock: no files, no TCP ports, no processes outside.

It applies to the calling thread and to threads that it starts later, so it comes before the
isolates.
The numbers are those of Linux's `include/uapi/linux/landlock.h`; the three system calls
have the same number on every architecture.
"""

import ctypes
import errno
import os
import socket
import struct
from typing import Final

_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_GET_VERSION: Final = 1

# By the version that introduced them: 13 rights on files, to link or rename across folders (2),
# to truncate (3), to send ioctls to devices (5).
_FILES: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
# To bind and to connect TCP sockets.
_TCP: Final = {4: 0b11}
# Abstract Unix sockets of, and signals to, processes outside.
_SCOPES: Final = {6: 0b11}

_libc: Final = ctypes.CDLL(None, use_errno=True)


def enter(*, parent_pid: int) -> dict[str, str]:
    """Handle every right that the kernel knows and grant none; return what is in force.

    `no_new_privs` must be set. Each state is measured by an attempt: to open a folder that could
    be opened before, to bind a port, to signal the parent.
    """
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    if version < 0:
        # ENOSYS: a kernel without Landlock; EOPNOTSUPP: disabled at boot.
        off = _reason(ctypes.get_errno())
        return {"landlock": off, "landlock_tcp": off, "landlock_scopes": off}
    readable = _error_of_opening() == 0
    # The kernel ignores members that it does not know if they are zero.
    rights = struct.pack("=QQQ", *(_up_to(version, rights) for rights in (_FILES, _TCP, _SCOPES)))
    ruleset: int = _libc.syscall(_CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), 0)
    if ruleset < 0 or _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        off = _reason(ctypes.get_errno())
        return {"landlock": off, "landlock_tcp": off, "landlock_scopes": off}
    os.close(ruleset)
    denied = readable and _error_of_opening() == errno.EACCES
    return {
        "landlock": "on" if denied else "off: a folder opens",
        "landlock_tcp": _state(version, _TCP, denied=_error_of_binding() == errno.EACCES),
        "landlock_scopes": _state(version, _SCOPES, denied=_error_of_signal(parent_pid) != 0),
    }


def _up_to(version: int, rights: dict[int, int]) -> int:
    return sum(bits for since, bits in rights.items() if since <= version)


def _state(version: int, rights: dict[int, int], *, denied: bool) -> str:
    (since,) = rights
    if version < since:
        return f"off: the kernel's version is {version}, this came with {since}"
    return "on" if denied else "off: tried, and not refused"


def _error_of_opening() -> int:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or 0
    return 0


def _error_of_binding() -> int:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return error.errno or 0
    return 0


def _error_of_signal(pid: int) -> int:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno or 0
    return 0


def _reason(number: int) -> str:
    return f"off: {os.strerror(number)}"
