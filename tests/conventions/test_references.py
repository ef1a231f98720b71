"""Files, headings and names that the documents refer to exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

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


class Link(Struct, frozen=True):
    """A link of a document to something of the project."""

    document: Path
    text: str
    target: str


def _links() -> Iterator[Link]:
    for document in DOCUMENTS:
        for match in _LINK.finditer(_text(document)):
            if "://" not in match["target"]:
                yield Link(document, match["text"], match["target"])


LINKS: Final = list(_links())
PATHS: Final = sorted(
    {(document, path) for document in DOCUMENTS for path in _PATH.findall(_text(document))}
)
# [`submit`](app/executions/service.py): a name, and the file that defines it.
NAMES: Final = [
    link for link in LINKS if re.fullmatch(r"`\w+`", link.text) and link.target.endswith(".py")
]


def test_references_are_found() -> None:
    assert len(LINKS) > 20
    assert len(PATHS) > 20
    assert len(NAMES) > 20


def test_every_link_has_a_target() -> None:
    assert [link for link in LINKS if not _has_target(link.document, link.target)] == []


def test_every_named_path_exists() -> None:
    assert [each for each in PATHS if not _exists(*each)] == []


def test_every_name_is_defined_in_its_file() -> None:
    assert [link for link in NAMES if not _is_defined(link)] == []


def _has_target(document: Path, target: str) -> bool:
    path, _, heading = target.partition("#")
    file = (document.parent / path).resolve() if path else document
    return file.exists() and (not heading or heading in _anchors(file))


def _exists(document: Path, path: str) -> bool:
    bases = [ROOT, document.parent]
    return any(next(base.glob(f"{prefix}{path}"), None) for base in bases for prefix in _PREFIXES)


def _is_defined(link: Link) -> bool:
    name = link.text.strip("`")
    source = (link.document.parent / link.target).read_text(encoding="utf-8")
    defined = rf"^\s*(async )?(def|class) {name}\b|^{name}(: \w[^=]*)? = "
    return re.search(defined, source, re.MULTILINE) is not None


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


def test_every_claim_names_its_evidence() -> None:
    # The tests above check that the evidence exists.
    assert [each for each in _claims() if not _LINK.search(each) and not _PATH.search(each)] == []


def _anchors(file: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _text(file), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
