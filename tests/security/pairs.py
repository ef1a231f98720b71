"""List pairs of scripts of which the first tries to reach the second: files by family.

A file opens with one comment that says what the first leaves, then lines `// key: value`:

- `first`, `second`: the tags of their outcomes, where they are not `succeeded`;
- `output`: the bytes of the second's output, if it succeeds;
- `console`: level and text of each of the second's lines, as JSON; otherwise there is none;
- `limits`: names of Limits with their values, where they differ from `LIMITS`;
- `cell`: what becomes of the first's cell: `stays` (the default), `ends`, `retired` (it ends if
  executions share an isolate), `either`;
- `unseen`: why one context for both shows no difference.

The scripts follow, the second after a line `// ---- second`. Without that line one source runs
twice. The first receives 1 as its data, the second 2.
"""

import json
import re
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.sandbox.outcomes import Limits, LogLine
from tests.security.corpus import KINDS, LIMITS, read_fields

PAIRS: Final = Path(__file__).with_name("consecutive")
FIRST, SECOND = b"1", b"2"

_SPLIT: Final = "\n// ---- second\n"
_KEYS: Final = {"first", "second", "output", "console", "limits", "cell", "unseen"}
_CELLS: Final = {"stays", "ends", "retired", "either"}

# One context for both scripts: what isolation must prevent.
_BOTH: Final = """{{
  const first = (() => {{ {first}
  ; return process }})()
  try {{ first(1) }} catch {{}}
}}
{second}"""
_HARMLESS: Final = "const process = () => 1"
_TWICE: Final = """{both}
{{ const once = process; process = data => {{ {first} return once(data) }} }}"""


class Pair(Struct, frozen=True, kw_only=True):
    """Two scripts, and what must be so if the second runs after the first."""

    name: str
    attack: str
    first: bytes
    second: bytes
    first_kind: str
    second_kind: str
    output: bytes
    console: tuple[LogLine, ...]
    limits: Limits
    cell: str
    unseen: str | None
    in_one_context: bytes
    without_first: bytes

    @property
    def family(self) -> str:
        """The folder that the pair is in."""
        return self.name.partition("/")[0]


def read_pairs() -> list[Pair]:
    """Read every file. Raises ValueError for one that says less than it must."""
    return [_read(path) for path in sorted(PAIRS.rglob("*")) if path.is_file()]


def _read(path: Path) -> Pair:
    name = str(path.relative_to(PAIRS).with_suffix(""))
    text = path.read_text()
    attack, *rest = text.split("\n")
    found = read_fields(name, rest, known=_KEYS)
    first, _, second = text.partition(_SPLIT)
    kinds = found.get("first", "succeeded"), found.get("second", "succeeded")
    cell = found.get("cell", "stays")
    if path.suffix != ".js" or name.count("/") != 1 or not re.fullmatch(r"// [^a-z].*\.", attack):
        raise ValueError(f"{name}: not a pair of a family, or it does not say what it tries")
    if not KINDS.keys() >= set(kinds) or cell not in _CELLS:
        raise ValueError(f"{name}: no such outcome or end")
    if (kinds[1] == "succeeded") != ("output" in found):
        raise ValueError(f"{name}: an output is what a success has")
    limits = dict(pair.split("=") for pair in found.get("limits", "").split())
    if second:
        both = _BOTH.format(first=first, second=second)
        without = _BOTH.format(first=_HARMLESS, second=second)
    else:
        both = _TWICE.format(both=first, first="try { once(1) } catch {}")
        without = _TWICE.format(both=first, first="")
    return Pair(
        name=name,
        attack=attack.removeprefix("// "),
        first=first.encode(),
        second=(second or first).encode(),
        first_kind=kinds[0],
        second_kind=kinds[1],
        output=found.get("output", "").encode(),
        console=tuple(
            LogLine(level=level, text=line)
            for level, line in json.loads(found.get("console", "[]"))
        ),
        limits=msgspec.convert(
            {**msgspec.structs.asdict(LIMITS), **{key: int(limits[key]) for key in limits}}, Limits
        ),
        cell=cell,
        unseen=found.get("unseen"),
        in_one_context=both.encode(),
        without_first=without.encode(),
    )
