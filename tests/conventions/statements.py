"""Collect every SQL statement of the service from the constants that hold them."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.servers import ROOT

# Uppercase and followed by more words: no English sentence begins so.
STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CALL)\s")
_CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9_]*")


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the name and file of each module that may hold SQL."""
    for path in sorted((ROOT / "app").rglob("*.py")):
        # The launcher inspects a database before there is a service; the plan of exports has
        # DuckDB's SQL, over files.
        if "embedded" not in path.parts and path.parent != ROOT / "app/exports/plan":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the module-level assignments of one upper-case name, private ones included."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(target, ast.Name)
            and _CONSTANT.fullmatch(target.id.lstrip("_"))
            and node.value is not None
        ):
            yield target.id, node.value


def statements() -> dict[str, str]:
    """Map the full name of each SQL constant to its text, with its fragments put together."""
    texts = {}
    for module, path in modules():
        for name, _ in constants(ast.parse(path.read_bytes())):
            # Private constants are fragments of the public ones.
            if name.startswith("_"):
                continue
            text = getattr(importlib.import_module(module), name)
            if isinstance(text, str) and STATEMENT.match(text):
                texts[f"{module}.{name}"] = text
    return texts
