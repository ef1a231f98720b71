"""Hold the facts about a source that the rules of the linter need."""

from dataclasses import dataclass, field

from tree_sitter import Node

from app.lint.diagnostics import Code
from app.lint.scopes import SymbolTable


@dataclass(slots=True)
class Function:
    """The facts about a function."""

    is_arrow: bool
    parameters: int = 0
    parameters_at: int | None = None
    has_rest: bool = False
    uses_arguments: bool = False
    returns_value: bool = False


@dataclass(slots=True)
class Binding:
    """One place at the top level that gives a function that Crivo calls its value."""

    name: str
    offset: int
    value: Node | None
    function: Function | None = None


@dataclass(slots=True)
class Facts:
    """All facts about a source."""

    root: Node
    symbols: SymbolTable = field(default_factory=SymbolTable)
    modules: list[tuple[Code, int]] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    # They also get a value in a place that is not a binding of the top level.
    bound_elsewhere: set[str] = field(default_factory=set)
    # A name has escapes (`\u0061`), so equal names can be spelled differently.
    has_escapes: bool = False
