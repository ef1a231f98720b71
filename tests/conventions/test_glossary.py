"""The glossary is consistent, and documents and docstrings use no retired word."""

import re
from typing import Final

import pytest
from msgspec import Struct

from tests.conventions.documents import DOCUMENTS
from tests.conventions.sources import MODULES, docstrings
from tests.support.servers import ROOT

_GLOSSARY: Final = ROOT / "docs" / "GLOSSARY.md"
_CODE: Final = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)

# Words that the code once used, as patterns, and their replacements.
RETIRED: Final = {
    "announcers?": "publisher, notifier",
    "bells?": "work signal",
    "bre(?:eds?|d|eding)": "refill",
    "census": "cell counts",
    "doorbells?": "work signal",
    r"hand(?:s|ed|ing)? (?:\w+ )?back": "release",
    "house": "project, repository",
    "keyrings?": "key cache",
    "knock(?:s|ed|ing)?": "wake-up",
    "last words": "stderr tail",
    "magazines?": "isolate pool",
    "rang|ring(?:s|ing)?|rung": "notify, wake",
    # Prometheus scrapes, but what it reads is a page.
    "(?:page|text) of (?:a|the|one) scrape": "metrics page",
    "seat(?:s|ed)?": "waiter, isolate slot",
    "stock(?:s|ed)?": "cell pool",
    "sweep(?:s|er|ing)?|swept": "rescue, retention",
    "waiting rooms?": "waiter registry",
    "worn": "exhausted",
}
_PATTERN: Final = re.compile(rf"\b(?:{'|'.join(RETIRED)})\b", re.IGNORECASE)

# (file, word as written): why it is right there.
_EXCEPTIONS: Final[dict[tuple[str, str], str]] = {}


class Term(Struct, frozen=True):
    """One line of the glossary."""

    name: str
    meaning: str
    where: str


def _terms() -> list[Term]:
    lines = _GLOSSARY.read_text(encoding="utf-8").splitlines()
    start = lines.index("| term | meaning | where |")
    rows = [line.strip("| ").split(" | ") for line in lines[start + 2 :] if line.startswith("|")]
    return [Term(*row) for row in rows]


TERMS: Final = _terms()


def _retired_words(path: str, text: str) -> list[str]:
    matches = (match.group() for match in _PATTERN.finditer(_CODE.sub("", text)))
    return [word for word in matches if (path, word.lower()) not in _EXCEPTIONS]


def test_terms_are_sorted_and_unique() -> None:
    names = [term.name for term in TERMS]

    assert len(names) > 50
    assert names == sorted(set(names))


def test_every_term_has_a_meaning_and_an_existing_module() -> None:
    for term in TERMS:
        assert 3 <= len(term.meaning.split()) <= 25, term
        assert not term.meaning.endswith("."), term
        assert re.fullmatch(r"`(?:app|client|tests)/[\w./]+`", term.where), term
        assert (ROOT / term.where.strip("`")).exists(), term


def test_no_retired_word_is_a_term() -> None:
    assert [term.name for term in TERMS if _PATTERN.search(term.name)] == []


def test_no_document_uses_a_retired_word() -> None:
    uses = [
        (str(document.relative_to(ROOT)), word)
        for document in DOCUMENTS
        for word in _retired_words(
            str(document.relative_to(ROOT)), document.read_text(encoding="utf-8")
        )
    ]

    assert uses == []


def test_no_docstring_uses_a_retired_word() -> None:
    uses = [
        (name, docstring.line, word)
        for name in MODULES
        for docstring in docstrings(name)
        for word in _retired_words(name, docstring.text)
    ]

    assert uses == []


@pytest.mark.parametrize(
    "text", ["It rings the doorbell.", "Take a seat.", "The page of a scrape.", "Swept leases."]
)
def test_a_retired_word_is_recognised(text: str) -> None:
    assert _retired_words("app/example.py", text)


@pytest.mark.parametrize(
    "text", ["Each scrape counts.", "Strings and belling.", "`on_bell` is code.", "A bring."]
)
def test_other_words_are_not(text: str) -> None:
    assert _retired_words("app/example.py", text) == []


def test_exceptions_are_used() -> None:
    for path, word in _EXCEPTIONS:
        text = (ROOT / path).read_text(encoding="utf-8").lower()
        assert word in text, f"{path} no longer has {word}"
