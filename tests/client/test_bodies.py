"""A body is read alike by both clients, and only from data that has bytes."""

from pathlib import Path

import pytest

from crivo.bodies import Body, Data


async def test_an_empty_chunk_does_not_end_a_body(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"[1]")
    parts = [b"", b"[1", b"", b"]"]

    def sources() -> tuple[Data, ...]:
        return iter(parts), b"[1]", tmp_path / "data"

    drained = [b"".join(Body(each).chunks()) for each in sources()]
    awaited = [b"".join([chunk async for chunk in Body(each).achunks()]) for each in sources()]

    assert drained == awaited == [b"[1]"] * 3


def test_a_text_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("1")
    with (tmp_path / "data").open() as file, pytest.raises(TypeError, match="binary mode"):
        Body(file)
