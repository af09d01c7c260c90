# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, called as a shell would call it but in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ringfence.cli import app

ROOT = Path(__file__).parents[4]
Call = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an inventory and a register, and none of anybody's settings."""
    monkeypatch.delenv("RINGFENCE_EVIDENCE_STORE", raising=False)
    # this process has read the settings of the checkout: its children must read the same
    monkeypatch.setenv("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("RINGFENCE_EVIDENCE_DIR", str(tmp_path / "evidence"))
    folder = tmp_path / "inv"
    (folder / "clients").mkdir(parents=True)
    (folder / "hosts.yml").write_text("all: {hosts: {web1: , web2: , web3: }}\n")
    (folder / "ringfence.yml").write_text("plugin: ringfence.hosting.clients\n")
    (folder / "clients" / "acme.yml").write_text(client("acme", "web1", "web2"))
    (folder / "clients" / "beta.yml").write_text(client("beta", "web2"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


PROCESSING = (
    "processing: {subject_matter: Hosting, nature: [hosting], purpose: A site, duration: A year,"
    " data_subjects: [visitors], data_types: [IP addresses], retention: A year,"
    " agreement: {reference: D-1, signed: 2024-01-01, review: 2090-01-01}, end: delete}\n"
)


def client(name: str, *hosts: str, more: str = "") -> str:
    """A client of the register with a site on each of `hosts`."""
    sites = "".join(
        f"  - {{id: s{number}, host: {host}, domains: [{name}{number}.example],"
        f" root: /srv/{name}, web_server: nginx}}\n"
        for number, host in enumerate(hosts)
    )
    return (
        f"id: {name}\nname: {name.title()}\ntier: standard\n"
        f"controller: {{name: {name.title()} Ltd, country: GB,"
        f" contact: {{name: A, email: a@{name}.example}}}}\n{PROCESSING}{more}sites:\n{sites}"
    )


@pytest.fixture
def call() -> Call:
    """`call("audit", "-i", "inv")`."""
    runner = CliRunner()

    def called(*arguments: str) -> Result:
        return runner.invoke(app, list(arguments))

    return called
