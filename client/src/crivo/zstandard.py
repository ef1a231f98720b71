"""Compress with Zstandard: by the standard library, or before Python 3.14 by its backport."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# On short records, higher levels take longer and compress no better.
_LEVEL = 1


def compress(content: bytes) -> bytes:
    """Compress some bytes."""
    return zstd.compress(content, _LEVEL)
