"""From what a walk noted to findings: every rule, one after another."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tree_sitter import Node

from app.lint.facts import Binding, Facts
from app.lint.findings import MODULES, Code, Diagnostic, Reading
from app.lint.grammar import FUNCTIONS
from app.lint.names import HINTS, MODULE_NAMES, SANDBOX_NAMES
from app.lint.positions import Positions
from app.lint.scopes import Names, Use
from app.lint.visitor import parse, walk

MAX_FINDINGS: Final = 100

_Raw = tuple[int, Code, str, str]


def lint(source: bytes, *, max_findings: int = MAX_FINDINGS) -> Reading:
    """Read a source and give what the linter finds, in the order of the source.

    Text that cannot be read keeps silent: what it might have declared is not missed.
    """
    tree = parse(source)
    notes = walk(tree, source)
    sound = not notes.root.has_error
    raw = sorted(
        {
            *_nul(source),
            *_modules(notes),
            *_process(notes, sound=sound),
            *_names(notes, sound=sound),
        }
    )
    places = Positions(source)
    binding = notes.bindings[-1] if notes.bindings else None
    return Reading(
        findings=tuple(
            Diagnostic(code=code, message=message, place=places.at(offset), name=name)
            for offset, code, message, name in raw[:max_findings]
        ),
        process=places.at(binding.offset) if binding is not None else None,
        sound=sound,
        cut=len(raw) > max_findings,
    )


def _nul(source: bytes) -> Iterator[_Raw]:
    offset = source.find(0)
    if offset >= 0:
        message = "the source holds a NUL character; write \\0 in a string"
        yield offset, Code.NUL_CHARACTER, message, ""


def _modules(notes: Facts) -> Iterator[_Raw]:
    for code, offset in notes.modules:
        yield offset, code, MODULES[code], ""
    for call in notes.names.calls:
        if call.name == "require" and _is_missing(call, notes.names):
            code = Code.CONDITIONAL_REQUIRE if call.is_conditional else Code.REQUIRE
            yield call.offset, code, MODULES[code], "require"


def _process(notes: Facts, *, sound: bool) -> Iterator[_Raw]:
    """Judge the literal that `process` is, where it is certain which one."""
    if not notes.bindings:
        if sound and not notes.bound_elsewhere:
            message = "there is no `process` at the top level of the source"
            yield 0, Code.NO_PROCESS, message, ""
        return
    # The last assignment counts, whatever the order of hoisted functions beside it.
    assigned = [each for each in notes.bindings if not _is_declaration(each)]
    binding = (assigned or notes.bindings)[-1]
    value = binding.value
    if value is None or notes.bound_elsewhere or value.has_error:
        return
    if value.type in ("class", "class_declaration"):
        message = "`process` is a class: write a function"
        yield binding.offset, Code.PROCESS_IS_CLASS, message, ""
    elif value.type.startswith("generator_function"):
        message = "`process` is a generator, a call of which runs nothing: leave out the `*`"
        yield binding.offset, Code.PROCESS_IS_GENERATOR, message, ""
    elif value.type in FUNCTIONS:
        yield from _function(binding, value)


def _function(binding: Binding, value: Node) -> Iterator[_Raw]:
    function = binding.function
    if function is None:
        return
    if function.parameters == 0 and not function.uses_arguments:
        at = binding.offset if function.parameters_at is None else function.parameters_at
        message = "`process` takes no parameter: the data is its first argument"
        yield at, Code.PROCESS_TAKES_NO_PARAMETER, message, ""
    body = value.child_by_field_name("body")
    if (
        body is not None
        and body.type == "statement_block"
        and not function.returns_value
        and not _ends_in_throw(body)
    ):
        message = "`process` returns no value: `return` what the result shall be"
        yield binding.offset, Code.NO_RETURN, message, ""


def _ends_in_throw(body: Node) -> bool:
    statements = [each for each in body.named_children if each.type != "comment"]
    return bool(statements) and statements[-1].type == "throw_statement"


def _names(notes: Facts, *, sound: bool) -> Iterator[_Raw]:
    names = notes.names
    if notes.has_escapes:
        return
    assigned: set[str] = set()
    for write in names.writes:
        if write.name in assigned or not _is_missing(write, names):
            continue
        if sound or write.name in HINTS:
            assigned.add(write.name)
            message = f"`{_shown(write.name)}` is assigned but declared nowhere: use let or const"
            yield write.offset, Code.UNDECLARED_ASSIGNMENT, message, ""
    yield from _missing(names, assigned, sound=sound)
    for call in names.calls:
        if call.name != "require" and not names.is_declared(call):
            what = "eval" if call.name == "eval" else "new Function"
            message = f"`{what}` throws: code that is made from a text does not run here"
            yield call.offset, Code.CODE_FROM_STRING, message, ""
    for member, use in names.node_members:
        known = member in names.process_members or "process" in names.probed
        if not known and names.is_top_level(use):
            message = f"`process` is your own function: there is no `process.{member}` in it"
            yield use.offset, Code.UNKNOWN_NAME, message, ""


def _missing(names: Names, assigned: set[str], *, sound: bool) -> Iterator[_Raw]:
    """Report each missing name once, where it is first used."""
    called = {call.name for call in names.calls if call.name == "require"}
    # A source that asks for one of them knows that the others come and go with it.
    asked = MODULE_NAMES & names.probed
    first: dict[str, Use] = {}
    count: Counter[str] = Counter()
    for read in names.reads:
        if read.name in called or read.name in assigned or not _is_missing(read, names):
            continue
        if asked and read.is_conditional and read.name in MODULE_NAMES:
            continue
        # `process` itself is judged apart; the grammar takes some `await` for a name.
        if read.name not in ("process", "await") and (sound or read.name in HINTS):
            first.setdefault(read.name, read)
            count[read.name] += 1
    for name, use in first.items():
        hint = f": {HINTS[name]}" if name in HINTS else ""
        more = f" (used {count[name]} times)" if count[name] > 1 else ""
        message = f"`{_shown(name)}` does not exist here{hint}{more}"
        yield use.offset, Code.UNKNOWN_NAME, message, name


def _is_missing(use: Use, names: Names) -> bool:
    return (
        use.name not in SANDBOX_NAMES
        and use.name not in names.probed
        and use.name not in names.doubtful
        and not names.is_declared(use)
    )


def _is_declaration(binding: Binding) -> bool:
    value = binding.value
    return value is not None and value.type.endswith("_declaration")


_MAX_SHOWN: Final = 60


def _shown(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "…"
