# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who can change a site: users of WordPress and Joomla, read from the site's own database.

Name, host and password of the database come from the site's own configuration, by reading it, and
the password goes to the client by a pipe. Visitors (subscribers, customers, registered users) are
counted and not listed: they are no accesses to review, and they are people. Hashes, tokens and
secrets of second factors are not read, but to tell that there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _access_database, _sites
from ansible_collections.ringfence.hosting.plugins.module_utils._access_row import (
    Row,
    coverage,
    row,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

_LIMIT = 256 << 10
_USERS = 20_000
_LITERAL = r"""(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\$])*)")"""
_WORDPRESS = {
    name: re.compile(
        rf"""^\s*define\(\s*['"]{constant}['"]\s*,\s*{_LITERAL}\s*\)""", re.MULTILINE | re.I
    )
    for name, constant in (
        *(("database", "DB_NAME"), ("user", "DB_USER"), ("password", "DB_PASSWORD")),
        ("host", "DB_HOST"),
    )
} | {"prefix": re.compile(rf"^\s*\$table_prefix\s*=\s*{_LITERAL}", re.MULTILINE)}
_JOOMLA = {
    name: re.compile(rf"^\s*(?:public|var)\s+\${variable}\s*=\s*{_LITERAL}", re.MULTILINE)
    for name, variable in (
        *(("database", "db"), ("user", "user"), ("password", "password"), ("host", "host")),
        ("prefix", "dbprefix"),
    )
}
_VISITORS = frozenset(
    {"subscriber", "customer", "pending_user", "bbp_participant", "bbp_spectator"}
)
_PRIVILEGED_ROLES = frozenset({"administrator", "super_admin", "shop_manager", "editor"})
# Plugins of WordPress that ask for a second factor: folder -> the user's option that says so.
_FACTOR_PLUGINS = {
    "two-factor": "_two_factor_enabled_providers",
    "wp-2fa": "wp_2fa_enabled_methods",
    "google-authenticator": "googleauthenticator_enabled",
    "miniorange-2-factor-authentication": "mo2f_configured_2FA_method",
    "better-wp-security": "_two_factor_enabled_providers",
}
_LAST_SEEN = ("wfls-last-login", "wp_last_login", "last_login", "when_last_login", "wc_last_active")
_MAYBE_FACTOR = re.compile(r"2fa|two.?factor|mfa|otp|authenticat|login-?sec|wordfence|duo|passkey")
_REGISTERED = frozenset({"public", "registered", "guest"})
_SITE_EDITORS = frozenset({"core.admin", "core.manage", "core.login.admin"})


@dataclass(frozen=True)
class Configuration:
    """How a site reaches its database. `password` stays in this process."""

    database: str
    user: str
    password: str
    host: str
    prefix: str

    def options(self) -> str:
        """An option file for the client."""
        name, port, socket = self.host, "", ""
        bare = name.removeprefix("p:")
        match = re.fullmatch(r"(\[[^]]+\]|[^:]*)(?::(?:(\d+)|(/.*)))?", bare)
        if match:
            name, port, socket = match[1].strip("[]"), match[2] or "", match[3] or ""
        lines = ["[client]", f"user={_option(self.user)}", f"password={_option(self.password)}"]
        lines += [f"host={_option(name or 'localhost')}"]
        lines += [f"port={port}"] if port else []
        lines += [f"socket={_option(socket)}"] if socket else []
        return "\n".join(lines) + "\n"


def _option(value: str) -> str:
    if "\n" in value or "\0" in value:
        raise HostError("the site's configuration holds a line break where none can be")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def collect(
    host: Host, sites: list[dict[str, Any]]
) -> tuple[list[Row], list[dict[str, Any]], dict[str, Any]]:
    """(rows, coverage, facts) of all sites whose CMS is known. `sites`: as `_sites` finds them."""
    rows: list[Row] = []
    covered = []
    counted = {}
    for site in sites:
        kind = site["cms"]["name"]
        reader = {"wordpress": wordpress, "joomla": joomla}.get(kind)
        if reader is None:
            continue
        name = site["domains"][0]
        source = f"{kind} {name}"
        try:
            found, visitors = reader(host, site)
        except (HostError, ValueError, KeyError, TypeError, IndexError) as error:
            covered.append(coverage(source, "failed", _harmless(error)))
            continue
        rows += found
        counted[name] = visitors
        covered.append(coverage(source, "read", count=len(found)))
    if not covered:
        covered.append(coverage("cms", "absent"))
    return rows, covered, {"visitors": counted} if counted else {}


def _harmless(error: Exception) -> str:
    """What went wrong, in our words or the client's; a KeyError's text may be anything."""
    if isinstance(error, HostError):
        return str(error)
    return f"what the database holds is not as expected ({type(error).__name__})"


def configuration(host: Host, kind: str, folder: str) -> Configuration:
    """The site's own configuration. Raises HostError."""
    if kind == "wordpress":
        # WordPress looks one folder up as well, where the web server does not reach
        paths = [f"{folder}/wp-config.php", f"{folder.rpartition('/')[0]}/wp-config.php"]
        patterns = _WORDPRESS
    else:
        paths, patterns = [f"{folder}/configuration.php"], _JOOMLA
    for path in paths:
        text = _sites.peek(host, path, _LIMIT)
        if text is None:
            continue
        found = {name: _literal(pattern, text) for name, pattern in patterns.items()}
        missing = [name for name, value in found.items() if value is None]
        if missing:
            raise HostError(f"{path} does not say the {missing[0]} of the database in plain text")
        if not re.fullmatch(r"\w{0,64}", found["prefix"] or ""):
            raise HostError(f"{path}: the prefix of the tables is none")
        return Configuration(**{name: value or "" for name, value in found.items()})
    raise HostError(f"{paths[0]} is not there")


def _literal(pattern: re.Pattern[str], text: str) -> str | None:
    matches = list(pattern.finditer(text))
    if not matches:
        return None
    single, double = matches[0][1], matches[0][2]
    if single is not None:
        return re.sub(r"\\(['\\])", r"\1", single)
    return re.sub(r'\\(["\\$])', r"\1", double)


class _Base:
    """A site's database. SQL is put together of a checked prefix and our own words alone."""

    def __init__(self, host: Host, kind: str, site: Mapping[str, Any]) -> None:
        folder = site["root"].rstrip("/") + site["cms"].get("path", "")
        self._host = host
        self._settings = configuration(host, kind, folder)
        self.prefix = self._settings.prefix
        self.database = self._settings.database

    def ask(self, *statements: str) -> list[Any]:
        """The JSON of each line."""
        lines = _access_database.query(
            self._host, *statements, client=self._settings.options(), database=self.database
        )
        return [json.loads(line) for line in lines]

    def has(self, *tables: str) -> set[str]:
        """Those of the tables that are there, by name without prefix."""
        names = ", ".join(f"'{self.prefix}{table}'" for table in tables)
        found = self.ask(
            "SELECT JSON_QUOTE(table_name) FROM information_schema.tables"  # noqa: S608
            f" WHERE table_schema = DATABASE() AND table_name IN ({names})"
        )
        return {str(name).removeprefix(self.prefix) for name in found}


def wordpress(host: Host, site: Mapping[str, Any]) -> tuple[list[Row], int]:
    """(rows, number of visitors). Raises HostError and what JSON may raise."""
    base = _Base(host, "wordpress", site)
    p = base.prefix
    if not base.has("users", "usermeta", "options") >= {"users", "usermeta"}:
        raise HostError(f"{base.database} has no table {p}users")
    several = "sitemeta" in base.has("sitemeta")
    users = base.ask(_wordpress_users(p))[: _USERS + 1]
    if len(users) > _USERS:
        raise HostError(f"more than {_USERS} users have a role: they cannot be reviewed one by one")
    supers = _super_admins(base) if several else frozenset()
    plugins = _active_plugins(base, several)
    total = base.ask(f"SELECT COUNT(*) FROM {p}users")[0]  # noqa: S608 # a checked prefix
    rows: list[Row] = []
    for user in users:
        roles = _wordpress_roles(user, supers)
        if roles - _VISITORS:
            rows += _wordpress_rows(user, sorted(roles), site, plugins)
    return rows, int(total) - len({one["account_id"] for one in rows})


def _wordpress_users(p: str) -> str:
    """Users who have, or had, more than a visitor's role; of each only what is told."""
    wanted = ", ".join(
        f"'{name}'" for name in ("session_tokens", "_application_passwords", *_LAST_SEEN,
                                 *dict.fromkeys(_FACTOR_PLUGINS.values()))
    )  # fmt: skip
    visitor = " OR ".join(
        f"m.meta_value = 'a:1:{{s:{len(role)}:\"{role}\";b:1;}}'" for role in sorted(_VISITORS)
    )
    return (
        "SELECT JSON_OBJECT('id', u.ID, 'login', u.user_login, 'email', u.user_email,"  # noqa: S608
        " 'name', u.display_name, 'since', DATE_FORMAT(u.user_registered, '%Y-%m-%dT%H:%i:%sZ'),"
        f" 'roles', (SELECT JSON_ARRAYAGG(m.meta_value) FROM {p}usermeta m WHERE m.user_id = u.ID"
        f" AND m.meta_key REGEXP '^{p}([0-9]+_)?capabilities$'),"
        f" 'meta', (SELECT JSON_OBJECTAGG(m.meta_key, m.meta_value) FROM {p}usermeta m"
        f" WHERE m.user_id = u.ID AND m.meta_key IN ({wanted})))"
        f" FROM {p}users u WHERE EXISTS (SELECT 1 FROM {p}usermeta m WHERE m.user_id = u.ID"
        f" AND m.meta_key REGEXP '^{p}([0-9]+_)?capabilities$' AND NOT ({visitor}))"
        f" ORDER BY u.ID LIMIT {_USERS + 1}"
    )


def _super_admins(base: _Base) -> frozenset[str]:
    found = base.ask(
        f"SELECT JSON_QUOTE(meta_value) FROM {base.prefix}sitemeta WHERE meta_key = 'site_admins'"  # noqa: S608
    )
    return frozenset(str(name) for text in found for name in _values(unserialize(text)))


def _active_plugins(base: _Base, several: bool) -> set[str]:
    queries = [
        f"SELECT JSON_QUOTE(option_value) FROM {base.prefix}options"  # noqa: S608
        " WHERE option_name = 'active_plugins'"
    ]
    if several:
        queries.append(
            f"SELECT JSON_QUOTE(meta_value) FROM {base.prefix}sitemeta"  # noqa: S608
            " WHERE meta_key = 'active_sitewide_plugins'"
        )
    found: set[str] = set()
    for text in base.ask(*queries):
        said = unserialize(text)
        names = [*said.values(), *said.keys()] if isinstance(said, dict) else []
        found |= {name.partition("/")[0] for name in names if isinstance(name, str)}
    return found


def _wordpress_roles(user: Mapping[str, Any], supers: frozenset[str]) -> set[str]:
    roles: set[str] = set()
    for text in user.get("roles") or []:
        said = unserialize(text)
        if isinstance(said, dict):
            roles |= {str(role) for role, on in said.items() if on}
    return roles | ({"super_admin"} if user["login"] in supers else set())


def _wordpress_rows(
    user: Mapping[str, Any], roles: list[str], site: Mapping[str, Any], plugins: set[str]
) -> Iterator[Row]:
    meta = user.get("meta") or {}
    sessions = [one for one in _values(_said(meta, "session_tokens")) if isinstance(one, dict)]
    logins = [_number(one.get("login")) for one in sessions]
    seen = [_number(_plain(meta.get(name))) for name in _LAST_SEEN]
    privileged = bool(set(roles) & _PRIVILEGED_ROLES - {"editor"})
    details = {
        "place": site["domains"][0], "root": site["root"], "cms": "wordpress",
        "email": user["email"], "name": user["name"], "remote": True,
        "sources": sorted({str(one["ip"]) for one in sessions if one.get("ip")}),
        "sessions": len(sessions),
    }  # fmt: skip
    common = {
        "roles": roles, "privileged": privileged, "created": user["since"] or "",
        "last_login": _moment(max([0.0, *logins, *seen])), "source": "wordpress",
        "grant_path": [f"role {role}" for role in roles], "account_type": "human",
    }  # fmt: skip
    yield row(
        "cms", user["id"], user["login"], credential_type="password",
        mfa=_wordpress_mfa(meta, plugins), details=details, **common,
    )  # fmt: skip
    for one in _values(_said(meta, "_application_passwords")):
        if isinstance(one, dict):
            used = _moment(_number(one.get("last_used")))
            yield row(
                "cms", user["id"], user["login"], credential_type="application_password",
                mfa="no", **{**common, "last_login": used, "created": _moment(
                    _number(one.get("created")))},
                details={**details, "credential": str(one.get("uuid") or one.get("name") or ""),
                         "name_of_password": str(one.get("name") or ""), "sessions": None,
                         "sources": [str(one["last_ip"])] if one.get("last_ip") else []},
            )  # fmt: skip


def _wordpress_mfa(meta: Mapping[str, Any], plugins: set[str]) -> str:
    """WordPress asks for one factor; a plugin we know, or may not know, can ask for another."""
    for plugin, option in _FACTOR_PLUGINS.items():
        if plugin in plugins:
            said = _said(meta, option)
            return "yes" if said not in (None, "", {}, False, "0", "disabled") else "no"
    return "unknown" if any(_MAYBE_FACTOR.search(name.lower()) for name in plugins) else "no"


def joomla(host: Host, site: Mapping[str, Any]) -> tuple[list[Row], int]:
    """(rows, number of visitors). Raises HostError and what JSON may raise."""
    base = _Base(host, "joomla", site)
    p = base.prefix
    tables = base.has("users", "usergroups", "user_usergroup_map", "user_mfa", "assets",
                      "user_profiles")  # fmt: skip
    if not tables >= {"users", "usergroups", "user_usergroup_map"}:
        raise HostError(f"{base.database} has no table {p}users")
    groups = {
        one["id"]: one
        for one in base.ask(
            "SELECT JSON_OBJECT('id', id, 'parent', parent_id, 'title', title)"  # noqa: S608
            f" FROM {p}usergroups"
        )
    }
    rules = _joomla_rules(base) if "assets" in tables else None
    factors = set()
    if "user_mfa" in tables:
        factors = set(base.ask(f"SELECT DISTINCT user_id FROM {p}user_mfa"))  # noqa: S608
    tokens = set()
    if "user_profiles" in tables:
        tokens = set(base.ask(
            f"SELECT DISTINCT user_id FROM {p}user_profiles"  # noqa: S608
            " WHERE profile_key = 'joomlatoken.enabled' AND profile_value LIKE '%1%'"
        ))  # fmt: skip
    visitors = [one["id"] for one in groups.values() if one["title"].lower() in _REGISTERED]
    users = base.ask(_joomla_users(p, visitors))
    total = base.ask(f"SELECT COUNT(*) FROM {p}users")[0]  # noqa: S608
    rows: list[Row] = []
    for user in users:
        mine = [groups[number] for number in user["groups"] if number in groups]
        rights = None if rules is None else _joomla_rights(mine, groups, rules)
        mfa = ("yes" if user["id"] in factors else "no") if "user_mfa" in tables else "unknown"
        rows += _joomla_rows(user, mine, rights, mfa, user["id"] in tokens, site)
    return rows, int(total) - len(users)


def _joomla_users(p: str, visitors: list[int]) -> str:
    listed = ", ".join(str(int(number)) for number in visitors) or "0"
    return (
        "SELECT JSON_OBJECT('id', u.id, 'login', u.username, 'email', u.email, 'name', u.name,"  # noqa: S608
        " 'block', u.block, 'since', DATE_FORMAT(u.registerDate, '%Y-%m-%dT%H:%i:%sZ'),"
        " 'last', DATE_FORMAT(u.lastvisitDate, '%Y-%m-%dT%H:%i:%sZ'),"
        f" 'groups', JSON_ARRAYAGG(m.group_id)) FROM {p}users u"
        f" JOIN {p}user_usergroup_map m ON m.user_id = u.id AND m.group_id NOT IN ({listed})"
        f" GROUP BY u.id ORDER BY u.id LIMIT {_USERS}"
    )


def _joomla_rules(base: _Base) -> dict[str, dict[str, int]]:
    found = base.ask(
        f"SELECT JSON_QUOTE(rules) FROM {base.prefix}assets WHERE name = 'root.1'"  # noqa: S608
    )
    said = json.loads(found[0]) if found else {}
    return said if isinstance(said, dict) else {}


def _joomla_rights(
    mine: list[dict[str, Any]],
    groups: Mapping[int, Mapping[str, Any]],
    rules: Mapping[str, Any],
) -> set[str]:
    """The site-wide actions that some group of a user, or one above it, allows."""
    found = set()
    for action, said in rules.items():
        for group in mine:
            if _joomla_allowed(group, groups, said if isinstance(said, dict) else {}):
                found.add(action)
    return found


def _joomla_allowed(
    group: Mapping[str, Any], groups: Mapping[int, Mapping[str, Any]], said: Mapping[str, Any]
) -> bool:
    """A refusal anywhere above stands."""
    allowed = False
    seen: set[Any] = set()
    current: Mapping[str, Any] | None = group
    while current is not None and current["id"] not in seen:
        seen.add(current["id"])
        rule = said.get(str(current["id"]))
        if rule in (0, "0"):
            return False
        allowed = allowed or rule in (1, "1")
        current = groups.get(current["parent"])
    return allowed


def _joomla_rows(
    user: Mapping[str, Any],
    mine: list[dict[str, Any]],
    rights: set[str] | None,
    mfa: str,
    token: bool,
    site: Mapping[str, Any],
) -> Iterator[Row]:
    roles = sorted(str(group["title"]) for group in mine)
    privileged = None if rights is None else bool(rights & _SITE_EDITORS)
    flags = ["blocked"] if user["block"] else []
    common = {
        "roles": roles, "privileged": privileged, "created": _joomla_time(user["since"]),
        "last_login": _joomla_time(user["last"]), "source": "joomla", "flags": flags,
        "grant_path": [f"group {role}" for role in roles], "account_type": "human",
    }  # fmt: skip
    details = {
        "place": site["domains"][0], "root": site["root"], "cms": "joomla", "email": user["email"],
        "name": user["name"], "remote": True,
    }  # fmt: skip
    yield row("cms", user["id"], user["login"], credential_type="password", mfa=mfa,
              details=details, **common)  # fmt: skip
    if token:
        yield row("cms", user["id"], user["login"], credential_type="api_token", mfa="no",
                  details={**details, "credential": "api token"},
                  **{**common, "last_login": ""})  # fmt: skip


def _joomla_time(text: Any) -> str:
    return "" if not text or str(text).startswith("0000") else str(text)


def unserialize(text: Any) -> Any:
    """A value as PHP's serialize() wrote it; None where it is none. Objects are not made.

    Lists are mappings with numbers for keys, as in PHP.
    """
    if not isinstance(text, str):
        return None
    try:
        value, end = _unserialized(text.encode("utf-8", "surrogateescape"), 0, 0)
    except (ValueError, IndexError):
        return None
    return value if end else None


def _unserialized(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > 32:
        raise ValueError("too deep")
    kind = data[at : at + 1]
    if kind == b"N":
        return None, at + 2
    end = data.index(b";" if kind in b"bid" else b":", at + 2)
    number = data[at + 2 : end]
    if kind in (b"b", b"i", b"d"):
        plain: Any = float(number) if kind == b"d" else int(number)
        return (bool(plain) if kind == b"b" else plain), end + 1
    if kind == b"s":
        start, length = end + 2, int(number)
        return data[start : start + length].decode("utf-8", "replace"), start + length + 2
    if kind != b"a":
        raise ValueError("not a plain value")
    at, found = end + 2, {}
    for _item in range(int(number)):
        key, at = _unserialized(data, at, depth + 1)
        found[key], at = _unserialized(data, at, depth + 1)
    return found, at + 1


def _said(meta: Mapping[str, Any], name: str) -> Any:
    text = meta.get(name)
    found = unserialize(text)
    return text if found is None and text != "N;" else found


def _plain(value: Any) -> Any:
    found = unserialize(value)
    return value if found is None else found


def _values(said: Any) -> list[Any]:
    return list(said.values()) if isinstance(said, dict) else []


def _number(value: Any) -> float:
    with suppress(TypeError, ValueError):
        return float(value)
    return 0.0


def _moment(when: float) -> str:
    with suppress(OverflowError, ValueError, OSError):
        if when > 0:
            return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ""
