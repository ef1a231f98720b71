"""Programs that are not ours read stored parts: zstd, DuckDB, and a reader of the seek table."""

import asyncio
import io
import shutil
from pathlib import Path
from typing import Final

import duckdb
import pytest
import pyzstd

from app.blobs import Blobs
from app.datasets.parts import Format
from tests.datasets.parts.stored import Parts

ZSTD: Final = shutil.which("zstd")
_RAW: Final = b"".join(
    b'{"pk": "%d", "score": "%d", "t": "\xc3\xa9"}\r\n' % (key, key % 101) for key in range(9_000)
)


def _path(blobs: Blobs) -> Path:
    assert blobs.folder is not None
    return blobs.folder / "t" / "datasets" / "0"


# .ci/run installs it; the readers below are always there.
@pytest.mark.skipif(ZSTD is None, reason="zstd is not on PATH")
@pytest.mark.parametrize("raw", [_RAW, b"", b"\x00" * 70_000])
async def test_zstd_reads_a_part(parts: Parts, raw: bytes, tmp_path: Path) -> None:
    await parts.add(raw, content=Format.BYTES if raw.startswith(b"\x00") else Format.JSONL)

    file = tmp_path / "part.jsonl.zst"
    shutil.copy(_path(parts.blobs), file)
    zstd = await asyncio.create_subprocess_exec(
        str(ZSTD), "-q", "-d", "-c", file, stdout=asyncio.subprocess.PIPE
    )
    assert (await zstd.communicate())[0] == raw
    assert zstd.returncode == 0


async def test_duckdb_reads_parts(parts: Parts) -> None:
    await parts.add(_RAW)

    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT count(*), count(DISTINCT pk), sum(score::int), any_value(t)"
            " FROM read_json(?, format = 'newline_delimited', compression = 'zstd')",
            [str(_path(parts.blobs))],
        ).fetchall()
    assert rows == [(9_000, 9_000, sum(key % 101 for key in range(9_000)), "é")]


async def test_a_reader_of_the_seekable_format_finds_our_seek_table(parts: Parts) -> None:
    await parts.add(_RAW)

    content = _path(parts.blobs).read_bytes()
    assert pyzstd.SeekableZstdFile.is_seekable_format_file(io.BytesIO(content))
    with pyzstd.SeekableZstdFile(io.BytesIO(content)) as file:
        assert file.seek(0, io.SEEK_END) == len(_RAW)
        file.seek(200_000)
        assert file.read(1_000) == _RAW[200_000:201_000]
