"""Define diagnostics of a source: stable codes, messages and positions."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

# Bundles modules, packages and TypeScript into one script; a test runs it.
BUNDLE: Final = (
    "npx esbuild script.ts --bundle --format=iife --global-name=bundle "
    "'--footer:js=const process = bundle.process' --outfile=script.js"
)
# The command with its precondition on script.ts.
BUNDLED: Final = (
    f"{BUNDLE} (script.ts must `export function process(…)`; an `export default` is not found)"
)


class Code(StrEnum):
    """The codes of findings, which never change; `MEANINGS` describes each."""

    SYNTAX_ERROR = "syntax_error"
    INVALID_UTF8 = "invalid_utf8"
    NUL_CHARACTER = "nul_character"
    NO_PROCESS = "no_process"
    PROCESS_NOT_CALLABLE = "process_not_callable"
    PROCESS_TAKES_NO_PARAMETER = "process_takes_no_parameter"
    PROCESS_IS_GENERATOR = "process_is_generator"
    PROCESS_IS_CLASS = "process_is_class"
    MAP_NOT_CALLABLE = "map_not_callable"
    MERGE_NOT_CALLABLE = "merge_not_callable"
    INCOMPLETE_FOLD = "incomplete_fold"
    TAKES_TOO_FEW_PARAMETERS = "takes_too_few_parameters"
    FUNCTION_IS_GENERATOR = "function_is_generator"
    FUNCTION_IS_CLASS = "function_is_class"
    IMPORT = "import"
    EXPORT = "export"
    REQUIRE = "require"
    DYNAMIC_IMPORT = "dynamic_import"
    CONDITIONAL_REQUIRE = "conditional_require"
    CONDITIONAL_IMPORT = "conditional_import"
    TOP_LEVEL_THREW = "top_level_threw"
    TOP_LEVEL_TIMEOUT = "top_level_timeout"
    TOP_LEVEL_OUT_OF_MEMORY = "top_level_out_of_memory"

    UNKNOWN_NAME = "unknown_name"
    UNDECLARED_ASSIGNMENT = "undeclared_assignment"
    CODE_FROM_STRING = "code_from_string"
    NO_RETURN = "no_return"
    UNUSED_FOLD = "unused_fold"
    RUNS_ONLY = "runs_only"
    STRUCTURE_NOT_CHECKED = "structure_not_checked"
    MORE_FINDINGS = "more_findings"

    @property
    def is_warning(self) -> bool:
        """Return whether a source with this finding is accepted."""
        return self in _WARNINGS


_WARNINGS: Final = frozenset(
    (
        Code.CONDITIONAL_REQUIRE,
        Code.CONDITIONAL_IMPORT,
        Code.UNKNOWN_NAME,
        Code.UNDECLARED_ASSIGNMENT,
        Code.CODE_FROM_STRING,
        Code.NO_RETURN,
        Code.UNUSED_FOLD,
        Code.RUNS_ONLY,
        Code.STRUCTURE_NOT_CHECKED,
        Code.MORE_FINDINGS,
    )
)

MEANINGS: Final = {
    Code.SYNTAX_ERROR: "V8 cannot compile the source",
    Code.INVALID_UTF8: "the source is not UTF-8",
    Code.NUL_CHARACTER: "the source contains a NUL character",
    Code.NO_PROCESS: "there is no `process`, no `map` and no fold at the top level",
    Code.PROCESS_NOT_CALLABLE: "`process` is not a function",
    Code.PROCESS_TAKES_NO_PARAMETER: "`process` takes no parameter, so the data cannot reach it",
    Code.PROCESS_IS_GENERATOR: "`process` is a generator: a call runs none of it",
    Code.PROCESS_IS_CLASS: "`process` is a class: it cannot be called without `new`",
    Code.MAP_NOT_CALLABLE: "`map` is not a function, and there is no `process` and no fold",
    Code.MERGE_NOT_CALLABLE: "`merge` of a fold is not a function",
    Code.INCOMPLETE_FOLD: "one of `start`, `step` and `finish` is missing: a fold has all three",
    Code.TAKES_TOO_FEW_PARAMETERS: "`map` or a fold's function lacks a parameter",
    Code.FUNCTION_IS_GENERATOR: "`map` or a fold's function is a generator: a call runs nothing",
    Code.FUNCTION_IS_CLASS: "`map` or a fold's function is a class",
    Code.IMPORT: "`import`: a script is one file, without modules",
    Code.EXPORT: "`export`: a script is one file, without modules",
    Code.REQUIRE: "`require(…)`: a script is one file, without modules",
    Code.DYNAMIC_IMPORT: "`import(…)`: it always rejects in the sandbox",
    Code.CONDITIONAL_REQUIRE: "`require(…)` that may never be reached; it throws where it is",
    Code.CONDITIONAL_IMPORT: "`import(…)` that may never be reached; it rejects where it is",
    Code.TOP_LEVEL_THREW: "the code around `process` threw",
    Code.TOP_LEVEL_TIMEOUT: "the code around `process` did not end in a second",
    Code.TOP_LEVEL_OUT_OF_MEMORY: "the code around `process` took too much memory",
    Code.UNKNOWN_NAME: "a name that neither the source nor the sandbox has (`fetch`, `Buffer`, …)",
    Code.UNDECLARED_ASSIGNMENT: "an assignment to a variable that is declared nowhere",
    Code.CODE_FROM_STRING: "`eval` or `new Function`: both throw in the sandbox",
    Code.NO_RETURN: "`process`, `map` or a fold's function returns no value anywhere",
    Code.UNUSED_FOLD: "part of a fold beside `process` or `map`: the version offers no fold",
    Code.RUNS_ONLY: "there is no `process`: the script runs over datasets only",
    Code.STRUCTURE_NOT_CHECKED: "reading the structure took too long; only V8 has checked it",
    Code.MORE_FINDINGS: "more than 100 findings; the others are omitted",
}


# The messages of findings about modules.
MODULES: Final = {
    Code.IMPORT: "`import` is for modules; a script is one file: put what it needs into it, "
    f"by hand or with {BUNDLED}",
    Code.EXPORT: "`export` is for modules; a script is one file: leave it out, or bundle it with "
    f"{BUNDLED}",
    Code.DYNAMIC_IMPORT: "there is nothing to `import(…)`: a script is one file",
    Code.REQUIRE: "there is no `require`: a script is one file; put what it needs into it, by "
    f"hand or with {BUNDLED}",
    Code.CONDITIONAL_REQUIRE: "there is no `require`: this throws where it is reached",
    Code.CONDITIONAL_IMPORT: "there is nothing to `import(…)`: this rejects where it is reached",
}


class Position(Struct, frozen=True, kw_only=True):
    """A 1-based position, the column in UTF-16 units; `excerpt` is its line and a caret."""

    line: int
    column: int
    excerpt: str


class Diagnostic(Struct, frozen=True, kw_only=True):
    """One finding of the linter.

    `name` is the global that it reports as missing; `function` the one, of those that Crivo calls,
    that it is about.
    """

    code: Code
    message: str
    position: Position
    name: str = ""
    function: str = ""


class LintReport(Struct, frozen=True, kw_only=True):
    """The linter's findings about a source.

    `functions` are the last places at which the top level binds the functions that Crivo calls, as
    far as a place can be seen. `is_truncated`: there are more findings than these.
    """

    findings: tuple[Diagnostic, ...]
    functions: dict[str, Position]
    is_truncated: bool
