"""Read what the library prints of an exception that no JavaScript caught.

The form is that of V8's shell: "<file>:<line>: <exception>", the source line, carets, the
stack. User code writes the exception's and the stack's text and can make them look like any
other part. The file and the line come before all of it, and the source is known.
"""

import re
from typing import Final

from app.sandbox.excerpts import Lines

# The user's script. JSON.parse calls its text "undefined" and counts lines in it; harness.js
# is not the user's.
_PLACED: Final = re.compile(r"(?:process\.js|<anonymous>):([0-9]{1,9}): ")
# Until a script is parsed it has the name that the last `//# sourceURL=` gives it, of those
# that V8 has come by; no such name has white space.
_PARSED: Final = re.compile(r"[^ \n]*:([0-9]{1,9}): ")
_PREFIX: Final = re.compile(r"[^\n:]*:[0-9]{1,9}: ")
_NAMED: Final = re.compile(r"([A-Za-z_$][\w$]*): (.*)\Z", re.DOTALL)
_MAX_NAME: Final = 256
_MAX_TEXT: Final = 16 * 1024


def error_of(name: str, message: str) -> dict[str, object]:
    """Make an error without a place, in the form of a verdict."""
    return {"name": name, "message": message, "stack": "", "line": None, "column": None}


def parse_uncaught(text: str, source: bytes, *, by_parser: bool = False) -> dict[str, object]:
    """Find name, message, stack and place, in the form of a verdict.

    The place is where V8 stood at the throw. Where the user's text leaves open which of
    several carets is V8's, it is the start of that line. `by_parser`: no JavaScript ran.
    """
    placed = (_PARSED if by_parser else _PLACED).match(text)
    # V8 has no place, and says 0, where its parser ran out of stack.
    line = int(placed[1]) or None if placed else None
    report = text[placed.end() :] if placed else _PREFIX.sub("", text, count=1)
    shown = None if line is None else Lines(source).text(line)
    # The line is printed as a text of C's, which a NUL ends.
    pattern = "[^\n]*" if shown is None else re.escape(shown.partition("\0")[0])
    # Ahead, not along: one match must not hide another that begins within it.
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
