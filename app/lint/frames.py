"""The nodes that a walk is within: what a name means there, and whether it may never run."""

from dataclasses import dataclass
from typing import Final

from tree_sitter import Node, TreeCursor

from app.lint.grammar import Mode
from app.lint.scopes import Scope

# What is below these may never run: by kind and field.
CONDITIONAL: Final = frozenset(
    (
        *((kind, "consequence") for kind in ("if_statement", "ternary_expression")),
        *((kind, "alternative") for kind in ("if_statement", "ternary_expression")),
        *((kind, "body") for kind in ("for_statement", "for_in_statement", "while_statement")),
        # What throws in a `try` is caught.
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
class Frame:
    """A node that the walk has gone into."""

    kind: str
    mode: Mode
    outer_scope: Scope | None
    is_function: bool
    # What is below may never run.
    conditional: bool = False
    # Its right side may never run.
    short_circuits: bool = False

    def may_pass_over(self, cursor: TreeCursor) -> bool:
        """Say whether a run may leave out the child that a cursor is at."""
        if self.short_circuits:
            return cursor.field_name == "right"
        return self.kind in CONDITIONAL_KINDS and (self.kind, cursor.field_name) in CONDITIONAL


def short_circuits(node: Node) -> bool:
    """Say whether a binary expression may leave out its right side."""
    operator = node.child_by_field_name("operator")
    return operator is not None and operator.type in SHORT_CIRCUITS
