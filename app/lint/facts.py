"""What a walk through a source notes."""

from dataclasses import dataclass, field

from tree_sitter import Node

from app.lint.findings import Code
from app.lint.scopes import Names


@dataclass(slots=True)
class Function:
    """What is noted of a function while it is walked through."""

    node_start: int
    is_arrow: bool
    parameters: int = 0
    parameters_at: int | None = None
    uses_arguments: bool = False
    returns_value: bool = False


@dataclass(slots=True)
class Binding:
    """One top-level place that gives `process` its value."""

    offset: int
    value: Node | None
    function: Function | None = None


@dataclass(slots=True)
class Facts:
    """What a walk gives."""

    root: Node
    names: Names = field(default_factory=Names)
    modules: list[tuple[Code, int]] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    # `process` gets a value somewhere that the top level does not show.
    bound_elsewhere: bool = False
    # A name is written with escapes (`\u0061`): names cannot be told apart by their letters.
    has_escapes: bool = False
