"""The reference as somebody sees it who has a browser, and no internet.

CRIVO_SCREENSHOTS names a folder for what was seen; without it, it is the test's own.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, Locator, Page, Route, expect, sync_playwright

from tests.acceptance.system import CARDS, System, until

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
# Drawing an operation with its examples takes a busy machine seconds; the whole way, minutes.
_PATIENCE_MS: Final = 60_000
pytestmark = pytest.mark.timeout(600)

# Chromium asks its maker's hosts on its own account; here no name leads anywhere.
_FLAGS: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


class Seen:
    """What a page asked of other hosts, and what it complained of."""

    def __init__(self, page: Page, *, host: str) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self._host = host
        page.route("**/*", self._decide)
        page.on("console", lambda line: self._note(line.type, line.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))

    def _decide(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == self._host:
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser that has just been installed, as it were."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("there is no Chromium; Debian: apt install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=_FLAGS) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(_PATIENCE_MS)
        yield page


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where screenshots go."""
    folder = Path(os.environ.get("CRIVO_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_use_case_runs_from_the_page_without_internet(
    system: System, page: Page, screenshots: Path
) -> None:
    seen = Seen(page, host=urlsplit(system.url).netloc)

    page.goto(f"{system.url}/docs")
    page.locator(".opblock").first.wait_for()
    assert page.title() == "Crivo API"
    assert page.locator(".opblock").count() == _operations_in(system)
    assert _icon_is_drawn(page)
    page.screenshot(path=screenshots / "docs.png")

    upload = _opened(page, "Upload a script", "createScript")
    upload.get_by_label("Request content type").select_option("multipart/form-data")
    upload.locator('[data-property-name="name"] input').fill("from-the-page")
    upload.locator("input[type=file]").set_input_files(CARDS / "script.js")
    _execute(page, upload, status=201)

    submission = _opened(page, "Submit data to it", "submitRaw")
    submission.locator('[data-param-name="script"] input').fill("from-the-page")
    submission.locator("textarea").fill((CARDS / "payload.json").read_text(encoding="utf-8"))
    accepted = _execute(page, submission, status=202)

    reading = _opened(page, "Read the execution", "showExecution")
    reading.locator('[data-param-name="execution"] input').fill(str(accepted["id"]))
    execution = _execute(page, reading, status=200)
    for _ in until("the execution has finished"):
        if execution["finished_at"] is not None:
            break
        execution = _execute(page, reading, status=200)
    assert execution["result"] == json.loads((CARDS / "expected.json").read_bytes())
    reading.locator(".live-responses-table").screenshot(path=screenshots / "docs-result.png")

    assert seen.foreign == []
    assert seen.complaints == []


def test_the_browser_lets_the_page_ask_nobody_else(system: System, page: Page) -> None:
    seen = Seen(page, host=urlsplit(system.url).netloc)
    page.goto(f"{system.url}/docs")

    refused = page.evaluate("fetch('http://elsewhere.example/').catch(() => 'refused')")

    assert refused == "refused"
    assert any("Content Security Policy" in line for line in seen.complaints)
    assert seen.foreign == []


def test_a_request_to_another_host_is_noticed(system: System, page: Page) -> None:
    seen = Seen(page, host=urlsplit(system.url).netloc)

    with pytest.raises(Error):
        page.goto("http://elsewhere.example/")

    assert seen.foreign == ["http://elsewhere.example/"]


def _operations_in(system: System) -> int:
    paths = system.client.get("/openapi.json").json()["paths"]
    # The page leaves every HEAD out: it is its GET once more.
    return sum(len(methods.keys() - {"head"}) for methods in paths.values())


def _icon_is_drawn(page: Page) -> bool:
    width = page.evaluate(
        """async () => {
            const icon = new Image();
            icon.src = document.querySelector("link[rel=icon]").href;
            await icon.decode();
            return icon.naturalWidth;
        }"""
    )
    return bool(width)


def _opened(page: Page, step: str, operation: str) -> Locator:
    """Follow a step of the description to its operation."""
    page.get_by_role("link", name=step).click()
    opened = page.locator(f".opblock[id$='-{operation}']")
    opened.get_by_role("button", name="Execute").wait_for()
    return opened


def _execute(page: Page, operation: Locator, *, status: int) -> dict[str, object]:
    """Press Execute, and read the answer as the page shows it."""
    with page.expect_response(lambda answer: answer.request.resource_type == "fetch") as answered:
        operation.get_by_role("button", name="Execute").click()
    assert answered.value.status == status, answered.value.text()
    live = operation.locator(".live-responses-table")
    expect(live.locator(".response-col_status").last).to_have_text(re.compile(str(status)))
    body = live.locator(".highlight-code code").first
    sent = answered.value.json()
    expect(body).to_contain_text(str(sent.get("finished_at") or sent["id"]))
    shown: dict[str, object] = json.loads(body.inner_text())
    return shown
