"""Start the command line, which Ctrl-C ends quietly from its first moment on."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

# As ExitCode.INTERRUPTED, whose module is not loaded yet.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line, and exit with its code."""
    # Who starts it in the background may have turned Ctrl-C off.
    is_handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_handled:
        # A KeyboardInterrupt within an import could be caught, or become another error.
        signal.signal(signal.SIGINT, _end)
    from crivo.cli.main import run_arguments  # noqa: PLC0415 - takes long

    try:
        if is_handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = run_arguments(sys.argv[1:])
        if is_handled:
            signal.signal(signal.SIGINT, _end)
    except KeyboardInterrupt:
        _end()
    sys.exit(code)


def _end(_number: int = signal.SIGINT, _frame: FrameType | None = None) -> NoReturn:
    is_json = "--json" in sys.argv
    text = '{"error":"Interrupted","message":"interrupted"}' if is_json else "crivo: interrupted"
    os.write(2, f"{text}\n".encode())
    os._exit(_INTERRUPTED)
