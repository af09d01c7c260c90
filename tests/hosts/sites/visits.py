# SPDX-License-Identifier: GPL-3.0-or-later
"""Visits to the sites of a host, over new connections all the time, while something is changed."""

from __future__ import annotations

import json

from tests.fleet import Fleet

_PAGES = (("shop.example", "/readme.html"), ("plain.example", "/about.html"))
_UNIT = "visits"
_COUNTS = f"/run/{_UNIT}.json"
_LOOP = f"""
import collections, http.client, json, os, socket, ssl, time
context = ssl._create_unverified_context()
found, written = collections.Counter(), 0.0
while True:
    for domain, page in {_PAGES!r}:
        try:
            link = http.client.HTTPSConnection(domain, timeout=30)
            plain = socket.create_connection(("127.0.0.1", 443), 30)
            link.sock = context.wrap_socket(plain, server_hostname=domain)
            link.request("GET", page)
            found[str(link.getresponse().status)] += 1
            link.close()
        except Exception as error:
            found[repr(error)] += 1
    if time.monotonic() - written > 0.5:
        written = time.monotonic()
        with open("{_COUNTS}.new", "w") as handle:
            json.dump(found, handle)
        os.rename("{_COUNTS}.new", "{_COUNTS}")
    time.sleep(0.12)
"""
# The counts as they were written after this was asked.
_NEWER = f"""
touch {_COUNTS}.asked
for _try in $(seq 240); do
    test {_COUNTS} -nt {_COUNTS}.asked && exec cat {_COUNTS}
    sleep 0.5
done
exit 1
"""


def begin(fleet: Fleet, host: str) -> None:
    """Start to ask, and to count anew."""
    fleet.exec(host, "sh", "-c", f"systemctl stop {_UNIT} 2>/dev/null; rm -f {_COUNTS}")
    fleet.exec(host, "systemd-run", "-q", "--collect", f"--unit={_UNIT}", "python3", "-c", _LOOP)


def end(fleet: Fleet, host: str) -> None:
    """Each visit got its page, and there are no more: other tests want the processor."""
    require_all_answered(fleet, host)
    fleet.exec(host, "systemctl", "stop", _UNIT)


def require_all_answered(fleet: Fleet, host: str) -> None:
    """Whether each visit until now got its page."""
    answers = json.loads(fleet.exec(host, "sh", "-c", _NEWER))
    assert set(answers) == {"200"}, (host, answers)
    assert answers["200"] > 20, (host, answers)
