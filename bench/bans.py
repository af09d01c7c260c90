# SPDX-License-Identifier: GPL-3.0-or-later
"""How late an attack is banned while a log is flooded: python -m bench.bans [LINES_A_SECOND …]

fail2ban with our filter and jail reads the log of scans in a test host. Each second so many lines
are written, each from another address, of which none fails often enough; among them, after two
seconds, is an attack. It prints a JSON line a rate: seconds from the attack's last line to its ban,
and the CPU seconds that fail2ban took for all of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

from tests.fleet import Fleet
from tests.hosts.sites.servers import ensure_site_image

_ROOT = Path(__file__).resolve().parents[1]
init_plugin_loader([str(_ROOT / "collections")])

from ansible_collections.ringfence.hosting.plugins.module_utils import (  # noqa: E402
    _ban_policy as policy,
)

_LAYER = _ROOT / "tests/hosts/bans/recipe"
_LOG = "/var/log/ringfence/nginx-probes.log"
_SECONDS = 5
_PATIENCE = 300.0
_FEED = """
import sys, time
rate, seconds, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
form = ('%s ringfence-probe address=%s vhost=shop.example status=404 request="GET /.env"\\n')
number = 0
with open(log, "a", buffering=1 << 20) as out:
    began = time.time()
    for tick in range(seconds * 10):
        now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        for _ in range(rate // 10):
            number += 1
            out.write(form % (now, f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"))
        if tick == 20:
            for _ in range(3):
                out.write(form % (now, "198.51.100.9"))
            print(time.time())
        out.flush()
        time.sleep(max(0, began + (tick + 1) / 10 - time.time()))
"""
_SITE = {
    "client": "acme", "id": "shop", "domains": ["shop.example"], "web_server": "nginx",
    "security": {"automatic_bans": {
        "enabled": True, "exploits": {"attempts": 3, "within": "10m", "ban": "1h"}}},
}  # fmt: skip


def measure(fleet: Fleet, rate: int) -> dict[str, Any]:
    """One rate; see the module."""
    listed = policy.jails([_SITE], {})
    sources = policy.Sources({}, {}, [_LOG], {"acme/shop": ["shop.example"]})
    jails = policy.jails_text(listed, sources, ["127.0.0.1"])
    jails = jails.replace("action = ringfence_bans.py", "action =")
    script = (
        f"systemctl stop fail2ban; rm -rf /var/lib/fail2ban/*; mkdir -p /var/log/ringfence; "
        f": > {_LOG}; : > /var/log/fail2ban.log; "
        f"cat > /etc/fail2ban/jail.d/ringfence.local <<'END'\n{jails}END\n"
        f"cat > /etc/fail2ban/filter.d/ringfence-exploits.conf <<'END'\n"
        f"{policy.filter_text('exploits')}END\nsystemctl start fail2ban; sleep 3"
    )
    fleet.exec("web1", "sh", "-c", script)
    attacked = float(fleet.exec("web1", "python3", "-c", _FEED, str(rate), str(_SECONDS), _LOG))
    return {"lines_a_second": rate, **_wait(fleet, attacked)}


def _wait(fleet: Fleet, attacked: float) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        ban = fleet.exec(
            "web1", "sh", "-c", "grep 'Ban 198.51.100.9' /var/log/fail2ban.log || true"
        )
        if ban:
            break
        time.sleep(0.5)
    else:
        return {"banned_after": None}
    when = "import time, sys; print(time.mktime(time.strptime(sys.argv[1], '%Y-%m-%d %H:%M:%S')))"
    text, millis = ban.split(",")[0], int(ban.split(",")[1][:3])
    moment = float(fleet.exec("web1", "python3", "-c", when, text)) + millis / 1000
    before = -1.0
    while (cpu := _cpu(fleet)) - before > 0.2 and time.monotonic() < deadline:
        before = cpu
        time.sleep(3)
    return {"banned_after": round(moment - attacked, 1), "cpu_seconds": round(cpu, 1)}


def _cpu(fleet: Fleet) -> float:
    shown = fleet.exec(
        "web1", "sh", "-c",
        "awk '{print ($14 + $15) / 100}' /proc/$(systemctl show -P MainPID fail2ban)/stat",
    )  # fmt: skip
    return float(shown)


def main(arguments: list[str]) -> int:
    """Print a line a rate."""
    images = {"bookworm": ensure_site_image("bookworm", layer=_LAYER, say=lambda _text: None)}
    with Fleet(f"bench-{os.getpid()}", {"web1": "bookworm"}, images=images) as fleet:
        for rate in map(int, arguments or ["100", "1000", "10000"]):
            print(json.dumps(measure(fleet, rate)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
