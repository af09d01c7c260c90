# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/access_third_parties.yml, as an operator runs it, against servers on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ringfence.evidence import Store
from tests.third_parties import names, servers

ROOT = Path(__file__).parents[3]
SOA = ["ns1.dns.example. ops.dns.example. 1 3600 600 86400 60"]
DOMAINS = ("harbour-cafe.example", "north-cycles.example", "whitcombe-choir.example")


@pytest.fixture(scope="module")
def vendors() -> dict[str, Any]:
    registrar = servers.GoDaddy(0)
    registrar.rows = [registrar.domain(name) for name in DOMAINS]
    return {"godaddy": registrar, "mailchimp": servers.Mailchimp(), "cdn77": servers.Cdn77()}


@pytest.fixture(scope="module")
def collected(vendors: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("third-parties")
    inventory = folder / "inventory"
    shutil.copytree(ROOT / "inventories/example", inventory)
    registry = servers.Rdap()
    for name in DOMAINS[:2]:
        registry.add(name, ["active"], signed=False, expires="2031-01-02")
    zones: dict[tuple[str, str], list[str]] = {(name, "SOA"): SOA for name in DOMAINS}
    zones |= {(f"www.{name}", "A"): ["192.0.2.1"] for name in DOMAINS}
    vendors["mailchimp"].fail("/3.0/authorized-apps", servers.DENIED)
    with ExitStack() as stack:
        bases = {name: stack.enter_context(servers.serving(one)) for name, one in vendors.items()}
        connectors = [
            {
                "party": f"our_{name}",
                "connector": name,
                "key": one.key,
                "secret": getattr(one, "secret", ""),
                "url": bases[name] + ("/3.0" if name == "mailchimp" else ""),
            }
            for name, one in vendors.items()
        ]
        resolver = stack.enter_context(names.serving(zones))
        settings = {
            "ringfence_connectors": connectors,
            "ringfence_rdap_url": stack.enter_context(servers.serving(registry)),
            "ringfence_resolver": f"{resolver[0]}:{resolver[1]}",
        }
        (inventory / "group_vars" / "all").mkdir(parents=True, exist_ok=True)
        (inventory / "group_vars" / "all" / "connectors.yml").write_text(json.dumps(settings))
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("ansible-playbook"), "-vvvv", "-i", inventory),
                "playbooks/access_third_parties.yml",
            ],
            cwd=ROOT,
            env={**os.environ, "RINGFENCE_EVIDENCE_DIR": str(folder / "evidence")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    found = Store(Store.url_in(folder / "evidence")).collection()
    assert found is not None
    return {
        "output": done.stdout + done.stderr,
        "targets": {t["name"]: t for t in found["targets"]},
    }


def test_each_party_is_kept_under_its_name(collected: dict[str, Any]) -> None:
    targets = collected["targets"]
    assert sorted(targets) == ["domains", "our_cdn77", "our_godaddy", "our_mailchimp"]
    assert {target["state"] for target in targets.values()} == {"ok"}


def test_what_was_refused_is_told(collected: dict[str, Any]) -> None:
    (document,) = collected["targets"]["our_mailchimp"]["documents"]
    states = {one["source"]: one["state"] for one in document["coverage"]}
    assert states["linked applications"] == "not_collected"
    assert states["owner of the key"] == "read"


def test_the_domains_of_the_register_are_asked_and_the_registrar_stands_in(
    collected: dict[str, Any],
) -> None:
    (document,) = collected["targets"]["domains"]["documents"]
    found = {one["domain"]: one for one in document["facts"]["domains"]}
    assert sorted(found) == sorted(DOMAINS)
    north = found["north-cycles.example"]
    assert (north["client"], north["transfer_lock"], north["expires"]) == (
        "north_cycles", False, "2031-01-02",
    )  # fmt: skip
    choir = found["whitcombe-choir.example"]
    assert (choir["transfer_lock"], choir["expires"]) == (True, "2031-05-01")
    states = {one["source"]: one["state"] for one in document["coverage"]}
    assert states["registry of whitcombe-choir.example"] == "failed"
    assert [one["site"] for one in document["facts"]["origins"]] == ["north_cycles/shop"]


def test_no_key_and_no_transfer_code_is_shown_or_kept(
    vendors: dict[str, Any], collected: dict[str, Any]
) -> None:
    told = collected["output"] + json.dumps(collected["targets"])
    secrets = [one.key for one in vendors.values()] + ["EPP-TRANSFER-CODE", "gd-secret"]
    assert not [secret for secret in secrets if secret in told]
