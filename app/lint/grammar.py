"""Classify the node types of tree-sitter's JavaScript grammar."""

from enum import Enum, auto
from typing import Final

from tree_sitter import Node

GENERATORS: Final = frozenset(("generator_function_declaration", "generator_function"))
FUNCTION_DECLARATIONS: Final = frozenset(("function_declaration", "generator_function_declaration"))
FUNCTIONS: Final = (
    FUNCTION_DECLARATIONS
    | GENERATORS
    | {"function_expression", "arrow_function", "method_definition"}
)
CLASSES: Final = frozenset(("class_declaration", "class"))
BLOCKS: Final = frozenset(
    ("statement_block", "catch_clause", "for_statement", "for_in_statement", "switch_body")
)
PATTERNS: Final = frozenset(("object_pattern", "array_pattern", "rest_pattern"))
NAMES: Final = frozenset(
    (
        "identifier",
        "shorthand_property_identifier",
        "shorthand_property_identifier_pattern",
    )
)
# No rule looks into these.
LEAVES: Final = frozenset(("number", "comment", "string", "property_identifier", "regex"))
SPECIAL_CALLS: Final = frozenset(("require", "eval", "Function"))
GLOBAL_OBJECTS: Final = frozenset((b"globalThis", b"this"))
MAX_PARENTHESES: Final = 20
MAX_PATTERN_BYTES: Final = 4_096


class Mode(Enum):
    """The role of a name at some place."""

    READ = auto()
    DECLARE = auto()
    DECLARE_VAR = auto()
    WRITE = auto()
    PROBE = auto()
    IGNORE = auto()
    INHERIT = auto()


# The role of names in nodes of a type, whatever the field.
MODES: Final = {
    **dict.fromkeys(PATTERNS, Mode.INHERIT),
    **dict.fromkeys(("unary_expression", "parenthesized_expression"), Mode.INHERIT),
    **dict.fromkeys(("import_statement", "import_clause", "import_specifier"), Mode.DECLARE),
    **dict.fromkeys(("namespace_import", "named_imports", "formal_parameters"), Mode.DECLARE),
    **dict.fromkeys(("lexical_declaration", "using_declaration"), Mode.DECLARE),
    "variable_declaration": Mode.DECLARE_VAR,
    "export_specifier": Mode.IGNORE,
}
# The role of names in nodes of a type, by field.
FIELD_MODES: Final[dict[tuple[str, str | None], Mode]] = {
    ("assignment_pattern", "left"): Mode.INHERIT,
    ("object_assignment_pattern", "left"): Mode.INHERIT,
    ("pair_pattern", "value"): Mode.INHERIT,
    ("for_in_statement", "left"): Mode.INHERIT,
    ("variable_declarator", "name"): Mode.INHERIT,
    ("assignment_expression", "left"): Mode.WRITE,
    ("arrow_function", "parameter"): Mode.DECLARE,
    ("catch_clause", "parameter"): Mode.DECLARE,
    **{(kind, "name"): Mode.IGNORE for kind in (*FUNCTIONS, *CLASSES)},
}
FIELDED: Final = frozenset(kind for kind, _ in FIELD_MODES)


def mode_of_loop(node: Node) -> Mode:
    """Return the role of names on the left of `for … in` or `for … of`."""
    kind = node.child_by_field_name("kind")
    if kind is None:
        return Mode.WRITE
    return Mode.DECLARE_VAR if kind.type == "var" else Mode.DECLARE
