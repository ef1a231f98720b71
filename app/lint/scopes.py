"""Track declarations and uses of names through JavaScript's scopes, as far as rules need them."""

from dataclasses import dataclass, field
from typing import Final

# A lookup ends after this many scopes; a name that is declared anywhere then counts as found.
_MAX_STEPS: Final = 200


@dataclass(slots=True, eq=False)
class LexicalScope:
    """The scope of a function or a block."""

    parent: "LexicalScope | None"
    is_function: bool
    names: set[str] = field(default_factory=set)


@dataclass(slots=True, frozen=True)
class Use:
    """A name that is read, called or assigned at an offset."""

    name: str
    offset: int
    scope: LexicalScope
    # A condition or an uncalled function may keep it from running.
    is_conditional: bool = False


class SymbolTable:
    """Every declaration and use of a name in a source."""

    def __init__(self) -> None:
        """Start at the top level."""
        self.top = LexicalScope(None, is_function=True)
        self.scope = self.top
        self.reads: list[Use] = []
        self.writes: list[Use] = []
        # Calls of `require`, `eval` and `Function`.
        self.calls: list[Use] = []
        # Operands of `typeof`: the source expects that they may be missing.
        self.probed: set[str] = set()
        # Names in a part that could not be parsed, which may declare them.
        self.uncertain: set[str] = set()
        # Members of `process` that the source assigns.
        self.process_members: set[str] = set()
        # Reads of `process.env` and the like: the member and the use of `process`.
        self.node_members: list[tuple[str, Use]] = []
        self._declared: set[str] = set()
        # The enclosing function of each scope, where `var` declares.
        self._functions: dict[LexicalScope, LexicalScope] = {}

    def enter(self, *, is_function: bool) -> LexicalScope:
        """Open a scope, and return the enclosing one."""
        outer = self.scope
        self.scope = LexicalScope(outer, is_function)
        self._functions[self.scope] = (
            self.scope if is_function else self._functions.get(outer, outer)
        )
        return outer

    def declare(self, name: str, *, in_function: bool = False) -> None:
        """Declare a name in the current scope, or in the enclosing function."""
        scope = self._functions.get(self.scope, self.scope) if in_function else self.scope
        scope.names.add(name)
        self._declared.add(name)

    def declare_global(self, name: str) -> None:
        """Declare a property of `globalThis`."""
        self.top.names.add(name)
        self._declared.add(name)

    def is_declared(self, use: Use) -> bool:
        """Return whether a declaration is in scope at a use."""
        if use.name not in self._declared:
            return False
        scope: LexicalScope | None = use.scope
        for _ in range(_MAX_STEPS):
            if scope is None:
                return False
            if use.name in scope.names:
                return True
            scope = scope.parent
        return True

    def is_top_level(self, use: Use) -> bool:
        """Return whether a use refers to the top level: no enclosing scope declares the name."""
        scope: LexicalScope | None = use.scope
        for _ in range(_MAX_STEPS):
            if scope is None or scope is self.top:
                return True
            if use.name in scope.names:
                return False
            scope = scope.parent
        return False
