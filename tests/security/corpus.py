"""List the hostile scripts: files by family, each with its expected verdict.

A file opens with one comment that says what it tries, then one line for each thing that
must be so, as `// key: value`:

- `expect`: the tag of the outcome, as in `app/sandbox/outcomes.py`;
- `limits`: names of Limits with their values, where they differ from `LIMITS`;
- `input`: the data, as JSON; otherwise `null`;
- `output`: the bytes of the output, for `succeeded`;
- `error`: for `threw` the error's name, or its name and message;
- `place`: for `threw` line and column, or `none`;
- `says`: for `invalid_result` a part of its message;
- `console`: level and text of each line, as JSON, or `any`; otherwise there is none;
- `dropped`: how many lines went over the caps, or `some`; otherwise there is none;
- `known`: a defect that is known: why the verdict is not yet as expected.
"""

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final, get_args

import msgspec
from msgspec import Struct

from app.sandbox.outcomes import Limits, LogLine, Outcome

SCRIPTS: Final = Path(__file__).with_name("scripts")
MIB: Final = 1024 * 1024
# Small, so that the corpus is quick; long enough that a busy machine does not decide.
LIMITS: Final = Limits(wall_ms=10_000, memory_bytes=128 * MIB, output_bytes=MIB)
KINDS: Final = {str(kind.__struct_config__.tag): kind for kind in get_args(Outcome)}

_LINE: Final = re.compile(r"// (?P<key>[a-z]+): (?P<value>.+)")
_KEYS: Final = {
    "expect", "limits", "input", "output", "error", "place", "says", "console", "dropped", "known",
}  # fmt: skip
# What only some verdicts have.
_ONLY: Final = {"output": "succeeded", "error": "threw", "place": "threw", "says": "invalid_result"}


class Hostile(Struct, frozen=True, kw_only=True):
    """One hostile script; None where the file leaves it open."""

    name: str
    source: bytes
    attack: str
    kind: str
    limits: Limits
    payload: bytes
    output: bytes | None
    error: str | None
    place: tuple[int, int] | tuple[None, None] | None
    says: str | None
    console: tuple[LogLine, ...] | None
    dropped: int | None
    known: str | None

    @property
    def family(self) -> str:
        """The folder that the script is in."""
        return self.name.partition("/")[0]


def read_fields(name: str, lines: Iterable[str], *, known: Collection[str]) -> dict[str, str]:
    """Read the comments `// key: value` at a script's head. Raises ValueError for others."""
    found: dict[str, str] = {}
    for line in lines:
        matched = _LINE.fullmatch(line)
        if matched is None:
            break
        key, value = matched.groups()
        if key not in known or key in found:
            raise ValueError(f"{name}: {key} is unknown, or there twice")
        found[key] = value
    return found


def read_corpus() -> list[Hostile]:
    """Read every file under `scripts`. Raises ValueError for one that says less than it must."""
    return [_read(path) for path in sorted(SCRIPTS.rglob("*")) if path.is_file()]


def _read(path: Path) -> Hostile:
    name = str(path.relative_to(SCRIPTS).with_suffix(""))
    if path.suffix != ".js" or name.count("/") != 1:
        raise ValueError(f"{name}: not a script of a family")
    source = path.read_bytes()
    first, *rest = source.decode().split("\n")
    found = read_fields(name, rest, known=_KEYS)
    kind = found.get("expect", "")
    if kind not in KINDS or not re.fullmatch(r"// [^a-z].*\.", first):
        raise ValueError(f"{name}: does not say what it tries, or what it must get")
    if any(found.get(key) and kind != only for key, only in _ONLY.items()):
        raise ValueError(f"{name}: expects what {kind} does not have")
    needed = {"succeeded": "output", "invalid_result": "says"}.get(kind)
    if needed is not None and needed not in found:
        raise ValueError(f"{name}: {kind} without its {needed}")
    return Hostile(
        name=name,
        source=source,
        attack=first.removeprefix("// "),
        kind=kind,
        limits=_limits(found.get("limits", "")),
        payload=found.get("input", "null").encode(),
        output=found["output"].encode() if "output" in found else None,
        error=found.get("error"),
        place=_place(found.get("place")),
        says=found.get("says"),
        console=_console(found.get("console", "[]")),
        dropped=None if found.get("dropped") == "some" else int(found.get("dropped", "0")),
        known=found.get("known"),
    )


def _limits(text: str) -> Limits:
    changed = {key: int(value) for key, value in (pair.split("=") for pair in text.split())}
    return msgspec.convert({**msgspec.structs.asdict(LIMITS), **changed}, Limits)


def _place(text: str | None) -> tuple[int, int] | tuple[None, None] | None:
    if text is None:
        return None
    if text == "none":
        return None, None
    line, column = text.split(":")
    return int(line), int(column)


def _console(text: str) -> tuple[LogLine, ...] | None:
    if text == "any":
        return None
    return tuple(LogLine(level=level, text=line) for level, line in json.loads(text))
