# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's units run under a real systemd, with the rights they need and no others."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.cli import _schedule
from ringfence.cli._schedule import Place, Wish
from tests.fleet import Fleet
from tests.hosts.playing import sh

pytestmark = pytest.mark.hosts

_WISH = Wish(drill="Sun 03:00", prune="Sat 03:00", backups="*-*-* 06:00")
_UNITS = "/etc/systemd/system"
# Stands for the command: says what it may do, and ends as a run with findings does for `drill`.
_PROGRAM = """#!/usr/bin/python3
import os, pathlib, socket, sys, tempfile, time
name, words = sys.argv[1], sys.argv[2:]
evidence = pathlib.Path(words[words.index("--evidence-dir") + 1])
(evidence / f"{name}.began").write_text(str(time.time()))
for place in (os.environ["ANSIBLE_LOCAL_TEMP"], os.environ["XDG_CACHE_HOME"]):
    os.makedirs(place, exist_ok=True)
    tempfile.TemporaryFile(dir=place)
socket.create_server(("127.0.0.1", 0)).close()
refused = 0
for path in ("/srv/checkout/x", os.path.expanduser("~/x"), "/etc/x", "/var/lib/x"):
    try:
        pathlib.Path(path).write_text("x")
    except OSError:
        refused += 1
print(name, os.getcwd(), os.getuid() != 0, "refused", refused, words, flush=True)
time.sleep(2)
(evidence / f"{name}.ended").write_text(str(time.time()))
sys.exit(1 if name == "drill" else 0)
"""


@pytest.fixture(scope="module")
def controller() -> Iterator[Fleet]:
    with Fleet(f"schedule-{os.getpid()}", {"controller": "bookworm"}) as fleet:
        sh(fleet, "controller", "useradd --create-home --shell /bin/bash keeper")
        sh(fleet, "controller", "install -d -o keeper /srv/checkout '/srv/evi dence'")
        _put(fleet, "/srv/checkout/ring%fence", _PROGRAM)
        sh(fleet, "controller", "chmod 755 /srv/checkout/ring%fence; chown -R keeper /srv/checkout")
        place = Place(
            program=Path("/srv/checkout/ring%fence"),
            checkout=Path("/srv/checkout"),
            evidence=Path("/srv/evi dence"),
            user="keeper",
            inventory=("/srv/in$ventory",),
        )
        for name, text in _schedule.units(place, _WISH).items():
            _put(fleet, f"{_UNITS}/{name}", text)
        sh(fleet, "controller", "systemctl daemon-reload")
        yield fleet


def _put(fleet: Fleet, path: str, text: str) -> None:
    sh(fleet, "controller", f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")


def test_the_timers_are_as_asked_for(controller: Fleet) -> None:
    timers = " ".join(f"ringfence-{name}.timer" for name in ("backups", "drill", "prune"))
    sh(controller, "controller", f"systemctl enable --now {timers}")
    shown = sh(
        controller,
        "controller",
        "systemctl show -p TimersCalendar,RandomizedDelayUSec,Persistent ringfence-drill.timer",
    )
    assert "OnCalendar=Sun *-*-* 03:00:00" in shown
    assert "RandomizedDelayUSec=1h" in shown
    assert "Persistent=yes" in shown


def test_a_run_has_what_it_needs_and_no_more(controller: Fleet) -> None:
    sh(controller, "controller", "systemctl start ringfence-prune")
    said = sh(controller, "controller", "journalctl -u ringfence-prune -o cat --no-pager")
    words = "['--json', '--evidence-dir', '/srv/evi dence', '-i', '/srv/in$ventory']"
    assert f"prune /srv/checkout True refused 4 {words}" in said


def test_one_waits_for_the_other_and_findings_are_a_failure(controller: Fleet) -> None:
    both = "systemctl start --no-block ringfence-drill; sleep 0.5; systemctl start ringfence-prune"
    sh(controller, "controller", f"rm -f '/srv/evi dence/'*; {both}")
    times = {
        name: float(sh(controller, "controller", f"cat '/srv/evi dence/{name}'"))
        for name in ("drill.ended", "prune.began")
    }
    assert times["drill.ended"] <= times["prune.began"]
    failed = sh(controller, "controller", "systemctl --failed --plain --no-legend")
    assert "ringfence-drill.service" in failed
    assert "ringfence-prune.service" not in failed
