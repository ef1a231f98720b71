"""Keep other processes out of the folder that an export goes to."""

from pathlib import Path
from typing import BinaryIO, Final, Self

from crivo.errors import ExportInProgress
from crivo.locking import open_locked

# As at a destination. Readers of tables leave out what begins with an underscore.
OWN: Final = "_crivo"


class LockedFolder:
    """A folder into which no other process puts exports until the end of the block.

    A folder that it has created for nothing is deleted again.
    """

    def __init__(self, path: Path) -> None:
        """Take a path, of a folder or of nothing yet."""
        self.path = path
        self._own = path / OWN
        self._lock = self._own / "lock"
        self._is_new = False
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Create and lock the folder. Raises ExportInProgress, OSError."""
        self._is_new = not self.path.exists()
        self._own.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open_locked(self._lock)
        except BlockingIOError:
            message = f"another process writes an export into {self.path}"
            raise ExportInProgress(message) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Unlock the folder."""
        if self._is_new and self._is_unused():
            self._lock.unlink()
            self._own.rmdir()
            self.path.rmdir()
        if self._file is not None:
            self._file.close()

    def _is_unused(self) -> bool:
        return list(self.path.iterdir()) == [self._own] and list(self._own.iterdir()) == [
            self._lock
        ]
