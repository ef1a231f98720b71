"""The project's files keep the house's rules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.servers import ROOT

_MOST_LINES: Final = 350

# Paths of somebody's machine, and work left undone. Written so that this file passes.
_TRACES: Final = re.compile(
    r"(?<![\w.])/(root|work|home/\w+|Users/\w+)/|\b(TO[D]O|FIX[M]E|X[X]X)\b"
)

# Others' words, kept as they came.
_NOT_OURS: Final = {"__pycache__", "vendor"}


def _files() -> Iterator[Path]:
    for top in sorted(ROOT.iterdir()):
        if top.is_file():
            yield top
        elif top.name in {".ci", ".github"} or not top.name.startswith("."):
            yield from sorted(
                path
                for path in top.rglob("*")
                if path.is_file() and not _NOT_OURS & set(path.parts)
            )


FILES: Final = [str(path.relative_to(ROOT)) for path in _files()]
MODULES: Final = [name for name in FILES if name.endswith(".py")]


def test_files_are_found() -> None:
    assert {"pyproject.toml", "app/main.py", ".ci/run", "scripts/test"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_no_traces(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert [found.group() for found in _TRACES.finditer(text)] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for_and_stays_small(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") < _MOST_LINES
