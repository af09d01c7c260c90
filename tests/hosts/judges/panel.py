# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the judges on a host and lets them judge it.

Lynis and OpenSCAP come from the host's own Debian; ssh-audit looks from outside.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fleet.command import run
from tests.hosts.judges import verdicts
from tests.hosts.judges.verdicts import Verdict

PROFILE = "anssi_bp28_high"
_CONTENT = "/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml"
_FOLDER = "/var/tmp/judges"  # on a throw-away host, for root alone
_INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"
LYNIS = (
    f"rm -f {_FOLDER}/report.dat {_FOLDER}/lynis.log; "
    "lynis audit system --quick --no-colors --quiet "
    f"--report-file {_FOLDER}/report.dat --logfile {_FOLDER}/lynis.log >/dev/null 2>&1 || true"
)
# Exit code 2 says that a rule failed, which is no failure of the tool.
OSCAP = (
    f"cd {_FOLDER} && rm -f results.xml; "
    f"oscap xccdf eval --profile {PROFILE} --results results.xml rules.xml >/dev/null 2>&1; "
    'code=$?; [ "$code" = 0 ] || [ "$code" = 2 ] || exit "$code"'
)
# The content knows Debian 12 by /etc/debian_version. Debian 13 is not in any release of Debian;
# nearly all of the rules hold there as well, and those that do not are in openscap.yml.
_ONLY_12 = ">^12.[0-9]+$<"
_ALSO_13 = ">^1[23].[0-9]+$<"


@dataclass(frozen=True)
class Seat:
    """A host to be judged: reached by ssh as an administrator who has sudo.

    `skipped` are tests of Lynis that are left out on it.
    """

    name: str
    ssh_config: Path
    port: int
    skipped: tuple[str, ...] = ()

    def root(self, script: str, *, stdin: bytes | None = None, timeout: float = 3600) -> str:
        """What a shell script prints that runs as root."""
        return run(by_ssh(self, script), stdin=stdin, timeout=timeout)


def by_ssh(seat: Seat, script: str) -> list[str]:
    """The command that runs a shell script as root on a host."""
    return ["ssh", "-F", str(seat.ssh_config), seat.name, f"sudo sh -c {shlex.quote(script)}"]


def content(seat: Seat) -> bytes:
    """The rules of OpenSCAP, from Debian 13's package (Debian 12's own know Debian 11 only)."""
    text = seat.root(f"{_INSTALL} ssg-debian >/dev/null && cat {_CONTENT}")
    return text.replace(_ONLY_12, _ALSO_13).encode()


def seat_judges(seats: list[Seat], rules: bytes) -> None:
    """Install Lynis and OpenSCAP on each, beside the rules."""

    def prepare(seat: Seat) -> None:
        # Lynis asks for new lists of packages, and our audit is to know of the same updates.
        seat.root(f"apt-get -qq update && {_INSTALL} lynis openscap-scanner >/dev/null")
        seat.root(f"install -d -m 700 {_FOLDER}")
        seat.root(f"cat > {_FOLDER}/rules.xml", stdin=rules)
        profile = "".join(f"skip-test={test}\n" for test in seat.skipped)
        seat.root("cat > /etc/lynis/custom.prf", stdin=profile.encode())

    with ThreadPoolExecutor() as pool:
        list(pool.map(prepare, seats))


def judge(seats: Sequence[Seat]) -> dict[str, dict[str, Verdict]]:
    """Every judge's word on every seat: seat -> judge -> verdict. The seats are judged at once."""
    with ThreadPoolExecutor() as pool:
        rows = pool.map(_judge, seats)
    return {seat.name: row for seat, row in zip(seats, rows, strict=True)}


def _judge(seat: Seat) -> dict[str, Verdict]:
    return {
        verdicts.LYNIS: _lynis(seat),
        verdicts.OPENSCAP: _openscap(seat),
        verdicts.SSH_AUDIT: _ssh_audit(seat),
    }


def _lynis(seat: Seat) -> Verdict:
    seat.root(LYNIS)
    report = seat.root(f"cat {_FOLDER}/report.dat")
    return verdicts.lynis(report, seat.root(f"cat {_FOLDER}/lynis.log"))


def _openscap(seat: Seat) -> Verdict:
    results = seat.root(f"{OSCAP}; cat {_FOLDER}/results.xml")
    words = seat.root("oscap --version | head -1; dpkg-query -Wf '${Version}' openscap-scanner")
    version = re.search(r"(\d+\.\d+\.\d+)", words)
    return verdicts.openscap(results, version[1] if version else "unknown")


def _ssh_audit(seat: Seat) -> Verdict:
    from importlib.metadata import version

    program = Path(sys.executable).with_name("ssh-audit")
    # Exit codes 2 and 3 say that there are warnings or failures; the JSON is whole all the same.
    command = f"{program} --json --skip-rate-test 127.0.0.1:{seat.port}; true"
    return verdicts.ssh_audit(run(["sh", "-c", command]), version("ssh-audit"))
