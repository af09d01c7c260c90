# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a review in a real browser: keys alone decide, nothing acts, nothing leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from ringfence.access_review import web
from ringfence.access_review.draft import Draft
from tests.browser.conftest import Browser
from tests.unit.ringfence.access.fleet import key
from tests.unit.ringfence.access.test_report import hostile_rows
from tests.unit.ringfence.access_review.desk import named, serving

pytestmark = pytest.mark.browser


@pytest.fixture
def server(tmp_path: Path) -> Iterator[web.Server]:
    many = [key(f"u{number}", f"SHA256:{number}", uid=str(number)) for number in range(60)]
    yield from serving(tmp_path, [*hostile_rows(), *many])


def visit(browser: Browser, server: web.Server, path: str = "") -> None:
    browser.complaints()
    browser.requests()
    browser.driver.get(server.url)
    if path:
        browser.driver.get(f"http://127.0.0.1:{server.server_port}{path}")


def press(browser: Browser, *keys: str) -> None:
    for one in keys:
        ActionChains(browser.driver).send_keys(one).perform()


def wait(done: Callable[[], Any]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def unread(browser: Browser, server: web.Server) -> None:
    """No complaint in the console, and no request but to the page's own address."""
    assert browser.complaints() == []
    own = f"http://127.0.0.1:{server.server_port}/"
    assert [url for url in browser.requests() if not url.startswith(own)] == []


def test_keys_alone_decide_a_row(browser: Browser, server: web.Server) -> None:
    draft: Draft = server.book.draft
    name = named(draft.review, "care_sam")
    visit(browser, server, "/?q=care_sam")
    chosen = "return document.activeElement.name + '=' + document.activeElement.value"
    for _press in range(60):
        press(browser, Keys.TAB)
        if browser.run(chosen).startswith(f"d.{name}="):
            break
    press(browser, Keys.SPACE, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.run(chosen) == f"d.{name}=revoke"
    press(browser, Keys.TAB, "contract ends", Keys.TAB, "OPS-1", Keys.ENTER)
    wait(lambda: draft.decisions)
    assert (draft.decisions[name].decision, draft.decisions[name].reason) == (
        "revoke", "contract ends",
    )  # fmt: skip
    assert draft.decisions[name].ticket == "OPS-1"
    wait(lambda: "1 decided" in browser.driver.page_source)
    unread(browser, server)


def test_short_keys_spare_the_tabbing(browser: Browser, server: web.Server) -> None:
    visit(browser, server, "/?q=u1")
    press(browser, "j", "j", "3", "r", "nobody's key", Keys.ESCAPE, "k")
    assert browser.run("return document.activeElement.id").startswith("row-")
    keys = ActionChains(browser.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
    keys.key_up(Keys.CONTROL).perform()
    wait(lambda: server.book.draft.decisions)
    (one,) = server.book.draft.decisions.values()
    assert (one.decision, one.reason, one.reviewer) == ("revoke", "nobody's key", "ben")
    unread(browser, server)


def test_a_refused_row_is_shown_and_has_the_focus(browser: Browser, server: web.Server) -> None:
    visit(browser, server, "/?q=care_sam")
    press(browser, "j", "3")
    browser.run("document.getElementById('page').requestSubmit()")
    wait(lambda: "revoke needs a reason" in browser.driver.page_source)
    wait(lambda: browser.run("return document.activeElement.name || ''").startswith("r."))
    assert browser.run("return document.querySelector('.wrong input:checked').value") == "revoke"
    assert server.book.draft.decisions == {}
    browser.complaints()  # Chromium notes the 422


def test_it_works_without_scripts(start: Callable[..., Browser], server: web.Server) -> None:
    browser = start("--blink-settings=scriptEnabled=false")
    visit(browser, server, "/?control=access_key_owner")
    page = browser.driver
    page.find_element("css selector", ".alike summary").click()
    page.find_element("css selector", ".alike [value=revoke]").click()
    page.find_element("css selector", ".alike [name=r]").send_keys("keys of nobody")
    page.find_element("css selector", ".alike button").click()
    wait(lambda: len(server.book.draft.decisions) == 61)
    assert {one.reason for one in server.book.draft.decisions.values()} == {"keys of nobody"}
    page.find_element("link text", "Clear").click()
    unread(browser, server)


def test_nothing_hostile_acts(browser: Browser, server: web.Server) -> None:
    visit(browser, server, "/?show=all")
    assert browser.run("return document.querySelectorAll('img, iframe, object').length") == 0
    assert browser.run("return document.scripts.length") == 1
    assert "onerror=alert(1)" in browser.run("return document.body.innerText")
    unread(browser, server)


def test_another_browser_is_not_let_in(browser: Browser, server: web.Server) -> None:
    visit(browser, server)
    browser.driver.delete_all_cookies()
    browser.driver.get(f"http://127.0.0.1:{server.server_port}/")
    assert "which works once" in browser.driver.page_source
    assert "SHA256" not in browser.driver.page_source
    browser.complaints()


def test_a_page_elsewhere_cannot_decide(
    browser: Browser, server: web.Server, tmp_path: Path
) -> None:
    visit(browser, server)
    name = named(server.book.review, "care_sam")
    form = server.book.line(name, {}, "")
    evil = tmp_path / "evil.html"
    evil.write_text(
        f"<form method=post action='http://127.0.0.1:{server.server_port}/decide'>"
        f"<input name=csrf value='{server.csrf}'><input name='was.{name}' value='{form.was}'>"
        f"<input name='d.{name}' value=keep></form>"
    )
    browser.driver.get(evil.as_uri())
    browser.run("document.forms[0].submit()")
    wait(lambda: "That form was not on this page" in browser.driver.page_source)
    assert server.book.draft.decisions == {}
    browser.complaints()
