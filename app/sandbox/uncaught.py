"""Read what the library prints of an exception that no JavaScript caught."""

import re
from typing import Final

# "<file>:<line>: <exception>", the source line, carets, the stack: the form of V8's shell.
_UNCAUGHT: Final = re.compile(r"^[^\n]*?:([0-9]{1,9}): (.*?)\n[^\n]*\n( *)\^+\n(.*)\Z", re.DOTALL)
_NAMED: Final = re.compile(r"([A-Za-z_$][\w$]*): (.*)\Z", re.DOTALL)
# The stack is a text that user code may have written: its numbers are not to choke on.
_FRAME: Final = re.compile(r"^    at .*?process\.js:([0-9]{1,9}):([0-9]{1,9})\)?$", re.MULTILINE)
_MAX_NAME: Final = 256
_MAX_TEXT: Final = 16 * 1024


def error_of(name: str, message: str) -> dict[str, object]:
    """Make an error without a place, in the form of a verdict."""
    return {"name": name, "message": message, "stack": "", "line": None, "column": None}


def parse_uncaught(text: str) -> dict[str, object]:
    """Find name, message, stack and place, in the form of a verdict."""
    found = _UNCAUGHT.match(text)
    if found is None:
        return error_of("Error", text[:_MAX_TEXT].strip())
    line, thrown, indent, stack = found.groups()
    column: int | str = len(indent) + 1
    named = _NAMED.match(thrown)
    name, message = named.groups() if named else ("Error", thrown)
    # Where the error was made, as for errors of `process`, rather than where it was thrown.
    made = _FRAME.search(stack)
    if made is not None:
        line, column = made.groups()
    # V8 has no place, and says 0, where its parser ran out of stack.
    placed = int(line) > 0
    return {
        "name": name[:_MAX_NAME],
        "message": message[:_MAX_TEXT],
        "stack": stack.strip()[:_MAX_TEXT],
        "line": int(line) if placed else None,
        "column": int(column) if placed else None,
    }
