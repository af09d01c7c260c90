# SPDX-License-Identifier: GPL-3.0-or-later
"""Run documents of made-up fleets, the same for the same seed."""

from __future__ import annotations

import random
from typing import Any

from ringfence.evidence import CatalogueCopy

SHA = "c" * 64
_TITLES = {
    "ssh": ("SSH refuses direct root login", "SSH takes no passwords", "SSH forwards no agent"),
    "kernel": ("SYN cookies are on", "The kernel hides its pointers", "Redirects are ignored"),
    "accounts": ("Passwords end within a year", "No account has an empty password"),
    "packages": ("Security updates install themselves", "No telnet client is installed"),
}
_SEVERITIES = ("critical", "high", "medium", "low")


def run_id(number: int) -> str:
    """A run id that sorts by `number`."""
    return f"01M85{number:021d}"


def run_document(hosts: list[dict[str, Any]], number: int = 1, **run: Any) -> dict[str, Any]:
    """A run over `hosts`, on day `number` of January 2026."""
    head = {
        "id": run_id(number),
        "started": f"2026-01-{number:02d}T06:00:00Z",
        "finished": f"2026-01-{number:02d}T06:01:00Z",
        "playbook": "audit.yml",
        "mode": "audit",
        "operator": "alice",
        "controller": "ctl1.example",
        "limit": None,
        "ansible_core": "2.19.14",
        "ringfence": "0.1.0",
        "catalogue_sha256": SHA,
    }
    return {"schema": 1, "run": {**head, **run}, "hosts": hosts}


def host(name: str, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A host that was asked, unless `state` says otherwise."""
    facts = {"distribution": "debian", "release": "12", "kernel": "6.1.0"}
    known = {"name": name, "state": "ok", "message": "", "host": facts, "results": [*results]}
    return {**known, **more}


def result(control: str, status: str, **more: Any) -> dict[str, Any]:
    """A result of a control."""
    return {"id": control, "status": status, **more}


def waiver(expires: str, **more: str) -> dict[str, Any]:
    """A waiver until `expires`."""
    known = {"reason": "old shop", "owner": "ops", "approver": "boss", "expires": expires}
    return {**known, **more}


def control(control_id: str, severity: str = "high", family: str = "ssh", **more: Any) -> Any:
    """A declaration, as the catalogue has it."""
    known = {
        "id": control_id,
        "title": f"Title of {control_id}",
        "severity": severity,
        "family": family,
        "rationale": f"Why {control_id} matters.",
        "value": {"name": f"{control_id}_value"},
    }
    return {**known, **more}


def catalogue(*controls: Any, benchmarks: dict[str, Any] | None = None) -> CatalogueCopy:
    """A catalogue of declarations."""
    return CatalogueCopy(SHA, {one["id"]: one for one in controls}, benchmarks or {})


def big_catalogue(count: int = 200) -> CatalogueCopy:
    """A catalogue of `count` controls in four families."""
    titles = [(family, title) for family, each in _TITLES.items() for title in each]
    return catalogue(
        *(
            control(
                f"{family}_control_{number}",
                _SEVERITIES[number % 4],
                family,
                title=f"{title}, case {number}",
                remedy="Set it in a drop-in file and reload the service.",
                references={"cis_debian12": [f"{number // 10}.{number % 10}"]},
            )
            for number, (family, title) in enumerate(
                titles[number % len(titles)] for number in range(count)
            )
        )
    )


def big_fleet(hosts: int, controls: CatalogueCopy, seed: int = 1) -> dict[str, Any]:
    """A fleet where one result in ten fails, each failure with a value of its own."""
    chance = random.Random(seed)  # noqa: S311
    found = []
    for number in range(hosts):
        name = f"web{number + 1}.example"
        if number % 97 == 50:
            found.append(host(name, state="unreachable", message="no route to host", host={}))
            continue
        found.append(host(name, *(_result(one, number, chance) for one in controls.controls)))
    return run_document(found, seed)


def _result(control_id: str, number: int, chance: random.Random) -> dict[str, Any]:
    drawn = chance.random()
    if drawn < 0.10:
        return result(control_id, "fail", expected="no", observed=f"yes, as on {number}")
    if drawn < 0.11:
        return result(control_id, "waived", observed="yes", waiver=waiver("2027-01-01"))
    if drawn < 0.12:
        return result(control_id, "error", message="sshd -T ended with 255")
    if drawn < 0.15:
        return result(control_id, "not_applicable", message="no sshd here")
    return result(control_id, "pass", expected="no")
