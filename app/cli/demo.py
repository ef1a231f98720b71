"""Run the use case of examples/cards by the client, and compare the results with the expected ones.

python -m app.cli.demo URL, with client/src on PYTHONPATH; CRIVO_KEY is the key for an API that
requires one.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from crivo import AccessDenied, Crivo, CrivoError, ExecutionFailed, Result, Unreachable
from crivo.differences import first_difference

# A name of its own, so that the demo adds no versions to a user's script.
SCRIPT: Final = "cards-demo"
_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "cards"
_READY_SECONDS: Final = 60.0
_FINISH_SECONDS: Final = 60.0
_MAX_RESULT_LINES: Final = 24
_BROKEN: Final = "function process(data) {\n  return data.rows.length;\n}\n"


class DemoFailed(CrivoError):
    """A result differs from the expected one; the message says how."""


def main(arguments: list[str]) -> int:
    """Run the demo against a URL; return 0 if every result is as expected."""
    (url,) = arguments
    try:
        _say(f">>> client = Crivo({url!r})")
        with Crivo(url, os.environ.get("CRIVO_KEY")) as client:
            _await_ready(client)
            _upload(client)
            _run(client, "2. Run it on the customer's payload", "payload.json", "expected.json")
            _run(
                client,
                "3. Run it on several quarters",
                "payload-quarters.json",
                "expected-quarters.json",
            )
            _fail(client)
    except BrokenPipeError:
        # The reader of the output has gone; a flush at exit would fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CrivoError as error:
        hint = "; set the key as CRIVO_KEY" if isinstance(error, AccessDenied) else ""
        _say(f"\ndemo: failed: {error}{hint}")
        return 1
    _say("\ndemo: result as expected")
    return 0


def _await_ready(client: Crivo) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            if client.ready().ready:
                return
        except Unreachable:
            pass
        if time.monotonic() > deadline:
            raise DemoFailed(f"the API is not ready after {_READY_SECONDS:.0f} s")
        time.sleep(0.1)


def _upload(client: Crivo) -> None:
    _title("1. Upload the script")
    _say(f'>>> client.scripts.push("{SCRIPT}", Path("examples/cards/script.js"))')
    pushed = client.scripts.push(SCRIPT, _EXAMPLE / "script.js")
    _say(f"{pushed.reference}, {'new' if pushed.is_new else 'as uploaded before'}")


def _run(client: Crivo, title: str, payload: str, expected: str) -> None:
    _title(title)
    _say(f'>>> result = client.run("{SCRIPT}", Path("examples/cards/{payload}"))')
    result = client.run(SCRIPT, _EXAMPLE / payload, timeout=_FINISH_SECONDS)
    _say(">>> result.json()")
    _show(result)
    difference = first_difference(json.loads((_EXAMPLE / expected).read_bytes()), result.json())
    if difference is not None:
        raise DemoFailed(f"not as in {expected}: {difference}")
    _say(f"\nThe result is that of {expected}.")


def _fail(client: Crivo) -> None:
    _title("4. See where a script fails")
    name = f"{SCRIPT}-broken"
    client.scripts.push(name, _BROKEN)
    _say(f'>>> client.run("{name}", None)')
    try:
        client.run(name, None, timeout=_FINISH_SECONDS)
    except ExecutionFailed as failure:
        _say(f"ExecutionFailed: {failure}\n{failure.excerpt}")
        if (failure.kind, failure.line, failure.column) == ("script_error", 2, 15):
            return
    raise DemoFailed("the error is not at line 2, column 15")


def _show(result: Result) -> None:
    lines = json.dumps(result.json(), indent=2, ensure_ascii=False).splitlines()
    for line in lines[:_MAX_RESULT_LINES]:
        _say(line)
    if len(lines) > _MAX_RESULT_LINES:
        _say(f"… {len(lines) - _MAX_RESULT_LINES} more lines")
    receipt = result.execution.receipt
    if receipt is not None:
        _say(
            f"\nqueued {receipt.queued_ms} ms, ran {receipt.run_ms} ms, "
            f"used {receipt.cpu_ms} ms of CPU and {receipt.peak_memory_bytes} bytes of memory"
        )


def _title(text: str) -> None:
    _say(f"\n── {text} {'─' * max(0, 70 - len(text))}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
