# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client register: loaded, checked, and asked. Pure: files in, values and problems out.

found = register.load(Path("inventories/example"), catalogue.load().controls, hosts={"web1"})
for problem in found.problems:
    print(problem)
register.explain(found, catalogue.load(), "web1", "ssh_root_login")
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    profiles,
    register_checks,
    register_files,
    register_merge,
    register_tiers,
    register_waivers,
    register_window,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_files import (
    ERROR,
    WARNING,
    Decrypt,
    Problem,
    RegisterFile,
    UnreadableError,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import (
    Forced,
    Handmade,
    Layer,
    Placement,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_model import Register

# host -> variable of a control -> what group and host variables say of it
HandmadeByHost = Mapping[str, Mapping[str, Handmade]]

SHIPPED_TIERS = Path(__file__).resolve().parents[2] / "tiers" / "tiers.yml"
SINGLE_FILES = ("people", "third_parties", "waivers", "tiers", "blocked")
SUFFIXES = (".yml", ".yaml")
# The value of the control certificates_issued.
CERTBOT_VARIABLE = "certificates_by_certbot"


class HasControls(Protocol):
    """A catalogue: `controls` by id."""

    @property
    def controls(self) -> Mapping[str, dict[str, Any]]:
        """The declarations, by id."""


def load(
    root: Path,
    controls: Mapping[str, dict[str, Any]],
    hosts: Collection[str] | None = None,
    groups: Collection[str] | None = None,
    today: date | None = None,
    decrypt: Decrypt | None = None,
    handmade: HandmadeByHost | None = None,
    shipped_tiers: Path = SHIPPED_TIERS,
) -> Register:
    """The register in folder `root`, with all that is wrong in any of its files.

    `controls`: the catalogue's, by id. `hosts`, `groups`: names of the inventory, None where they
    are not known (then nothing is said of them). `decrypt` opens files that are encrypted as a
    whole. `handmade`: what variables of the inventory say of controls (register_variables.py).
    Never raises for what the files hold; look at `errors`.
    """
    found = read(root, decrypt, shipped_tiers)
    check(found, controls, hosts, groups, today, handmade)
    return found


def read(
    root: Path,
    decrypt: Decrypt | None = None,
    shipped_tiers: Path = SHIPPED_TIERS,
    remembered: dict[str, Any] | None = None,
) -> Register:
    """The files alone, each checked against its schema. A file with errors is left out.

    `remembered`: good client files of an earlier run by the hash of their text, as JSON can hold
    them. They are taken as they are, and the mapping is brought up to date in place.
    """
    found = Register(root)
    memory = _Memory(remembered)
    for path, kind in paths(root, shipped_tiers):
        _read_one(found, path, kind, decrypt, memory)
    memory.settle()
    _fill(found)
    if not (root / "clients").is_dir():
        said = "expected a folder `clients` with a file for each client, found none"
        found.problems.append(Problem(root, 0, "", said))
    return found


def check(
    register: Register,
    controls: Mapping[str, dict[str, Any]],
    hosts: Collection[str] | None = None,
    groups: Collection[str] | None = None,
    today: date | None = None,
    handmade: HandmadeByHost | None = None,
) -> None:
    """Put into `problems` what the files say against each other, hosts and catalogue."""
    around = register_checks.Surroundings.of(
        controls, today or date.today(), hosts, groups, handmade
    )
    for checks in (
        register_checks.tier_problems,
        register_checks.client_problems,
        register_checks.fleet_problems,
        register_checks.waiver_problems,
        register_checks.blocked_problems,
        register_checks.people_problems,
        register_checks.third_party_problems,
        register_checks.handmade_problems,
    ):
        register.problems += checks(register, around)
    order = {ERROR: 0, WARNING: 1}
    register.problems = sorted(
        dict.fromkeys(register.problems),
        key=lambda one: (order[one.level], str(one.file), one.line, one.path),
    )


def paths(root: Path, shipped_tiers: Path = SHIPPED_TIERS) -> list[tuple[Path, str]]:
    """The files of a register with their kinds."""
    clients = sorted(
        path
        for path in (root / "clients").glob("*")
        if path.suffix in SUFFIXES and not path.name.startswith(".")
    )
    found = [(path, "client") for path in clients]
    for kind in SINGLE_FILES:
        found += [(root / f"{kind}{end}", kind) for end in SUFFIXES]
    there = [(path, kind) for path, kind in found if path.exists()]
    return [(shipped_tiers, "tiers"), *there]


def explain(
    register: Register,
    catalogue: HasControls,
    host: str,
    control: str,
    site: str | None = None,
    handmade: Handmade | None = None,
) -> list[Layer]:
    """The layers a control's value comes through on a host, the last one `effective`.

    `site` (`client/site`): only what bears on that site's client, then what the host makes of it.
    Raises KeyError for an unknown control or site, register_order.Irreconcilable.
    """
    declared = catalogue.controls[control]
    placements = register.on(host)
    layers = register_merge.explain(declared, register.tiers, placements, host, handmade)
    if site is None:
        return layers
    client = register.by_site[site].client["id"]
    return [
        layer
        for layer in layers
        if layer.client in (None, client) and (layer.kind != "site" or layer.name == site)
    ]


def forced(
    register: Register,
    catalogue: HasControls,
    host: str,
    handmade: Mapping[str, Handmade] | None = None,
) -> list[Forced]:
    """What sharing a host imposes on clients beyond what each asked for, by variable."""
    placements = register.on(host)
    spoken = register_merge.spoken_of(register.tiers, placements)
    found: list[Forced] = []
    for declared in catalogue.controls.values():
        name = declared["value"]["name"]
        if name in spoken and register.worth_comparing(name, placements):
            given = (handmade or {}).get(name)
            found += register_merge.forced(declared, register.tiers, placements, host, given)
    return found


def window_open(register: Register, host: str, now: datetime) -> tuple[bool, str]:
    """Whether every site on a host may be changed at `now`, and why, in one line.

    A host that serves no site, or whose clients declare no window, may be changed at any time.
    """
    return register_window.all_open(windows_of(register.on(host)), now)


def windows_of(placements: Iterable[Placement]) -> list[dict[str, Any]]:
    """The change windows of these sites, each once, with the `client` that declares it."""
    found: list[dict[str, Any]] = []
    for place in placements:
        window = place.site.get("change_window", place.client.get("change_window"))
        if window is not None:
            row = {"client": place.client["id"], **window}
            if row not in found:
                found.append(row)
    return found


def profile_of(register: Register, host: str) -> str:
    """The profile that the tiers of the sites on a host ask for, the one that demands most."""
    tiers = {register_tiers.tier_of(p.client, p.site) for p in register.on(host)}
    return profiles.strictest(register.tiers[tier].get("profile") for tier in tiers)


def waivers_of(register: Register, host: str, groups: Collection[str] = ()) -> list[dict[str, Any]]:
    """The waivers in force on a host, one a control, expired ones included."""
    clients = register.clients_of(register.on(host))
    return register_waivers.for_host(host, groups, clients, register.waivers)


def site_vars(register: Register, place: Placement, today: date) -> dict[str, Any]:
    """What a host is told of a site: no person, no contact, no record of processing."""
    client, site = place.client, place.site
    keys = ("domains", "root", "user", "web_server", "php", "cms", "database", "certificate")
    cdn = _cdn(register, site)
    settings = register_tiers.site_settings(register.tiers, client, site)
    settings.pop("review", None)  # of people, not of hosts
    found = {
        "client": client["id"],
        "id": site["id"],
        "tier": register_tiers.tier_of(client, site),
        "environment": site.get("environment", "production"),
        **{key: site[key] for key in keys if key in site},
        **({"cdn": cdn} if cdn else {}),
        **settings,
    }
    waivers = register_waivers.for_site(client, site)
    if waivers:
        found["waivers"] = waivers
    people = found.get("security", {}).get("second_factor", {}).get("gate_users")
    if people:
        factor = {
            **found["security"]["second_factor"],
            "gate_users": [one for one in people if not _has_left(register, one, today)],
        }
        found["security"] = {**found["security"], "second_factor": factor}
    if "addresses" in found.get("security", {}):
        found["security"] = {
            **found["security"],
            "addresses": _current(found["security"]["addresses"], today),
        }
    return found


def certbot_domains(placements: Iterable[Placement]) -> list[str]:
    """The domains of the sites for which certbot is to issue the certificate."""
    asking = [place.site for place in placements if place.site.get("certificate") == "certbot"]
    return sorted({domain for site in asking for domain in site["domains"]})


def _has_left(register: Register, person: str, today: date) -> bool:
    left = register.people.get(person, {}).get("left")
    return left is not None and date.fromisoformat(left) < today


def client_vars(client: dict[str, Any]) -> dict[str, Any]:
    """What a host is told of a client."""
    return {
        "id": client["id"],
        "name": client["name"],
        "tier": client["tier"],
        "status": client.get("status", "active"),
    }


def _cdn(register: Register, site: dict[str, Any]) -> dict[str, Any]:
    cdn = dict(site.get("cdn", {}))
    if cdn and "ranges" not in cdn:
        ranges = register.third_parties[cdn["third_party"]].get("ranges")
        if ranges:
            cdn["ranges"] = ranges
    return cdn


def _current(addresses: dict[str, Any], today: date) -> dict[str, Any]:
    """Entries that have ended are gone; a list that all ended from is empty, not absent."""
    return {
        name: [row for row in rows if not _has_ended(row, today)]
        if name in ("allow_only", "admin_allow_only", "deny")
        else rows
        for name, rows in addresses.items()
    }


def _has_ended(row: dict[str, Any], today: date) -> bool:
    return "expires" in row and date.fromisoformat(row["expires"]) < today


class _Memory:
    """Client files by hash. Nothing of one that holds anything encrypted is remembered."""

    def __init__(self, remembered: dict[str, Any] | None) -> None:
        self._remembered = {} if remembered is None else remembered
        self._used: dict[str, Any] = {}
        self._salt = register_files.checker_sha256().encode() if remembered is not None else b""

    def recall(self, path: Path) -> RegisterFile | None:
        """The file at `path`, where it was good before and is the same now."""
        if not self._remembered:
            return None
        text = path.read_bytes()
        key = self._key(text)
        if key not in self._remembered:
            return None
        self._used[key] = self._remembered[key]
        return RegisterFile(path, "client", text, self._used[key])

    def keep(self, file: RegisterFile) -> None:
        """Remember a good file."""
        if self._salt and file.kind == "client" and not file.has_secrets:
            self._used[self._key(file.text)] = file.document

    def settle(self) -> None:
        """Forget what no file holds any more."""
        if self._salt:
            self._remembered.clear()
            self._remembered.update(self._used)

    def _key(self, text: bytes) -> str:
        return hashlib.sha256(self._salt + text).hexdigest()


def _read_one(
    register: Register, path: Path, kind: str, decrypt: Decrypt | None, memory: _Memory
) -> None:
    recalled = memory.recall(path) if kind == "client" else None
    if recalled is not None:
        register.files.append(recalled)
        return
    try:
        file = register_files.read(path, kind, decrypt)
    except UnreadableError as error:
        register.problems.append(error.problem)
        register.unread.add(_unread_name(path, kind))
        return
    problems = register_files.schema_problems(file) or list(register_files.encrypted_names(file))
    register.problems += problems
    if problems:
        register.unread.add(_unread_name(path, kind))
    else:
        register.files.append(file)
        memory.keep(file)


def _unread_name(path: Path, kind: str) -> str:
    return f"client/{path.stem}" if kind == "client" else kind


def _fill(register: Register) -> None:
    for file in register.files:
        document = file.document
        if file.kind == "client":
            _add_client(register, file)
        elif file.kind == "people":
            register.people = _by_id(document["people"])
            register.service_accounts = _by_id(document.get("service_accounts", []))
        elif file.kind == "third_parties":
            register.third_parties = _by_id(document["third_parties"])
            register.attestations = document.get("attestations", [])
        elif file.kind == "waivers":
            register.waivers = document["waivers"]
        elif file.kind == "blocked":
            register.blocked = document["blocked"]
    _fill_tiers(register)


def _add_client(register: Register, file: RegisterFile) -> None:
    client = file.document
    name = client["id"]
    if name in register.clients:
        other = register.file_of(register.clients[name]).path.name
        register.problems.append(file.problem(["id"], f"{name} is taken already, by {other}"))
        return
    if name != file.path.stem:
        said = f"found {name}, expected {file.path.stem}: the id is the name of the file"
        register.problems.append(file.problem(["id"], said))
    register.clients[name] = client


def _fill_tiers(register: Register) -> None:
    declared: dict[str, dict[str, Any]] = {}
    for file in register.files_of("tiers"):
        declared = register_tiers.merged(declared, file.document["tiers"])
    try:
        register.tiers = register_tiers.resolve_tiers(declared)
    except register_tiers.TierError as error:
        file = register.files_of("tiers")[-1]
        said = f"{error}"
        register.problems.append(file.problem(["tiers", error.name, "extends"], said))
        register.unread.add("tiers")


def _by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows}
