# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate as a person sees it, in headless Chromium, with real WordPress behind it.

RINGFENCE_PICTURES=docs/images keeps the pictures that the guide shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.conftest import Browser, start  # noqa: F401 - a fixture
from tests.hosts.gate.conftest import PASSWORD, Gates
from tests.hosts.gate.visitor import Token

pytestmark = pytest.mark.hosts

_ADMIN = "https://shop.example/wp-admin/"
_PATIENCE = 60


class Person:
    """A browser of its own in which every name is the host, and what is done with it."""

    def __init__(self, browser: Browser) -> None:
        self.driver = browser.driver
        self.driver.set_window_size(1100, 850)
        self.driver.set_page_load_timeout(120)

    def open(self, address: str) -> None:
        self.driver.get(address)

    @property
    def where(self) -> str:
        """The host of the page that is shown."""
        return str(self.driver.current_url).split("/")[2]

    @property
    def text(self) -> str:
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            field = self.driver.find_element(By.NAME, name)
            field.clear()
            field.send_keys(value)

    def send(self) -> None:
        """Press the button, and wait until the next page is there."""
        before = self.driver.find_element(By.TAG_NAME, "html")
        button = "button[type=submit], input[type=submit], form button:not([type])"
        self.driver.find_element(By.CSS_SELECTOR, button).click()
        WebDriverWait(self.driver, _PATIENCE).until(lambda _driver: _is_gone(before))
        WebDriverWait(self.driver, _PATIENCE).until(
            lambda driver: driver.execute_script("return document.readyState") == "complete"
        )

    def sign_in(self, user: str, password: str) -> None:
        self.fill(user=user, password=password)
        self.send()

    def sees(self, words: str) -> bool:
        """Whether the page comes to say so; the portal puts its words in by script."""
        WebDriverWait(self.driver, _PATIENCE).until(lambda _driver: words in self.text)
        return True

    def picture(self, name: str) -> None:
        folder = os.environ.get("RINGFENCE_PICTURES")
        if folder:
            self.driver.save_screenshot(str(Path(folder) / f"site-gate-{name}.png"))


def _is_gone(element: object) -> bool:
    try:
        element.is_enabled()  # type: ignore[attr-defined]
    except Exception:
        return True
    return False


def test_a_person_at_the_gate(gates: Gates, start: Callable[..., Browser]) -> None:  # noqa: F811
    assert gates.apply().returncode == 0  # others take the gate away from these hosts
    address = gates.servers.hosts["web1"].address
    flags = (
        "--ignore-certificate-errors",
        f"--host-resolver-rules=MAP *.example {address}",
    )
    eve = Person(start(*flags))

    # Without a session there is only the sign-in page.
    eve.open(_ADMIN)
    assert eve.where == "gate.example"
    eve.picture("sign-in")

    # The operator's link: a password of her own, and an app.
    link, _screen = gates.link("web1", "eve")
    eve.open(link)
    eve.picture("link")
    eve.send()
    key = eve.driver.find_element(By.ID, "key").text
    token = Token(re.sub(r"\s", "", key))
    eve.picture("enrolment")
    eve.fill(password=PASSWORD, again=PASSWORD, code=token.next())
    eve.send()
    assert eve.sees("You are set up")
    eve.picture("recovery-codes")

    # A wrong password, a password alone, a wrong code, a used code.
    eve.open(_ADMIN)
    eve.sign_in("eve", "not her password")
    assert eve.where == "gate.example"
    eve.picture("wrong-password")
    eve.open(_ADMIN)
    eve.sign_in("eve", PASSWORD)
    eve.driver.find_element(By.NAME, "code")
    eve.picture("code")
    eve.open(_ADMIN)
    assert eve.where == "gate.example", "a password alone opens nothing"
    eve.sign_in("eve", PASSWORD)
    eve.fill(code="000000")
    eve.send()
    assert eve.where == "gate.example"
    eve.picture("wrong-code")
    eve.open(_ADMIN)
    assert eve.where == "gate.example"

    # The right code: the site's own sign-in, and its admin area.
    eve.sign_in("eve", PASSWORD)
    code = token.ahead()
    eve.fill(code=code)
    eve.send()
    assert eve.where == "shop.example"
    eve.picture("wordpress")
    eve.fill(log="boss", pwd="sign-in-shop")
    eve.send()
    assert eve.sees("Dashboard")
    eve.picture("dashboard")

    # Somebody who watched the code being typed.
    watcher = Person(start(*flags))
    watcher.open(_ADMIN)
    watcher.sign_in("eve", PASSWORD)
    watcher.fill(code=code)
    watcher.send()
    assert watcher.where == "gate.example"
    watcher.picture("used-code")
    watcher.open(_ADMIN)
    assert watcher.where == "gate.example"

    # Another site of the same host is not hers.
    eve.open("https://blog.example/wp-admin/")
    assert eve.sees("403")
    eve.picture("other-site")

    # Signed out, the site is closed, though WordPress' own cookie is still there.
    eve.open("https://gate.example/?logout=1")
    eve.picture("signed-out")
    eve.open(_ADMIN)
    assert eve.where == "gate.example"

    # Too many tries: not even the right password.
    for _number in range(5):
        watcher.open(_ADMIN)
        watcher.sign_in("eve", "not her password")
    watcher.open(_ADMIN)
    watcher.sign_in("eve", PASSWORD)
    assert watcher.where == "gate.example"
    assert not watcher.driver.find_elements(By.NAME, "code")
    watcher.picture("locked")
