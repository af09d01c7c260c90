# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The CMS's own second factor: WordPress by the plugin two-factor, Joomla by its core.

WordPress is asked and changed by its own code, run as the site's own user. Joomla is asked and
changed in its database: what it forces is one parameter of its component com_users.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _cms_factor_php,
    _site_files,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
)

_PLUGIN_LIMIT = 64 << 20
_SECONDS = 120
_WORDPRESS_ROLES = ("administrator",)
_JOOMLA_GROUPS = ("Administrator", "Super Users")
_MUST_USE = "wp-content/mu-plugins/ringfence-second-factor.php"
_PLUGIN = "wp-content/plugins/two-factor"
_MARKER = ".ringfence"  # in a plugin that came by us, and goes by us
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_$-]{1,64}")
_PREFIX = re.compile(r"[A-Za-z0-9_]{0,32}")
_SQL = ["mariadb", "--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]


class FactorError(Exception):
    """Why a CMS cannot be asked or made to ask for a second factor; one line."""


@dataclass(frozen=True)
class CmsSite:
    """A site whose CMS must ask for a second factor. `roles`: of WordPress, groups of Joomla."""

    reference: str
    cms: str
    root: str
    user: str
    domain: str
    roles: tuple[str, ...]
    wanted: bool


def cms_sites(sites: Iterable[Mapping[str, Any]]) -> list[CmsSite]:
    """Every WordPress and Joomla of `ringfence_sites`; `wanted` where a factor is asked for."""
    known = ("wordpress", "joomla")
    return [_cms_site(site) for site in sites if site.get("cms", {}).get("name") in known]


def reference_of(site: Mapping[str, Any]) -> str:
    """`client/site`."""
    return f"{site.get('client', '')}/{site.get('id', '')}"


def _cms_site(site: Mapping[str, Any]) -> CmsSite:
    factor, cms = site.get("security", {}).get("second_factor", {}), site["cms"]
    default = _WORDPRESS_ROLES if cms["name"] == "wordpress" else _JOOMLA_GROUPS
    roles = tuple(factor.get("cms_roles") or default)
    reference = reference_of(site)
    root, user = str(site.get("root", "")), str(site.get("user", ""))
    if not root.startswith("/") or "\n" in root:
        raise FactorError(f"{reference}: root: found {root!r}, expected an absolute path")
    if not _NAME.fullmatch(user):
        raise FactorError(f"{reference}: user: found {user!r}, expected the site's account")
    return CmsSite(
        reference=reference,
        cms=cms["name"],
        root=root.rstrip("/") + str(cms.get("path", "")).rstrip("/"),
        user=user,
        domain=str(next(iter(site.get("domains", ())), "localhost")),
        roles=roles,
        wanted=factor.get("admin") in ("cms", "cms_and_gate"),
    )


# --- WordPress


def wordpress_state(host: Host, site: CmsSite) -> dict[str, Any]:
    """What WordPress says: plugin, active, forced (roles), users with `own` and `asked`."""
    return _asked(host, site, "state")


def wordpress_try(host: Host, site: CmsSite, user: int) -> bool:
    """Whether the admin area turns away `user` with a session that passed no factor."""
    found = _asked(host, site, "try", user)
    if found.get("loaded") is not True:
        raise FactorError(f"{site.reference}: WordPress ended before it knew who asks")
    return found.get("refused") is True


def force_plugin(roles: Iterable[str]) -> str:
    """The must-use plugin for these roles."""
    listed = ", ".join("'" + re.sub(r"[^A-Za-z0-9_ -]", "", role) + "'" for role in roles)
    return _cms_factor_php.FORCE.replace("@ROLES@", f"[{listed}]")


def wordpress_plan(host: Host, site: CmsSite, plugin: Mapping[str, str]) -> list[str]:
    """What would be done for a WordPress, in words; nothing for one that is as it should be."""
    force = _site_files.read(host, site.root, _MUST_USE)
    if not site.wanted:
        return [] if force is None else ["take back the must-use plugin and the plugin two-factor"]
    found = []
    state = wordpress_state(host, site)
    unknown = [role for role in site.roles if role not in state["roles"]]
    if unknown:
        raise FactorError(
            f"{site.reference}: WordPress has no role {unknown[0]}; it has "
            f"{', '.join(sorted(state['roles']))}"
        )
    if not state["plugin"]:
        _require_artifact(host, site, plugin)
        found.append("install the plugin two-factor")
    elif plugin.get("version") and state["plugin"] != plugin["version"]:
        _require_artifact(host, site, plugin)
        found.append(f"plugin two-factor {plugin['version']} instead of {state['plugin']}")
    if not state["active"]:
        found.append("activate the plugin two-factor")
    if force != force_plugin(site.roles):
        found.append(f"force a second factor for {', '.join(site.roles)}")
    return found


def wordpress_carry_out(
    host: Host, site: CmsSite, todo: list[str], plugin: Mapping[str, str]
) -> None:
    """Do it: the plugin is there and active before anything forces it; and the other way round."""
    if not site.wanted:
        _site_files.remove(host, site.root, _MUST_USE)
        if _site_files.read(host, site.root, f"{_PLUGIN}/{_MARKER}") is not None:
            _asked(host, site, "deactivate")
            _site_files.remove(host, site.root, _PLUGIN)
        return
    if any("plugin two-factor" in one and not one.startswith("activate") for one in todo):
        _unpack(host, site, plugin["path"])
    if any(one.startswith(("activate", "install")) for one in todo):
        done = _asked(host, site, "activate")
        if not done.get("active"):
            why = done.get("why")
            raise FactorError(f"{site.reference}: two-factor cannot be activated: {why}")
    if not wordpress_state(host, site)["active"]:
        raise FactorError(
            f"{site.reference}: the plugin two-factor does not load: nothing was forced, for "
            "nobody could have signed in any more"
        )
    _site_files.write(host, site.root, _MUST_USE, force_plugin(site.roles).encode())


def _require_artifact(host: Host, site: CmsSite, plugin: Mapping[str, str]) -> None:
    path, wanted = plugin.get("path", ""), plugin.get("sha256", "")
    if not path or not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise FactorError(
            f"{site.reference} needs the plugin two-factor, which is not there: say "
            "site_second_factor_wordpress_plugin with its file (or url) and sha256"
        )
    data = host.read(path) if host.exists(path) else None
    if data is None:
        return  # --check: it is put there by the run itself
    seen = hashlib.sha256(data).hexdigest()
    if seen != wanted:
        raise FactorError(f"{path}: its sha256 is {seen}, expected {wanted}: nothing was installed")


def _unpack(host: Host, site: CmsSite, path: str) -> None:
    """The plugin's own folder, root's files that the site reads and cannot change."""
    fresh = f"{os.path.dirname(_PLUGIN)}/.ringfence-two-factor"
    with zipfile.ZipFile(host.real(path)) as archive:
        rows = [row for row in archive.infolist() if not row.is_dir()]
        _require_harmless(path, rows)
        _site_files.remove(host, site.root, fresh)
        for row in rows:
            place = f"{fresh}/{row.filename.partition('/')[2]}"
            _site_files.write(host, site.root, place, archive.read(row))
    _site_files.write(host, site.root, f"{fresh}/{_MARKER}", b"")
    _site_files.move(host, site.root, fresh, _PLUGIN)


def _require_harmless(path: str, rows: list[zipfile.ZipInfo]) -> None:
    if sum(row.file_size for row in rows) > _PLUGIN_LIMIT:
        raise FactorError(f"{path}: is larger than {_PLUGIN_LIMIT >> 20} MB unpacked")
    for row in rows:
        first, *more = row.filename.split("/")
        odd = not more or not {"", ".", ".."}.isdisjoint(more)
        if first != "two-factor" or odd or stat.S_ISLNK(row.external_attr >> 16):
            raise FactorError(f"{path}: {row.filename!r}: expected files below two-factor/")


def _asked(host: Host, site: CmsSite, action: str, user: int = 0) -> dict[str, Any]:
    if not host.exists(f"{site.root}/wp-load.php"):
        raise FactorError(f"{site.reference}: there is no WordPress in {site.root}")
    mark = f"ringfence-{secrets.token_hex(12)}:"
    # runuser -u keeps the environment; nothing in it is secret.
    done = host.run(
        ["runuser", "-u", site.user, "--", "php", "-d", "display_errors=stderr"],
        stdin=_cms_factor_php.ASK,
        timeout=_SECONDS,
        environment={
            "RINGFENCE_ROOT": site.root,
            "RINGFENCE_ACTION": action,
            "RINGFENCE_MARK": mark,
            "RINGFENCE_ROLES": json.dumps(list(site.roles)),
            "RINGFENCE_DOMAIN": site.domain,
            "RINGFENCE_USER": str(user),
        },
    )
    lines = [line for line in done.out.splitlines() if line.startswith(mark)]
    if not lines:
        raise FactorError(f"{site.reference}: WordPress does not answer: {done.complaint()}")
    try:
        found: dict[str, Any] = json.loads(lines[-1][len(mark) :])
    except ValueError as error:
        raise FactorError(f"{site.reference}: WordPress answers what is no JSON") from error
    if not found:
        raise FactorError(f"{site.reference}: WordPress does not load: {done.complaint()}")
    return found


# --- Joomla


@dataclass(frozen=True)
class Database:
    """Where a Joomla keeps its tables."""

    name: str
    prefix: str


def joomla_database(site: CmsSite, known: Mapping[str, Any]) -> Database:
    """From what `site_info` read of configuration.php, or the register says. Raises FactorError."""
    name, prefix = str(known.get("name", "")), str(known.get("prefix", ""))
    if not _IDENTIFIER.fullmatch(name) or not _PREFIX.fullmatch(prefix):
        raise FactorError(f"{site.reference}: the database of this Joomla is not known")
    return Database(name, prefix)


def joomla_state(host: Host, site: CmsSite, database: Database) -> dict[str, Any]:
    """Joomla's own words: groups (id -> title), forced and never (ids), methods, users."""
    rows = _query(host, database, _JOOMLA_STATE)
    found: dict[str, Any] = {"groups": {}, "methods": [], "users": [], "params": {}}
    for line in rows:
        kind, _tab, rest = line.partition("\t")
        fields = rest.split("\t")
        if kind == "group":
            found["groups"][int(fields[0])] = fields[1]
        elif kind == "method":
            found["methods"].append(fields[0])
        elif kind == "params":
            found["params"] = _params(site, rest)
        elif kind == "user":
            number, login, group, own = fields
            found["users"].append(
                {"id": int(number), "login": login, "group": int(group), "own": int(own)}
            )
    return found


def joomla_ids(site: CmsSite, state: Mapping[str, Any]) -> list[int]:
    """The ids of the site's groups. Raises FactorError for a group that Joomla does not have."""
    by_title = {title.casefold(): number for number, title in state["groups"].items()}
    missing = [role for role in site.roles if role.casefold() not in by_title]
    if missing:
        raise FactorError(
            f"{site.reference}: Joomla has no group {missing[0]}; it has "
            f"{', '.join(sorted(state['groups'].values()))}"
        )
    return sorted(by_title[role.casefold()] for role in site.roles)


def forced_groups(state: Mapping[str, Any]) -> list[int]:
    """The ids of the groups that Joomla forces now."""
    return _numbers(state["params"].get("forceMFAUserGroups"))


def never_groups(state: Mapping[str, Any]) -> list[int]:
    """The ids of the groups that Joomla never asks, whatever it forces."""
    return _numbers(state["params"].get("neverMFAUserGroups"))


def joomla_force(host: Host, database: Database, groups: Iterable[int]) -> None:
    """Let Joomla force exactly these groups."""
    listed = ", ".join(f"'{int(number)}'" for number in groups)
    _query(host, database, _JOOMLA_FORCE.replace("@ARRAY@", f"JSON_ARRAY({listed})"))


_JOOMLA_FORCE = """
UPDATE @extensions SET params = JSON_SET(
    IF(JSON_VALID(params) AND params != '', params, '{}'), '$.forceMFAUserGroups', @ARRAY@)
    WHERE element = 'com_users' AND type = 'component';
"""
_JOOMLA_STATE = """
SELECT 'group', id, title FROM @usergroups;
SELECT 'method', element FROM @extensions WHERE folder = 'multifactorauth' AND enabled = 1;
SELECT 'params', params FROM @extensions WHERE element = 'com_users' AND type = 'component';
SELECT 'user', u.id, u.username, m.group_id,
    (SELECT COUNT(*) FROM @user_mfa f WHERE f.user_id = u.id AND f.method != 'backupcodes')
    FROM @users u JOIN @user_usergroup_map m ON m.user_id = u.id WHERE u.block = 0;
"""


def _query(host: Host, database: Database, sql: str) -> list[str]:
    text = re.sub(r"@([a-z_]+)", rf"`{database.prefix}\1`", sql)
    done = host.run([*_SQL, database.name], stdin=text)
    if done.rc != 0:
        raise FactorError(f"database {database.name}: {done.complaint()}")
    return done.out.splitlines()


def _params(site: CmsSite, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise FactorError(f"{site.reference}: the parameters of com_users are no JSON") from error
    return found if isinstance(found, dict) else {}


def _numbers(value: Any) -> list[int]:
    found = value if isinstance(value, list) else []
    return sorted(int(one) for one in found if str(one).isdigit())
