"""Write downloads to files that are complete once they have their names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file beside its target, which it replaces once it is complete. Raises OSError."""
    new = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with new.open("wb") as file:
            yield file
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
