# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: `pytest_plugins = ["tests.fleet.pytest_fleet"]` gives `start_fleet`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.fleet import Fleet


@pytest.fixture(scope="session")
def start_fleet() -> Iterator[Callable[[str, str], Fleet]]:
    """Start a fleet for the session: `start_fleet("audit", "bookworm,trixie")`.

    Two sessions at once do not disturb each other; all fleets go with the session.
    """
    with ExitStack() as stack:

        def start(name: str, hosts: str) -> Fleet:
            return stack.enter_context(Fleet(f"{name}-{os.getpid()}", hosts))

        yield start
