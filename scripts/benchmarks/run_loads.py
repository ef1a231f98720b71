"""Send datasets of any size to a running system, run scripts over them, and read the outcomes."""

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import numpy as np
from msgspec import Struct

from scripts.benchmarks.systems import Crivo

_HOST: Final = "127.0.0.1"
_BLOCK_BYTES: Final = 1_000_000
_TIMEOUT_SECONDS: Final = 3_600
_POLL_SECONDS: Final = 0.05
_JSON: Final = {"Content-Type": "application/json"}

# Bytes of a text file of numbers: digits are read where they lie.
SUM_BYTES: Final = """
const start = () => ({ sum: 0n, number: 0, open: false });
function step(state, chunk) {
  let { number, open } = state, sum = 0;
  for (let at = 0; at < chunk.length; at++) {
    const digit = chunk[at] - 48;
    if (digit >= 0) { number = number * 10 + digit; open = true; continue; }
    if ((number & 1) === 0) sum += number;
    number = 0;
    open = false;
  }
  state.sum += BigInt(sum);
  state.number = number;
  state.open = open;
  return state;
}
const finish = state => {
  if (state.open && (state.number & 1) === 0) state.sum += BigInt(state.number);
  return String(state.sum);
};
// Parts of a text are whole lines.
const merge = (a, b) => ({ sum: BigInt(finish(a)) + b.sum, number: b.number, open: b.open });
"""
MAP: Final = "const map = r => ({ pk: r.pk, double: 2 * r.score, even: r.score % 2 === 0 });"


class Numbers(Struct, frozen=True, kw_only=True):
    """A text file of numbers, one a line: a block, repeated, and the sum of the even ones."""

    block: bytes
    blocks: int
    even_sum: int

    @property
    def size(self) -> int:
        """Return its size in bytes."""
        return len(self.block) * self.blocks

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes."""
        for _ in range(self.blocks):
            yield self.block


def numbers_of_size(size: int, *, seed: int = 1) -> Numbers:
    """Make numbers of up to nine digits, about `size` bytes of them."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 10**9, size=_BLOCK_BYTES // 10)
    block = b"".join(b"%d\n" % each for each in numbers.tolist())
    blocks = max(1, size // len(block))
    even_sum = sum(each for each in numbers.tolist() if each % 2 == 0) * blocks
    return Numbers(block=block, blocks=blocks, even_sum=even_sum)


class Records(Struct, frozen=True, kw_only=True):
    """A file of JSON lines with `pk` and `score`."""

    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, whose keys are all different."""
        sent = number = 0
        while sent < self.size:
            lines = [
                b'{"pk":"%d","score":%d}\n' % (number + each, (number + each) * 7_919 % 1_000)
                for each in range(30_000)
            ]
            number += len(lines)
            chunk = b"".join(lines)
            sent += len(chunk)
            yield chunk


def call(crivo: Crivo, method: str, path: str, body: object = None, *, key: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Send a request with a JSON body and return the response's. Raises RuntimeError."""
    headers = {**_JSON, **({"Authorization": f"Bearer {key}"} if key else {})}
    with closing(http.client.HTTPConnection(_HOST, crivo.port, timeout=120)) as connection:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status >= http.client.BAD_REQUEST:
            message = f"{method} {path}: {response.status} {answer[:500]!r}"
            raise RuntimeError(message)
        return json.loads(answer) if answer else None


def send(
    crivo: Crivo, dataset: str, chunks: Iterator[bytes], *, path: str = "data", **members: str
) -> None:
    """Send a file of any size to a dataset, which is created if it is new."""
    call(crivo, "PUT", f"/datasets/{dataset}", members)
    url = f"/datasets/{dataset}/files/{path}"
    with closing(
        http.client.HTTPConnection(_HOST, crivo.port, timeout=_TIMEOUT_SECONDS)
    ) as connection:
        connection.request("PUT", url, chunks, {"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        answer = response.read()
        if response.status >= http.client.BAD_REQUEST:
            message = f"PUT {url}: {response.status} {answer[:500]!r}"
            raise RuntimeError(message)


def create_script(crivo: Crivo, name: str, source: str, *, key: str = "") -> None:
    """Create a script."""
    call(crivo, "POST", "/scripts", {"name": name, "source": source}, key=key)


def start_run(crivo: Crivo, *, key: str = "", **wanted: object) -> str:
    """Begin a run and return its id."""
    answer = call(crivo, "POST", "/runs", wanted, key=key)
    run_id: str = answer["id"]
    return run_id


async def ended(crivo: Crivo, run_id: str, *, patient: bool = False) -> Mapping[str, Any]:
    """Poll until a run has succeeded, and return it; `patient` with an API that is away."""
    while True:
        try:
            run = await asyncio.to_thread(call, crivo, "GET", f"/runs/{run_id}")
        except (OSError, http.client.HTTPException, RuntimeError):
            if not patient:
                raise
            run = {"finished_at": None}
        if run["finished_at"] is not None:
            break
        await asyncio.sleep(_POLL_SECONDS)
    if run["status"] != "succeeded":
        message = f"not a success: {run}"
        raise RuntimeError(message)
    found: Mapping[str, Any] = run
    return found
