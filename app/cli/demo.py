"""Run the use case of examples/cards over HTTP, and compare what comes with what must come.

python -m app.cli.demo URL; an API that asks for a key gets that of CRIVO_KEY.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

import httpx

from app.errors import CrivoError

# A name of its own: a demonstration must not add versions to somebody's script.
SCRIPT: Final = "cards-demo"
_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "cards"
_REQUEST_SECONDS: Final = 30.0
_READY_SECONDS: Final = 60.0
_FINISH_SECONDS: Final = 60.0
# Below the time that a request may take.
_WAIT_SECONDS: Final = 20
_MAX_BODY_LINES: Final = 24
_SHOWN_HEADERS: Final = ("content-type", "location", "retry-after")
_TIMES: Final = ("created_at", "started_at", "finished_at", "queued_ms", "run_ms", "lead_ms")
_CREATED: Final = 201
_OK: Final = 200
_ACCEPTED: Final = 202
_UNAUTHORIZED: Final = 401
_CONFLICT: Final = 409


class DemoFailed(CrivoError):
    """Something was not as it must be; the message says what differed."""


def main(arguments: list[str]) -> int:
    """Run the demonstration against the URL given; 0 when every result is as expected."""
    (url,) = arguments
    try:
        # No proxy of the environment stands between this and the local API.
        with httpx.Client(
            base_url=url, timeout=_REQUEST_SECONDS, trust_env=False, headers=_authorization()
        ) as client:
            _await_ready(client)
            _upload(client)
            _customers_payload(client)
            _larger_payload(client)
    except BrokenPipeError:
        # Whoever read this has gone; nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DemoFailed, httpx.HTTPError) as error:
        _say(f"\ndemo: failed: {str(error) or type(error).__name__}")
        return 1
    _say("\ndemo: result as expected")
    return 0


def _authorization() -> dict[str, str]:
    key = os.environ.get("CRIVO_KEY", "")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _await_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if client.get("/health/ready").status_code == _OK:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise DemoFailed(f"the API is not ready after {_READY_SECONDS:.0f} s")
        time.sleep(0.1)


def _upload(client: httpx.Client) -> None:
    _title("1. Upload the script")
    source = (_EXAMPLE / "script.js").read_text(encoding="utf-8")
    shown = f'{{"name": "{SCRIPT}", "source": … {len(source.encode()):,} bytes of script.js …}}'
    body = json.dumps({"name": SCRIPT, "source": source}).encode()
    answer = _post(client, "/scripts", body, shown)
    if answer.status_code == _CONFLICT:
        _say("\nThe name is taken, from an earlier run: add a version instead.")
        body = json.dumps({"source": source}).encode()
        shown = f'{{"source": … {len(source.encode()):,} bytes of script.js …}}'
        answer = _post(client, f"/scripts/{SCRIPT}/versions", body, shown)
        _expect(answer, _OK, _CREATED)
    else:
        _expect(answer, _CREATED)


def _customers_payload(client: httpx.Client) -> None:
    _title("2. Run it on the customer's payload, in an envelope")
    payload = (_EXAMPLE / "payload.json").read_bytes()
    # The payload's bytes as they are: nothing here decodes a number and writes it anew.
    body = b'{"script": "' + SCRIPT.encode() + b'", "data": ' + payload + b"}"
    _run(client, "/executions", body, body.decode(), expected="expected.json")


def _larger_payload(client: httpx.Client) -> None:
    _title("3. Run it on several quarters; the body is the data")
    payload = (_EXAMPLE / "payload-quarters.json").read_bytes()
    shown = f"… {len(payload):,} bytes of payload-quarters.json …"
    path = f"/scripts/{SCRIPT}/executions"
    _run(client, path, payload, shown, expected="expected-quarters.json")


def _run(client: httpx.Client, path: str, body: bytes, shown: str, *, expected: str) -> None:
    accepted = _post(client, path, body, shown)
    _expect(accepted, _ACCEPTED)
    location = accepted.headers.get("location")
    if not location:
        raise DemoFailed("the answer has no Location to ask")
    execution = _await_end(client, location)
    if execution.get("status") != "succeeded":
        raise DemoFailed(f"the execution is {execution.get('status')}: {execution.get('error')}")
    receipt = execution.get("receipt")
    times = {**execution, **(receipt if isinstance(receipt, dict) else {})}
    _say("\nThe receipt's times:")
    for name in _TIMES:
        _say(f"    {name:12} {times.get(name)}")
    result = _get(client, f"{location}/result")
    _expect(result, _OK)
    _compare(result.content, (_EXAMPLE / expected).read_bytes(), expected)


def _await_end(client: httpx.Client, location: str) -> dict[str, object]:
    """Ask for the end: the answer comes with it, or after a while."""
    deadline = time.monotonic() + _FINISH_SECONDS
    while True:
        answer = client.get(location, params={"wait": _WAIT_SECONDS})
        _show(answer, "")
        _expect(answer, _OK)
        execution = _json_object(answer)
        if execution.get("status") not in {"queued", "running"}:
            return execution
        if time.monotonic() > deadline:
            raise DemoFailed(f"still {execution.get('status')} after {_FINISH_SECONDS:.0f} s")


def _compare(result: bytes, wanted: bytes, name: str) -> None:
    try:
        found = json.loads(result)
    except ValueError as error:
        raise DemoFailed(f"the result is not JSON: {error}") from None
    difference = _difference(found, json.loads(wanted), "result")
    if difference:
        raise DemoFailed(f"not as in {name}: {difference}")
    _say(f"\nThe result is that of {name}.")


def _difference(found: object, wanted: object, where: str) -> str:
    """Say where two JSON values differ first; empty when they do not."""
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = [
            (f"{where}[{index}]", *pair)
            for index, pair in enumerate(zip(found, wanted, strict=True))
        ]
    elif isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        pairs = [(f"{where}.{name}", found[name], wanted[name]) for name in wanted]
    elif found == wanted and type(found) is type(wanted):
        return ""
    else:
        return f"{where} is {_clipped(found)}, expected {_clipped(wanted)}"
    return next((text for name, f, w in pairs if (text := _difference(f, w, name))), "")


def _clipped(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - a line or two


def _post(client: httpx.Client, path: str, body: bytes, shown: str) -> httpx.Response:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    _show(answer, f"Content-Type: application/json\n\n{shown}")
    return answer


def _get(client: httpx.Client, path: str) -> httpx.Response:
    answer = client.get(path)
    _show(answer, "")
    return answer


def _show(answer: httpx.Response, request: str) -> None:
    """Print a request and its answer."""
    _say(f"\n{answer.request.method} {answer.request.url}")
    _lines(request, "    ")
    _say(f"{answer.status_code} {answer.reason_phrase}")
    headers = "\n".join(
        f"{name.title()}: {answer.headers[name]}"
        for name in _SHOWN_HEADERS
        if name in answer.headers
    )
    try:
        body = json.dumps(answer.json(), indent=2, ensure_ascii=False)
    except ValueError:
        body = answer.text
    _lines(f"{headers}\n\n{body}", "    ")


def _lines(text: str, indent: str) -> None:
    lines = text.splitlines()
    for line in lines[:_MAX_BODY_LINES]:
        _say(f"{indent}{line}" if line else "")
    if len(lines) > _MAX_BODY_LINES:
        _say(f"{indent}… {len(lines) - _MAX_BODY_LINES} more lines")


def _expect(answer: httpx.Response, *statuses: int) -> None:
    if answer.status_code not in statuses:
        wanted = " or ".join(str(status) for status in statuses)
        request = f"{answer.request.method} {answer.request.url.path}"
        hint = "; the key goes into CRIVO_KEY" if answer.status_code == _UNAUTHORIZED else ""
        raise DemoFailed(f"{request} answered {answer.status_code}, expected {wanted}{hint}")


def _json_object(answer: httpx.Response) -> dict[str, object]:
    found = answer.json()
    if not isinstance(found, dict):
        raise DemoFailed(f"{answer.request.url.path} answered no JSON object")
    return found


def _title(text: str) -> None:
    _say(f"\n── {text} {'─' * max(0, 70 - len(text))}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
