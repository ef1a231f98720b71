"""Find the files of a folder that are sent to a dataset."""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from msgspec import Struct

from crivo.errors import InvalidSource


class FileState(Struct, frozen=True, array_like=True):
    """What changes when a file does."""

    size: int
    modified_ns: int
    inode: int


class SourceFile(Struct, frozen=True, kw_only=True):
    """A file to send; `name` is its path in the dataset."""

    name: str
    path: Path
    state: FileState

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was found."""
        try:
            return state_of(self.path.stat()) == self.state
        except OSError:
            return False


class Found(Struct, frozen=True, kw_only=True):
    """The files of a source in the order of their names, and the paths that are left out."""

    files: Sequence[SourceFile]
    left_out: Sequence[str] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(each.state.size for each in self.files)

    def only(self, names: Collection[str]) -> "Found":
        """Return it with some of its files."""
        files = [each for each in self.files if each.name in names]
        return Found(files=files, left_out=self.left_out)


def state_of(result: os.stat_result) -> FileState:
    """Return the state in a result of stat."""
    return FileState(size=result.st_size, modified_ns=result.st_mtime_ns, inode=result.st_ino)


def check_name(name: str) -> None:
    """Make sure that a file can be sent under its name. Raises InvalidSource."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidSource(f"{name!r}: the name is not UTF-8; rename the file") from None


def find_files(source: Path, *, include: Sequence[str] = ()) -> Found:
    """Find the files of a folder and below, or take one file.

    Left out are hidden files and folders, links to folders, and what is no file. `include` are
    patterns such as `*.jsonl`, of which one must match the end of a path. Names are not checked.
    Raises InvalidSource, OSError.
    """
    if not source.is_dir():
        state = state_of(source.stat())
        if not source.is_file():
            raise InvalidSource(f"{source}: is neither a file nor a folder")
        return Found(files=[SourceFile(name=source.name, path=source, state=state)])
    files: list[SourceFile] = []
    left_out: list[str] = []
    for path in _walk(source, left_out):
        name = path.relative_to(source).as_posix()
        if include and not any(PurePosixPath(name).match(each) for each in include):
            continue
        found = _stat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            left_out.append(name)
        else:
            files.append(SourceFile(name=name, path=path, state=state_of(found)))
    files.sort(key=lambda each: each.name)
    return Found(files=files, left_out=sorted(left_out))


def _walk(source: Path, left_out: list[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(source, onerror=partial(_fail, source)):
        here = Path(folder)
        skipped = [each for each in folders if each.startswith(".") or (here / each).is_symlink()]
        folders[:] = [each for each in folders if each not in skipped]
        skipped += [each for each in names if each.startswith(".")]
        left_out += [(here / each).relative_to(source).as_posix() for each in skipped]
        yield from (here / each for each in names if not each.startswith("."))


def _fail(source: Path, error: OSError) -> None:
    # Programs that write into the source delete their temporary folders meanwhile.
    if not isinstance(error, FileNotFoundError) or not source.is_dir():
        raise error


def _stat(path: Path) -> os.stat_result | None:
    """Return the state of a file; None: it is gone, or a link that leads nowhere."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
