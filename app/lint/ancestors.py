"""Describe the ancestors of the visited node: what a name means in them, and what may not run."""

from dataclasses import dataclass
from typing import Final

from tree_sitter import Node, TreeCursor

from app.lint.grammar import Mode
from app.lint.scopes import LexicalScope

# Kinds and fields of nodes whose descendants may never run.
CONDITIONAL: Final = frozenset(
    (
        *((kind, "consequence") for kind in ("if_statement", "ternary_expression")),
        *((kind, "alternative") for kind in ("if_statement", "ternary_expression")),
        *((kind, "body") for kind in ("for_statement", "for_in_statement", "while_statement")),
        # An exception in a `try` is caught.
        *(("try_statement", field) for field in ("body", "handler")),
        *(
            (kind, field)
            for kind in ("switch_case", "switch_default")
            for field in ("value", "body")
        ),
    )
)
CONDITIONAL_KINDS: Final = frozenset(kind for kind, _ in CONDITIONAL)
SHORT_CIRCUITS: Final = frozenset(("&&", "||", "??"))


@dataclass(slots=True)
class Ancestor:
    """A node whose descendants are being visited."""

    kind: str
    mode: Mode
    outer_scope: LexicalScope | None
    is_function: bool
    # Its descendants may never run.
    conditional: bool = False
    # Its right operand may never run.
    short_circuits: bool = False

    def may_skip(self, cursor: TreeCursor) -> bool:
        """Return whether execution may skip the child at the cursor."""
        if self.short_circuits:
            return cursor.field_name == "right"
        return self.kind in CONDITIONAL_KINDS and (self.kind, cursor.field_name) in CONDITIONAL


def short_circuits(node: Node) -> bool:
    """Return whether a binary expression may skip its right operand."""
    operator = node.child_by_field_name("operator")
    return operator is not None and operator.type in SHORT_CIRCUITS
