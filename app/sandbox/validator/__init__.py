"""Bundle the validator of JSON Schema: our JavaScript, and the meta-schemas as data.

The modules beside this file are bundled to one function: `import` lines become an order, and all
modules share a scope. The function must be called before user code runs, as the modules capture
what they need of V8; it returns `compile` (see `index.js`) and `openChecks` (`job_checks.js`). It
runs no code from strings. Imports the standard library only, as a cell does.
"""

import json
import re
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
_ENTRY: Final = "job_checks.js"
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./(?P<file>[\w.]+)";\n', re.MULTILINE)
# Comments and indentation; no string in these modules spans lines.
_UNREAD: Final = re.compile(r"^[ ]+(?://[^\n]*)?|^//[^\n]*\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ", re.MULTILINE)


def source() -> bytes:
    """Return the text of a function that returns the validator's exports."""
    modules = "\n".join(_compacted(_FOLDER / name) for name in _in_order(_ENTRY, []))
    text = (
        '(() => { "use strict";\n'
        f"{modules}\nsetMetaschemas(() => ({_metaschemas()}));\n"
        "return { __proto__: null, boundedErrors, compile, openChecks };\n})"
    )
    # ASCII, which V8 copies as it is; any other character is in a string.
    return text.encode("ascii", "backslashreplace")


def _in_order(name: str, before: list[str]) -> list[str]:
    """Add a module to the list, after those that it imports."""
    for match in _IMPORT.finditer((_FOLDER / name).read_text(encoding="utf-8")):
        if match["file"] not in before:
            _in_order(match["file"], before)
    if name not in before:
        before.append(name)
    return before


def _compacted(path: Path) -> str:
    text = _EXPORT.sub("", _IMPORT.sub("", path.read_text(encoding="utf-8")))
    return _UNREAD.sub("", text)


def _metaschemas() -> str:
    """Return an object of the meta-schemas by their URIs; JSON is JavaScript."""
    members = ["__proto__: null"]
    for path in sorted((_FOLDER / "metaschemas").glob("*.json")):
        schema = json.loads(path.read_bytes())
        uri = schema["$id"].removesuffix("#")
        members.append(f'"{uri}": {json.dumps(schema, separators=(",", ":"))}')
    return "{ " + ",\n".join(members) + " }"
