"""Handlers read downward: none hands a function of its own to the layers below."""

import ast
from typing import Final

from tests.support.servers import ROOT

_HANDLER_MODULES: Final = sorted(
    path
    for path in (ROOT / "app").rglob("*.py")
    if path.name == "api.py" or path.name.endswith("_api.py")
)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _nested_functions(source: str) -> list[int]:
    """Return the lines of functions that are defined within functions."""
    return [
        inner.lineno
        for outer in ast.walk(ast.parse(source))
        if isinstance(outer, _FUNCTIONS)
        for inner in ast.walk(outer)
        if inner is not outer and isinstance(inner, _FUNCTIONS)
    ]


def test_handler_modules_are_found() -> None:
    assert ROOT / "app" / "executions" / "api.py" in _HANDLER_MODULES


def test_no_handler_defines_a_closure() -> None:
    found = {path: _nested_functions(path.read_text(encoding="utf-8")) for path in _HANDLER_MODULES}

    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_closure_is_recognised() -> None:
    assert _nested_functions("async def handler():\n    def submit(): ...\n") == [2]
    assert _nested_functions("async def handler(): await store(lambda: None)") == [1]
