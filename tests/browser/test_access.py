# SPDX-License-Identifier: GPL-3.0-or-later
"""The access report in a real browser: nothing leaves it, it filters, follows lines, opens soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from bench import access as bench
from ringfence.access import page
from tests.browser.conftest import Browser
from tests.unit.ringfence.access.fleet import clean_rows, key
from tests.unit.ringfence.access.test_report import hostile_rows, reported

pytestmark = pytest.mark.browser

_ROWS = "return [...document.querySelectorAll('#rows tbody tr')].map((r) => r.cells[1].textContent)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("access")
    small = [*clean_rows(), key("ben", "SHA256:strange")]
    (folder / "small.html").write_text(page.render(reported(small)[0]))
    (folder / "hostile.html").write_text(page.render(reported(hostile_rows())[0]))
    bench.measure(1000, 50, folder / ".")
    return folder


@pytest.mark.parametrize("name", ["small", "hostile", "access"])
def test_no_error_and_no_request(browser: Browser, pages: Path, name: str) -> None:
    browser.open(pages / f"{name}.html")
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.run("document.getElementById('accesses').scrollIntoView()")
    _wait(browser, "return document.getElementById('page').textContent !== ''")
    assert browser.complaints() == []
    assert browser.requests() == []
    assert not browser.run("return document.querySelector('img')")


def test_a_fleet_of_fifty_thousand_accesses_opens_at_once(browser: Browser, pages: Path) -> None:
    browser.open(pages / "access.html")
    browser.run("return document.body.offsetHeight")
    entry = "performance.getEntriesByType('navigation')[0]"
    assert browser.run(f"return {entry}.domContentLoadedEventEnd") < 2000
    browser.run("document.getElementById('accesses').scrollIntoView()")
    _wait(browser, "return document.getElementById('page').textContent.endsWith('of 50,000')")
    field = browser.driver.find_element(By.NAME, "text")
    field.send_keys("h77u7")
    _wait(browser, "return document.querySelectorAll('#rows tbody tr').length < 12")
    assert "h77u7" in browser.run(_ROWS)


def test_the_list_is_filtered_and_a_finding_is_followed(browser: Browser, pages: Path) -> None:
    browser.open(pages / "small.html")
    browser.run("document.getElementById('accesses').scrollIntoView()")
    _wait(browser, "return document.getElementById('page').textContent.endsWith('of 9')")
    browser.run("const f = document.getElementById('filter').elements; f.finding.value = '*';"
                "f.finding.dispatchEvent(new Event('input', {bubbles: true}))")  # fmt: skip
    assert browser.run(_ROWS) == ["ben"]
    browser.run("location.hash = '#c-access_key_owner'")
    _wait(browser, "return document.getElementById('c-access_key_owner').open")


def test_a_name_in_the_graph_lights_its_lines_also_by_keyboard(
    browser: Browser, pages: Path
) -> None:
    browser.open(pages / "small.html")
    browser.run(
        "[...document.querySelectorAll('#graph .node')]"
        ".find((n) => n.textContent.includes('Sam')).focus()"
    )
    lit = browser.run(
        "return [...document.querySelectorAll('#graph .node.lit text')].map((t) => t.textContent)"
    )
    assert lit == ["Sam Vale", "care_sam", "web1"]


def _wait(browser: Browser, script: str) -> None:
    end = time.monotonic() + 30
    while not browser.run(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)
