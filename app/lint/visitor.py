"""Visit each node of a source's tree once and collect facts. No recursion: depth is the user's."""

from collections.abc import Callable
from typing import Final

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser, Tree, TreeCursor

from app.lint.ancestors import Ancestor, short_circuits
from app.lint.bindings import BindingRecorder
from app.lint.diagnostics import Code
from app.lint.facts import Facts, Function
from app.lint.grammar import (
    BLOCKS,
    CLASSES,
    FIELD_MODES,
    FIELDED,
    FUNCTION_DECLARATIONS,
    FUNCTIONS,
    LEAVES,
    MODES,
    NAMES,
    SPECIAL_CALLS,
    Mode,
    mode_of_loop,
)
from app.lint.names import NODE_PROCESS_MEMBERS
from app.lint.scopes import Use
from app.lint.source_text import SourceText

_LANGUAGE: Final = Language(tree_sitter_javascript.language())


def parse(source: bytes) -> Tree:
    """Parse a source. Any bytes have a tree; what cannot be parsed is an ERROR node in it."""
    return Parser(_LANGUAGE).parse(source)


def collect_facts(tree: Tree, source: bytes) -> Facts:
    """Collect the names, the functions and the bindings of those that Crivo calls."""
    visitor = _Visitor(tree, source)
    visitor.visit_all(tree.walk())
    return visitor.facts


class _Visitor:
    def __init__(self, tree: Tree, source: bytes) -> None:
        self._text = SourceText(source)
        self._facts = Facts(tree.root_node)
        self._symbols = self._facts.symbols
        self._frames = [Ancestor("", Mode.READ, None, is_function=False)]
        self._functions: list[Function] = []
        self._bindings = BindingRecorder(self._facts, self._text, self._frames)
        # How many ERROR nodes and `with` statements surround the visited node.
        self._errors = 0
        self._withs = 0

    @property
    def facts(self) -> Facts:
        """Return the facts that have been collected."""
        self._facts.has_escapes = self._text.has_escapes
        return self._facts

    def visit_all(self, cursor: TreeCursor) -> None:
        """Visit every node that is not punctuation, parents first."""
        while True:
            node = cursor.node
            if node is not None and node.is_named and self._enter(node, cursor):
                continue
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return
                self._leave()

    def _enter(self, node: Node, cursor: TreeCursor) -> bool:
        """Visit a node; return True if the cursor has gone down to its first child."""
        kind = node.type
        parent = self._frames[-1]
        mode = self._mode(parent, cursor)
        conditional = parent.conditional or parent.may_skip(cursor)
        if kind in NAMES:
            self._visit_name(node, mode, is_conditional=conditional)
            return False
        self._count_parameter(parent, kind)
        if kind in LEAVES:
            return False
        frame = Ancestor(kind, mode, None, is_function=False, conditional=conditional)
        visit = _VISITS.get(kind)
        if visit is not None:
            visit(self, node, frame)
        if not cursor.goto_first_child():
            self._close(frame)
            return False
        self._frames.append(frame)
        return True

    def _leave(self) -> None:
        self._close(self._frames.pop())

    def _close(self, frame: Ancestor) -> None:
        if frame.outer_scope is not None:
            self._symbols.scope = frame.outer_scope
        if frame.is_function:
            self._functions.pop()
        if frame.kind == "ERROR":
            self._errors -= 1
        if frame.kind == "with_statement":
            self._withs -= 1

    def _mode(self, parent: Ancestor, cursor: TreeCursor) -> Mode:
        """Return what a name means here, by its parent and its field in the parent."""
        kind = parent.kind
        if kind in FIELDED:
            mode = FIELD_MODES.get((kind, cursor.field_name), Mode.READ)
        else:
            mode = MODES.get(kind, Mode.READ)
        return parent.mode if mode is Mode.INHERIT else mode

    def visit_block(self, node: Node, frame: Ancestor) -> None:
        if frame.kind == "for_in_statement":
            frame.mode = mode_of_loop(node)
        frame.outer_scope = self._symbols.enter(is_function=frame.kind == "class_static_block")

    def visit_parameters(self, node: Node, _: Ancestor) -> None:
        if self._functions:
            self._functions[-1].parameters_at = node.start_byte

    def visit_return(self, node: Node, _: Ancestor) -> None:
        if self._functions and node.named_child_count > 0:
            self._functions[-1].returns_value = True

    def visit_unary(self, node: Node, frame: Ancestor) -> None:
        operator = node.child_by_field_name("operator")
        is_typeof = operator is not None and operator.type == "typeof"
        frame.mode = Mode.PROBE if is_typeof else Mode.READ

    def visit_binary(self, node: Node, frame: Ancestor) -> None:
        frame.short_circuits = short_circuits(node)

    def visit_module(self, node: Node, frame: Ancestor) -> None:
        if not self._errors:
            code = Code.IMPORT if frame.kind == "import_statement" else Code.EXPORT
            self._facts.modules.append((code, node.start_byte))

    def visit_error(self, _: Node, __: Ancestor) -> None:
        self._errors += 1

    def visit_with(self, _: Node, __: Ancestor) -> None:
        self._withs += 1

    def _visit_name(self, node: Node, mode: Mode, *, is_conditional: bool) -> None:
        parent = self._frames[-1]
        self._count_parameter(parent, "identifier")
        if parent.kind == "arrow_function" and mode is Mode.DECLARE and self._functions:
            self._functions[-1].parameters += 1
            self._functions[-1].parameters_at = node.start_byte
        name = self._text.name_of(node)
        if self._errors:
            self._symbols.uncertain.add(name)
        match mode:
            case Mode.DECLARE:
                self._symbols.declare(name)
            case Mode.DECLARE_VAR:
                self._symbols.declare(name, in_function=True)
            case Mode.PROBE:
                self._symbols.probed.add(name)
            case Mode.WRITE:
                self._add_use(self._symbols.writes, name, node)
            case Mode.READ:
                if name == "arguments":
                    self._use_arguments()
                else:
                    self._add_use(self._symbols.reads, name, node, is_conditional=is_conditional)
            case Mode.IGNORE:
                pass

    def _add_use(
        self, uses: list[Use], name: str, node: Node, *, is_conditional: bool = False
    ) -> None:
        # Inside `with`, a name can be a property of any object.
        if not self._withs and not self._errors:
            uses.append(Use(name, node.start_byte, self._symbols.scope, is_conditional))

    def _use_arguments(self) -> None:
        for function in reversed(self._functions):
            if not function.is_arrow:
                function.uses_arguments = True
                return

    def _count_parameter(self, parent: Ancestor, kind: str) -> None:
        if parent.kind == "formal_parameters" and kind != "comment" and self._functions:
            self._functions[-1].parameters += 1
            self._functions[-1].has_rest |= kind == "rest_pattern"

    def visit_function(self, node: Node, frame: Ancestor) -> None:
        name = node.child_by_field_name("name")
        kind = frame.kind
        declares = kind in FUNCTION_DECLARATIONS and name is not None
        if declares and name is not None:
            # In sloppy mode a function in a block is also a var of the enclosing function.
            self._symbols.declare(self._text.name_of(name))
            self._symbols.declare(self._text.name_of(name), in_function=True)
            self._bindings.declaration(name, node)
        frame.outer_scope = self._symbols.enter(is_function=True)
        frame.is_function = True
        if not declares and name is not None and kind != "method_definition":
            self._symbols.declare(self._text.name_of(name))
        function = Function(is_arrow=kind == "arrow_function")
        self._functions.append(function)
        binding = self._bindings.binding_of(node)
        if binding is not None and binding.function is None:
            binding.function = function
        # Only `process` is certain to be called.
        frame.conditional = binding is None or binding.name != "process"

    def visit_class(self, node: Node, frame: Ancestor) -> None:
        name = node.child_by_field_name("name")
        if name is not None and frame.kind == "class_declaration":
            self._symbols.declare(self._text.name_of(name))
            self._bindings.declaration(name, node)
        frame.outer_scope = self._symbols.enter(is_function=False)
        if name is not None:
            self._symbols.declare(self._text.name_of(name))

    def visit_declarator(self, node: Node, _: Ancestor) -> None:
        self._bindings.declarator(node)

    def visit_assignment(self, node: Node, _: Ancestor) -> None:
        self._bindings.assignment(node)

    def visit_call(self, node: Node, frame: Ancestor) -> None:
        is_call = frame.kind == "call_expression"
        callee = node.child_by_field_name("function" if is_call else "constructor")
        if callee is None or self._errors:
            return
        if callee.type == "import":
            code = Code.CONDITIONAL_IMPORT if frame.conditional else Code.DYNAMIC_IMPORT
            self._facts.modules.append((code, node.start_byte))
        elif callee.type == "identifier" and self._text.name_of(callee) in SPECIAL_CALLS:
            self._add_use(
                self._symbols.calls,
                self._text.name_of(callee),
                callee,
                is_conditional=frame.conditional,
            )

    def visit_member(self, node: Node, _: Ancestor) -> None:
        holder = node.child_by_field_name("object")
        member = node.child_by_field_name("property")
        if holder is None or member is None or holder.type != "identifier" or self._errors:
            return
        if (
            self._text.bytes_of(holder) == b"process"
            and self._text.name_of(member) in NODE_PROCESS_MEMBERS
        ):
            use = Use("process", node.start_byte, self._symbols.scope)
            self._symbols.node_members.append((self._text.name_of(member), use))


_VISITS: Final[dict[str, Callable[[_Visitor, Node, Ancestor], None]]] = {
    **dict.fromkeys(FUNCTIONS, _Visitor.visit_function),
    **dict.fromkeys(CLASSES, _Visitor.visit_class),
    **dict.fromkeys((*BLOCKS, "class_static_block"), _Visitor.visit_block),
    **dict.fromkeys(("call_expression", "new_expression"), _Visitor.visit_call),
    **dict.fromkeys(("import_statement", "export_statement"), _Visitor.visit_module),
    "variable_declarator": _Visitor.visit_declarator,
    "assignment_expression": _Visitor.visit_assignment,
    "member_expression": _Visitor.visit_member,
    "formal_parameters": _Visitor.visit_parameters,
    "return_statement": _Visitor.visit_return,
    "unary_expression": _Visitor.visit_unary,
    "binary_expression": _Visitor.visit_binary,
    "with_statement": _Visitor.visit_with,
    "ERROR": _Visitor.visit_error,
}
