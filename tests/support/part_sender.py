"""A client that sends the files of a folder to an upload, and goes on where another has stopped."""

import base64
import gzip
import hashlib
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx

PART_BYTES: Final = 1_000_000
_SENDERS: Final = 3
_ACCEPTED: Final = (200, 201)
# Answers to a request that may be repeated.
_AWAY: Final = (408, 429, 503, 507)


def main() -> int:
    """Send what the upload does not hold, then commit it; arguments: its URL, and the folder."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    with httpx.Client(timeout=30, trust_env=False) as client, ThreadPoolExecutor(_SENDERS) as pool:
        held = _held(client, url)
        paths = sorted(folder.iterdir())
        work = [
            (f"{path.name}/parts/{number}", part)
            for path in paths
            for number, part in enumerate(parts_of(path.read_bytes()), 1)
            if (path.name, number) not in held
        ]
        for _ in pool.map(lambda each: _send(client, url, *each), work):
            pass
        files = [_described(path) for path in paths]
        _persist(client, "POST", f"{url}/commit", json={"files": files})
    return 0


def parts_of(content: bytes) -> Iterator[bytes]:
    """Cut a file at line ends."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", min(start + PART_BYTES, len(content)) - 1) + 1 or len(content)
        yield content[start:end]
        start = end


def _held(client: httpx.Client, url: str) -> set[tuple[str, int]]:
    files = _persist(client, "GET", url).json()["files"]
    return {(file["path"], part["part"]) for file in files for part in file["parts"]}


def _send(client: httpx.Client, url: str, part: str, content: bytes) -> None:
    packed = gzip.compress(content, 1)
    digest = base64.b64encode(hashlib.sha256(packed).digest()).decode()
    headers = {"Content-Encoding": "gzip", "Content-Digest": f"sha-256=:{digest}:"}
    _persist(client, "PUT", f"{url}/files/{part}", content=packed, headers=headers)


def _described(path: Path) -> dict[str, str | int]:
    digests = [hashlib.sha256(part).digest() for part in parts_of(path.read_bytes())]
    whole = hashlib.sha256(b"".join(digests)).hexdigest()
    return {"path": path.name, "parts": len(digests), "digest": whole}


def _persist(client: httpx.Client, method: str, url: str, **what: object) -> httpx.Response:
    """Repeat a request until it is answered."""
    while True:
        try:
            answer = client.request(method, url, **what)  # type: ignore[arg-type] # httpx's own
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code in _ACCEPTED:
            return answer
        if answer.status_code not in _AWAY:
            raise SystemExit(answer.text)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
