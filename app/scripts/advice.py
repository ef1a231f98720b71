"""Advise how to fix a source that V8 cannot compile, from common causes."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from app.lint.diagnostics import BUNDLED, Code
from app.sandbox.outcomes import Finding

# Any match means TypeScript: valid JavaScript never matches at the place of V8's error.
_TYPESCRIPT: Final = re.compile(
    r"^\s*(?:export\s+)?(?:declare\s+)?(?:interface|enum|namespace|abstract\s+class)\s+[\w$]+"
    r"(?:<[^>\n]{0,200}>)?\s*(?:extends\b[^{\n]{0,200})?\{"
    r"|^\s*(?:export\s+)?(?:declare\s+)?type\s+[\w$]+(?:<[^>\n]{0,200}>)?\s*="
    r"|^\s*(?:import|export)\s+type\b"
    r"|^\s*(?:public|private|protected|readonly)\s+[\w$]+\s*[:(=;?]"
    r"|[\w$\])]\s*\??:\s*(?:string|number|boolean|any|unknown|void|never|object|Record<|Array<"
    r"|Promise<|readonly\s)(?:\[\])*\s*(?:[,)=;{|&]|$)"
    r"|\)\s*:\s*[A-Z][\w$.]*(?:<[^>\n]{0,200}>)?(?:\[\])*\s*(?:\{|=>)"
    r"|\b(?:const|let|var)\s+[\w$]+\s*:\s*[\w$.]+(?:<[^>\n]{0,200}>)?(?:\[\])*\s*="
    r"|\bas\s+(?:const|any|unknown|string|number|boolean)\b",
    re.MULTILINE,
)
_MAX_SCANNED: Final = 256 * 1024
_NEWLINES: Final = re.compile(r"[\n\r\u2028\u2029]")
_MAX_LINE: Final = 300
# A shorter source is probably meant to be one line.
_LONG_LINE: Final = 120

_COMPILE: Final = f"this looks like TypeScript, which V8 cannot run; compile it first: {BUNDLED}"
_SWALLOWED: Final = (
    "the whole source is one line, and `//` turns the rest of it into a comment; curl -d drops "
    "newlines: send it with --data-binary @script.js, or as a form with -F file=@script.js"
)
_ONE_LINE: Final = (
    "the whole source is one line; if its file has more, curl -d has dropped the newlines: send "
    "it with --data-binary @script.js"
)
_NESTED: Final = "the source is nested too deeply for V8 to compile"
_WRITE: Final = "write `function process(data) { … }`"
# Other conventions for exporting a function; searched only if there is no `process`.
_NODE: Final = re.compile(r"\b(?:module\.exports|exports\.[\w$]+)\s*=(?!=)")
_NEAR: Final = re.compile(
    r"\b(?:function|const|let|var)\s+"
    r"(Process|PROCESS|proces|procces|processData|process_data|main|handler|handle|run|transform)\b"
)
_UNREADABLE: Final = frozenset((Code.SYNTAX_ERROR, Code.NO_PROCESS))
_MODULES: Final = frozenset((Code.IMPORT, Code.EXPORT, Code.REQUIRE))


def advise(errors: Sequence[Finding], source: bytes) -> tuple[Finding, ...]:
    """Add advice to the first error whose message only says that V8 stopped there."""
    first = next((each for each in errors if each.code in _UNREADABLE), None)
    if first is None or any(each.code in _MODULES for each in errors):
        return tuple(errors)
    text = source[:_MAX_SCANNED].decode(errors="replace")
    advice = _about_source(text, first) or _about_message(first)
    if not advice:
        return tuple(errors)
    advised = replace(first, message=f"{first.message}: {advice}")
    return tuple(advised if each is first else each for each in errors)


def _about_source(text: str, error: Finding) -> str:
    if "Maximum call stack size exceeded" in error.message:
        return _NESTED
    line = text.strip()
    if len(line) < _MAX_SCANNED and not _NEWLINES.search(line):
        if "//" in line:
            return _SWALLOWED
        if error.code == Code.SYNTAX_ERROR and len(line) > _LONG_LINE:
            return _ONE_LINE
    if error.code == Code.NO_PROCESS:
        return _about_process(text)
    # V8 stops at the first token that is not JavaScript, so the excerpt's line identifies the
    # language. The pattern takes quadratic time, so it gets only the beginning of the line.
    shown = (error.excerpt or "").partition("\n")[0][:_MAX_LINE]
    if error.code == Code.SYNTAX_ERROR and _TYPESCRIPT.search(shown):
        return _COMPILE
    return ""


def _about_process(text: str) -> str:
    """Advise what to write if there is no `process`, from what is there instead."""
    if "bundle.process" in text:
        return "script.ts must `export function process(…)`; an `export default` is not found"
    if _NODE.search(text):
        return f"{_WRITE}, without `module.exports` or `exports`, which belong to Node.js"
    near = _NEAR.search(text)
    return f"{_WRITE}; did you mean `{near[1]}`?" if near else _WRITE


def _about_message(error: Finding) -> str:
    """Explain V8's shorter messages."""
    if "Unexpected identifier" in error.message or "Unexpected string" in error.message:
        return (
            "V8 expected something before it, such as an operator, a comma, a quote or a closing "
            "bracket; look right before the caret"
        )
    if "Unexpected end of input" in error.message:
        return "a bracket, a quote or a comment is not closed"
    return ""
