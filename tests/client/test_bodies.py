"""A body is read alike by both clients, and only from data that has bytes."""

from pathlib import Path

from crivo.bodies import Body, Data


async def test_an_empty_chunk_does_not_end_a_body(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"[1]")
    parts = [b"", b"[1", b"", b"]"]

    def sources() -> tuple[Data, ...]:
        return iter(parts), b"[1]", tmp_path / "data"

    drained = [b"".join(Body(each).chunks()) for each in sources()]
    awaited = [b"".join([chunk async for chunk in Body(each).achunks()]) for each in sources()]

    assert drained == awaited == [b"[1]"] * 3
