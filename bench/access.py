# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the access report of a large fleet takes, and how soon its page opens.

Usage: python -m bench.access [--hosts N] [--accounts N] [--out FILE] [--pages FOLDER]

Makes a collection of N hosts with N accounts each (a third are people who are on every host, the
rest belong to the host alone), joins it to a register of as many people as that takes, judges it
and writes HTML, CSV and JSON, in one fresh process. The page is then opened in headless Chromium,
where there is one. Returns 1 where the report takes more than 60 CPU seconds or 2 GiB, or the page
more than 2 s. CPU seconds are judged, since it is one process that waits for nothing: they are what
an idle machine takes; the wall seconds of a busy one stand beside them.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S, LIMIT_MB, LIMIT_PAGE_S = 60.0, 2048.0, 2.0
_NOW = "2026-06-01T10:00:00Z"
_TODAY = date(2026, 6, 1)


def main(arguments: list[str] | None = None) -> int:
    """0: within the limits; 1: not."""
    parser = argparse.ArgumentParser(prog="python -m bench.access", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pages", type=Path, help="keep the report here")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as scratch:
        folder = options.pages or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if options.measure:
            print(json.dumps(measure(options.hosts, options.accounts, folder)))
            return 0
        # a fresh process, so that its memory is the report's alone
        own = [sys.executable, "-m", "bench.access", "--measure", "--pages", str(folder)]
        size = ["--hosts", str(options.hosts), "--accounts", str(options.accounts)]
        done = subprocess.run([*own, *size], cwd=ROOT, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        found |= {"page_opens_s": opened(folder / "access.html")}
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    slow = found["cpu_s"] > LIMIT_S or found["rss_mb"] > LIMIT_MB
    return int(slow or (found["page_opens_s"] or 0.0) > LIMIT_PAGE_S)


def measure(hosts: int, accounts: int, folder: Path) -> dict[str, Any]:
    """Make, join, judge, write."""
    from ringfence import collection
    from ringfence.access import documents, page, people, review, tables
    from ringfence.access.judges import Case

    population_of, register = made_up(hosts, accounts)
    began, cpu = time.perf_counter(), time.process_time()
    catalogue = collection.plugin_util("catalogue").load()
    values = collection.plugin_util("targets").values(catalogue, "access", {})
    population = documents.population(documents.check(json.loads(population_of), "the bench"))
    directory = people.Directory(register, _TODAY)
    case = Case(population, directory, lambda _target: values, _TODAY)
    population, findings = review.judged(population, case)
    case.population = population
    results = list(review.results(population, findings, case))
    report = review.build(population, findings, directory, catalogue.of_target("access"))
    sizes = {}
    for name, text in (
        ("access.html", page.render(report)),
        ("access.csv", tables.render_csv(report)),
        ("access.json", tables.render_json(report)),
    ):
        sizes[name] = (folder / name).write_text(text, encoding="utf-8")
    return {
        "hosts": hosts, "accesses": len(report.rows), "findings": report.failed,
        "targets_judged": len(results), "cpu_s": round(time.process_time() - cpu, 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "characters": sizes,
    }  # fmt: skip


def made_up(hosts: int, accounts: int) -> tuple[str, Any]:
    """(the collection as JSON, the register). One access in fifty has no owner."""
    from ringfence import collection
    from ringfence.access.model import shape

    everywhere = accounts // 3
    staff = {f"staff{number}": _person(f"staff{number}") for number in range(everywhere)}
    targets = []
    for number in range(hosts):
        rows = [_row(shape, f"staff{one}", one, privileged=one < 5) for one in range(everywhere)]
        for one in range(accounts - everywhere):
            name = f"h{number}u{one}"
            if one % 16:
                staff[name] = _person(name)
            rows.append(_row(shape, name, 2000 + one, privileged=False))
        told = [shape.coverage("accounts", "read", count=accounts)]
        said = shape.document("access_info", _NOW, rows, told, {"sign_ins_since": _NOW})
        targets.append({"name": f"web{number}", "state": "ok", "message": "", "documents": [said]})
    run = {"id": "01KHZZZZZZZZZZZZZZZZZZZZZZ", "started": _NOW, "finished": _NOW,
           "playbook": "access.yml", "operator": "bench"}  # fmt: skip
    whole = {"schema": 1, "kind": "access", "run": run, "targets": targets}
    model = collection.plugin_util("register_model")
    register = model.Register(ROOT, people=staff)
    return json.dumps(whole), register


def _person(name: str) -> dict[str, Any]:
    grant = {"system": "server", "scope": {"everything": True}, "account": name}
    return {
        "id": name, "name": f"{name.title()} Test", "accounts": {"server": [name]},
        "keys": [{"fingerprint": f"SHA256:{name:A>43}", "added": "2025-06-01"}],
        "access": [{**grant, "granted_by": "staff0"}],
    }  # fmt: skip


def _row(shape: Any, name: str, uid: int, privileged: bool) -> dict[str, Any]:
    path = ["sudo %sudo: (ALL : ALL) ALL"] if privileged else []
    return dict(shape.row(
        "server", 1000 + uid, name, account_type="human", privileged=privileged, mfa="no",
        grant_path=path, last_login=_NOW, credential_type="ssh_key", source="authorized_keys",
        key_fingerprint=f"SHA256:{name:A>43}",
        details={"remote": True, "key_type": "ssh-ed25519", "key_bits": 256, "uid": 1000 + uid,
                 "key_comment": f"{name}@laptop", "groups": [name], "shell": "/bin/bash",
                 "file": f"/home/{name}/.ssh/authorized_keys", "password": "none"},
    ))  # fmt: skip


def opened(path: Path) -> float | None:
    """Seconds from the start of a page's loading until it is laid out; None: no browser here.

    The median of three, by the browser's own clock.
    """
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        times = []
        for _round in range(3):
            driver.get(path.as_uri())
            # asking for a height makes the browser lay everything out
            script = "document.body.offsetHeight; return performance.now()"
            times.append(float(driver.execute_script(script)) / 1000)
        return round(statistics.median(times), 2)
    finally:
        driver.quit()


if __name__ == "__main__":
    sys.exit(main())
