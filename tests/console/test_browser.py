"""The console in a real Chromium, started as users start it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, sync_playwright

from gateway.cli import main
from tests.console.browser import chromium
from tests.unit.audit.examples import EVENTS, decided
from tests.unit.audit.query.logs import written

PAGES = ["/", "/requests", "/questions/partners", "/policy", "/integrity", "/request/cut-off"]


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = written(tmp_path_factory.mktemp("log") / "audit", [*EVENTS.values(), decided(request_id="cut-off")])
    command = [sys.executable, "-m", "gateway", "console", "--directory", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page(browser: Browser, link: str) -> Page:
    """One tab, that came in by the link; what the browser complains about is kept."""
    context = browser.new_context(base_url=re.match(r"http://[^/]+", link)[0])  # type: ignore[index]
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("requestfailed", lambda request: complaints.append(request.url))
    opened.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
    opened.complaints = complaints  # type: ignore[attr-defined]
    opened.goto(link)
    opened.wait_for_url("**/")
    return opened


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_shown_without_complaint(page: Page, path: str) -> None:
    page.goto(path)
    assert page.locator("h1").is_visible()
    assert page.complaints == []  # type: ignore[attr-defined]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_plots_are_drawn_in_the_pages_colours(page: Page) -> None:
    page.goto("/")
    assert page.locator("svg[role=img]").count() == 4
    drawn = page.locator("svg[role=img] path[aria-roledescription=bar]").first
    assert drawn.evaluate("bar => getComputedStyle(bar).fill") == "rgb(74, 134, 216)"


def test_light_and_dark(page: Page) -> None:
    page.goto("/")
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    page.emulate_media(color_scheme=None)
    assert colours == ["rgb(245, 246, 248)", "rgb(17, 22, 29)"]


def test_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Requests"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests")
    page.locator("input[name=reason]").focus()
    page.keyboard.type("allowed, no*")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests?*")
    page.locator("td a").first.press("Enter")
    page.wait_for_url("**/request/cut-off")
    assert page.locator("ol.chain li").count() == 6


def test_another_browser_is_not_let_in(browser: Browser, link: str) -> None:
    stranger = browser.new_page()
    answer = stranger.goto(link)
    assert answer is not None
    assert (answer.status, stranger.locator("h1").inner_text()) == (401, "The link is needed")
    stranger.close()


def test_a_report_is_shown_and_printed(browser: Browser, tmp_path: Path) -> None:
    directory, output = written(tmp_path / "audit", EVENTS.values()), tmp_path / "report.html"
    command = ["audit", "report", "--directory", str(directory), "--output", str(output)]
    assert CliRunner().invoke(main, command).exit_code == 0
    tab = browser.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto(output.as_uri())
    assert tab.locator("svg[role=img]").count() == 4
    assert tab.pdf(prefer_css_page_size=True).startswith(b"%PDF-")
    assert complaints == []
    tab.close()
