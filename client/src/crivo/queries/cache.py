"""Keep what queries read on disk, so that it is downloaded once."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SCRATCH: Final = ".scratch-"
_ABANDONED_SECONDS: Final = 86_400.0


def cache_folder() -> Path:
    """Return the folder of the cache, below XDG_CACHE_HOME; others cannot read it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(base) if base else Path.home() / ".cache") / "crivo" / "query"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """Make a folder beside what is kept, and delete it at the end."""
    for left in cache.glob(f"{_SCRATCH}*"):
        # Of a process that was killed.
        if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=cache))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
