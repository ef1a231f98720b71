"""Parse the library's report of an exception that no JavaScript caught.

Its form is that of V8's shell: "<file>:<line>: <exception>", the source line, carets, the stack.
User code writes the text of exception and stack, which may look like any other part. Only file
and line come before them, and the source is known.
"""

import re
from typing import Final

from app.sandbox.excerpts import Lines

# The user's script. JSON.parse names its text "undefined" and counts lines in it; harness.js is
# not the user's.
_IN_SCRIPT: Final = re.compile(r"(?:process\.js|<anonymous>):([0-9]{1,9}): ")
# Until a script is parsed, its name is that of the last `//# sourceURL=` that V8 has read; such a
# name has no white space.
_IN_PARSER: Final = re.compile(r"[^ \n]*:([0-9]{1,9}): ")
_PREFIX: Final = re.compile(r"[^\n:]*:[0-9]{1,9}: ")
_NAMED: Final = re.compile(r"([A-Za-z_$][\w$]*): (.*)\Z", re.DOTALL)
_MAX_NAME: Final = 256
_MAX_TEXT: Final = 16 * 1024


def error_of(name: str, message: str) -> dict[str, object]:
    """Make an error without a position, in the form of a verdict."""
    return {"name": name, "message": message, "stack": "", "line": None, "column": None}


def parse_uncaught(text: str, source: bytes, *, by_parser: bool = False) -> dict[str, object]:
    """Return name, message, stack and position, in the form of a verdict.

    The position is that of the throw. If the user's text leaves open which of several carets is
    V8's, it is the start of that line. `by_parser`: no JavaScript has run.
    """
    position = (_IN_PARSER if by_parser else _IN_SCRIPT).match(text)
    # V8 says line 0 if its parser ran out of stack.
    line = int(position[1]) or None if position else None
    report = text[position.end() :] if position else _PREFIX.sub("", text, count=1)
    shown = None if line is None else Lines(source).text(line)
    # The line is printed as a C string, which ends at a NUL.
    pattern = "[^\n]*" if shown is None else re.escape(shown.partition("\0")[0])
    # A lookahead, since one match must not hide another that begins within it.
    carets = list(re.finditer(rf"(?=\n{pattern}\n( *)(\^+)(?:\n|\Z))", report))
    thrown, stack = report, ""
    if carets:
        thrown, stack = report[: carets[0].start()], report[carets[0].end(2) :]
    column = len(carets[0][1]) + 1 if len(carets) == 1 else 1
    named = _NAMED.match(thrown)
    name, message = named.groups() if named else ("Error", thrown)
    return {
        "name": name[:_MAX_NAME],
        "message": message[:_MAX_TEXT],
        "stack": stack.strip()[:_MAX_TEXT],
        "line": line,
        "column": None if line is None else column,
    }
