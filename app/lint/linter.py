"""Apply the rules to the facts about a source."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from tree_sitter import Node

from app.lint.diagnostics import MODULES, Code, Diagnostic, LintReport
from app.lint.facts import Binding, Facts
from app.lint.grammar import FUNCTIONS
from app.lint.names import (
    FUNCTIONS_CALLED,
    HINTS,
    MODULE_NAMES,
    SANDBOX_NAMES,
    STREAM_FUNCTIONS,
)
from app.lint.positions import Positions
from app.lint.scopes import SymbolTable, Use
from app.lint.visitor import collect_facts, parse

MAX_FINDINGS: Final = 100

_RETURNED: Final = {"map": "record, or null"}


class _Raw(NamedTuple):
    """A finding: the global that it says is missing, or the function that it is about."""

    offset: int
    code: Code
    message: str
    name: str = ""
    function: str = ""


def lint(source: bytes, *, max_findings: int = MAX_FINDINGS) -> LintReport:
    """Lint a source; findings are in the order of the source.

    Text that cannot be parsed silences the rules about names that it may declare.
    """
    facts = collect_facts(parse(source), source)
    is_parsed = not facts.root.has_error
    raw = sorted(
        {
            *_nul(source),
            *_modules(facts),
            *_called(facts, is_parsed=is_parsed),
            *_names(facts, is_parsed=is_parsed),
        }
    )
    positions = Positions(source)
    return LintReport(
        findings=tuple(
            Diagnostic(
                code=each.code,
                message=each.message,
                position=positions.at(each.offset),
                name=each.name,
                function=each.function,
            )
            for each in raw[:max_findings]
        ),
        # The last binding of each name.
        functions={
            name: positions.at(offset)
            for name, offset in {each.name: each.offset for each in facts.bindings}.items()
        },
        is_truncated=len(raw) > max_findings,
    )


def _nul(source: bytes) -> Iterator[_Raw]:
    offset = source.find(0)
    if offset >= 0:
        message = "the source contains a NUL character; write \\0 in a string"
        yield _Raw(offset, Code.NUL_CHARACTER, message)


def _modules(facts: Facts) -> Iterator[_Raw]:
    for code, offset in facts.modules:
        yield _Raw(offset, code, MODULES[code])
    for call in facts.symbols.calls:
        if call.name == "require" and _is_missing(call, facts.symbols):
            code = Code.CONDITIONAL_REQUIRE if call.is_conditional else Code.REQUIRE
            yield _Raw(call.offset, code, MODULES[code], "require")


def _called(facts: Facts, *, is_parsed: bool) -> Iterator[_Raw]:
    """Check the literals that the functions which Crivo calls are, if it is certain which."""
    bound = {each.name for each in facts.bindings} | facts.bound_elsewhere
    if is_parsed and bound.isdisjoint(("process", "map", "step")):
        yield _Raw(0, Code.NO_PROCESS, "there is no `process` at the top level of the source")
    for name in FUNCTIONS_CALLED:
        binding = _last(facts, name)
        value = binding.value if binding is not None else None
        if binding is None or value is None or name in facts.bound_elsewhere or value.has_error:
            continue
        is_process = name == "process"
        if value.type in ("class", "class_declaration"):
            code = Code.PROCESS_IS_CLASS if is_process else Code.FUNCTION_IS_CLASS
            message = f"`{name}` is a class: write a function"
            yield _Raw(binding.offset, code, message, function=name)
        elif value.type.startswith("generator_function"):
            code = Code.PROCESS_IS_GENERATOR if is_process else Code.FUNCTION_IS_GENERATOR
            message = f"`{name}` is a generator, a call of which runs nothing: remove the `*`"
            yield _Raw(binding.offset, code, message, function=name)
        elif value.type in FUNCTIONS:
            yield from _function(binding, value)


def _last(facts: Facts, name: str) -> Binding | None:
    """Return the binding that counts: the last assignment wins over hoisted functions."""
    bindings = [each for each in facts.bindings if each.name == name]
    assigned = [each for each in bindings if not _is_declaration(each)]
    return next(reversed(assigned or bindings), None)


def _function(binding: Binding, value: Node) -> Iterator[_Raw]:
    function, name = binding.function, binding.name
    if function is None:
        return
    at = binding.offset if function.parameters_at is None else function.parameters_at
    takes_all = function.uses_arguments or function.has_rest
    needed = STREAM_FUNCTIONS.get(name, ())
    if name == "process" and function.parameters == 0 and not function.uses_arguments:
        message = "`process` takes no parameter: the data is its first argument"
        yield _Raw(at, Code.PROCESS_TAKES_NO_PARAMETER, message, function=name)
    elif function.parameters < len(needed) and not takes_all:
        message = f"`{name}` takes too few parameters: write `{name}({', '.join(needed)})`"
        yield _Raw(at, Code.TAKES_TOO_FEW_PARAMETERS, message, function=name)
    body = value.child_by_field_name("body")
    if (
        body is not None
        and body.type == "statement_block"
        and not function.returns_value
        and not _ends_in_throw(body)
    ):
        what = "result" if name in ("process", "finish") else _RETURNED.get(name, "state")
        message = f"`{name}` returns no value: `return` the {what}"
        yield _Raw(binding.offset, Code.NO_RETURN, message, function=name)


def _ends_in_throw(body: Node) -> bool:
    statements = [each for each in body.named_children if each.type != "comment"]
    return bool(statements) and statements[-1].type == "throw_statement"


def _names(facts: Facts, *, is_parsed: bool) -> Iterator[_Raw]:
    symbols = facts.symbols
    if facts.has_escapes:
        return
    assigned: set[str] = set()
    for write in symbols.writes:
        if write.name in assigned or not _is_missing(write, symbols):
            continue
        if is_parsed or write.name in HINTS:
            assigned.add(write.name)
            message = f"`{_shown(write.name)}` is assigned but declared nowhere: use let or const"
            yield _Raw(write.offset, Code.UNDECLARED_ASSIGNMENT, message)
    yield from _missing(symbols, assigned, is_parsed=is_parsed)
    for call in symbols.calls:
        if call.name != "require" and not symbols.is_declared(call):
            what = "eval" if call.name == "eval" else "new Function"
            message = f"`{what}` throws: code generation from strings is disabled here"
            yield _Raw(call.offset, Code.CODE_FROM_STRING, message)
    for member, use in symbols.node_members:
        known = member in symbols.process_members or "process" in symbols.probed
        if not known and symbols.is_top_level(use):
            message = f"`process` is your own function and has no `process.{member}`"
            yield _Raw(use.offset, Code.UNKNOWN_NAME, message)


def _missing(symbols: SymbolTable, assigned: set[str], *, is_parsed: bool) -> Iterator[_Raw]:
    """Report each missing name once, where it is first used."""
    called = {call.name for call in symbols.calls if call.name == "require"}
    # A source that tests for one of them expects that all of them may be missing.
    probes_modules = bool(MODULE_NAMES & symbols.probed)
    first: dict[str, Use] = {}
    count: Counter[str] = Counter()
    for read in symbols.reads:
        if read.name in called or read.name in assigned or not _is_missing(read, symbols):
            continue
        if probes_modules and read.is_conditional and read.name in MODULE_NAMES:
            continue
        # `process` has rules of its own; the grammar takes some `await` for a name.
        if read.name not in ("process", "await") and (is_parsed or read.name in HINTS):
            first.setdefault(read.name, read)
            count[read.name] += 1
    for name, use in first.items():
        hint = f": {HINTS[name]}" if name in HINTS else ""
        more = f" (used {count[name]} times)" if count[name] > 1 else ""
        message = f"`{_shown(name)}` does not exist here{hint}{more}"
        yield _Raw(use.offset, Code.UNKNOWN_NAME, message, name)


def _is_missing(use: Use, symbols: SymbolTable) -> bool:
    return (
        use.name not in SANDBOX_NAMES
        and use.name not in symbols.probed
        and use.name not in symbols.uncertain
        and not symbols.is_declared(use)
    )


def _is_declaration(binding: Binding) -> bool:
    value = binding.value
    return value is not None and value.type.endswith("_declaration")


_MAX_SHOWN: Final = 60


def _shown(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "…"
