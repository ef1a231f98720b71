"""Files, headings and names that the documents refer to exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conventions.documents import DOCUMENTS
from tests.support.servers import ROOT

# Documents may omit the beginning of a path, as in `sandbox/pool.py`.
_PREFIXES: Final = ("", "app/", "app/**/", "tests/**/", "examples/**/", "migrations/**/")
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
        for match in _LINK.finditer(_text(document)):
            if "://" not in match["target"]:
                yield document, match["text"], match["target"]


def _id(value: object) -> str:
    """Name a case the same on every machine."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


LINKS: Final = list(_links())
PATHS: Final = sorted(
    {(document, path) for document in DOCUMENTS for path in _PATH.findall(_text(document))}
)
# [`submit`](app/executions/service.py): a name, and the file that defines it.
NAMES: Final = [
    (document, text.strip("`"), target)
    for document, text, target in LINKS
    if re.fullmatch(r"`\w+`", text) and target.endswith(".py")
]


def test_references_are_found() -> None:
    assert len(LINKS) > 20
    assert len(PATHS) > 20
    assert len(NAMES) > 20


@pytest.mark.parametrize(
    ("document", "target"), sorted({(document, target) for document, _, target in LINKS}), ids=_id
)
def test_a_link_has_a_target(document: Path, target: str) -> None:
    path, _, heading = target.partition("#")
    file = (document.parent / path).resolve() if path else document

    assert file.exists()
    if heading:
        assert heading in _anchors(file)


@pytest.mark.parametrize(("document", "path"), PATHS, ids=_id)
def test_a_named_path_exists(document: Path, path: str) -> None:
    bases = [ROOT, document.parent]

    assert any(next(base.glob(f"{prefix}{path}"), None) for base in bases for prefix in _PREFIXES)


@pytest.mark.parametrize(("document", "name", "target"), NAMES, ids=_id)
def test_a_name_is_defined_in_its_file(document: Path, name: str, target: str) -> None:
    source = (document.parent / target).read_text(encoding="utf-8")

    defined = rf"^\s*(async )?(def|class) {name}\b|^{name}(: \w[^=]*)? = "
    assert re.search(defined, source, re.MULTILINE)


def _claims() -> list[str]:
    """Return each item that ANSWERS.md lists as built."""
    text = (ROOT / "ANSWERS.md").read_text(encoding="utf-8")
    parts = re.findall(r"^\*\*Built\*\*.*?(?=^\*\*[A-Z]|^## |^```)", text, re.DOTALL | re.MULTILINE)
    return [
        item
        for part in parts
        for item in re.findall(r"^(?:- |\*\*Built\*\*: ).*", part, re.MULTILINE)
    ]


def test_claims_are_found() -> None:
    assert len(_claims()) > 40


@pytest.mark.parametrize("claim", _claims(), ids=lambda claim: claim[:40])
def test_a_claim_names_its_evidence(claim: str) -> None:
    # The tests above check that the evidence exists.
    assert _LINK.search(claim) or _PATH.search(claim)


def _anchors(file: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _text(file), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
