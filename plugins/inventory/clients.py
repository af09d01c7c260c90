# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: clients
author:
  - The Ringfence developers (@ringfence)
short_description: Hosts grouped and configured by the client register
version_added: 0.1.0
description:
  - Reads the client register of an inventory (C(clients/*.yml), C(people.yml),
    C(third_parties.yml), C(waivers.yml), C(tiers.yml)), checks it, and gives each host of the
    inventory what its clients ask for.
  - Adds no host. Hosts come from other sources of the same inventory, which must be read before
    this one. Ansible reads a folder in alphabetical order, so C(hosts.yml) comes before
    C(ringfence.yml).
  - Adds the groups C(client_<id>), C(tier_<name>) (the strictest on the host), C(cms_<name>) and
    C(web_server_<name>).
  - Sets on each host C(ringfence_clients), C(ringfence_sites), C(ringfence_waivers), C(ringfence_blocked),
    C(ringfence_vendor_access), the variable
    of each control whose effective value is not what the inventory says anyway, and
    C(ringfence_handmade), which keeps what group and host variables say of those controls.
  - A group variable counts as the floor of a control, and the strictest demand of a client or site
    wins over it. A host variable stands, and a warning says where it is weaker than a client asks
    for.
  - Every problem of every file is reported in one run, one line each. A register with errors ends
    the run with exit code 3, whatever C(any_unparsed_is_failed) says, so that no host is touched
    without what its clients ask for.
notes:
  - The files of the register are no inventory sources. This plugin claims them, so put it first in
    C(enable_plugins). For large registers, name them in C(ignore_patterns) as well.
  - Values that C(ansible-vault) encrypted are passed on as they are.
requirements:
  - jsonschema (Python library)
  - jsonschema-rs (Python library, optional, makes large registers load several times faster)
extends_documentation_fragment:
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: The name of this plugin.
    required: true
    choices: [ringfence.hosting.clients]
  register:
    description: The folder of the register, relative to this file.
    type: str
    default: .
"""

EXAMPLES = r"""
# inventories/example/ringfence.yml, beside hosts.yml and the folder clients/
plugin: ringfence.hosting.clients
---
# The register lies somewhere else, and parsed files are kept between runs.
plugin: ringfence.hosting.clients
register: ../../register
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ringfence/inventory
"""

import json
import os
import traceback
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.parsing.vault import EncryptedString
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable
from ansible_collections.ringfence.hosting.plugins.plugin_utils import (
    catalogue,
    profiles,
    register,
    register_blocked,
    register_files,
    register_vendors,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_merge import (
    UNSET,
    Handmade,
    HostValues,
    Placement,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_model import Register
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import (
    IrreconcilableError,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_variables import (
    handmade_values,
)
from ansible_collections.ringfence.hosting.plugins.plugin_utils.yaml_documents import DocumentError

_SHOWN_WARNINGS = 10


class RefusedRegister(SystemExit):
    """Ends the run, as exit code 3. `problems` holds a line each, already shown.

    An inventory plugin that raises an ordinary error only makes Ansible warn and carry on with the
    hosts of other sources: without their register, so with weaker values than was promised.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(3)
        self.problems = problems


class InventoryModule(BaseInventoryPlugin, Cacheable):  # type: ignore[misc]
    """Groups and variables of hosts, from the client register."""

    NAME = "ringfence.hosting.clients"

    def verify_file(self, path: str) -> bool:
        """Its own configuration, and the files of the register, which nobody else may read."""
        if not super().verify_file(path):
            return False
        file = Path(path)
        return _is_configuration(file) or _is_register(file)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Reads, checks and applies the register. Raises RefusedRegister."""
        super().parse(inventory, loader, path, cache)
        if not _is_configuration(Path(path)):
            return
        self._read_config_data(path)
        try:
            self._apply(path, cache)
        except AnsibleError as error:
            self._refuse(_located(error).splitlines())
        except Exception as error:
            # A mistake of ours must not let a run go on without the register either.
            self.display.vvv(traceback.format_exc())
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            self._refuse([f"{path}: this is a mistake of Ringfence: {said} (-vvv tells more)"])

    def _refuse(self, lines: list[str]) -> None:
        self.display.error("the client register cannot be used; no host was touched", False)
        for line in lines:
            self.display.display(line, stderr=True, color="red")
        raise RefusedRegister(lines) from None

    def _apply(self, path: str, cache: bool) -> None:
        root = Path(os.path.normpath(Path(path).parent / self.get_option("register")))
        known = self._catalogue()
        found = self._read(_near(root), path, cache)
        if found.errors:
            raise AnsibleParserError(_lines(found))
        self._add_groups(found)
        names = set(known.by_value_name)
        hosts = [host for host in found.by_host if host in self.inventory.hosts]
        handmade = handmade_values(self.inventory, self.loader, self._sources(path), names, hosts)
        register.check(
            found, known.controls, self.inventory.hosts, self.inventory.groups, None, handmade
        )
        if found.errors:
            raise AnsibleParserError(_lines(found))
        self._warn(found)
        self._warn_of_strangers()
        self._set_variables(found, known.controls, handmade)

    def _catalogue(self) -> catalogue.Catalogue:
        try:
            return catalogue.load()
        except DocumentError as error:
            raise AnsibleParserError("\n".join(error.problems)) from None

    def _read(self, root: Path, path: str, cache: bool) -> Register:
        remembered: dict[str, Any] = {}
        key, use_cache = self.get_cache_key(path), self.get_option("cache")
        if use_cache and cache and key in self._cache:
            remembered = json.loads(self._cache[key])
        before = json.dumps(remembered) if use_cache else ""
        try:
            found = register.read(root, self._decrypt, remembered=remembered)
        except ImportError:
            needs = "the client register is checked with the Python library jsonschema"
            raise AnsibleParserError(f"{needs}: pip install jsonschema") from None
        if use_cache:
            after = json.dumps(remembered)
            if after != before:
                self._cache[key] = after
        return found

    def _decrypt(self, data: bytes) -> bytes:
        decrypted: bytes = self.loader._vault.decrypt(data)
        return decrypted

    def _sources(self, path: str) -> list[str]:
        folders = [*self.inventory.processed_sources, path]
        return list({os.path.dirname(source): source for source in folders if source}.values())

    def _add_groups(self, found: Register) -> None:
        for host, placements in found.by_host.items():
            if host not in self.inventory.hosts:
                continue
            names = {f"client_{place.client['id']}" for place in placements}
            names |= {f"web_server_{place.site['web_server']}" for place in placements}
            names |= {
                f"cms_{place.site['cms']['name']}" for place in placements if "cms" in place.site
            }
            tier = found.tier_of_host(host)
            for name in sorted({*names, f"tier_{tier}"}):
                self.inventory.add_group(name)
                self.inventory.add_child(name, host)

    def _set_variables(
        self,
        found: Register,
        controls: dict[str, dict[str, Any]],
        handmade: dict[str, dict[str, Handmade]],
    ) -> None:
        values, today = HostValues(controls, found.tiers), date.today()
        for host, placements in found.by_host.items():
            given = handmade.get(host, {})
            clients = found.clients_of(placements)
            variables: dict[str, Any] = {
                "ringfence_clients": [register.client_vars(one) for one in clients],
                "ringfence_sites": [self._site(found, one, today) for one in placements],
            }
            profile = register.profile_of(found, host)
            if profile != profiles.DEFAULT:
                variables[profiles.TIER_VARIABLE] = profile
            windows = register.windows_of(placements)
            if windows:
                variables["ringfence_change_windows"] = windows
            try:
                variables |= values.of(placements, given)
            except IrreconcilableError as error:
                raise AnsibleParserError(f"host {host}: {error}") from None
            domains = register.certbot_domains(placements)
            if domains and register.CERTBOT_VARIABLE not in given:
                asked = {*variables.get(register.CERTBOT_VARIABLE, []), *domains}
                variables[register.CERTBOT_VARIABLE] = sorted(asked)
            if given:
                variables["ringfence_handmade"] = _plain(given)
            # Straight to the host: the register holds data, no templates, and Ansible would walk
            # through every value to mark where it came from, at half of the whole load time.
            for name, value in variables.items():
                self.inventory.hosts[host].set_variable(name, value)
        self._set_waivers(found)
        self._set_blocked(found)
        self._set_vendors(found)

    def _site(self, found: Register, place: Placement, today: date) -> dict[str, Any]:
        site = register.site_vars(found, place, today)
        secrets = found.file_of(place.client).has_secrets
        return _encrypted(site) if secrets else site

    def _set_waivers(self, found: Register) -> None:
        for host in self.inventory.hosts:
            groups = [group.name for group in self.inventory.hosts[host].get_groups()]
            waivers = register.waivers_of(found, host, groups)
            if waivers:
                self.inventory.hosts[host].set_variable("ringfence_waivers", waivers)

    def _set_blocked(self, found: Register) -> None:
        now = datetime.now(UTC)
        for host in self.inventory.hosts if found.blocked else ():
            places = found.on(host)
            rows = register_blocked.for_host(
                found.blocked,
                {place.client["id"] for place in places},
                {place.reference for place in places},
                now,
            )
            if rows:
                self.inventory.hosts[host].set_variable("ringfence_blocked", rows)

    def _set_vendors(self, found: Register) -> None:
        """On every host: one that has none is told so, and takes what ended there."""
        grants, today = register_vendors.grants(found), datetime.now(UTC).date()
        for host in self.inventory.hosts:
            groups = {group.name for group in self.inventory.hosts[host].get_groups()}
            rows = register_vendors.for_host(found, grants, host, groups, today) if grants else []
            self.inventory.hosts[host].set_variable("ringfence_vendor_access", rows)

    def _warn(self, found: Register) -> None:
        for problem in found.warnings[:_SHOWN_WARNINGS]:
            self.display.warning(str(problem))
        more = len(found.warnings) - _SHOWN_WARNINGS
        if more > 0:
            self.display.warning(f"the client register: {more} more warnings: ringfence validate")

    def _warn_of_strangers(self) -> None:
        group = self.inventory.groups.get("controller")  # a key that every client file has
        sources = self.inventory.processed_sources
        if group and not group.hosts and any(_is_register(Path(source)) for source in sources):
            self.display.warning(
                "Ansible took files of the client register for inventories and made groups of "
                "their keys: put ringfence.hosting.clients first in enable_plugins"
            )


def _is_configuration(file: Path) -> bool:
    return file.name.endswith(tuple(f"ringfence{end}" for end in register.SUFFIXES))


def _is_register(file: Path) -> bool:
    if file.suffix not in register.SUFFIXES:
        return False
    if file.parent.name == "clients":
        return _has_configuration(file.parent.parent)
    return file.stem in register.SINGLE_FILES and _has_configuration(file.parent)


def _has_configuration(folder: Path) -> bool:
    return any(_is_configuration(file) for file in folder.glob("*ringfence.y*ml"))


def _located(error: AnsibleError) -> str:
    """What is wrong, with file and line where Ansible met it in a file of variables."""
    cause: BaseException | None = error
    while cause is not None:
        origin = getattr(cause, "obj", None)
        path, line = (getattr(origin, name, None) for name in ("path", "line_num"))
        if path and line:
            return f"{_near(Path(path))}:{line}: {error}"
        cause = cause.__cause__ or cause.__context__
    return str(error)


def _lines(found: Register) -> str:
    return "\n".join(map(str, found.errors))


def _near(root: Path) -> Path:
    """As people would type it, where it is below the current folder."""
    whole, here = Path(os.path.abspath(root)), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else root


def _plain(given: dict[str, Handmade]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            kind: value
            for kind, value in (("group", one.group), ("host", one.host))
            if value is not UNSET
        }
        for name, one in given.items()
    }


def _encrypted(value: Any) -> Any:
    """`value` with what ansible-vault encrypted in it as Ansible carries it."""
    if isinstance(value, register_files.Vaulted):
        return EncryptedString(ciphertext=str(value))
    if isinstance(value, dict):
        return {key: _encrypted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_encrypted(inner) for inner in value]
    return value
