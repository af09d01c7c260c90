# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosting servers, one as the register says it and one full of faults, and what was found."""

from __future__ import annotations

import base64
import json
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fleet import Fleet
from tests.hosts.cli.calling import answered
from tests.hosts.sites.servers import Servers
from tests.s3 import embedded

from . import everywhere

SEED = Path(__file__).with_name("seed.sh")
NAMES = (
    *("ben", "sam", "lena", "strange", "mark", "nia", "omar", "dora", "olga", "vic", "vera"),
    *("tim", "backupd", "gus", "bea", "dev", "cal", "wanda", "authority"),
)
_LONG_AGO, _SOON = "2020-01-01", "2099-12-31"


def everyhost(account: str, **more: Any) -> dict[str, Any]:
    grant = {"system": "server", "scope": {"everything": True}, "account": account}
    return {**grant, "granted_by": "ada" if account != "ada" else "ben", **more}


def on_faulty(account: str, **more: Any) -> dict[str, Any]:
    return {**everyhost(account, **more), "scope": {"hosts": ["faulty"]}}


def somebody(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "name": f"{name.title()} Test", **more}


def people(keys: dict[str, str]) -> dict[str, Any]:
    """people.yml. Who is named twice in seed.sh has the fault that is written there."""

    def owned(name: str, **more: Any) -> dict[str, Any]:
        kept = {"added": "2026-06-01", **more.pop("key", {})}
        return somebody(name, keys=[{"public_key": keys[name], **kept}], **more)

    def plain(name: str, **more: Any) -> dict[str, Any]:
        return owned(name, access=[on_faulty(name)], **more)

    sites = {"system": "cms", "scope": {"clients": ["shop", "blog", "plain"]}, "privileged": True}
    vendor = {"from": ["203.0.113.0/24"], "start": _LONG_AGO, "end": _SOON}
    ended = {**vendor, "end": "2026-01-31"}
    everybody = [
        owned("ada", emails=["boss@plain.example"], accounts={"cms": ["boss"]},
              access=[everyhost("ada", privileged=True), {**sites, "granted_by": "ben"}]),
        owned("ben", access=[everyhost("ben")]),
        owned("sam", third_party="care", access=[everyhost("care_sam", **vendor)]),
        plain("lena", left="2026-01-31"),
        owned("mark", access=[on_faulty("mark", privileged=True)]),
        owned("nia", accounts={"server": ["team"]}, access=[on_faulty("team")]),
        owned("omar", access=[on_faulty("team")]),
        plain("dora"),
        plain("wes"),
        plain("olga", key={"added": "2019-01-01"}),
        owned("vic", third_party="gone", access=[on_faulty("vic", **vendor)]),
        owned("vera", third_party="care", access=[on_faulty("vera", **ended)]),
        owned("tim", third_party="care", access=[on_faulty("care_tim", **vendor)]),
        owned("gus", accounts={"server": ["gus"]}),
        plain("bea"),
        plain("dev"),
        plain("cal"),
        plain("wanda"),
        somebody("pat", access=[on_faulty("pat")]),
        somebody("abe", access=[on_faulty("abe")]),
    ]  # fmt: skip
    services = [
        {"id": "deploy", "kind": "service", "owner": "ada", "purpose": "Ringfence signs in with it",
         "review_by": _SOON, "accounts": {"server": ["ops"]}, "keys": [{"public_key": keys["ops"]}],
         "access": [everyhost("ops", privileged=True)]},
        {"id": "robot", "kind": "service", "owner": "ada", "purpose": "Runs jobs",
         "review_by": _SOON, "access": [on_faulty("robot", privileged=True)]},
        {"id": "backupd", "kind": "service", "owner": "lena", "purpose": "Fetches backups",
         "review_by": "2026-01-31", "keys": [{"public_key": keys["backupd"]}],
         "access": [on_faulty("backupd")]},
    ]  # fmt: skip
    return {"people": everybody, "service_accounts": services}


def third_parties() -> dict[str, Any]:
    def party(name: str, **more: Any) -> dict[str, Any]:
        said = {"role": "sub_processor", "services": ["server management"], "country": "DE"}
        agreed = {"from": ["203.0.113.0/24"], "agreement": {"reference": "DPA-1"}}
        return {"id": name, "name": f"{name.title()} GmbH", **said, **agreed, **more}

    seen = {"claim": "who has access was looked through", "value": "3 people", "method": "letter",
            "observed_at": "2026-01-01", "attested_by": "ada", "approved_by": "ben"}  # fmt: skip
    return {
        "third_parties": [party("care"), party("gone", end="2026-01-31")],
        "attestations": [
            {"id": "care_staff", "third_party": "care", "expires_at": _SOON, **seen},
            {"id": "gone_staff", "third_party": "gone", "expires_at": "2026-02-28", **seen},
        ],
    }


def client(name: str) -> dict[str, Any]:
    """A client with its site on each of the two hosts."""
    sites = []
    for host, server in (("twin", "apache"), ("faulty", "nginx")):
        site: dict[str, Any] = {
            "id": f"{name}_{host}", "host": host,
            "domains": [f"{name}.example" if host == "faulty" else f"{name}.twin.example"],
            "root": f"/var/www/{name}/public", "user": f"site_{name}", "web_server": server,
        }  # fmt: skip
        if name != "plain":
            site["database"] = {"engine": "mariadb", "name": name, "user": f"site_{name}"}
        elif host == "faulty":
            site["database"] = {"engine": "mariadb", "name": "joomla", "user": "site_joomla"}
        sites.append(site)
    contact = {"name": "P", "email": f"p@{name}.example"}
    controller = {"name": f"{name.title()} Ltd", "country": "GB", "contact": contact}
    kept = {"id": name, "name": f"{name.title()} Company", "tier": "standard"}
    return {**kept, "controller": controller, "sites": sites}


def make_keys(folder: Path, ops: str) -> dict[str, str]:
    """Name -> public key. Ada's is a hardware key's public half, wes's is too short."""
    keys = {"ops": ops}
    for name in (*NAMES, "wes"):
        kind = ["-t", "rsa", "-b", "1024"] if name == "wes" else ["-t", "ed25519"]
        path = folder / name
        subprocess.run(
            ["ssh-keygen", "-q", *kind, "-N", "", "-C", f"{name}@test", "-f", str(path)], check=True
        )
        keys[name] = path.with_suffix(".pub").read_text().strip()
    parts = (b"sk-ssh-ed25519@openssh.com", os.urandom(32), b"ssh:")
    blob = base64.b64encode(b"".join(struct.pack(">I", len(p)) + p for p in parts)).decode()
    keys["ada"] = f"sk-ssh-ed25519@openssh.com {blob} ada@test"
    return keys


@dataclass
class Found:
    """What `ringfence access` said of both hosts."""

    fleet: Fleet
    folder: Path
    report: dict[str, Any]
    answer: dict[str, Any]
    before: dict[str, str]
    after: dict[str, str]
    keys: dict[str, str]

    def rows(self, host: str, kind: str = "") -> list[dict[str, Any]]:
        start = f"{kind}:{host}" if kind else ""
        return [
            row
            for row in self.report["rows"].values()
            if row["system"].partition(":")[2].partition("/")[0] == host
            and row["system"].startswith(start)
        ]

    def findings(self, target: str, state: str = "failed") -> set[tuple[str, str]]:
        return {
            (control["id"], one["message"])
            for control in self.report["controls"]
            for one in control[state]
            if one["target"] == target
        }

    def call(self, *arguments: str) -> dict[str, Any]:
        return answered(self.folder, "access", *arguments)[1]


_STATE = (
    "find /etc /home/*/.ssh /root/.ssh /usr/local /var/www /var/spool -printf '%p %s %T@ %m\\n' |"
    " sort;"
    " mariadb-dump --all-databases --skip-dump-date | sed '/^-- Dump completed/d'"
)


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    folder = tmp_path_factory.mktemp("access")
    hosts, web = {"faulty": "bookworm", "twin": "trixie"}, {"faulty": "nginx", "twin": "apache"}
    with Servers(f"access-{os.getpid()}", hosts, web) as fleet:
        own = Path(fleet.inventory).with_name("id_ed25519.pub")
        keys = make_keys(tmp_path_factory.mktemp("keys"), own.read_text().strip())
        exports = "".join(f"export KEY_{name}='{text}'\n" for name, text in keys.items())
        script = SEED.read_text().partition("set -eu\n")[2]
        for host in hosts:
            how = "faulty" if host == "faulty" else "clean"
            fleet.exec(host, "sh", "-c", f"set -eu\n{exports}set -- {how}\n{script}")
        inventory = folder / "inv"
        (inventory / "clients").mkdir(parents=True)
        tree = yaml.safe_load(Path(fleet.inventory).read_text())
        for values in tree["all"]["hosts"].values():
            values.pop("ansible_control_path_dir", None)
        for name, said in {
            "hosts.yml": tree,
            "ringfence.yml": {"plugin": "ringfence.hosting.clients"},
            "people.yml": people(keys),
            "third_parties.yml": third_parties(),
            **{f"clients/{one}.yml": client(one) for one in ("shop", "blog", "plain")},
        }.items():
            (inventory / name).write_text(yaml.safe_dump(said, sort_keys=False))
        one = Found(fleet, folder, {}, {}, {}, {}, keys)
        one.before = {host: fleet.exec(host, "sh", "-c", _STATE) for host in hosts}
        one.answer = one.call()
        one.after = {host: fleet.exec(host, "sh", "-c", _STATE) for host in hosts}
        assert "files" in one.answer, one.answer
        one.report = json.loads((folder / "evidence/reports/access.json").read_text())
        yield one


# --- all systems at once


@dataclass
class Whole:
    """One host and all that stands beside it, collected once: clean, or full of faults."""

    folder: Path
    report: dict[str, Any]
    answer: dict[str, Any]

    def findings(self, state: str = "failed") -> dict[tuple[str, str], str]:
        """(control, row) -> message; a finding of several rows comes with each of them."""
        return {
            (control["id"], row): one["message"]
            for control in self.report["controls"]
            for one in control[state]
            for row in self._rows(one)
        }

    def _rows(self, one: dict[str, Any]) -> list[str]:
        """As in faults.py; the first words of a message name what is no access."""
        known = [self.report["rows"][name] for name in one["rows"]]
        if known:
            return [f"{row['system']} {row['username']}" for row in known]
        return [f"{one['target']} {one['message'].split()[0].rstrip(':')}"]


def _register(keys: dict[str, str], faulty: bool) -> dict[str, Any]:
    """File -> content, of one host and what stands beside it."""
    host, mine = ("faulty" if faulty else "twin"), people(keys)
    theirs = third_parties()
    if not faulty:
        mine["people"] = [one for one in mine["people"] if one["id"] in ("ada", "ben", "sam")]
        mine["service_accounts"] = [
            one for one in mine["service_accounts"] if one["id"] == "deploy"
        ]
        theirs = {
            "third_parties": [one for one in theirs["third_parties"] if one["id"] == "care"],
            "attestations": [one for one in theirs["attestations"] if one["id"] == "care_staff"],
        }
    files: dict[str, Any] = {
        "ringfence.yml": {"plugin": "ringfence.hosting.clients"},
        "people.yml": everywhere.people(mine, faulty),
        "third_parties.yml": everywhere.third_parties(theirs, faulty),
    }
    for name in ("shop", "blog", "plain"):
        said = client(name)
        said["sites"] = [site for site in said["sites"] if site["host"] == host]
        if name == "shop":
            said["sites"][0]["cdn"] = {"third_party": "edgeway"}
        files[f"clients/{name}.yml"] = said
    return files


def _one_host(tree: dict[str, Any], host: str) -> dict[str, Any]:
    """The inventory of a host at its own address, where its sites are asked around their CDN."""
    values = dict(tree["all"]["hosts"][host])
    values.pop("ansible_control_path_dir", None)
    alias = f"[{values['ansible_host']}]:{values['ansible_port']}"
    values |= {
        "ansible_host": values["fleet_address"],
        "ansible_port": 22,
        "ansible_ssh_common_args": f"{values['ansible_ssh_common_args']} -o HostKeyAlias={alias}",
    }
    return {"all": {"vars": tree["all"]["vars"], "hosts": {host: values}}}


# The clean twin's site takes requests from its CDN alone.
_BEHIND = """
printf '<Location "/">\\n  Require ip %s\\n</Location>\\n' {ranges} \
    > /etc/apache2/conf-enabled/behind-cdn.conf
apache2ctl -t && systemctl reload apache2
"""


@pytest.fixture(scope="session")
def wholes(found: Found, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Whole]:
    """The host that is full of faults and its clean twin, each with all that stands beside it."""
    script = _BEHIND.format(ranges=" ".join(everywhere.RANGES))
    found.fleet.exec("twin", "sh", "-ec", script)
    tree = yaml.safe_load(Path(found.fleet.inventory).read_text())
    made = {}
    for host, faulty in (("faulty", True), ("twin", False)):
        folder = tmp_path_factory.mktemp(f"whole-{host}")
        for place in ("clients", "group_vars"):
            (folder / "inv" / place).mkdir(parents=True)
        files = _register(found.keys, faulty) | {"hosts.yml": _one_host(tree, host)}
        with everywhere.standing(faulty) as values:
            files["group_vars/all.yml"] = values
            for name, said in files.items():
                (folder / "inv" / name).write_text(yaml.safe_dump(said, sort_keys=False))
            answer = _collect(folder)
        assert "files" in answer, answer
        report = json.loads((folder / "evidence/reports/access.json").read_text())
        made[host] = Whole(folder, report, answer)
    return made


def _collect(folder: Path) -> dict[str, Any]:
    secret = {
        "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
    }  # fmt: skip
    return answered(folder, "access", **secret)[1]
