"""A person with a browser: logs in, finds the tasks, runs one, and sees which cannot run now."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from support import SECRET, Cluster

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(sync_playwright is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium"),
]


@pytest.fixture
def page() -> Iterator[Any]:
    """A fresh browser's page; what its console complained of is in `page.complaints`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.complaints = []
        page.on("console", lambda said: said.type == "error" and page.complaints.append(f"{said.text} {said.location}"))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        browser.close()


def log_in(page: Any, secret: str) -> None:
    page.fill("input[type=password]", secret)
    page.click("button")


def task(page: Any, path: str) -> Any:
    """The block of a task's endpoint in the documentation."""
    block = page.locator(".opblock").filter(has=page.locator(f'[data-path="{path}"]'))
    block.wait_for()
    return block


def test_a_person_logs_in_and_runs_a_task(make: Any, page: Any) -> None:
    cluster: Cluster = make()
    cluster.start_manager()
    url = f"http://127.0.0.1:{cluster.port}"
    page.goto(f"{url}/docs")
    assert page.url.endswith("/login?next=/docs")

    log_in(page, "not the secret")
    page.get_by_text("That is not the secret.").wait_for()
    assert page.context.cookies() == []

    log_in(page, SECRET)
    page.wait_for_selector(".opblock")
    assert page.url == f"{url}/docs"
    assert page.locator('[data-path^="/api/queues/crowd/"]').count() == 0

    worker = cluster.start_worker("crowd")
    page.reload()
    block = task(page, "/api/queues/crowd/tasks/add")
    block.locator(".opblock-summary-control").click()
    block.locator("tr[data-param-name=wait] input").fill("20")
    block.locator("button.execute").click()
    block.locator(".live-responses-table").filter(has_text='"completed"').wait_for()

    worker.terminate()
    page.reload()
    assert "no worker offers it now" in task(page, "/api/queues/crowd/tasks/add").inner_text()
    (refusal,) = page.complaints  # a browser notes by itself that the wrong secret was answered with 401
    assert "401" in refusal
