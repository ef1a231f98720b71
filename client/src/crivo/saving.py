"""Write downloads to files that are complete once they have their names."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOTDIR
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file beside its target, which it replaces once it is complete. Raises OSError."""
    if not target.parent.is_dir():
        raise NotADirectoryError(ENOTDIR, "there is no such directory", str(target.parent))
    # Short, since the target's name may be as long as a name can be.
    new = target.with_name(f".crivo-{secrets.token_hex(8)}.part")
    try:
        with new.open("xb") as file:
            yield file
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
