"""A person at a browser: Debian's Chromium without a window, and Airflow 3's pages in its words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
TIMEOUT = 30_000  # milliseconds; a real Airflow is busy on two cores


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run the browser until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def a_page(browser: Browser) -> Iterator[Page]:
    """Open a page of its own, tall enough for the longest form."""
    page = browser.new_page(viewport={"width": 860, "height": 2400})
    page.set_default_timeout(TIMEOUT)
    try:
        yield page
    finally:
        page.close()


class ConnectionForm:
    """The dialogue "Add Connection" of Airflow 3."""

    def __init__(self, page: Page, airflow_url: str) -> None:
        self.page = page
        page.goto(f"{airflow_url}/connections")
        page.get_by_role("button", name="Add Connection").click()
        self.dialog = page.get_by_role("dialog")

    def choose(self, conn_id: str, label: str) -> None:
        """Give the connection's id and its type, as the list shows that."""
        self.dialog.locator('input[name="connection_id"]').fill(conn_id)
        self._select(self.dialog.get_by_role("combobox").first, label)
        self.dialog.get_by_text("Standard Fields").wait_for()

    def field(self, name: str) -> Locator:
        """One of Airflow's own fields."""
        return self.dialog.locator(f'input[name="{name}"]')

    def more(self, label: str) -> Locator:
        """The line of an extra field: label, input, help."""
        return self.dialog.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True))

    def show(self, section: str) -> None:
        """Unfold a section, which folds the others."""
        trigger = self.dialog.get_by_role("button", name=section, exact=True)
        trigger.click()
        self.dialog.locator(f'button[aria-expanded="true"]:has-text("{section}")').wait_for()

    def fill_extra(self, label: str, value: Any) -> None:
        """Fill an extra field as its kind wants it."""
        line = self.more(label)
        if isinstance(value, Mapping):
            self._type_json(line, value)
        elif line.get_by_role("combobox").count():
            self._select(line.get_by_role("combobox"), str(value))
        else:
            line.locator("input").first.fill(str(value))

    def save(self) -> None:
        """Save, and wait until the dialogue is gone."""
        self.dialog.get_by_role("button", name="Save").click()
        self.dialog.wait_for(state="hidden")

    def _select(self, box: Locator, label: str) -> None:
        box.fill(label)
        self.page.get_by_role("option", name=label, exact=True).click()

    def _type_json(self, line: Locator, value: Mapping[str, Any]) -> None:
        keyboard = self.page.keyboard
        line.locator(".monaco-editor").first.click()
        keyboard.press("Control+A")
        keyboard.insert_text(json.dumps(value))
        # The editor closes quotes and brackets by itself, behind what was typed.
        keyboard.press("Control+Shift+End")
        keyboard.press("Delete")


def said_of_test(page: Page, conn_id: str) -> str:
    """Press "Test Connection" in the list of connections, and give what Airflow then says."""
    row = page.get_by_role("row").filter(has_text=conn_id)
    row.get_by_role("button", name="Test Connection").click()
    said = page.get_by_text("Test Connection Successful").or_(page.get_by_text("Test Connection Failed"))
    said.first.wait_for()
    return str(said.first.locator("xpath=..").inner_text())


def pictured(form: ConnectionForm, path: Path) -> None:
    """Keep a picture of the form for the documentation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form.dialog.click(position={"x": 5, "y": 5})  # no field has the cursor
    form.dialog.screenshot(path=str(path), animations="disabled")
