"""Record where a source binds the functions that Crivo calls, and to which literals."""

from collections.abc import Sequence

from tree_sitter import Node

from app.lint.ancestors import Ancestor
from app.lint.facts import Binding, Facts
from app.lint.grammar import (
    FUNCTIONS,
    GLOBAL_OBJECTS,
    MAX_PARENTHESES,
    MAX_PATTERN_BYTES,
    PATTERNS,
)
from app.lint.names import FUNCTIONS_CALLED
from app.lint.source_text import SourceText

# A letter may be an escape, such as `\u{0061}`.
_MAX_NAME_BYTES = 100


class BindingRecorder:
    """Adds bindings to the facts, as the visitor meets them."""

    def __init__(self, facts: Facts, text: SourceText, frames: Sequence[Ancestor]) -> None:
        """Take the visitor's own frames: the last one is that of the visited node's parent."""
        self._facts = facts
        self._text = text
        self._frames = frames
        self._by_extent: dict[tuple[int, int], Binding] = {}

    def binding_of(self, function: Node) -> Binding | None:
        """Return the binding whose value is this function, None if there is none."""
        return self._by_extent.get((function.start_byte, function.end_byte))

    def declaration(self, name: Node, value: Node) -> None:
        """Record `function process …` or `class process …`."""
        if (called := self._called(name)) and self._is_at_top_level():
            self._bind(called, name.start_byte, value)

    def declarator(self, node: Node) -> None:
        """Record `const process = …`."""
        name = node.child_by_field_name("name")
        kind = self._frames[-1].kind
        if name is None or kind not in ("lexical_declaration", "variable_declaration"):
            return
        is_at_top_level = self._is_at_top_level(depth=1)
        if name.type == "identifier" and (called := self._called(name)):
            value = node.child_by_field_name("value")
            if is_at_top_level and value is not None:
                self._bind(called, name.start_byte, value)
            elif not is_at_top_level and kind == "variable_declaration":
                self._facts.bound_elsewhere.add(called)
        elif is_at_top_level and name.type in PATTERNS:
            # `const { process } = …`: only V8 can see its value.
            self._facts.bound_elsewhere |= self._named_by(name)

    def assignment(self, node: Node) -> None:
        """Record `process = …`, `globalThis.process = …` and `process.member = …`."""
        left = node.child_by_field_name("left")
        right = node.child_by_field_name("right")
        if left is None or right is None:
            return
        if left.type in PATTERNS:
            self._facts.bound_elsewhere |= self._named_by(left)
            return
        target = self._global_member(left) if left.type == "member_expression" else left
        if (
            target is not None
            and target.type in ("identifier", "property_identifier")
            and (called := self._called(target))
        ):
            self._rebind(called, target, right)

    def _called(self, name: Node) -> str:
        """Return the name if Crivo calls a function of that name, else nothing."""
        if name.end_byte - name.start_byte > _MAX_NAME_BYTES:
            return ""
        text = self._text.name_of(name)
        return text if text in FUNCTIONS_CALLED else ""

    def _global_member(self, left: Node) -> Node | None:
        """Return the property that an assignment to a member defines on the global object."""
        holder = left.child_by_field_name("object")
        member = left.child_by_field_name("property")
        # By kind first: the text of a long chain is long at each of its links.
        if holder is None or member is None or holder.type not in ("identifier", "this"):
            return None
        symbols = self._facts.symbols
        if self._text.bytes_of(holder) == b"process":
            symbols.process_members.add(self._text.name_of(member))
            return None
        if self._text.bytes_of(holder) not in GLOBAL_OBJECTS:
            return None
        symbols.declare_global(self._text.name_of(member))
        return member

    def _rebind(self, called: str, target: Node, value: Node) -> None:
        is_statement = self._frames[-1].kind == "expression_statement"
        if is_statement and self._is_at_top_level(depth=1):
            self._bind(called, target.start_byte, value)
        else:
            self._facts.bound_elsewhere.add(called)

    def _bind(self, called: str, offset: int, value: Node) -> None:
        for _ in range(MAX_PARENTHESES):
            inner = value.named_child(0) if value.type == "parenthesized_expression" else None
            if inner is None:
                break
            value = inner
        binding = Binding(called, offset, value)
        self._facts.bindings.append(binding)
        if value.type in FUNCTIONS:
            self._by_extent[(value.start_byte, value.end_byte)] = binding

    def _is_at_top_level(self, depth: int = 0) -> bool:
        """Return whether the ancestor `depth` levels above the parent is the program itself."""
        frame = self._frames[-1 - depth]
        if frame.kind == "export_statement":
            frame = self._frames[-2 - depth]
        return frame.kind == "program"

    def _named_by(self, pattern: Node) -> set[str]:
        # Patterns nest and each is searched whole, so a long one counts without a search.
        if pattern.end_byte - pattern.start_byte > MAX_PATTERN_BYTES:
            return set(FUNCTIONS_CALLED)
        text = self._text.bytes_of(pattern)
        return {name for name in FUNCTIONS_CALLED if name.encode() in text}
