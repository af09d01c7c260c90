# SPDX-License-Identifier: GPL-3.0-or-later
"""`ringfence init`: a first inventory and client register, from what hosts are found to serve.

Everything it writes is a draft, and says so. What nobody can know from a host (whose site it is,
who is to be called) is left out, so that `ringfence validate` asks for it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from rich.text import Text

from ringfence import collection
from ringfence.cli import _output as out
from ringfence.cli import _summary as summary
from ringfence.cli._context import Context
from ringfence.cli._options import Target
from ringfence.cli._playbook import watched
from ringfence.errors import BadInputError
from ringfence.results import CLEAN, FINDINGS, NOT_CHECKED, HostResult, Results, printable
from ringfence.runner import Job

_TIER = "standard"
_HOST = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*))"
    r"(?::(?P<port>\d{1,5}))?"
)
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_NOBODYS = frozenset({"www-data", "root", "nobody", "nginx", "apache"})
_SCHEMA = "../../../plugins/plugin_utils/schemas/client.json"


@dataclass(frozen=True)
class Options:
    """What `init` alone takes."""

    folder: Path
    hosts: list[str]
    host_file: Path | None
    user: str | None
    private_key: Path | None


def init(options: Options, target: Target, as_json: bool) -> int:
    """Discover, then write the folder, all of it or nothing."""
    folder = Path(os.path.abspath(options.folder.expanduser()))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(f"{options.folder}: is there already; name a folder that is not")
    hosts = _hosts(options)
    results = _discover(hosts, target, as_json)
    clients = drafts(results.hosts.values())
    _write(folder, hosts, results, clients)
    silent = [host for host in results.hosts.values() if host.state != "ok"]
    sites = sum(len(client["sites"]) for client in clients)
    code = NOT_CHECKED if silent else FINDINGS if _notes(results) else CLEAN
    if as_json:
        out.print_json(
            {
                "exit_code": code,
                "folder": str(folder),
                "hosts": len(hosts),
                "sites": sites,
                "clients": [client["id"] for client in clients],
                "not_asked": {host.name: host.message for host in silent},
                "problems": _notes(results),
            }
        )
        return code
    _page(options.folder, results, clients, silent)
    return code


def _hosts(options: Options) -> dict[str, dict[str, Any]]:
    """Inventory name -> connection variables. Raises BadInputError for what is no host."""
    found: dict[str, dict[str, Any]] = {}
    for place, text in _named(options):
        match = _HOST.fullmatch(text)
        if not match or int(match["port"] or 1) not in range(1, 65536):
            raise BadInputError(
                f"{place}{text}: expected a host such as web1, ops@web1 or web1:2222"
            )
        name = match["six"] or match["name"]
        if name in found:
            raise BadInputError(f"{place}{text}: {name} is named twice")
        found[name] = _connection(match, options)
    if not found:
        raise BadInputError("name the hosts, or a file of them with --from")
    return found


def _named(options: Options) -> Iterable[tuple[str, str]]:
    for text in options.hosts:
        yield "", text
    if options.host_file is None:
        return
    try:
        lines = options.host_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise BadInputError(f"{options.host_file}: {reason}") from error
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            yield f"{options.host_file}:{number}: ", text


def _connection(match: re.Match[str], options: Options) -> dict[str, Any]:
    user = match["user"] or options.user
    found: dict[str, Any] = {}
    if user:
        found["ansible_user"] = user
    if match["port"]:
        found["ansible_port"] = int(match["port"])
    if options.private_key is not None:
        if not options.private_key.expanduser().is_file():
            raise BadInputError(f"{options.private_key}: there is no such key")
        found["ansible_ssh_private_key_file"] = str(options.private_key.expanduser().absolute())
    return found


def _discover(hosts: dict[str, dict[str, Any]], target: Target, quiet: bool) -> Results:
    context = Context(target)
    folder = Path(tempfile.mkdtemp(prefix="ringfence-init-"))
    try:
        inventory = folder / "hosts.yml"
        inventory.write_text(_yaml({"all": {"hosts": hosts}}), encoding="utf-8")
        job = Job(
            playbook=collection.find().playbook("discover"),
            inventories=(str(inventory),),
            forks=target.forks,
            credentials=context.credentials,
            environment=context.environment,
            settings={"RINGFENCE_EVIDENCE_DIR": str(context.evidence_dir)},
        )
        outcome = watched("Discover", job, list(hosts), quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.results


def drafts(hosts: Iterable[HostResult]) -> list[dict[str, Any]]:
    """A client for each owner that can be guessed: an account of its own, else the domain."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for host in hosts:
        for site in host.answer.get("sites") or []:
            grouped.setdefault(_owner(site), []).append({"host": host.name, **site})
    taken: set[str] = set()
    return [_client(key, sites, taken) for key, sites in sorted(grouped.items())]


def _owner(site: Mapping[str, Any]) -> str:
    user = str(site.get("user") or "")
    if user and user not in _NOBODYS:
        return user
    return registered_domain(str(site["domains"][0]))


def registered_domain(domain: str) -> str:
    """Roughly the part that was registered: `shop.acme.co.uk` -> `acme.co.uk`."""
    labels = domain.removeprefix("*.").split(".")
    two_part_suffix = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if two_part_suffix else -2 :])


def identifier(text: str, taken: set[str]) -> str:
    """An id of the register made from `text`, and put into `taken`."""
    base = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:36] or "site"
    base = base if base[0].isalpha() else f"c_{base}"[:36]
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    taken.add(found)
    return found


def _client(key: str, sites: list[dict[str, Any]], taken: set[str]) -> dict[str, Any]:
    ids: set[str] = set()
    label = key.split(".")[0]
    return {
        "id": identifier(label, taken),
        "name": str(sites[0]["domains"][0]),
        "tier": _TIER,
        "sites": [_site(site, ids) for site in sorted(sites, key=lambda one: one["domains"][0])],
    }


def _site(site: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    cms = site.get("cms") or {}
    found: dict[str, Any] = {
        "id": identifier(str(site["domains"][0]).removeprefix("*."), taken),
        "host": site["host"],
        "domains": list(site["domains"]),
        "root": site["root"],
        "web_server": site["web_server"],
        "cms": {name: cms[name] for name in ("name", "version") if name in cms},
    }
    if _ACCOUNT.fullmatch(str(site.get("user") or "")):
        found["user"] = site["user"]
    if "php" in site:
        found["php"] = site["php"]
    if site.get("database"):
        found["database"] = dict(site["database"])
    if cms.get("path"):
        found["notes"] = f"The {cms['name']} lies in {cms['path']}."
    return found


def _write(
    folder: Path,
    hosts: dict[str, dict[str, Any]],
    results: Results,
    clients: list[dict[str, Any]],
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        staged.chmod(0o755)
        (staged / "clients").mkdir()
        _put(staged / "hosts.yml", _hosts_text(hosts, results))
        _put(staged / "ringfence.yml", _CONFIGURATION)
        _put(staged / "people.yml", _PEOPLE)
        for client in clients:
            _put(staged / "clients" / f"{client['id']}.yml", _client_text(client))
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)
    except OSError as error:
        raise BadInputError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


_CONFIGURATION = """\
# Reads the client register in this folder. Must come after hosts.yml in the alphabet.
plugin: ringfence.hosting.clients
"""
_PEOPLE = """\
# DRAFT: who may have access to what. Nobody is in it yet.
people: []
"""


def _hosts_text(hosts: dict[str, dict[str, Any]], results: Results) -> str:
    lines = [
        f"# DRAFT written by `ringfence init` on {date.today()}: review it, then delete this line."
    ]
    for host in results.hosts.values():
        if host.state != "ok":
            lines.append(f"# {host.name} was not looked into: {printable(host.message)[:200]}")
        lines += [f"# {host.name}: {_one_line(said)}" for said in host.answer.get("problems") or []]
    body = _yaml({"all": {"hosts": {name: values or None for name, values in hosts.items()}}})
    return "\n".join(lines) + "\n" + body.replace(": null\n", ":\n")


def _client_text(client: dict[str, Any]) -> str:
    note = (
        f"# DRAFT written by `ringfence init` on {date.today()}. Review every line, then delete\n"
        "# these. A host cannot know: whose sites these are (they were put together by account or\n"
        "# domain), which tier was agreed, and who is responsible. Add the controller:\n"
        "#   controller:\n"
        "#     name: …\n"
        "#     country: …            # two letters\n"
        "#     contact: {name: …, email: …}\n"
    )
    return note + _yaml(client)


def _yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _one_line(text: Any) -> str:
    return printable(" ".join(str(text).split()))


def _notes(results: Results) -> list[str]:
    return [
        f"{host.name}: {_one_line(said)}"
        for host in results.hosts.values()
        for said in host.answer.get("problems") or []
    ]


def _page(
    folder: Path, results: Results, clients: list[dict[str, Any]], silent: list[HostResult]
) -> None:
    target = out.console()
    for client in clients:
        target.print(
            Text.assemble((client["id"], "bold"), f"  {folder}/clients/{client['id']}.yml")
        )
        for site in client["sites"]:
            cms = " ".join(site["cms"].values())
            text = f"{site['domains'][0]}  {cms} on {site['host']}, {site['web_server']}"
            out.paragraph(target, text + (f", PHP {site['php']}" if "php" in site else ""), 4)
    target.print()
    for note in _notes(results):
        out.paragraph(target, Text.assemble(("note: ", "yellow"), note))
    summary.trouble_list(target, silent)
    found = sum(len(client["sites"]) for client in clients)
    text = (
        f"DRAFT in {folder}: {out.count(len(results.hosts), 'host')}, {out.count(found, 'site')}, "
        f"{out.count(len(clients), 'client')} to be reviewed"
    )
    out.paragraph(target, Text(text, style="bold"))
    out.next_step(target, f"ringfence validate -i {folder}", "says what is still missing")
