# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: three real hosts with sites, hardened, backed up, audited, with the report of all.

Usage: python tools/demo.py up|down
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fleet import Fleet, FleetError  # noqa: E402 - found only with the checkout on the path
from tests.fleet.fleet import find, remove  # noqa: E402
from tests.hosts.sites import ensure_site_image  # noqa: E402
from tests.s3.radosgw import KMS_KEYS, REGION, Gateway, Key  # noqa: E402

_FOLDER = ROOT / "demo"
_HOSTS = {"web1": "bookworm", "web2": "trixie", "web3": "bookworm"}
_BIN = ROOT / ".venv" / "bin"
# One of the clients has a change window; a demo cannot wait for it.
_ANY_TIME = ["--outside-window", "--why", "the demo on test hosts", "--batch", "2"]
_REGISTER = "inventories/example"  # its three clients live on hosts of these names
# Laid over the register: the S3 server and its keys, which live no longer than the demo.
_BACKUPS = _FOLDER / "backups.json"
_AUTHORITY = _FOLDER / "s3.pem"
_FLEETS = (_FOLDER / "hosts", _FOLDER / "s3")
_SCRIPT = ROOT / "tools" / "demo_sites.sh"
# The users that people.yml gives the CMS of a site, beside the one who installed it.
_CMS_USERS = {"main": ("cho", "editor"), "shop": ("dana", "administrator")}

Site = dict[str, Any]


class StepError(Exception):
    """A step that failed, in one line."""


def main(words: list[str]) -> int:
    """Returns the exit code: 0 done, 1 a step failed, 2 wrong usage."""
    if words not in (["up"], ["down"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if words == ["up"]:
            _up()
        else:
            _down()
    except (FleetError, StepError) as error:
        print(f"demo: {error}", file=sys.stderr)
        if words == ["up"]:
            print("demo: `make demo-down` removes what was started", file=sys.stderr)
        return 1
    return 0


def _up() -> None:
    began = time.monotonic()
    if _removed():
        _say("The demo that was up is removed")
    _say("Three Debian hosts with systemd, sshd and the sites of three clients")
    sites = _sites()
    images = {release: ensure_site_image(release) for release in set(_HOSTS.values())}
    fleet = Fleet("demo", _HOSTS, directory=_FLEETS[0], images=images).start(detach=True)
    with ThreadPoolExecutor(len(_HOSTS)) as pool:
        list(pool.map(partial(_serve, fleet), _HOSTS, sites.values()))
    before = _answers(fleet, sites)
    for domain, status in before.items():
        print(f"{domain:40} {status}")

    _say("An S3 server (Ceph) with a bucket for each client")
    s3 = Gateway("demo-s3", directory=_FLEETS[1]).start(detach=True)
    keeper = _make_buckets(s3, sites)
    print(f"{s3.tls_url}: {', '.join(_bucket(client) for client in _clients(sites))}")

    inventory = ["-i", _REGISTER, "-i", str(fleet.inventory), "-i", str(_BACKUPS)]
    for title, step in _steps(inventory, fleet, sites, keeper):
        _say(title)
        step()
    if _answers(fleet, sites) != before:
        raise StepError(f"a site answers otherwise than before: {_answers(fleet, sites)}")
    print(f"\nDone in {time.monotonic() - began:.0f} s; the sites answer as they did before.")
    print(f"Reports   {_FOLDER / 'reports'}: report.html and access.html for a browser")
    print(f"Sign in   ssh -F {fleet.ssh_config} web1      (web2, web3 likewise)")
    print("Remove    make demo-down")


def _steps(
    inventory: list[str], fleet: Fleet, sites: Mapping[str, list[Site]], keeper: Key
) -> list[tuple[str, Callable[[], None]]]:
    """What is shown: titles, and what is done beneath each."""
    reports = ["--output", str(_FOLDER / "reports")]
    formats = [word for name in ("html", "pdf", "csv", "json") for word in ("--format", name)]
    buckets = partial(_playbook, "backup_buckets", inventory, keeper=keeper)

    def ringfence(*words: str, code: int = 1) -> Callable[[], None]:
        return partial(_ringfence, [words[0], *inventory, *words[1:]], code)

    return [
        ("Audit: nothing is changed", ringfence("audit")),
        ("Plan: what an apply would change", ringfence("plan")),
        (
            "Apply, guarded: each host confirms over a new connection or puts itself back",
            ringfence("apply", *_ANY_TIME),
        ),
        ("Apply once more: 0 changed", ringfence("apply", *_ANY_TIME)),
        ("Audit again", ringfence("audit")),
        (
            "Buckets: encrypted, locked, closed, over TLS alone",
            partial(buckets, "-e", '{"s3_backup_objects": false, "s3_backup_archives": false}'),
        ),
        ("Backups: set up on every host", partial(_playbook, "backup_hosts", inventory)),
        ("Backups: the first one, now", partial(_back_up, fleet, sites)),
        ("Buckets again: 0 changed, and every object is encrypted", buckets),
        ("Restore drill: each site restored and compared, its database loaded", ringfence("drill")),
        ("Backups: are they as agreed?", ringfence("backups")),
        # What cannot be known of an account is told as such, which is no failure of the demo.
        ("Access: who can get at what", ringfence("access", *reports, code=2)),
        (
            "Report: before and after, with buckets and backups",
            ringfence("report", *formats, *reports, code=2),
        ),
    ]


def _down() -> None:
    if not _removed():
        raise StepError("it is not up")
    print("The demo's hosts and its S3 server are removed; reports and evidence stay in demo/.")


def _removed() -> bool:
    """Remove what a demo of this checkout has started; whether there was any of it."""
    found = [(folder, fleet) for folder in _FLEETS if (fleet := find(directory=folder))]
    for folder, fleet in found:
        remove(fleet["uid"], folder)
    for file in (_BACKUPS, _AUTHORITY):
        file.unlink(missing_ok=True)
    return bool(found)


# --- sites ------------------------------------------------------------------------------------


def _sites() -> dict[str, list[Site]]:
    """Host -> its sites, as the inventory plugin gives them."""
    command = [str(_BIN / "ansible-inventory"), "-i", _REGISTER, "--list"]
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StepError(f"{_REGISTER} cannot be read: {done.stderr.strip()}")
    found = json.loads(done.stdout, object_hook=_plain)["_meta"]["hostvars"]
    return {host: found[host]["ringfence_sites"] for host in _HOSTS}


def _plain(value: dict[str, Any]) -> Any:
    return value.get("__ansible_unsafe", value)


def _clients(sites: Mapping[str, list[Site]]) -> list[str]:
    return sorted({site["client"] for ours in sites.values() for site in ours})


def _serve(fleet: Fleet, host: str, sites: list[Site]) -> None:
    lines = [["clear_host"]]
    for site in sites:
        kind = site["cms"]["name"]
        php = "no" if kind == "static" else "yes"
        said = [site[key] for key in ("id", "root", "user", "web_server")]
        lines += [["site", *said, php, *site["domains"]], _content(kind, site)]
    lines.append(["serve", *sorted({site["web_server"] for site in sites})])
    _sh(fleet, host, lines)


def _content(kind: str, site: Site) -> list[str]:
    database, domain, title = site.get("database", {}), site["domains"][0], site["domains"][-1]
    if kind == "static":
        return ["page", title, "Programmes of former concerts."]
    if kind == "wordpress":
        words = ["wordpress", database["name"], database["user"], domain, title]
        return [*words, *_CMS_USERS.get(site["id"], ())]
    return ["concerts", database["name"], database["user"], title]


def _answers(fleet: Fleet, sites: Mapping[str, list[Site]]) -> dict[str, str]:
    """Domain -> the status of its first page, asked on its host."""
    return {
        site["domains"][0]: _sh(fleet, host, [["answers", site["domains"][0]]]).strip()
        for host, ours in sites.items()
        for site in ours
    }


def _sh(fleet: Fleet, host: str, lines: list[list[str]]) -> str:
    script = _SCRIPT.read_text(encoding="utf-8") + "\n".join(map(shlex.join, lines))
    return fleet.exec(host, "sh", "-c", script)


# --- backups ----------------------------------------------------------------------------------


def _bucket(client: str) -> str:
    return f"{client.replace('_', '-')}-backups"


def _make_buckets(s3: Gateway, sites: Mapping[str, list[Site]]) -> Key:
    """Buckets as made by hand, and the inventory that names them; returns the agency's own key."""
    keeper = s3.user("agency")
    s3.admin("caps", "add", "--uid=agency", "--caps=user-policy=*")
    buckets, identities = s3.client(keeper), s3.client(keeper, "iam")
    backups: dict[str, dict[str, Any]] = {}
    for name in _clients(sites):
        bucket, writer = _bucket(name), s3.user(f"{name}-writer")
        # Object Lock can be had at Ceph's gateway from the beginning alone.
        buckets.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        _allow(identities, writer, _rights(bucket, name))
        backups[name] = {
            "bucket": bucket,
            "endpoint": s3.tls_url,
            "region": REGION,
            "password": secrets.token_urlsafe(24),
            "writer": {"key": writer.access, "secret": writer.secret},
            "keeper": {"key": keeper.access, "secret": keeper.secret},
        }
    # What a writer puts is the writer's at Ceph's gateway; Amazon's buckets own it themselves.
    _allow(identities, keeper, [(["s3:*"], "arn:aws:s3:::*")])
    _AUTHORITY.write_text(s3.authority, encoding="utf-8")
    document = {
        "all": {
            "vars": {
                "backup_authority": s3.authority,
                "backup_buckets": [
                    {"name": one["bucket"], "kms_key": KMS_KEYS[0]} for one in backups.values()
                ],
                "s3_backup_connection": {
                    "endpoint_url": s3.tls_url,
                    "region": REGION,
                    "ca_bundle": str(_AUTHORITY),
                },
            },
            "hosts": {
                host: {"ringfence_sites": [_backed_up(site, backups) for site in ours]}
                for host, ours in sites.items()
            },
        }
    }
    _BACKUPS.touch(mode=0o600)
    _BACKUPS.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return keeper


def _backed_up(site: Site, backups: Mapping[str, dict[str, Any]]) -> Site:
    return {**site, "backup": {**site["backup"], **backups[site["client"]]}}


def _rights(bucket: str, client: str) -> list[tuple[list[str], str]]:
    """What a writer may, as docs/backups.md says."""
    whole, below = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{client}"
    return [
        (["s3:ListBucket", "s3:GetBucketLocation"], whole),
        (["s3:GetObject", "s3:PutObject"], f"{below}/*"),
        (["s3:DeleteObject"], f"{below}/locks/*"),
    ]


def _allow(identities: Any, who: Key, rights: list[tuple[list[str], str]]) -> None:
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": what} for actions, what in rights
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    identities.put_user_policy(
        UserName=who.user, PolicyName="backup", PolicyDocument=json.dumps(policy)
    )


def _back_up(fleet: Fleet, sites: Mapping[str, list[Site]]) -> None:
    def start(host: str) -> None:
        for client in _clients({host: sites[host]}):
            unit = f"ringfence-backup@{client}.service"
            try:
                fleet.exec(host, "systemctl", "start", unit, timeout=900)
            finally:
                said = fleet.exec(host, "journalctl", "--identifier=ringfence-backup", "-o", "cat")
                told = [line for line in said.splitlines() if line.startswith(f"{client}/")]
                print("\n".join(f"{host}  {line}" for line in told), flush=True)

    with ThreadPoolExecutor(len(sites)) as pool:
        list(pool.map(start, sites))


# --- what a user would type -------------------------------------------------------------------


def _ringfence(words: list[str], code: int) -> None:
    """Findings (exit code 1) are no failure of the demo."""
    done = subprocess.run(
        [str(_BIN / "ringfence"), *words], cwd=ROOT, env=_environment(), check=False
    )
    if not 0 <= done.returncode <= code:
        raise StepError(f"`ringfence {words[0]}` ended with exit code {done.returncode}")


def _playbook(name: str, inventory: list[str], *options: str, keeper: Key | None = None) -> None:
    keys = {}
    if keeper:
        keys = {"AWS_ACCESS_KEY_ID": keeper.access, "AWS_SECRET_ACCESS_KEY": keeper.secret}
    done = subprocess.run(
        [str(_BIN / "ansible-playbook"), *inventory, f"playbooks/{name}.yml", *options],
        cwd=ROOT,
        env={**_environment(), **keys},
        check=False,
    )
    if done.returncode:
        raise StepError(f"playbooks/{name}.yml ended with exit code {done.returncode}")


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "RINGFENCE_EVIDENCE_DIR": str(_FOLDER / "evidence"),
    }


def _say(title: str) -> None:
    print(f"\n== {title}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
