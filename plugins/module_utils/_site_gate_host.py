# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gate on the host: its files are written, its service runs, its accounts are those declared.

The accounts lie in the gate's own folder. Who is no longer to pass loses the account with it.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _site_config,
    _site_gate,
    _site_gate_probe,
    _totp,
    _totp_enrolment,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._site_gate import Gate, GateError

HISTORY = f"{_site_gate.STATE}/history.jsonl"
_USERS, _LINKS = f"{_site_gate.STATE}/users", f"{_site_gate.STATE}/links"
_FOLDERS = ("", "/users", "/links", "/sessions", "/sessions/lock", "/cache")
_UNIT_FILE = f"/etc/systemd/system/{_site_gate.UNIT}"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEY_BYTES = 24
_TOKEN_BYTES = 32
_READY_SECONDS = 60


@dataclass
class Plan:
    """What would be done: path -> text (None: removed), accounts that go, and the web servers'."""

    files: dict[str, str | None] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)
    accounts: list[str] = field(default_factory=list)
    web: _site_config.Plan = field(default_factory=_site_config.Plan)
    start: bool = False
    stop: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.files or self.accounts or self.web.changed or self.start or self.stop)


def plan(host: Host, gate: Gate | None, sites: list[dict[str, Any]]) -> Plan:
    """What has to change. Raises GateError, HostError or ConfigError, nothing being changed."""
    made = Plan(secret={_site_gate.LM_CONF})
    if gate is not None:
        for path in (gate.certificate, gate.certificate_key):
            if not os.path.isfile(host.real(path)):
                raise GateError(
                    f"{path}: there is no such file on this host: the sign-in page at "
                    f"{gate.portal} needs a certificate and its key"
                )
    wanted = _files(host, gate)
    made.files = {path: text for path, text in wanted.items() if host.text(path) != text}
    allowed = {user for site in gate.sites for user in site.users} if gate else set()
    made.accounts = sorted(accounts(host) - allowed)
    texts, modules = _site_gate.web_files(gate)
    files = {path: _site_config.File(text.encode()) for path, text in texts.items()}
    made.web = _site_config.plan(host, _site_gate.FEATURE, sites, files, modules)
    if made.web.refused:
        raise GateError("; ".join(made.web.refused))
    running = _is_active(host)
    made.start = gate is not None and (not running or not _is_enabled(host))
    made.stop = gate is None and (running or host.exists(_UNIT_FILE))
    return made


def carry_out(host: Host, made: Plan, gate: Gate | None) -> list[str]:
    """Do it; returns the web servers that were told. Raises HostError or ConfigError.

    With a gate the service is up before a web server asks it; without one, the web servers have
    stopped asking before the service is.
    """
    if gate is None:
        reloaded = _site_config.carry_out(host, made.web) if made.web.changed else []
        _remove(host, made)
        return reloaded
    _make_folders(host)
    restart = [path for path in made.files if path != _site_gate.SETTINGS]
    for path, text in made.files.items():
        _write(host, path, text or "", secret=path in made.secret)
    for name in made.accounts:
        _forget(host, name)
        note(host, "removed", name, "may pass no gate of this host any more")
    if restart:
        host.output(["systemctl", "daemon-reload"])
    if made.start or restart:
        host.output(["systemctl", "enable", "--quiet", _site_gate.UNIT])
        host.output(["systemctl", "restart", _site_gate.UNIT])
    _wait_until_ready(host)
    _site_gate_probe.require_portal(host, gate.portal)
    return _site_config.carry_out(host, made.web) if made.web.changed else []


def diffs(host: Host, made: Plan) -> list[dict[str, str]]:
    """Ansible's diff, without the key that cookies are encrypted with."""
    found = [
        {
            "before_header": path,
            "after_header": path,
            "before": _shown(host.text(path)),
            "after": _shown(text),
        }
        for path, text in made.files.items()
    ]
    found += [
        {"header": f"account {name}", "before": "there\n", "after": ""} for name in made.accounts
    ]
    return [*found, *_site_config.diffs(made.web)]


# --- people


def settings(host: Host) -> dict[str, Any]:
    """What the gate's own code reads. Raises GateError where this host has no gate."""
    text = host.text(_site_gate.SETTINGS)
    if text is None:
        raise GateError("there is no gate on this host: no site on it asks for one, or the role "
                        "ringfence.hosting.site_gate was not applied")  # fmt: skip
    found: dict[str, Any] = json.loads(text)
    return found


def may_pass(host: Host, user: str) -> list[str]:
    """The sites whose gate `user` may pass. Raises GateError for one who may pass none."""
    if not _NAME.fullmatch(user):
        raise GateError(f"user {_totp.shown(user)}: expected the id of a person in people.yml")
    rows = settings(host)["sites"]
    found = sorted(name for name, row in rows.items() if user in row["users"])
    if not found:
        raise GateError(
            f"user {user!r} may pass no gate of this host: name them in "
            "security.second_factor.gate_users of a site and apply the role first"
        )
    return found


def require_enrollable(host: Host, user: str) -> None:
    """Raises GateError where `user` may not pass or is enrolled already."""
    may_pass(host, user)
    if host.exists(_account_path(user)):
        raise GateError(f"user {user!r} is enrolled already; for a lost token run gate_reset.yml")


def link(host: Host, user: str, hours: int, public_key: str, operator: str) -> str:
    """Make a one-time link, the only one of `user`. Returns it encrypted to `public_key`, base64.

    The secret that it leads to is made here and stays here; the host keeps a hash of the link.
    """
    require_enrollable(host, user)
    known = settings(host)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    networks = [known["sites"][name]["enrol_from"] for name in may_pass(host, user)]
    document = {
        "expires": int(time.time()) + hours * 3600,
        "networks": [one for one in networks if one],
        "secret": _totp.new_secret(),
        "user": user,
    }
    sealed = _totp_enrolment.sealed(f"https://{known['portal']}/enrol/{token}", public_key)
    _forget_links(host, user)
    path = f"{_LINKS}/{hashlib.sha256(token.encode()).hexdigest()}.json"
    _write_owned(host, path, json.dumps(document, sort_keys=True))
    note(host, "link", user, f"for {hours} h", operator)
    return sealed


def reset(host: Host, user: str, reason: str, operator: str, *, check: bool) -> bool:
    """Take the account of `user` back, and links under way. Returns whether there was any."""
    if not _NAME.fullmatch(user):
        raise GateError(f"user {_totp.shown(user)}: expected the id of a person in people.yml")
    if not reason.strip() or not reason.isprintable():
        raise GateError("reason: expected one printable line that says why, such as 'phone lost'")
    there = host.exists(_account_path(user)) or bool(_links(host, user))
    if there and not check:
        note(host, "reset", user, reason.strip(), operator)
        _forget(host, user)
    return there


def status(host: Host, now: float) -> list[dict[str, Any]]:
    """Each person who may pass or has an account, as `gate_info` returns them. No secret."""
    rows = settings(host)["sites"]
    names = {user for row in rows.values() for user in row["users"]} | accounts(host)
    return [_status(host, name, rows, now) for name in sorted(names)]


def table(rows: list[dict[str, Any]]) -> list[str]:
    """`status` as lines to read."""
    width = max((len(row["user"]) for row in rows), default=0)
    return [f"{row['user']:{width}}  {_line(row)}" for row in rows]


def note(host: Host, event: str, user: str, about: str, operator: str = "") -> None:
    """Append to the gate's history."""
    entry = {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "event": event, "user": user,
             "about": about}  # fmt: skip
    if operator:
        entry["operator"] = operator
    line = json.dumps(entry, sort_keys=True) + "\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    descriptor = os.open(host.real(HISTORY), flags, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(line)
        os.fchown(file.fileno(), *_owner())


def _status(
    host: Host, name: str, rows: Mapping[str, dict[str, Any]], now: float
) -> dict[str, Any]:
    account = _account(host, name)
    pending = [one["expires"] for one in _links(host, name).values() if one["expires"] > now]
    return {
        "user": name,
        "sites": sorted(site for site, row in rows.items() if name in row["users"]),
        "enrolled": _day(account["enrolled_at"]) if account else "",
        "recovery_codes": len(account["recovery"]) if account else 0,
        "locked_until": _moment(account["locked_until"])
        if account and account["locked_until"] > now
        else "",
        "link_until": _moment(max(pending)) if pending else "",
    }


def _line(row: Mapping[str, Any]) -> str:
    parts = [f"may pass {', '.join(row['sites'])}" if row["sites"] else "may pass no site"]
    if row["enrolled"]:
        parts.append(f"enrolled {row['enrolled']}, {row['recovery_codes']} recovery codes left")
    else:
        parts.append("not enrolled")
    if row["link_until"]:
        parts.append(f"a link is open until {row['link_until']}")
    if row["locked_until"]:
        parts.append(f"locked until {row['locked_until']}")
    return "; ".join(parts)


def accounts(host: Host) -> set[str]:
    """Everybody who has a sign-in here."""
    names = (name.removesuffix(".json") for name in host.names(_USERS) if name.endswith(".json"))
    return {name for name in names if _NAME.fullmatch(name)}


def _account(host: Host, name: str) -> dict[str, Any] | None:
    data = host.read(_account_path(name))
    if data is None:
        return None
    try:
        found: dict[str, Any] = json.loads(data)
        return {**found, "enrolled_at": int(found["enrolled_at"])}
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"{_account_path(name)} cannot be understood") from error


def _account_path(user: str) -> str:
    return f"{_USERS}/{user}.json"


def _links(host: Host, user: str) -> dict[str, dict[str, Any]]:
    found = {}
    for name in host.names(_LINKS):
        with contextlib.suppress(ValueError, TypeError):
            document = json.loads(host.read(f"{_LINKS}/{name}") or b"{}")
            if document.get("user") == user:
                found[f"{_LINKS}/{name}"] = document
    return found


def _forget_links(host: Host, user: str) -> None:
    for path in _links(host, user):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(host.real(path))


def _forget(host: Host, user: str) -> None:
    _forget_links(host, user)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(host.real(_account_path(user)))


# --- files and the service


def _files(host: Host, gate: Gate | None) -> dict[str, str | None]:
    if gate is None:
        names = [_site_gate.LM_CONF, _site_gate.SETTINGS, _ini_path(), _UNIT_FILE]
        return {path: None for path in names if host.exists(path)}
    key = _known_key(host) or base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return {
        _ini_path(): _site_gate.ini(),
        _site_gate.LM_CONF: _site_gate.rendered(_site_gate.lm_conf(gate, key)),
        _site_gate.SETTINGS: _site_gate.rendered(_site_gate.settings(gate)),
        _UNIT_FILE: _site_gate.unit(),
    }


def _ini_path() -> str:
    return f"{_site_gate.CONFIGURATION}/lemonldap-ng.ini"


def _known_key(host: Host) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = json.loads(host.read(_site_gate.LM_CONF) or b"{}")["key"]
        return str(found)
    return ""


def _owner() -> tuple[int, int]:
    try:
        found = pwd.getpwnam(_site_gate.ACCOUNT)
    except KeyError as error:
        raise HostError(f"there is no account {_site_gate.ACCOUNT} on this host") from error
    return found.pw_uid, found.pw_gid


def _make_folders(host: Host) -> None:
    os.makedirs(host.real(os.path.dirname(_site_gate.LM_CONF)), mode=0o755, exist_ok=True)
    for folder in _FOLDERS:
        path = host.real(f"{_site_gate.STATE}{folder}")
        os.makedirs(path, mode=0o700, exist_ok=True)
        os.chmod(path, 0o700)
        os.chown(path, *_owner())


def _write(host: Host, path: str, text: str, *, secret: bool) -> None:
    replace_file(host, path, text.encode(), 0o640 if secret else 0o644)
    if secret:
        os.chown(host.real(path), 0, grp.getgrnam(_site_gate.ACCOUNT).gr_gid)
        os.chmod(host.real(path), 0o640)


def _write_owned(host: Host, path: str, text: str) -> None:
    replace_file(host, path, text.encode(), 0o600)
    os.chown(host.real(path), *_owner())


def _remove(host: Host, made: Plan) -> None:
    if made.stop:
        host.run(["systemctl", "disable", "--quiet", "--now", _site_gate.UNIT])
    for path in made.files:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(host.real(path))
    if made.stop or made.files:
        host.output(["systemctl", "daemon-reload"])
        host.run(["systemctl", "reset-failed", _site_gate.UNIT])
    for folder in (_site_gate.CONFIGURATION, _site_gate.STATE):
        shutil.rmtree(host.real(folder), ignore_errors=True)


def _is_active(host: Host) -> bool:
    return host.run(["systemctl", "is-active", "--quiet", _site_gate.UNIT]).rc == 0


def _is_enabled(host: Host) -> bool:
    return host.run(["systemctl", "is-enabled", "--quiet", _site_gate.UNIT]).rc == 0


def _wait_until_ready(host: Host) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not os.path.exists(host.real(_site_gate.SOCKET)):
        if time.monotonic() > deadline:
            raise HostError(
                f"{_site_gate.UNIT} did not open {_site_gate.SOCKET} within {_READY_SECONDS} s: "
                f"journalctl -u {_site_gate.UNIT} says why"
            )
        time.sleep(0.1)


def _shown(text: str | None) -> str:
    return re.sub(r'("key": )"[^"]*"', r'\1"(not shown)"', text or "")


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _moment(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
