"""Reach files of a mounted folder by their names alone.

What lies there was written by others, who can also change it at any moment. So no path is opened:
each name is opened in the folder before it, and only what is a folder, at last a regular file.
Symbolic links are never followed, and nothing is waited for that a pipe or a device would send.

All of this blocks.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from app.exports.hanging_calls import leave_to_thread, require_wanted

# A folder may be passed through that cannot be listed, such as one that all tenants share.
_PASSED: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_CREATED: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# Where a folder cannot be synchronized, its file system does so itself, or never.
_UNSYNCHRONIZED: Final = frozenset({errno.EACCES, errno.EINVAL, errno.ENOTSUP})


class ForeignKind(Exception):
    """What has a name there is nothing that Crivo makes: a link, a pipe, a device, a folder."""


class RootGone(Exception):
    """The folder of the operator is not there, or another one."""


class OpenFile:
    """A regular file.

    One that nobody has closed is closed after the last reference to it: a thread that hangs has
    one, and a descriptor that is closed before it goes on would be another file's.
    """

    def __init__(self, descriptor: int, place: str) -> None:
        """Take an open descriptor, and the name of what hangs as a whole."""
        self.descriptor = descriptor
        self._place = place
        self._is_open = True

    def __del__(self) -> None:
        """Close it in a thread: this can be the event loop, and closing can wait for a server."""
        if self._is_open:
            leave_to_thread(self._place, partial(os.close, self.descriptor))

    def close(self) -> None:
        """Close it, as the last call. Raises what was not written back."""
        self._is_open = False
        os.close(self.descriptor)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end."""
        return os.read(self.descriptor, size)

    def write(self, content: bytes) -> None:
        """Write all."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def synchronize(self) -> None:
        """Have what was written on the disk."""
        os.fsync(self.descriptor)


class FolderTree:
    """Files by their paths below a folder, which is made as soon as something is written.

    `root`, the operator's, must be there and can be a link; `names` lead from it to the folder.
    """

    def __init__(self, root: Path, names: Sequence[str], *, place: str) -> None:
        """Name a folder, and what hangs as a whole; `open_root` comes first."""
        self._root = root
        self._place = place
        self._names = tuple(names)
        self._device: int | None = None

    def open_root(self) -> None:
        """Require that the root is there, on the same device from now on. Raises RootGone."""
        with self._open(()):
            pass

    def size(self, path: str) -> int | None:
        """Return the bytes of a file; None if there is none."""
        *folders, name = _names_of(path)
        with suppress(FileNotFoundError, NotADirectoryError, ForeignKind):
            with self._walk(folders) as opened:
                found = os.stat(name, dir_fd=opened[-1], follow_symlinks=False)
            return found.st_size if stat.S_ISREG(found.st_mode) else None
        return None

    def sizes(self, folder: str, *, most: int) -> dict[str, int] | None:
        """Return the bytes of the files of a folder by their names; None: it has more entries."""
        sizes: dict[str, int] = {}
        with suppress(FileNotFoundError), self._walk(_names_of(folder)) as opened:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=opened[-1])
            try:
                with os.scandir(descriptor) as entries:
                    for number, each in enumerate(entries):
                        if number == most:
                            return None
                        if each.is_file(follow_symlinks=False):
                            with suppress(FileNotFoundError):
                                sizes[each.name] = each.stat(follow_symlinks=False).st_size
            finally:
                os.close(descriptor)
        return sizes

    def open(self, path: str) -> OpenFile:
        """Open a file to be read. Raises FileNotFoundError, ForeignKind."""
        *folders, name = _names_of(path)
        with self._walk(folders) as opened:
            try:
                file = OpenFile(os.open(name, _READ, dir_fd=opened[-1]), self._place)
            except OSError as error:
                # A link and a socket.
                if error.errno in {errno.ELOOP, errno.ENXIO}:
                    raise _foreign(path) from error
                raise
        if not stat.S_ISREG(os.fstat(file.descriptor).st_mode):
            raise _foreign(path)
        return file

    def create(self, path: str) -> OpenFile:
        """Create a file, and the folders on its way; what has its name is replaced."""
        *folders, name = _names_of(path)
        with self._walk(folders, make=True) as opened:
            require_wanted()
            # Never written to: it could be a second name of another file.
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=opened[-1])
            return OpenFile(os.open(name, _CREATED, 0o666, dir_fd=opened[-1]), self._place)

    def publish(self, file: OpenFile, staged: str, path: str) -> None:
        """Give a file that is written its path, once it is on the disk."""
        file.synchronize()
        file.close()
        *source, name = _names_of(staged)
        *target, new_name = _names_of(path)
        with self._walk(source) as before, self._walk(target, make=True) as after:
            require_wanted()
            os.rename(name, new_name, src_dir_fd=before[-1], dst_dir_fd=after[-1])
            _synchronize(after[-1])

    def put(self, path: str, content: bytes, *, staged: str) -> None:
        """Write a file as a whole."""
        file = self.create(staged)
        file.write(content)
        self.publish(file, staged, path)

    def delete(self, path: str) -> None:
        """Delete what is no folder, and the folders that become empty; ignore what is not there."""
        *folders, name = _names_of(path)
        with (
            suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, ForeignKind),
            self._walk(folders) as opened,
        ):
            require_wanted()
            os.unlink(name, dir_fd=opened[-1])
            # Readers take the names of empty folders for partitions.
            with suppress(OSError):
                for folder, parent in zip(reversed(folders), reversed(opened[:-1]), strict=False):
                    os.rmdir(folder, dir_fd=parent)

    @contextmanager
    def _walk(self, folders: Sequence[str], *, make: bool = False) -> Iterator[list[int]]:
        """Open the folders on the way to a name; the last is the one that holds it."""
        with self._open((*self._names, *folders), make=make) as opened:
            yield opened

    @contextmanager
    def _open(self, names: Sequence[str], *, make: bool = False) -> Iterator[list[int]]:
        with ExitStack() as stack:
            opened = [self._open_root()]
            stack.callback(os.close, opened[0])
            for each in names:
                opened.append(_open_folder(each, opened[-1], make=make))
                stack.callback(os.close, opened[-1])
            yield opened

    def _open_root(self) -> int:
        # Without its mount, its path would be on another disk.
        try:
            descriptor = os.open(self._root, _PASSED)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise RootGone(f"there is no folder {self._root}") from error
        device = os.fstat(descriptor).st_dev
        if self._device is None:
            self._device = device
        elif device != self._device:
            os.close(descriptor)
            raise RootGone(f"the folder {self._root} is on another device now")
        return descriptor


def _open_folder(name: str, parent: int, *, make: bool) -> int:
    while True:
        try:
            return os.open(name, _PASSED | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            require_wanted()
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
                _synchronize(parent)
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise ForeignKind(f"{name} is a symbolic link, which is not followed") from None
            raise


def _names_of(path: str) -> list[str]:
    names = path.split("/")
    if any(each in {"", ".", ".."} or "\0" in each for each in names):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return names


def _foreign(path: str) -> ForeignKind:
    return ForeignKind(f"{path} is no regular file")


def _synchronize(folder: int) -> None:
    """Make the names in a folder durable."""
    try:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCHRONIZED:
            raise
