# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a block list takes to get into the kernel, and how much memory: `firewall_set` at work.

    python -m bench.address_lists [--entries N] [--out FOLDER]    as root; has a network of its own

Half of the entries are replaced in a second run, as a feed changes. The third finds all as it is,
the fourth after somebody flushed a set. Addresses are single ones and networks, nine to one. Memory
is that of Python and of nft, at their highest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# On an idle machine: what is judged is CPU time, for it is one process after another.
LIMIT_SECONDS, LIMIT_MEGABYTES = 10.0, 600.0
LIMIT_SECONDS_UNCHANGED = 1.0
# Run, and whether it has to change something.
RUNS = {"first": True, "changed": True, "again": False, "flushed": True}


def measure(entries: int) -> dict[str, Any]:
    """All of the runs, one after the other; runs inside the namespace."""
    sys.path.insert(0, str(ROOT / "collections"))
    from ansible_collections.ringfence.hosting.plugins.module_utils import (
        _address_lists,
        _nftables,
    )
    from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

    declared = {"zones": {"management": ["192.0.2.1"]}, "services": {}, "outbound_policy": "accept",
                "outbound_services": {}, "log_rate": 0}  # fmt: skip
    host, found = Host(), {}
    host.output(["/usr/sbin/nft", "-f", "-"], stdin=_nftables.render(_nftables.parse(declared)))
    with tempfile.TemporaryDirectory() as folder:
        _address_lists._FOLDER, _address_lists.LOADED = folder, f"{folder}/loaded"
        for name in RUNS:
            path = Path(folder, f"{name}.txt")
            with path.open("w", encoding="ascii") as lines:
                lines.writelines(_entries(entries, 1 if name == "first" else 2))
            if name == "flushed":
                host.output(["/usr/sbin/nft", "flush set inet ringfence block4"])
            given = {"list": "block", "state": "exact", "timeout": 0, "entries": [],
                     "src": str(path)}  # fmt: skip
            began, cpu = time.monotonic(), _cpu()
            result = _address_lists.run(host, given, None, check=False)
            found[name] = {
                "seconds": round(time.monotonic() - began, 2),
                "cpu_seconds": round(_cpu() - cpu, 2),
                "entries": result["entries"],
                "changed": result["changed"],
            }
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found["megabytes"] = {
        "python": round(usage[0].ru_maxrss / 1024),
        "nft": round(usage[1].ru_maxrss / 1024),
    }
    return found


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _entries(count: int, seed: int) -> Iterator[str]:
    """The first half is the same for every seed."""
    for part, chosen in ((count // 2, 0), (count - count // 2, seed)):
        draw = random.Random(chosen)  # noqa: S311 - made-up addresses
        for number in range(part):
            first, rest = draw.randrange(1, 224), draw.getrandbits(24)
            address = f"{first}.{rest >> 16}.{rest >> 8 & 255}"
            yield f"{address}.0/24\n" if number % 10 == 0 else f"{address}.{rest & 255}\n"


def main() -> int:
    """Measure, print, write the JSON. Returns 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(options.entries)))
        return 0
    command = ["unshare", "--net", sys.executable, "-m", "bench.address_lists", "--inside",
               "--entries", str(options.entries)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, env=os.environ)
    result = _result(json.loads(done.stdout))
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "address_lists.json").write_text(text, encoding="utf-8")
    return 0 if result["met"] else 1


def _result(found: dict[str, Any]) -> dict[str, Any]:
    slowest = max(found[name]["cpu_seconds"] for name in RUNS)
    met = {
        "cpu_seconds": slowest <= LIMIT_SECONDS,
        "cpu_seconds_unchanged": found["again"]["cpu_seconds"] <= LIMIT_SECONDS_UNCHANGED,
        "megabytes": sum(found["megabytes"].values()) <= LIMIT_MEGABYTES,
        "told": all(found[name]["changed"] == changes for name, changes in RUNS.items()),
    }
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, Linux {platform.release()}",
        "load": round(os.getloadavg()[0], 1),
        **found,
        "bars": {
            "cpu_seconds": LIMIT_SECONDS,
            "cpu_seconds_unchanged": LIMIT_SECONDS_UNCHANGED,
            "megabytes": LIMIT_MEGABYTES,
        },
        "met": all(met.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
