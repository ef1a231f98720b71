"""Every module names its purpose in one sentence, and stays small."""

import re
from statistics import median
from typing import Final

import pytest

from tests.conventions.sources import MODULES, module_docstring
from tests.support.servers import ROOT

_MAX_LINES: Final = 350
_MAX_MEDIAN_LINES: Final = 120
_MAX_SENTENCE: Final = 100
_MIN_WORDS: Final = 2
_SENTENCE: Final = re.compile(r".*?\.(?=\s|$)", re.DOTALL)

# A purpose is an imperative verb ("Claim, renew and finish leases.") or a noun phrase ("Structs
# of the API."). These words begin a riddle instead.
_QUESTIONS: Final = frozenset(
    ("what", "how", "who", "whom", "whose", "whether", "where", "when", "why", "which")
)
# A test's purpose is a behaviour, which these may begin.
_STATEMENTS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        that this these those there here it he she we you they if so because while is are was
        everything everybody everyone nothing nobody something somebody
        """,
    )
)


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.split("\n\n", maxsplit=1)[0].split())
    match = _SENTENCE.match(paragraph)
    return match[0] if match else ""


def _line_count(name: str) -> int:
    return (ROOT / name).read_text(encoding="utf-8").count("\n")


def names_a_purpose(docstring: str, *, of_a_test: bool = False) -> bool:
    """Return whether a docstring begins with a sentence that may name a module's purpose."""
    riddles = _QUESTIONS if of_a_test else _QUESTIONS | _STATEMENTS
    sentence = _first_sentence(docstring)
    words = sentence.removesuffix(".").split()
    return (
        len(words) >= _MIN_WORDS
        and len(sentence) <= _MAX_SENTENCE
        and (sentence[0].isupper() or sentence[0] in "`./")
        and words[0].lower().strip("`,:;") not in riddles
    )


def test_every_module_begins_with_its_purpose() -> None:
    found = {name: module_docstring(name) for name in MODULES}

    assert {
        name: _first_sentence(docstring) or docstring
        for name, docstring in found.items()
        if not names_a_purpose(docstring, of_a_test=name.startswith("tests/"))
    } == {}


def test_every_module_stays_small() -> None:
    assert [name for name in MODULES if _line_count(name) >= _MAX_LINES] == []


def test_half_of_the_modules_fit_two_screens() -> None:
    sizes = [_line_count(name) for name in MODULES if name.startswith(("app/", "client/"))]

    assert median(sizes) <= _MAX_MEDIAN_LINES


@pytest.mark.parametrize(
    "docstring",
    [
        "Claim, renew and finish leases.",
        "Structs and errors of executions.\n\nMore about them.",
        "`GET /audit`: list actions.",
    ],
)
def test_a_purpose_is_recognised(docstring: str) -> None:
    assert names_a_purpose(docstring)


@pytest.mark.parametrize(
    "docstring",
    [
        "",
        "What every HTTP route shares: problems, bodies, pages.",
        "Where payload bytes live: rows or blobs.",
        "How a process ends: told to, or because it hangs.",
        "Without a period",
        "Helpers.",
        f"Read {'a very long list of things, ' * 4}and more.",
    ],
)
def test_a_riddle_is_recognised(docstring: str) -> None:
    assert not names_a_purpose(docstring)
    assert not names_a_purpose(docstring, of_a_test=True)


def test_a_test_module_may_state_a_behaviour() -> None:
    docstring = "Nothing a client sends holds the event loop."

    assert names_a_purpose(docstring, of_a_test=True)
    assert not names_a_purpose(docstring)
