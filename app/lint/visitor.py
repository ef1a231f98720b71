"""Walk a source's tree once, and note what the linter needs. No recursion: depth is the user's."""

from collections.abc import Callable
from typing import Final

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser, Tree, TreeCursor

from app.lint.facts import Binding, Facts, Function
from app.lint.findings import Code
from app.lint.frames import Frame, short_circuits
from app.lint.grammar import (
    BLOCKS,
    CLASSES,
    FIELD_MODES,
    FIELDED,
    FUNCTION_DECLARATIONS,
    FUNCTIONS,
    GLOBAL_OBJECTS,
    LEAVES,
    MAX_PARENTHESES,
    MAX_PATTERN_BYTES,
    MODES,
    NAMES,
    PATTERNS,
    SPECIAL_CALLS,
    Mode,
    mode_of_loop,
)
from app.lint.names import NODE_PROCESS_MEMBERS
from app.lint.scopes import Use

_LANGUAGE: Final = Language(tree_sitter_javascript.language())


def parse(source: bytes) -> Tree:
    """Parse a source. Any bytes have a tree; what cannot be read is an ERROR in it."""
    return Parser(_LANGUAGE).parse(source)


def walk(tree: Tree, source: bytes) -> Facts:
    """Note names, functions and bindings of `process`."""
    walker = _Visitor(tree, source)
    walker.walk(tree.walk())
    return walker.notes


class _Visitor:
    def __init__(self, tree: Tree, source: bytes) -> None:
        self.notes = Facts(tree.root_node)
        self._names = self.notes.names
        self._source = source
        self._frames = [Frame("", Mode.READ, None, is_function=False)]
        self._functions: list[Function] = []
        self._wanted: dict[tuple[int, int], Binding] = {}
        self._errors = 0
        self._withs = 0

    def walk(self, cursor: TreeCursor) -> None:
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
        """Visit a node; True when the cursor went down to its first child."""
        kind = node.type
        parent = self._frames[-1]
        mode = self._mode(parent, cursor)
        conditional = parent.conditional or parent.may_pass_over(cursor)
        if kind in NAMES:
            self._name(node, mode, is_conditional=conditional)
            return False
        self._count_parameter(parent, kind)
        if kind in LEAVES:
            return False
        frame = Frame(kind, mode, None, is_function=False, conditional=conditional)
        self._note(node, kind, frame)
        if not cursor.goto_first_child():
            self._undo(frame)
            return False
        self._frames.append(frame)
        return True

    def _leave(self) -> None:
        self._undo(self._frames.pop())

    def _undo(self, frame: Frame) -> None:
        if frame.outer_scope is not None:
            self._names.scope = frame.outer_scope
        if frame.is_function:
            self._functions.pop()
        if frame.kind == "ERROR":
            self._errors -= 1
        if frame.kind == "with_statement":
            self._withs -= 1

    def _mode(self, parent: Frame, cursor: TreeCursor) -> Mode:
        """Say what a name means here, by its parent and its field in it."""
        kind = parent.kind
        if kind in FIELDED:
            mode = FIELD_MODES.get((kind, cursor.field_name), Mode.READ)
        else:
            mode = MODES.get(kind, Mode.READ)
        return parent.mode if mode is Mode.INHERIT else mode

    def _note(self, node: Node, kind: str, frame: Frame) -> None:
        """Take note of a node that is not a name."""
        note = _NOTES.get(kind)
        if note is not None:
            note(self, node, frame)

    def note_block(self, node: Node, frame: Frame) -> None:
        if frame.kind == "for_in_statement":
            frame.mode = mode_of_loop(node)
        frame.outer_scope = self._names.enter(is_function=frame.kind == "class_static_block")

    def note_parameters(self, node: Node, _: Frame) -> None:
        if self._functions:
            self._functions[-1].parameters_at = node.start_byte

    def note_return(self, node: Node, _: Frame) -> None:
        if self._functions and node.named_child_count > 0:
            self._functions[-1].returns_value = True

    def note_unary(self, node: Node, frame: Frame) -> None:
        operator = node.child_by_field_name("operator")
        is_typeof = operator is not None and operator.type == "typeof"
        frame.mode = Mode.PROBE if is_typeof else Mode.READ

    def note_binary(self, node: Node, frame: Frame) -> None:
        frame.short_circuits = short_circuits(node)

    def note_module(self, node: Node, frame: Frame) -> None:
        if not self._errors:
            code = Code.IMPORT if frame.kind == "import_statement" else Code.EXPORT
            self.notes.modules.append((code, node.start_byte))

    def note_error(self, _: Node, __: Frame) -> None:
        self._errors += 1

    def note_with(self, _: Node, __: Frame) -> None:
        self._withs += 1

    def _name(self, node: Node, mode: Mode, *, is_conditional: bool) -> None:
        parent = self._frames[-1]
        self._count_parameter(parent, "identifier")
        if parent.kind == "arrow_function" and mode is Mode.DECLARE and self._functions:
            self._functions[-1].parameters += 1
            self._functions[-1].parameters_at = node.start_byte
        name = self._text(node)
        if self._errors:
            self._names.doubtful.add(name)
        match mode:
            case Mode.DECLARE:
                self._names.declare(name)
            case Mode.DECLARE_VAR:
                self._names.declare(name, in_function=True)
            case Mode.PROBE:
                self._names.probed.add(name)
            case Mode.WRITE:
                self._use(self._names.writes, name, node)
            case Mode.READ:
                if name == "arguments":
                    self._arguments()
                else:
                    self._use(self._names.reads, name, node, is_conditional=is_conditional)
            case Mode.IGNORE:
                pass

    def _use(self, uses: list[Use], name: str, node: Node, *, is_conditional: bool = False) -> None:
        # Inside `with`, a name may be a property of anything.
        if not self._withs and not self._errors:
            uses.append(Use(name, node.start_byte, self._names.scope, is_conditional))

    def _arguments(self) -> None:
        for function in reversed(self._functions):
            if not function.is_arrow:
                function.uses_arguments = True
                return

    def _count_parameter(self, parent: Frame, kind: str) -> None:
        if parent.kind == "formal_parameters" and kind != "comment" and self._functions:
            self._functions[-1].parameters += 1

    def note_function(self, node: Node, frame: Frame) -> None:
        name = node.child_by_field_name("name")
        kind = frame.kind
        declares = kind in FUNCTION_DECLARATIONS and name is not None
        if declares and name is not None:
            # In sloppy code a function in a block is a var of the function around it too.
            self._names.declare(self._text(name))
            self._names.declare(self._text(name), in_function=True)
            if self._text(name) == "process" and self._at_top_level():
                self._bind(name.start_byte, node)
        frame.outer_scope = self._names.enter(is_function=True)
        frame.is_function = True
        if not declares and name is not None and kind != "method_definition":
            self._names.declare(self._text(name))
        function = Function(node.start_byte, is_arrow=kind == "arrow_function")
        self._functions.append(function)
        binding = self._wanted.get((node.start_byte, node.end_byte))
        if binding is not None and binding.function is None:
            binding.function = function
        # Of all functions only `process` is certain to be called.
        frame.conditional = binding is None

    def note_class(self, node: Node, frame: Frame) -> None:
        name = node.child_by_field_name("name")
        if name is not None and frame.kind == "class_declaration":
            self._names.declare(self._text(name))
            if self._text(name) == "process" and self._at_top_level():
                self._bind(name.start_byte, node)
        frame.outer_scope = self._names.enter(is_function=False)
        if name is not None:
            self._names.declare(self._text(name))

    def note_declarator(self, node: Node, _: Frame) -> None:
        name = node.child_by_field_name("name")
        if name is None or self._frames[-1].kind not in (
            "lexical_declaration",
            "variable_declaration",
        ):
            return
        at_top = self._at_top_level(below=1)
        if name.type == "identifier" and self._text(name) == "process":
            value = node.child_by_field_name("value")
            if at_top and value is not None:
                self._bind(name.start_byte, value)
            elif not at_top and self._frames[-1].kind == "variable_declaration":
                self.notes.bound_elsewhere = True
        elif at_top and name.type in PATTERNS:
            # `const { process } = …`: what comes out of it is V8's to see.
            self.notes.bound_elsewhere |= self._may_name_process(name)

    def note_assignment(self, node: Node, _: Frame) -> None:
        left = node.child_by_field_name("left")
        right = node.child_by_field_name("right")
        if left is None or right is None:
            return
        target = left
        if left.type == "member_expression":
            holder, member = (
                left.child_by_field_name("object"),
                left.child_by_field_name("property"),
            )
            # By kind first: the text of a long chain is long at each of its links.
            if holder is None or member is None or holder.type not in ("identifier", "this"):
                return
            if self._bytes(holder) == b"process":
                self._names.process_members.add(self._text(member))
                return
            if self._bytes(holder) not in GLOBAL_OBJECTS:
                return
            self._names.declare_at_top(self._text(member))
            target = member
        elif left.type in PATTERNS:
            self.notes.bound_elsewhere |= self._may_name_process(left)
            return
        if (
            target.type in ("identifier", "property_identifier")
            and self._bytes(target) == b"process"
        ):
            self._rebind(target, right)

    def _rebind(self, target: Node, right: Node) -> None:
        if self._frames[-1].kind == "expression_statement" and self._at_top_level(below=1):
            self._bind(target.start_byte, right)
        else:
            self.notes.bound_elsewhere = True

    def note_call(self, node: Node, frame: Frame) -> None:
        is_call = frame.kind == "call_expression"
        callee = node.child_by_field_name("function" if is_call else "constructor")
        if callee is None or self._errors:
            return
        if callee.type == "import":
            code = Code.CONDITIONAL_IMPORT if frame.conditional else Code.DYNAMIC_IMPORT
            self.notes.modules.append((code, node.start_byte))
        elif callee.type == "identifier" and self._text(callee) in SPECIAL_CALLS:
            self._use(
                self._names.calls, self._text(callee), callee, is_conditional=frame.conditional
            )

    def note_member(self, node: Node, _: Frame) -> None:
        holder = node.child_by_field_name("object")
        member = node.child_by_field_name("property")
        if holder is None or member is None or holder.type != "identifier" or self._errors:
            return
        if self._bytes(holder) == b"process" and self._text(member) in NODE_PROCESS_MEMBERS:
            use = Use("process", node.start_byte, self._names.scope)
            self._names.node_members.append((self._text(member), use))

    def _at_top_level(self, below: int = 0) -> bool:
        """Say whether the node's parent, or the one `below` it, is the program itself."""
        frame = self._frames[-1 - below]
        if frame.kind == "export_statement":
            frame = self._frames[-2 - below]
        return frame.kind == "program"

    def _bind(self, offset: int, value: Node) -> None:
        for _ in range(MAX_PARENTHESES):
            inner = value.named_child(0) if value.type == "parenthesized_expression" else None
            if inner is None:
                break
            value = inner
        binding = Binding(offset, value)
        self.notes.bindings.append(binding)
        if value.type in FUNCTIONS:
            self._wanted[(value.start_byte, value.end_byte)] = binding

    def _may_name_process(self, pattern: Node) -> bool:
        # Patterns nest, and each is looked through whole: only so far.
        size = pattern.end_byte - pattern.start_byte
        return size > MAX_PATTERN_BYTES or b"process" in self._bytes(pattern)

    def _bytes(self, node: Node) -> bytes:
        return self._source[node.start_byte : node.end_byte]

    def _text(self, node: Node) -> str:
        text = self._bytes(node)
        if b"\\" in text:
            self.notes.has_escapes = True
        return text.decode("utf-8", "replace")


_NOTES: Final[dict[str, Callable[[_Visitor, Node, Frame], None]]] = {
    **dict.fromkeys(FUNCTIONS, _Visitor.note_function),
    **dict.fromkeys(CLASSES, _Visitor.note_class),
    **dict.fromkeys((*BLOCKS, "class_static_block"), _Visitor.note_block),
    **dict.fromkeys(("call_expression", "new_expression"), _Visitor.note_call),
    **dict.fromkeys(("import_statement", "export_statement"), _Visitor.note_module),
    "variable_declarator": _Visitor.note_declarator,
    "assignment_expression": _Visitor.note_assignment,
    "member_expression": _Visitor.note_member,
    "formal_parameters": _Visitor.note_parameters,
    "return_statement": _Visitor.note_return,
    "unary_expression": _Visitor.note_unary,
    "binary_expression": _Visitor.note_binary,
    "with_statement": _Visitor.note_with,
    "ERROR": _Visitor.note_error,
}
