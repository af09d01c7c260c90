# SPDX-License-Identifier: GPL-3.0-or-later
"""Headless Chromium, Debian's own, driven by its own ChromeDriver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


class Browser:
    """A browser that remembers what each page asked for and complained of."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path) -> None:
        """Load a page from a file."""
        for name in ("browser", "performance"):
            self.driver.get_log(name)
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the console holds: errors, warnings, violations of the policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The URLs that the page asked for, itself left out."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        own = self.driver.current_url.split("#")[0]
        return [url for url in found if url.split("#")[0] != own and not url.startswith("data:,")]

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Browser]]:
    """Starts browsers, with further flags if wanted; all are ended at the end."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    started: list[webdriver.Chrome] = []

    def launch(*flags: str) -> Browser:
        options = Options()
        options.binary_location = str(chromium)
        for flag in (*_FLAGS, *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        started.append(webdriver.Chrome(options=options, service=Service(str(driver))))
        return Browser(started[-1])

    yield launch
    for one in started:
        one.quit()


@pytest.fixture(scope="session")
def browser(start: Callable[..., Browser]) -> Browser:
    """One browser for all tests."""
    return start()
