"""What the documents point at exists: files, headings, and names in files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conventions.documents import DOCUMENTS
from tests.servers import ROOT

# Where a document may leave the beginning of a path out, as in `sandbox/pool.py`.
_STARTS: Final = ("", "app/", "app/**/", "tests/**/", "examples/**/", "migrations/**/")
_FENCED: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_PATH: Final = re.compile(
    r"`((?:(?:app|docs|examples|migrations|openapi|scripts|tests)/[\w./-]*"
    r"|(?:[\w.-]+/)*[\w-]+\.(?:py|js|sql|json|toml|lock|md|sh|svg|yaml)))`"
)


def _text(document: Path) -> str:
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def _links() -> Iterator[tuple[Path, str, str]]:
    for document in DOCUMENTS:
        for found in _LINK.finditer(_text(document)):
            if "://" not in found["target"]:
                yield document, found["text"], found["target"]


def _id(value: object) -> str:
    """Name a case the same on every machine."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


LINKS: Final = list(_links())
PATHS: Final = sorted(
    {(document, path) for document in DOCUMENTS for path in _PATH.findall(_text(document))}
)
# [`accept`](app/executions/submissions.py): a name, and the file that has it.
NAMES: Final = [
    (document, text.strip("`"), target)
    for document, text, target in LINKS
    if re.fullmatch(r"`\w+`", text) and target.endswith(".py")
]


def test_there_is_something_to_check() -> None:
    assert len(LINKS) > 20
    assert len(PATHS) > 20
    assert len(NAMES) > 20


@pytest.mark.parametrize(
    ("document", "target"), sorted({(document, target) for document, _, target in LINKS}), ids=_id
)
def test_a_link_leads_somewhere(document: Path, target: str) -> None:
    path, _, heading = target.partition("#")
    file = (document.parent / path).resolve() if path else document

    assert file.exists()
    if heading:
        assert heading in _anchors(file)


@pytest.mark.parametrize(("document", "path"), PATHS, ids=_id)
def test_a_path_that_is_named_is_there(document: Path, path: str) -> None:
    tops = [ROOT, document.parent]

    assert any(next(top.glob(f"{start}{path}"), None) for top in tops for start in _STARTS)


@pytest.mark.parametrize(("document", "name", "target"), NAMES, ids=_id)
def test_a_name_is_defined_in_its_file(document: Path, name: str, target: str) -> None:
    source = (document.parent / target).read_text(encoding="utf-8")

    defined = rf"^\s*(async )?(def|class) {name}\b|^{name}(: \w[^=]*)? = "
    assert re.search(defined, source, re.MULTILINE)


def _claims() -> list[str]:
    """Give what ANSWERS.md says is built, an item each."""
    text = (ROOT / "ANSWERS.md").read_text(encoding="utf-8")
    parts = re.findall(r"^\*\*Built\*\*.*?(?=^\*\*[A-Z]|^## |^```)", text, re.DOTALL | re.MULTILINE)
    return [
        item
        for part in parts
        for item in re.findall(r"^(?:- |\*\*Built\*\*: ).*", part, re.MULTILINE)
    ]


def test_every_answer_says_what_is_built() -> None:
    assert len(_claims()) > 40


@pytest.mark.parametrize("claim", _claims(), ids=lambda claim: claim[:40])
def test_what_is_said_to_be_built_names_what_shows_it(claim: str) -> None:
    # That these exist is held above.
    assert _LINK.search(claim) or _PATH.search(claim)


def _anchors(file: Path) -> set[str]:
    """Give the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _text(file), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
