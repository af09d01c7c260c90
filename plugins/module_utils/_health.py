# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a host serves what it served: its services, its sites, its configuration."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_SECONDS = 10
_PAUSE_SECONDS = 2
_LOOKS = 2
# Services that start and end by themselves are no measure: only those that a boot would start.
_STARTS = {"enabled", "enabled-runtime", "generated", "alias", "linked"}
_TESTS = {
    "/usr/sbin/nginx": ["/usr/sbin/nginx", "-t", "-q"],
    "/usr/sbin/apache2ctl": ["/usr/sbin/apache2ctl", "-t"],
    "/usr/sbin/sshd": ["/usr/sbin/sshd", "-t"],
}

State = dict[str, dict[str, str]]


def look(host: Host, sites: list[dict[str, Any]]) -> State:
    """`services` (unit -> running), `configuration` (program -> ok or what is wrong), `sites`
    (address -> status code, or why there is none). `sites`: each with `domains`."""
    return {
        "services": dict.fromkeys(_services(host), "running"),
        "configuration": _configuration(host),
        "sites": {
            f"{scheme}://{site['domains'][0]}/": _answer(scheme, site["domains"][0])
            for site in sites
            if site.get("domains")
            for scheme in ("http", "https")
        },
    }


def problems(before: State, now: State) -> list[str]:
    """What is worse than it was, a line each. What was wrong before is nobody's fault."""
    found = [
        f"{unit} does not run any more"
        for unit in sorted(set(before["services"]) - set(now["services"]))
    ]
    found += [
        f"{program}: {said}"
        for program, said in sorted(now["configuration"].items())
        if said != "ok" and before["configuration"].get(program, "ok") == "ok"
    ]
    found += [
        f"{address} answers {now['sites'].get(address, 'nothing')}, before {code}"
        for address, code in sorted(before["sites"].items())
        if code.isdigit() and now["sites"].get(address) != code
    ]
    return found


def settled(
    host: Host, sites: list[dict[str, Any]], before: State, seconds: int
) -> tuple[State, list[str]]:
    """The state once nothing is worse than `before`, or when the time is up, with what is.

    Well is what is so twice in a row: a service may fall over a moment after its start.
    """
    deadline, well = time.monotonic() + seconds, 0
    while True:
        now = look(host, sites)
        worse = problems(before, now)
        well = 0 if worse else well + 1
        if well == _LOOKS or (worse and time.monotonic() > deadline):
            return now, worse
        time.sleep(_PAUSE_SECONDS)


def _services(host: Host) -> list[str]:
    kind = ["--type=service", "--state=running", "--plain", "--no-legend"]
    listed = host.output(["systemctl", "list-units", *kind])
    running = [line.split()[0] for line in listed.splitlines() if line.strip()]
    if not running:
        raise HostError("systemd tells of no running service")
    said = host.output(["systemctl", "show", "--property", "Id,UnitFileState", "--", *running])
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
              for block in said.strip().split("\n\n")]  # fmt: skip
    return [block["Id"] for block in blocks if block.get("UnitFileState") in _STARTS]


def _configuration(host: Host) -> dict[str, str]:
    tests = {path: argv for path, argv in _TESTS.items() if host.exists(path)}
    tests |= {path: [path, "-t"] for path in host.glob("/usr/sbin/php-fpm[0-9]*")}
    found = {}
    for path, argv in tests.items():
        done = host.run(argv)
        found[path] = "ok" if done.rc == 0 else done.complaint()
    return found


def _answer(scheme: str, domain: str) -> str:
    """The status code of the first page as this host itself serves it."""
    try:
        if scheme == "https":
            return _ask(_Tls(domain), domain)
        return _ask(http.client.HTTPConnection("127.0.0.1", 80, timeout=_SECONDS), domain)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {error}"


def _ask(connection: http.client.HTTPConnection, domain: str) -> str:
    try:
        connection.request("GET", "/", headers={"Host": domain, "User-Agent": "ringfence-health"})
        return str(connection.getresponse().status)
    finally:
        connection.close()


class _Tls(http.client.HTTPSConnection):
    """To this host, asking for the certificate of a domain, whoever signed that."""

    def __init__(self, domain: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__("127.0.0.1", 443, timeout=_SECONDS, context=context)
        self._context_of_ours, self._domain = context, domain

    def connect(self) -> None:
        """Like the library's, but with the domain's name and not the address."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._context_of_ours.wrap_socket(self.sock, server_hostname=self._domain)
