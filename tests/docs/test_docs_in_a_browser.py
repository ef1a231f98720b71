"""The reference works in a browser without internet access.

CRIVO_SCREENSHOTS names a folder for screenshots; the default is the test's own folder.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Route, expect, sync_playwright

from tests.support.system import CARDS, System, until
from tests.support.system_with_keys import SystemWithKeys

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
# A busy machine draws an operation with its examples in seconds, and runs a test in minutes.
_TIMEOUT_MS: Final = 60_000
pytestmark = pytest.mark.timeout(600)

# Chromium calls its vendor's hosts by itself, so no host name resolves here.
_FLAGS: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


class PageActivity:
    """The requests of a page to other hosts, and its warnings and errors."""

    def __init__(self, page: Page, *, host: str) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self._host = host
        page.route("**/*", self._route)
        page.on("console", lambda line: self._record(line.type, line.text))
        page.on("pageerror", lambda error: self._record("error", str(error)))

    def _route(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == self._host:
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def _record(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)


Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
# The minimum contrast of text and its background (WCAG 2.2, 1.4.3).
_MIN_CONTRAST: Final = 4.5
_LOW_CONTRAST_TEXTS: Final = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.fixture
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("Chromium is not installed; Debian: apt install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=_FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def page(browser: Browser) -> Page:
    return _new_page(browser, "light")


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for screenshots."""
    folder = Path(os.environ.get("CRIVO_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(
    ("access", "schemes"),
    # What a key adds to the page is seen in both schemes, and so is all else there.
    [("open", SCHEMES[:1]), ("keys", SCHEMES)],
    ids=["open", "keys"],
)
def test_the_use_case_runs_with_the_defaults_of_the_page(
    stopped_system: System,
    browser: Browser,
    screenshots: Path,
    access: str,
    schemes: tuple[Scheme, ...],
) -> None:
    key = ""
    system = stopped_system
    if access == "keys":
        keyed = SystemWithKeys(stopped_system)
        key = keyed.admin_key
    system.start()

    for scheme, created in zip(schemes, (201, 409), strict=False):
        page = _new_page(browser, scheme)
        activity = PageActivity(page, host=urlsplit(system.url).netloc)
        _open(page, system)
        page.screenshot(path=screenshots / f"{access}-{scheme}.png")
        if key:
            _step(page, "Submit data to it", "submitRaw", 401)
            _authorize(page, key, screenshots / f"{access}-{scheme}-key.png")

        # In the second scheme `cards` exists already, and the other steps work as the page says.
        _step(page, "Upload a script", "createScript", created)
        accepted = _step(page, "Submit data to it", "submitRaw", 202)
        execution = _step(page, "Read the execution", "showExecution", 200)

        assert execution["id"] == accepted["id"]
        assert execution["status"] == "succeeded"
        assert execution["result"] == json.loads((CARDS / "expected.json").read_bytes())
        assert page.evaluate(_LOW_CONTRAST_TEXTS, _MIN_CONTRAST) == {}
        page.screenshot(path=screenshots / f"{access}-{scheme}-result.png")
        assert activity.foreign == []
        refused = [line for line in activity.complaints if "status of 4" not in line]
        assert refused == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_text_of_every_kind_of_operation_has_contrast(
    system: System, browser: Browser, scheme: Scheme
) -> None:
    page = _new_page(browser, scheme)
    _open(page, system)

    for operation in ("createScript", "moveAlias", "changeTenant", "revokeKey", "showExecution"):
        block = _block(page, operation)
        block.locator(".opblock-summary-control").click()
        expect(block.get_by_role("button", name="Execute")).to_be_visible()

        assert page.evaluate(_LOW_CONTRAST_TEXTS, _MIN_CONTRAST) == {}
        block.locator(".opblock-summary-control").click()


def test_text_with_low_contrast_is_detected(system: System, page: Page) -> None:
    _open(page, system)

    page.locator(".info p").first.evaluate("paragraph => { paragraph.style.color = '#999' }")

    assert page.evaluate(_LOW_CONTRAST_TEXTS, _MIN_CONTRAST) != {}


def test_a_media_type_shows_only_its_own_parameters(system: System, page: Page) -> None:
    _open(page, system)
    upload = _follow_link(page, "Upload a script", "createScript")
    form = upload.get_by_label("Request content type")
    query = upload.locator("tr[data-param-in=query]")
    expect(query).to_have_count(0)

    form.select_option("text/javascript")
    expect(upload.locator('tr[data-param-name="name"]')).to_be_visible()
    upload.locator('tr[data-param-name="name"] input').fill("from-a-file")
    created = _execute(upload, status=201)

    assert created["name"] == "from-a-file"
    # A value for one media type is not sent with another.
    form.select_option("multipart/form-data")
    expect(query).to_have_count(0)
    upload.locator('[data-property-name="name"] input').fill("from-a-form")
    upload.locator("input[type=file]").set_input_files(CARDS / "script.js")
    assert _execute(upload, status=201)["name"] == "from-a-form"


def test_the_page_shows_every_operation_and_its_icon(system: System, page: Page) -> None:
    _open(page, system)

    assert page.title() == "Crivo API"
    assert page.locator(".opblock:visible").count() == _operations_in(system)
    assert _icon_is_drawn(page)


def test_back_returns_to_the_previous_operation(system: System, page: Page) -> None:
    _open(page, system)
    first = _follow_link(page, "Upload a script", "createScript")
    _follow_link(page, "Read the execution", "showExecution")
    expect(first).not_to_be_in_viewport()

    page.go_back()

    expect(first.locator(".opblock-summary")).to_be_in_viewport()


def test_the_policy_blocks_requests_to_other_hosts(system: System, page: Page) -> None:
    activity = PageActivity(page, host=urlsplit(system.url).netloc)
    page.goto(f"{system.url}/docs")

    refused = page.evaluate("fetch('http://elsewhere.example/').catch(() => 'refused')")

    assert refused == "refused"
    assert any("Content Security Policy" in line for line in activity.complaints)
    assert activity.foreign == []


def test_a_request_to_another_host_is_detected(system: System, page: Page) -> None:
    activity = PageActivity(page, host=urlsplit(system.url).netloc)

    with pytest.raises(Error):
        page.goto("http://elsewhere.example/")

    assert activity.foreign == ["http://elsewhere.example/"]


def _new_page(browser: Browser, scheme: Scheme) -> Page:
    """Open a page in a new profile."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    return page


def _open(page: Page, system: System) -> None:
    page.goto(f"{system.url}/docs")
    page.locator(".opblock").first.wait_for()


def _authorize(page: Page, key: str, screenshot: Path) -> None:
    """Enter a key in the dialog, which is visible and then closes."""
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".dialog-ux .modal-ux")
    expect(dialog).to_be_in_viewport(ratio=1)
    field = dialog.locator("input")
    expect(field).to_be_visible()
    field.fill(key)
    assert page.evaluate(_LOW_CONTRAST_TEXTS, _MIN_CONTRAST) == {}
    page.screenshot(path=screenshot)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()
    expect(dialog).to_have_count(0)


def _step(page: Page, link: str, operation: str, status: int) -> dict[str, Any]:
    """Run one step of the introduction with its defaults."""
    return _execute(_follow_link(page, link, operation), status=status)


def _follow_link(page: Page, link: str, operation: str) -> Locator:
    """Follow a link of the introduction, which scrolls its operation to the top."""
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("link", name=link).click()
    block = _block(page, operation)
    expect(block.get_by_role("button", name="Execute")).to_be_visible()
    for _ in until("the page has scrolled to the operation"):
        box = block.bounding_box()
        if box is not None and -5 < box["y"] < 50:
            return block
    raise AssertionError


def _block(page: Page, operation: str) -> Locator:
    return page.locator(f".opblock[id$='-{operation}']")


def _operations_in(system: System) -> int:
    paths = system.client.get("/openapi.json").json()["paths"]
    # The page omits HEAD, which repeats GET.
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


def _execute(block: Locator, *, status: int) -> dict[str, Any]:
    """Press Execute and read the response from the page."""
    page = block.page
    with page.expect_response(
        lambda response: response.request.resource_type == "fetch"
    ) as received:
        block.get_by_role("button", name="Execute").click()
    assert received.value.status == status, received.value.text()
    live = block.locator(".live-responses-table")
    expect(live.locator(".response-col_status").last).to_have_text(re.compile(str(status)))
    body, headers = live.locator(".highlight-code code").first, live.locator(".headerline").first
    sent = received.value.json()
    expect(body).to_contain_text(str(sent.get("finished_at") or sent.get("id") or sent["type"]))
    for shown in (body, headers):
        shown.scroll_into_view_if_needed()
        expect(shown).to_be_in_viewport()
    response: dict[str, Any] = json.loads(body.inner_text())
    return response
