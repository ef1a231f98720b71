"""Run the use case of examples/cards over HTTP, and compare the results with the expected ones.

python -m app.cli.demo URL; CRIVO_KEY is the key for an API that requires one.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

import httpx

from app.errors import CrivoError

# A name of its own, so that the demo adds no versions to a user's script.
SCRIPT: Final = "cards-demo"
_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "cards"
_REQUEST_SECONDS: Final = 30.0
_READY_SECONDS: Final = 60.0
_FINISH_SECONDS: Final = 60.0
# Less than _REQUEST_SECONDS.
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
    """A response or a result differs from the expected one; the message says how."""


def main(arguments: list[str]) -> int:
    """Run the demo against a URL; return 0 if every result is as expected."""
    (url,) = arguments
    try:
        # The API is local: proxies of the environment do not apply.
        with httpx.Client(
            base_url=url, timeout=_REQUEST_SECONDS, trust_env=False, headers=_authorization()
        ) as client:
            _await_ready(client)
            _upload(client)
            _customers_payload(client)
            _larger_payload(client)
    except BrokenPipeError:
        # The reader of the output has gone; a flush at exit would fail too.
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
    response = _post(client, "/scripts", body, shown)
    if response.status_code == _CONFLICT:
        _say("\nThe name is taken, from an earlier run: add a version instead.")
        body = json.dumps({"source": source}).encode()
        shown = f'{{"source": … {len(source.encode()):,} bytes of script.js …}}'
        response = _post(client, f"/scripts/{SCRIPT}/versions", body, shown)
        _expect(response, _OK, _CREATED)
    else:
        _expect(response, _CREATED)


def _customers_payload(client: httpx.Client) -> None:
    _title("2. Run it on the customer's payload, in an envelope")
    payload = (_EXAMPLE / "payload.json").read_bytes()
    # The payload's bytes are embedded unchanged: decoding could alter numbers.
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
        raise DemoFailed("the response has no Location")
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
    """Poll until the execution ends; each request waits for the end."""
    deadline = time.monotonic() + _FINISH_SECONDS
    while True:
        response = client.get(location, params={"wait": _WAIT_SECONDS})
        _show(response, "")
        _expect(response, _OK)
        execution = _json_object(response)
        if execution.get("status") not in {"queued", "running"}:
            return execution
        if time.monotonic() > deadline:
            raise DemoFailed(f"still {execution.get('status')} after {_FINISH_SECONDS:.0f} s")


def _compare(result: bytes, expected: bytes, name: str) -> None:
    try:
        actual = json.loads(result)
    except ValueError as error:
        raise DemoFailed(f"the result is not JSON: {error}") from None
    difference = _difference(actual, json.loads(expected), "result")
    if difference:
        raise DemoFailed(f"not as in {name}: {difference}")
    _say(f"\nThe result is that of {name}.")


def _difference(actual: object, expected: object, path: str) -> str:
    """Describe the first difference of two JSON values; empty if they are equal."""
    if isinstance(actual, list) and isinstance(expected, list) and len(actual) == len(expected):
        pairs = [
            (f"{path}[{index}]", *pair)
            for index, pair in enumerate(zip(actual, expected, strict=True))
        ]
    elif (
        isinstance(actual, dict) and isinstance(expected, dict) and actual.keys() == expected.keys()
    ):
        pairs = [(f"{path}.{name}", actual[name], expected[name]) for name in expected]
    elif actual == expected and type(actual) is type(expected):
        return ""
    else:
        return f"{path} is {_clipped(actual)}, expected {_clipped(expected)}"
    return next((text for name, a, e in pairs if (text := _difference(a, e, name))), "")


def _clipped(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - a line or two


def _post(client: httpx.Client, path: str, body: bytes, shown: str) -> httpx.Response:
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    _show(response, f"Content-Type: application/json\n\n{shown}")
    return response


def _get(client: httpx.Client, path: str) -> httpx.Response:
    response = client.get(path)
    _show(response, "")
    return response


def _show(response: httpx.Response, request: str) -> None:
    """Print a request and its response."""
    _say(f"\n{response.request.method} {response.request.url}")
    _lines(request, "    ")
    _say(f"{response.status_code} {response.reason_phrase}")
    headers = "\n".join(
        f"{name.title()}: {response.headers[name]}"
        for name in _SHOWN_HEADERS
        if name in response.headers
    )
    try:
        body = json.dumps(response.json(), indent=2, ensure_ascii=False)
    except ValueError:
        body = response.text
    _lines(f"{headers}\n\n{body}", "    ")


def _lines(text: str, indent: str) -> None:
    lines = text.splitlines()
    for line in lines[:_MAX_BODY_LINES]:
        _say(f"{indent}{line}" if line else "")
    if len(lines) > _MAX_BODY_LINES:
        _say(f"{indent}… {len(lines) - _MAX_BODY_LINES} more lines")


def _expect(response: httpx.Response, *statuses: int) -> None:
    if response.status_code not in statuses:
        allowed = " or ".join(str(status) for status in statuses)
        request = f"{response.request.method} {response.request.url.path}"
        hint = "; set the key as CRIVO_KEY" if response.status_code == _UNAUTHORIZED else ""
        raise DemoFailed(f"{request} returned {response.status_code}, expected {allowed}{hint}")


def _json_object(response: httpx.Response) -> dict[str, object]:
    value = response.json()
    if not isinstance(value, dict):
        raise DemoFailed(f"{response.request.url.path} returned no JSON object")
    return value


def _title(text: str) -> None:
    _say(f"\n── {text} {'─' * max(0, 70 - len(text))}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
