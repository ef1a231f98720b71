"""Say what to do about a source that V8 cannot compile, by what it looks like."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from app.lint.findings import BUNDLED, Code
from app.sandbox.outcomes import Finding

# One of these is enough: no JavaScript that compiles has them at these places.
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
# Shorter sources are written in one line on purpose.
_LONG_LINE: Final = 120

_COMPILE: Final = f"this looks like TypeScript, which V8 does not read; compile it first: {BUNDLED}"
_SWALLOWED: Final = (
    "the whole source is one line, and `//` makes a comment of the rest of it; curl -d drops "
    "newlines: send it with --data-binary @script.js, or as a form with -F file=@script.js"
)
_ONE_LINE: Final = (
    "the whole source is one line; if its file has more, curl -d has dropped the newlines: send "
    "it with --data-binary @script.js"
)
_WRITE: Final = "write `function process(data) { … }`"
# What others call it; only read where there is no `process`.
_NODE: Final = re.compile(r"\b(?:module\.exports|exports\.[\w$]+)\s*=(?!=)")
_NEAR: Final = re.compile(
    r"\b(?:function|const|let|var)\s+"
    r"(Process|PROCESS|proces|procces|processData|process_data|main|handler|handle|run|transform)\b"
)
_UNREADABLE: Final = frozenset((Code.SYNTAX_ERROR, Code.NO_PROCESS))
_MODULES: Final = frozenset((Code.IMPORT, Code.EXPORT, Code.REQUIRE))


def advise(errors: Sequence[Finding], source: bytes) -> tuple[Finding, ...]:
    """Add what to do to the first error that says no more than that V8 stopped there."""
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
    line = text.strip()
    if len(line) < _MAX_SCANNED and not _NEWLINES.search(line):
        if "//" in line:
            return _SWALLOWED
        if error.code == Code.SYNTAX_ERROR and len(line) > _LONG_LINE:
            return _ONE_LINE
    if error.code == Code.NO_PROCESS:
        return _about_process(text)
    # V8 stops at the first thing that is not JavaScript: that line says what it is. The pattern
    # takes quadratic time, and so gets no more than a line's beginning.
    shown = (error.excerpt or "").partition("\n")[0][:_MAX_LINE]
    if error.code == Code.SYNTAX_ERROR and _TYPESCRIPT.search(shown):
        return _COMPILE
    return ""


def _about_process(text: str) -> str:
    """Say what to write where there is no `process`, and what stands in its place."""
    if "bundle.process" in text:
        return "script.ts must `export function process(…)`; an `export default` is not found"
    if _NODE.search(text):
        return f"{_WRITE}, without `module.exports` or `exports`, which are for Node.js"
    near = _NEAR.search(text)
    return f"{_WRITE}; is `{near[1]}` the one that is meant?" if near else _WRITE


def _about_message(error: Finding) -> str:
    """Explain what V8 says in two words."""
    if "Unexpected identifier" in error.message or "Unexpected string" in error.message:
        return (
            "V8 expected something before it, such as an operator, a comma, a quote or a closing "
            "bracket; look at what comes right before the caret"
        )
    if "Unexpected end of input" in error.message:
        return "a bracket, a quote or a comment that was opened is not closed"
    return ""
