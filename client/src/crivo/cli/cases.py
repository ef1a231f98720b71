"""Find test cases beside a script, and compare their outcomes."""

import json
from pathlib import Path
from typing import Final, Self

from msgspec import UNSET, Struct

from crivo.cli.exit_codes import UsageError
from crivo.differences import Difference, first_difference
from crivo.models import ExecutionError
from crivo.script_models import Sample

_INPUT: Final = ".input.json"
_EXPECTED: Final = ".expected.json"


class Case(Struct, frozen=True, kw_only=True):
    """One case: `NAME.input.json` and `NAME.expected.json`."""

    name: str
    input: Path
    expected: Path


class Outcome(Struct, frozen=True, kw_only=True):
    """The outcome of a run: the bytes of its result, or its error."""

    content: bytes | None = None
    error: ExecutionError | None = None

    @classmethod
    def of_sample(cls, sample: Sample) -> Self:
        """Take the outcome of a sample."""
        content = None if sample.result is UNSET else bytes(sample.result)
        return cls(content=content, error=sample.error)

    def difference(self, case: Case) -> Difference | None:
        """Compare the result with the expected one. Raises UsageError, and OSError."""
        found = None if self.content is None else json.loads(self.content)
        return first_difference(read_json(case.expected), found)


def find_cases(folder: Path, *, with_expected: bool) -> list[Case]:
    """Find the cases of a folder, by name. Raises UsageError for none, and incomplete ones."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder")
    names = sorted(path.name.removesuffix(_INPUT) for path in folder.glob(f"*{_INPUT}"))
    if not names:
        raise UsageError(f"{folder}: holds no case; a case is NAME{_INPUT} and NAME{_EXPECTED}")
    cases = [
        Case(name=name, input=folder / f"{name}{_INPUT}", expected=folder / f"{name}{_EXPECTED}")
        for name in names
    ]
    for case in cases:
        read_json(case.input)
        if with_expected and not case.expected.exists():
            raise UsageError(f"{case.expected}: does not exist; `crivo test --update` writes it")
    return cases


def find_script(folder: Path, given: Path | None) -> Path:
    """Return the script to test: the given one, or the only one of the folder."""
    if given is not None:
        return given
    found = sorted(folder.glob("*.js"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UsageError(f"{folder}: holds not one script but {names}; name it by --script FILE")
    return found[0]


def read_json(path: Path) -> object:
    """Read a file. Raises UsageError where it is not JSON, and OSError."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
