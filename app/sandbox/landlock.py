"""Restrict a process with Landlock: only given files, no TCP ports, no processes outside.

It applies to the calling thread and to threads that it starts later, so it comes before the
isolates of a cell, and before DuckDB.
The numbers are those of Linux's `include/uapi/linux/landlock.h`; the three system calls
have the same number on every architecture.
"""

import ctypes
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_GET_VERSION: Final = 1
_PATH_BENEATH: Final = 1

# By the version that introduced them: 13 rights on files, to link or rename across folders (2),
# to truncate (3), to send ioctls to devices (5).
_FILES: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
# To bind and to connect TCP sockets.
_TCP: Final = {4: 0b11}
# Abstract Unix sockets of, and signals to, processes outside.
_SCOPES: Final = {6: 0b11}

# To open files by their names.
READ_FILES: Final = 1 << 2
# Besides, to list folders.
READ: Final = READ_FILES | 1 << 3
# Besides, to write and truncate files, to make and remove files and folders, to rename within one.
CHANGE: Final = READ | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14

_RULE: Final = struct.Struct("=Qi")

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Rule(NamedTuple):
    """Rights on a file, or on a folder and all that is below it."""

    path: str
    rights: int


def enter(*, parent_pid: int, rules: Iterable[Rule] = ()) -> dict[str, str]:
    """Handle every right that the kernel knows and grant the rules'; return what is in force.

    `no_new_privs` must be set. Each state is measured by an attempt: to open a folder that could
    be opened before and that no rule may grant, to bind a port, to signal the parent.
    """
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    if version < 0:
        # ENOSYS: a kernel without Landlock; EOPNOTSUPP: disabled at boot.
        return _all_off()
    readable = _error_of_opening() == 0
    files, *others = (_up_to(version, rights) for rights in (_FILES, _TCP, _SCOPES))
    # The kernel ignores members that it does not know if they are zero.
    handled = struct.pack("=QQQ", files, *others)
    ruleset: int = _libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
    if ruleset < 0:
        return _all_off()
    try:
        granted = all(_grant(ruleset, rule, known=files) for rule in rules)
        if not granted or _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return _all_off()
    finally:
        os.close(ruleset)
    denied = readable and _error_of_opening() == errno.EACCES
    return {
        "landlock": "on" if denied else "off: a folder opens",
        "landlock_tcp": _state(version, _TCP, denied=_error_of_binding() == errno.EACCES),
        "landlock_scopes": _state(version, _SCOPES, denied=_error_of_signal(parent_pid) != 0),
    }


def _grant(ruleset: int, rule: Rule, *, known: int) -> bool:
    """Add a rule with the rights that the kernel knows; a path that cannot be used has none."""
    try:
        path = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        rights = rule.rights & known
        if not stat.S_ISDIR(os.fstat(path).st_mode):
            rights &= READ_FILES
        added: int = _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _RULE.pack(rights, path), 0)
    finally:
        os.close(path)
    return added == 0


def _up_to(version: int, rights: dict[int, int]) -> int:
    return sum(bits for since, bits in rights.items() if since <= version)


def _all_off() -> dict[str, str]:
    off = f"off: {os.strerror(ctypes.get_errno())}"
    return {"landlock": off, "landlock_tcp": off, "landlock_scopes": off}


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
