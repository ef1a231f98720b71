"""Find the project's files, its Python modules and their docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.support.servers import ROOT

# Vendored files keep their authors' words.
_EXCLUDED: Final = {"__pycache__", "vendor"}
_DOCUMENTED: Final = (
    ast.Module,
    ast.ClassDef,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)


class Docstring(Struct, frozen=True):
    """A docstring and its definition's line."""

    path: str
    line: int
    text: str


def _files() -> Iterator[Path]:
    for top in sorted(ROOT.iterdir()):
        if top.is_file():
            # A worktree's `.git` is a file.
            if top.name != ".git":
                yield top
        elif top.name in {".ci", ".github"} or not top.name.startswith("."):
            yield from sorted(
                path
                for path in top.rglob("*")
                if path.is_file() and not _EXCLUDED & set(path.parts)
            )


FILES: Final = [str(path.relative_to(ROOT)) for path in _files()]


def is_python(name: str) -> bool:
    """Return whether a file is Python, by its name or its first line."""
    if name.endswith(".py"):
        return True
    if not name.startswith("scripts/") or "." in Path(name).name:
        return False
    with (ROOT / name).open(encoding="utf-8") as file:
        return "python" in file.readline()


MODULES: Final = [name for name in FILES if is_python(name)]


def docstrings(name: str) -> Iterator[Docstring]:
    """Yield every docstring of a module, its own first."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield Docstring(path=name, line=getattr(node, "lineno", 1), text=text)


def module_docstring(name: str) -> str:
    """Return a module's docstring, or an empty string."""
    return ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))) or ""
