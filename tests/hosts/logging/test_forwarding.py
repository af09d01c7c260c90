# SPDX-License-Identifier: GPL-3.0-or-later
"""The log goes to a log host over TLS, to that host and to no other that takes its address."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.hosts.playing import Done, evidence, play, sh, statuses

pytestmark = pytest.mark.hosts

_NAME = "logs.example.test"
_WAIT = 20
# s_server ends with its input, so somebody must keep that open.
_RECEIVER = """
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout /root/{name}.key -out /root/{name}.pem \
  -subj /CN={name} -addext subjectAltName=DNS:{name} 2> /dev/null
systemctl stop receiver 2> /dev/null; rm -f /root/received
systemd-run --quiet --unit=receiver sh -c "sleep infinity | openssl s_server -accept 6514 \
  -cert /root/{name}.pem -key /root/{name}.key -quiet > /root/received"
cat /root/{name}.pem
"""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet("logs", "sender=bookworm,receiver=trixie") as running:
        yield running


@pytest.fixture(scope="module")
def applied(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """The sender has the receiver for its log host, and trusts its certificate."""
    certificate = sh(fleet, "receiver", _RECEIVER.format(name=_NAME))
    address = fleet.hosts["receiver"].address
    sh(
        fleet,
        "sender",
        f"echo '{address} {_NAME}' >> /etc/hosts\n"
        f"cat > /usr/local/share/ca-certificates/logs.crt << 'END'\n{certificate}\nEND\n"
        "update-ca-certificates > /dev/null 2>&1",
    )
    folder = tmp_path_factory.mktemp("applied")
    return _apply(fleet, folder), folder


def test_is_applied(applied: tuple[Done, Path]) -> None:
    done, folder = applied
    assert done.returncode == 0, done.output
    assert statuses(evidence(folder), "sender")["logging_forwarding"] == "changed"


@pytest.mark.usefixtures("applied")
def test_a_line_arrives(fleet: Fleet) -> None:
    assert _sent(fleet, "a line for the log host")


@pytest.mark.usefixtures("applied")
def test_nothing_goes_over_in_the_clear(fleet: Fleet) -> None:
    heard = sh(fleet, "sender", "ss -Htnp state established | grep rsyslogd | awk '{print $4}'")
    assert {said.rpartition(":")[2] for said in heard.split()} == {"6514"}


@pytest.mark.usefixtures("applied")
def test_a_second_apply_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    done = _apply(fleet, tmp_path)
    assert done.returncode == 0, done.output
    assert "changed" not in statuses(evidence(tmp_path), "sender").values()


@pytest.mark.usefixtures("applied")
def test_somebody_else_at_that_address_gets_nothing(fleet: Fleet) -> None:
    sh(fleet, "receiver", _RECEIVER.format(name="other.example.test"))
    sh(fleet, "sender", "systemctl restart rsyslog")
    assert not _sent(fleet, "a line for nobody else")
    complaint = "journalctl -u rsyslog --no-pager | grep -ci -e certificate -e authenticat"
    assert int(sh(fleet, "sender", f"{complaint} || true")) > 0


def test_a_log_host_without_a_port_is_one_clear_line(fleet: Fleet, tmp_path: Path) -> None:
    done = play(
        fleet, "apply.yml", "--limit", "sender", "-e", _variables("logs"), evidence_in=tmp_path
    )
    assert done.returncode != 0
    assert "log host 'logs': expected a name and a port" in done.output


def _apply(fleet: Fleet, folder: Path) -> Done:
    variables = _variables(f"{_NAME}:6514")
    return play(fleet, "apply.yml", "--limit", "sender", "-e", variables, evidence_in=folder)


def _variables(log_host: str) -> str:
    return json.dumps({"ringfence_families": ["logging"], "logging_log_host": log_host})


def _sent(fleet: Fleet, line: str) -> bool:
    """Whether a line that the sender logs arrives within seconds."""
    sh(fleet, "sender", f"logger --tag demo '{line}'")
    end = time.monotonic() + _WAIT
    while time.monotonic() < end:
        if line in sh(fleet, "receiver", "cat /root/received 2> /dev/null || true"):
            return True
        time.sleep(1)
    return False
