"""Scripts over bytes from the library and from the command line."""

from pathlib import Path
from typing import Final
from uuid import uuid4

from crivo import AsyncCrivo, Crivo
from tests.support.crivo_command import CrivoCommand
from tests.support.system import System

REVERSED: Final = "function process(data) { return {type: 'image/x-test', body: data.reverse()} }\n"
# No UTF-8, and no JSON.
IMAGE: Final = b"\x89PNG\r\n\x00\xff"


async def test_bytes_go_in_and_out_with_their_media_types(
    client: Crivo, system: System, tmp_path: Path
) -> None:
    (tmp_path / "image.png").write_bytes(IMAGE)
    pushed = client.scripts.push(f"reverse-{uuid4().hex[:8]}", REVERSED, io="bytes")
    name = pushed.script.name

    result = client.run(name, tmp_path / "image.png", media_type="image/png")
    async with AsyncCrivo(system.url) as asynchronous:
        again = await asynchronous.run(name, IMAGE, media_type="image/png")

    assert pushed.script.latest_version.io == "bytes"
    assert result.content == again.content == IMAGE[::-1]
    receipt = result.execution.receipt
    assert receipt is not None
    assert receipt.output is not None
    assert (receipt.input.media_type, receipt.output.media_type) == ("image/png", "image/x-test")


def test_an_image_is_run_by_its_name(crivo: CrivoCommand, client: Crivo) -> None:
    (crivo.home / "reverse.js").write_text(REVERSED)
    (crivo.home / "image.png").write_bytes(IMAGE)
    name = f"reverse-{uuid4().hex[:8]}"

    crivo("scripts", "push", "reverse.js", "--name", name, "--io", "bytes")
    done = crivo("run", name, "image.png")
    crivo("run", name, "-", "--media-type", "image/webp", stdin=IMAGE)

    receipts = [each.receipt for each in client.executions.list(script=name)]
    assert done.out == IMAGE[::-1], done.err
    assert [each and each.input.media_type for each in receipts] == ["image/webp", "image/png"]
