# SPDX-License-Identifier: GPL-3.0-or-later
"""A register and populations for the tests: one in which all is well, and faults for it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from ringfence import collection
from ringfence.access import documents, judges, judges_facts, people
from ringfence.access.judges import Case
from ringfence.access.model import Finding, Population, shape

TODAY = date(2026, 6, 1)
NOW = "2026-06-01T10:00:00Z"
SINCE = "2025-01-01T00:00:00Z"
ADA_KEY, BEN_KEY, SAM_KEY = "SHA256:ada", "SHA256:ben", "SHA256:sam"
RUN = "01KHZZZZZZZZZZZZZZZZZZZZZZ"

PEOPLE: dict[str, Any] = {
    "ada": {
        "id": "ada", "name": "Ada Quill", "emails": ["ada@agency.example"], "department": "Ops",
        "accounts": {"server": ["ada"]}, "keys": [{"fingerprint": ADA_KEY, "added": "2025-06-01"}],
        "access": [{"system": "server", "scope": {"everything": True}, "account": "ada",
                    "privileged": True, "sudo": ["ALL"], "granted_by": "ben"}],
    },
    "ben": {
        "id": "ben", "name": "Ben Strand", "accounts": {"server": ["ben"], "cms": ["ben"]},
        "keys": [{"fingerprint": BEN_KEY, "added": "2025-06-01"}],
        "access": [{"system": "server", "scope": {"hosts": ["web1"]}, "account": "ben",
                    "granted_by": "ada"},
                   {"system": "cms", "scope": {"clients": ["acme"]}, "role": "administrator",
                    "privileged": True, "granted_by": "ada"}],
    },
    "sam": {
        "id": "sam", "name": "Sam Vale", "third_party": "care",
        "keys": [{"fingerprint": SAM_KEY, "added": "2025-06-01"}],
        "access": [{"system": "server", "scope": {"hosts": ["web1"]}, "account": "care_sam",
                    "from": ["203.0.113.0/24"], "start": "2026-01-01", "end": "2026-12-31",
                    "granted_by": "ada"}],
    },
    "zoe": {"id": "zoe", "name": "Zoe Beta", "client": "beta", "accounts": {"cms": ["zoe"]},
            "access": [{"system": "cms", "scope": {"sites": ["beta/blog"]}, "role": "editor",
                        "granted_by": "ada"}]},
}  # fmt: skip
SERVICES: dict[str, Any] = {
    "deploy": {
        "id": "deploy", "kind": "service", "owner": "ada", "purpose": "Ringfence signs in with it",
        "review_by": "2027-01-01", "accounts": {"server": ["ops"]},
        "keys": [{"fingerprint": "SHA256:ops"}],
        "access": [{"system": "server", "scope": {"everything": True}, "account": "ops",
                    "privileged": True, "granted_by": "ben"}],
    },
}  # fmt: skip
PARTIES: dict[str, Any] = {
    "care": {"id": "care", "name": "Server Care", "start": "2025-01-01",
             "from": ["203.0.113.0/24"], "agreement": {"reference": "DPA-1"}},
}  # fmt: skip
ATTESTATIONS: list[dict[str, Any]] = [
    {"id": "care_mfa", "third_party": "care", "claim": "staff signs in with a second factor",
     "value": True, "expires_at": "2027-01-01"},
]  # fmt: skip


def site(name: str, domain: str) -> dict[str, Any]:
    return {"id": name, "host": "web1", "domains": [domain], "root": f"/srv/{name}",
            "user": f"site_{name}", "web_server": "nginx",
            "database": {"engine": "mariadb", "name": name, "user": f"db_{name}"}}  # fmt: skip


def a_register() -> Any:
    model = collection.plugin_util("register_model")
    clients = {
        name: {"id": name, "name": title, "tier": "standard",
               "controller": {"name": f"{title} Ltd"}, "sites": [site(one, domain)]}
        for name, title, one, domain in (
            ("acme", "Acme Bikes", "shop", "shop.example"),
            ("beta", "Beta Choir", "blog", "blog.example"),
        )
    }  # fmt: skip
    tiers = {"standard": {"rank": 10, "controls": {}}}
    return model.Register(
        Path("."), clients, copy.deepcopy(PEOPLE), copy.deepcopy(SERVICES),
        copy.deepcopy(PARTIES), copy.deepcopy(ATTESTATIONS), [], tiers,
    )  # fmt: skip


def row(system: str, account: object, username: str, **more: Any) -> dict[str, Any]:
    details = {"remote": True, **more.pop("details", {})}
    known = {"account_type": "human", "privileged": False, "mfa": "yes", "last_login": NOW, **more}
    return dict(shape.row(system, account, username, details=details, **known))


def key(username: str, print_: str, **more: Any) -> dict[str, Any]:
    details = {"key_type": "ssh-ed25519", "key_bits": 256, **more.pop("details", {})}
    return row("server", more.pop("uid", f"{username}-id"), username, credential_type="ssh_key",
               key_fingerprint=print_, details=details, **more)  # fmt: skip


def clean_rows() -> list[dict[str, Any]]:
    """All that the register grants, and what belongs to sites and the host."""
    bound = {"from": ["203.0.113.0/25"], "sources": ["203.0.113.9"]}
    shop = {"place": "shop.example", "cms": "wordpress"}
    return [
        key("ada", ADA_KEY, privileged=True, grant_path=["sudo %sudo: (ALL) ALL"]),
        key("ben", BEN_KEY),
        key("care_sam", SAM_KEY, details=bound),
        key("ops", "SHA256:ops", privileged=True, mfa="no"),
        row("cms", 1, "ben", credential_type="password", privileged=True,
            roles=["administrator"], details=shop),
        row("cms", 2, "zoe", credential_type="password", roles=["editor"],
            details={"place": "blog.example", "cms": "wordpress"}),
        row("database", "db_shop@localhost", "db_shop", account_type="service",
            credential_type="password", details={"place": "mariadb", "databases": ["shop"]}),
        row("database", "root@localhost", "root", account_type="service", privileged=True,
            credential_type="unix_socket", details={"place": "mariadb", "built_in": True}),
    ]  # fmt: skip


def a_collection(
    rows: list[dict[str, Any]],
    covered: list[dict[str, Any]] | None = None,
    facts: dict[str, Any] | None = None,
) -> dict[str, Any]:
    told = covered if covered is not None else [shape.coverage("accounts", "read", count=9)]
    document = shape.document("access_info", NOW, rows, told, {"sign_ins_since": SINCE,
                                                                **(facts or {})})  # fmt: skip
    target = {"name": "web1", "state": "ok", "message": "", "documents": [document]}
    run = {"id": RUN, "started": NOW, "finished": NOW, "playbook": "access.yml", "operator": "ada"}
    return {"schema": 1, "kind": "access", "run": run, "targets": [target]}


def catalogue() -> Any:
    return collection.plugin_util("catalogue").load()


def default_values() -> dict[str, Any]:
    return dict(collection.plugin_util("targets").values(catalogue(), "access", {}))


def a_case(population: Population, register: Any, values: dict[str, Any] | None = None) -> Case:
    chosen = values or default_values()
    directory = people.Directory(register, TODAY, {"fleet": ["web1"]})
    whole = people.joined(population, directory)
    return Case(whole, directory, lambda _target: chosen, TODAY)


Change = Callable[[list[dict[str, Any]], Any], Any]


def judged(change: Change | None = None, **more: Any) -> list[Finding]:
    """The findings of the clean population after `change(rows, register)`."""
    rows, register = clean_rows(), a_register()
    if change is not None:
        change(rows, register)
    case = a_case(documents.population(a_collection(rows, **more)), register)
    return [*judges.judge(case), *judges_facts.judge(case)]
