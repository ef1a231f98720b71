"""Which names a source declares, and where: JavaScript's scopes, as far as warnings need them."""

from dataclasses import dataclass, field
from typing import Final

# A name that is declared somewhere is looked for in this many scopes; beyond, it counts as found.
_MAX_STEPS: Final = 200


@dataclass(slots=True, eq=False)
class Scope:
    """A function's scope or a block's."""

    parent: "Scope | None"
    is_function: bool
    names: set[str] = field(default_factory=set)


@dataclass(slots=True, frozen=True)
class Use:
    """A name that is read, called or assigned at an offset."""

    name: str
    offset: int
    scope: Scope
    # It may never be reached.
    is_conditional: bool = False


class Names:
    """Every declaration and use in a source."""

    def __init__(self) -> None:
        """Begin at the top level."""
        self.top = Scope(None, is_function=True)
        self.scope = self.top
        self.reads: list[Use] = []
        self.writes: list[Use] = []
        # Calls that have a meaning of their own: `require`, `eval`, `Function`.
        self.calls: list[Use] = []
        # Asked for by `typeof`: the source knows that they may be missing.
        self.probed: set[str] = set()
        # Named in a part that could not be read: nobody knows what declares them.
        self.doubtful: set[str] = set()
        # Members of `process` that the source sets itself.
        self.process_members: set[str] = set()
        # `process.env` and the like: the member and where it is read.
        self.node_members: list[tuple[str, Use]] = []
        self._declared: set[str] = set()
        # A var's function is found through the blocks around it, once for each block.
        self._functions: dict[Scope, Scope] = {}

    def enter(self, *, is_function: bool) -> Scope:
        """Open a scope, and give the one to come back to."""
        before = self.scope
        self.scope = Scope(before, is_function)
        self._functions[self.scope] = (
            self.scope if is_function else self._functions.get(before, before)
        )
        return before

    def declare(self, name: str, *, in_function: bool = False) -> None:
        """Declare a name in the present scope, or in the function around it."""
        scope = self._functions.get(self.scope, self.scope) if in_function else self.scope
        scope.names.add(name)
        self._declared.add(name)

    def declare_at_top(self, name: str) -> None:
        """Declare a global: a property of `globalThis`."""
        self.top.names.add(name)
        self._declared.add(name)

    def is_declared(self, use: Use) -> bool:
        """Say whether a use meets a declaration."""
        if use.name not in self._declared:
            return False
        scope: Scope | None = use.scope
        for _ in range(_MAX_STEPS):
            if scope is None:
                return False
            if use.name in scope.names:
                return True
            scope = scope.parent
        return True

    def is_top_level(self, use: Use) -> bool:
        """Say whether a use meets nothing nearer than the top level."""
        scope: Scope | None = use.scope
        for _ in range(_MAX_STEPS):
            if scope is None or scope is self.top:
                return True
            if use.name in scope.names:
                return False
            scope = scope.parent
        return False
