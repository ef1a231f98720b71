"""Record where a source binds `process`, and to which literal."""

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
from app.lint.source_text import SourceText


class BindingRecorder:
    """Adds bindings of `process` to the facts, as the visitor meets them."""

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
        if self._text.name_of(name) == "process" and self._is_at_top_level():
            self._bind(name.start_byte, value)

    def declarator(self, node: Node) -> None:
        """Record `const process = …`."""
        name = node.child_by_field_name("name")
        kind = self._frames[-1].kind
        if name is None or kind not in ("lexical_declaration", "variable_declaration"):
            return
        is_at_top_level = self._is_at_top_level(depth=1)
        if name.type == "identifier" and self._text.name_of(name) == "process":
            value = node.child_by_field_name("value")
            if is_at_top_level and value is not None:
                self._bind(name.start_byte, value)
            elif not is_at_top_level and kind == "variable_declaration":
                self._facts.is_bound_elsewhere = True
        elif is_at_top_level and name.type in PATTERNS:
            # `const { process } = …`: only V8 can see its value.
            self._facts.is_bound_elsewhere |= self._may_name_process(name)

    def assignment(self, node: Node) -> None:
        """Record `process = …`, `globalThis.process = …` and `process.member = …`."""
        left = node.child_by_field_name("left")
        right = node.child_by_field_name("right")
        if left is None or right is None:
            return
        if left.type in PATTERNS:
            self._facts.is_bound_elsewhere |= self._may_name_process(left)
            return
        target = self._global_member(left) if left.type == "member_expression" else left
        if (
            target is not None
            and target.type in ("identifier", "property_identifier")
            and self._text.bytes_of(target) == b"process"
        ):
            self._rebind(target, right)

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

    def _rebind(self, target: Node, value: Node) -> None:
        is_statement = self._frames[-1].kind == "expression_statement"
        if is_statement and self._is_at_top_level(depth=1):
            self._bind(target.start_byte, value)
        else:
            self._facts.is_bound_elsewhere = True

    def _bind(self, offset: int, value: Node) -> None:
        for _ in range(MAX_PARENTHESES):
            inner = value.named_child(0) if value.type == "parenthesized_expression" else None
            if inner is None:
                break
            value = inner
        binding = Binding(offset, value)
        self._facts.bindings.append(binding)
        if value.type in FUNCTIONS:
            self._by_extent[(value.start_byte, value.end_byte)] = binding

    def _is_at_top_level(self, depth: int = 0) -> bool:
        """Return whether the ancestor `depth` levels above the parent is the program itself."""
        frame = self._frames[-1 - depth]
        if frame.kind == "export_statement":
            frame = self._frames[-2 - depth]
        return frame.kind == "program"

    def _may_name_process(self, pattern: Node) -> bool:
        # Patterns nest and each is searched whole, so a long one counts without a search.
        size_bytes = pattern.end_byte - pattern.start_byte
        return size_bytes > MAX_PATTERN_BYTES or b"process" in self._text.bytes_of(pattern)
