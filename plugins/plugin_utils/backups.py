# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the register says of backups, as the host and restic take it; and what is judged of them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _control as c
from ansible_collections.ringfence.hosting.plugins.module_utils._backup_host import SERVER, told
from ansible_collections.ringfence.hosting.plugins.plugin_utils.register_order import seconds

_NEEDED = ("bucket", "password", "writer")
_SHOWN = 5
_CLOCKS_DIFFER = 600
_NO_WORD = (
    "no backup has been tried on its host, or there was no room to write down what came of it"
)
_SERVER_FOLDER = "_servers"
_SERVER_ROOT = "/etc"
_SERVER_OPTIONAL = ("/usr/local/bin", "/usr/local/etc", "/usr/local/sbin", "/var/spool/cron")
# The passwords of clients: whoever opens the agency's repository must not open theirs as well.
_SERVER_EXCLUDE = ("/etc/ringfence/backup",)
_SERVER_DEFAULTS: Mapping[str, Any] = {
    "every": "24h",
    "late_after": "36h",
    "drill_every": "26w",
    "prune_within": "2w",
    "keep": {"daily": 14, "weekly": 8, "monthly": 12},
}
_SERVER_KEYS = frozenset(
    (
        *("enabled", "bucket", "region", "endpoint", "password", "next", "writer", "keeper"),
        *("every", "late_after", "drill_every", "prune_within", "keep", "lock", "escrow"),
        *("include", "exclude"),
    )
)
# What a moment has in common with the others of its hour, its day, …
_PERIODS: Mapping[str, Callable[[datetime], Any]] = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Local time, or with a zone: what --at takes.
_AT = "a time such as 2026-11-26T14:00 or 2026-11-26T14:00+01:00"


class SettingsError(Exception):
    """What the register fails to say, in one line."""


def enabled(site: Mapping[str, Any]) -> bool:
    """Whether a site is to be backed up."""
    return bool(site.get("backup", {}).get("enabled", True))


def missing(site: Mapping[str, Any]) -> list[str]:
    """Keys of `backup` without which a site cannot be backed up."""
    backup = site.get("backup", {})
    return [key for key in _NEEDED if not backup.get(key)]


def repository(site: Mapping[str, Any]) -> str:
    """The address of the repository of a site's client, for restic."""
    backup = site["backup"]
    endpoint = (
        backup.get("endpoint") or f"https://s3.{backup.get('region', 'us-east-1')}.amazonaws.com"
    )
    return f"s3:{endpoint}/{backup['bucket']}/{folder(site)}"


def folder(site: Mapping[str, Any]) -> str:
    """The folder of the bucket that the repository is in."""
    return str(site["backup"].get("repository") or site["client"])


def opening(site: Mapping[str, Any], who: str = "writer") -> dict[str, Any]:
    """What opens the repository: the arguments of `_backup_host.opened`, with the key of `who`.

    Raises SettingsError where the register does not say it.
    """
    backup = site.get("backup", {})
    lacking = [key for key in ("bucket", "password", who) if not backup.get(key)]
    if lacking:
        raise SettingsError(f"{name_of(site)}: the register has no backup.{lacking[0]}")
    return {
        "url": repository(site),
        "password": str(backup["password"]),
        "access": str(backup[who]["key"]),
        "secret": str(backup[who]["secret"]),
        "region": backup.get("region", ""),
    }


def name_of(site: Mapping[str, Any]) -> str:
    """CLIENT/SITE."""
    return f"{site['client']}/{site['id']}"


def owner(site: Mapping[str, Any]) -> str | None:
    """The client whose backup it is; None where it is the agency's own."""
    return None if site["client"] == SERVER else str(site["client"])


def holder(site: Mapping[str, Any]) -> str:
    """Whose repository it is: a client's id, or _server/HOST."""
    return name_of(site) if site["client"] == SERVER else str(site["client"])


def by_repository(sites: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sites by whose repository they are in; those that are not backed up are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for site in sites:
        if enabled(site) and not missing(site):
            found.setdefault(holder(site), []).append(dict(site))
    return found


def server(settings: Mapping[str, Any], host: str) -> list[dict[str, Any]]:
    """The configuration of a host, as a site is given: none where `settings` are empty.

    Each host has a repository and a password of its own, so that one that was broken into opens no
    other's. Raises SettingsError for what cannot be meant.
    """
    if not settings:
        return []
    strange = sorted(set(settings) - _SERVER_KEYS)
    if strange:
        raise SettingsError(f"backup_server: there is no {strange[0]}")
    if not _HOST_NAME.fullmatch(host):
        raise SettingsError(f"backup_server: {host!r} cannot be the name of a folder")
    backup = {**_SERVER_DEFAULTS, **settings, "repository": f"{_SERVER_FOLDER}/{host}"}
    for holder in (backup, backup.get("next") or {}):
        if holder.get("password"):
            derived = {"password": server_password(str(holder["password"]), host)}
            backup |= derived if holder is backup else {"next": derived}
    backup["exclude"] = [*_SERVER_EXCLUDE, *backup.get("exclude", [])]
    site = {"client": SERVER, "id": host, "server": True, "root": _SERVER_ROOT}
    return [{**site, "optional": list(_SERVER_OPTIONAL), "backup": backup}]


def server_password(secret: str, host: str) -> str:
    """The password of a host's own repository: HMAC-SHA256 of its name, in hexadecimal."""
    return hmac.new(secret.encode(), host.encode(), hashlib.sha256).hexdigest()


def jobs(sites: Iterable[Mapping[str, Any]], host: str) -> list[dict[str, Any]]:
    """A job for each client of a host, as the module backup_set takes it.

    Sites without a bucket are left out: that they have no backup is a finding, not a failure.
    Raises SettingsError where two sites of a client are to be opened differently.
    """
    found: dict[str, dict[str, Any]] = {}
    for site in sites:
        if not enabled(site) or missing(site):
            continue
        opened = opening(site)
        job = {
            "client": site["client"],
            "repository": opened["url"],
            "region": opened["region"],
            "password": opened["password"],
            "access_key": opened["access"],
            "secret_key": opened["secret"],
            "host": host,
            "every": seconds(site["backup"].get("every", "24h")),
            "sites": [],
        }
        known = found.setdefault(job["client"], job)
        for key in ("repository", "password", "access_key"):
            if known[key] != job[key]:
                raise SettingsError(
                    f"{name_of(site)}: another {key} than the client's other sites on {host}; "
                    "a client has one repository"
                )
        known["every"] = min(known["every"], job["every"])
        known["sites"].append(_site(site))
    return list(found.values())


def _site(site: Mapping[str, Any]) -> dict[str, Any]:
    backup, database = site["backup"], site.get("database") or {}
    with_database = bool(backup.get("database", True) and database.get("name"))
    local = database.get("host") in (None, "", "localhost", "127.0.0.1", "::1")
    given: dict[str, Any] | None = None
    if with_database:
        given = {"name": database["name"]}
        if not local:
            given |= {
                key: str(database[key]) for key in ("host", "user", "password") if key in database
            }
    return {
        "site": site["id"],
        "paths": list(dict.fromkeys([site["root"], *backup.get("include", [])])),
        "exclude": list(backup.get("exclude", [])),
        "database": given,
        **({"server": True, "optional": site["optional"]} if site.get("server") else {}),
    }


# -- judging ------------------------------------------------------------------------------


def judge(
    site: Mapping[str, Any],
    values: Mapping[str, Any],
    made: Sequence[datetime],
    state: Mapping[str, Any] | None,
    drill: Mapping[str, Any] | None,
    now: float,
    troubles: Mapping[str, str],
) -> list[dict[str, Any]]:
    """The findings of a site's backups.

    `made`: when each snapshot was made, oldest first, as the repository says; `state`: what
    the host's last run wrote; `drill`: the last proven restore, as `drill_record` reads it.
    `troubles`: why one of `repository` and `host` could not be asked.
    """
    if not enabled(site):
        said = "the site is not backed up"
        others = ("recent", "succeeded", "consistent", "pruned", "drilled")
        rest = [_finding(f"backups_{one}", c.NOT_APPLICABLE, message=said) for one in others]
        return [_configured(site), *rest]
    return [
        _configured(site),
        _recent(values["backups_recent"], made, now, troubles.get("repository")),
        _succeeded(state, troubles.get("host")),
        _consistent(state, troubles.get("host")),
        _pruned(site, values["backups_pruned"], made, now, troubles.get("repository")),
        drilled(values["backups_drilled"], drill, now, "" if missing(site) else repository(site)),
    ]


def _finding(name: str, status: str, **said: Any) -> dict[str, Any]:
    return {"id": name, "status": status, **said}


def _configured(site: Mapping[str, Any]) -> dict[str, Any]:
    if not enabled(site):
        return _finding(
            "backups_configured", c.FAIL, message="backups are switched off in the register"
        )
    lacking = missing(site)
    if lacking:
        said = f"the register has no backup.{', backup.'.join(lacking)}"
        return _finding("backups_configured", c.FAIL, message=said)
    return _finding("backups_configured", c.PASS)


def _recent(late: str, made: Sequence[datetime], now: float, trouble: str | None) -> dict[str, Any]:
    name = "backups_recent"
    if trouble:
        return _finding(name, c.ERROR, expected=late, message=trouble)
    if not made:
        return _finding(name, c.FAIL, expected=late, message="the repository holds no backup of it")
    newest = made[-1].timestamp()
    age = now - newest
    observed = f"{age / 3600:.1f} h old, of {told(newest)}"
    if age < -_CLOCKS_DIFFER:
        said = "the newest backup is from the future: a clock is off"
        return _finding(name, c.FAIL, expected=late, observed=observed, message=said)
    if age > seconds(late):
        said = f"the newest backup is late: {observed}"
        return _finding(name, c.FAIL, expected=late, observed=observed, message=said)
    return _finding(name, c.PASS, expected=late, observed=observed)


def _succeeded(state: Mapping[str, Any] | None, trouble: str | None) -> dict[str, Any]:
    name = "backups_succeeded"
    if trouble:
        return _finding(name, c.ERROR, message=trouble)
    if not state:
        return _finding(name, c.FAIL, message=_NO_WORD)
    if state.get("error"):
        good = (
            f"; the last good one was at {told(state['last_good'])}"
            if state.get("last_good")
            else ""
        )
        return _finding(name, c.FAIL, message=f"the last backup failed: {state['error']}{good}")
    observed = f"{state['files']} files, {state['tables']} tables with {state['rows']} rows"
    return _finding(name, c.PASS, observed=observed)


def _consistent(state: Mapping[str, Any] | None, trouble: str | None) -> dict[str, Any]:
    name = "backups_consistent"
    if trouble:
        return _finding(name, c.ERROR, message=trouble)
    if not state or state.get("error"):
        return _finding(name, c.FAIL, message="there is no good backup to judge")
    unsafe = state.get("unsafe_tables", [])
    if unsafe:
        more = f" and {len(unsafe) - _SHOWN} more" if len(unsafe) > _SHOWN else ""
        said = f"not InnoDB, so a write may fall into the dump: {', '.join(unsafe[:_SHOWN])}{more}"
        return _finding(name, c.FAIL, message=said)
    return _finding(name, c.PASS)


def _pruned(
    site: Mapping[str, Any],
    within: str,
    made: Sequence[datetime],
    now: float,
    trouble: str | None,
) -> dict[str, Any]:
    """Whether what should have gone for so long did go: that is seen in what is still there."""
    name = "backups_pruned"
    if trouble:
        return _finding(name, c.ERROR, expected=within, message=trouble)
    if not made:
        return _finding(name, c.NOT_APPLICABLE, message="there is no backup of it")
    keep = site["backup"].get("keep") or {}
    if not any(keep.values()):
        said = "the register keeps nothing of it (backup.keep), so nothing is ever pruned"
        return _finding(name, c.FAIL, expected=within, message=said)
    then = now - seconds(within)
    due = unkept([one for one in made if one.timestamp() <= then], keep)
    if due:
        oldest = told(due[0].timestamp())
        said = (
            f"not pruned for {within} or longer: {len(due)} of {len(made)} backups were no longer "
            f"to be kept at {told(then)} and are still there, the oldest of {oldest}"
        )
        return _finding(name, c.FAIL, expected=within, message=said)
    return _finding(name, c.PASS, expected=within, observed=f"{len(made)} backups")


def unkept(made: Sequence[datetime], keep: Mapping[str, int]) -> list[datetime]:
    """Which of `made` (oldest first, by their hosts' clocks) `keep` does not keep, as restic
    reckons: of each period the newest one, and the oldest of all while there are periods left."""
    left = {period: keep[period] for period in _PERIODS if keep.get(period)}
    last: dict[str, Any] = {}
    gone = []
    for number, one in enumerate(reversed(made), 1):
        kept = False
        for period, count in left.items():
            mark = _PERIODS[period](one)
            if count and (last.get(period) != mark or number == len(made)):
                last[period], left[period], kept = mark, count - 1, True
        gone += [] if kept else [one]
    return gone[::-1]


def drilled(
    every: str, drill: Mapping[str, Any] | None, now: float, repository: str = ""
) -> dict[str, Any]:
    """The finding of the last drill: `every` is how old it may be.

    `repository`: where the site's backups are now; a restore from elsewhere proves nothing of them.
    """
    name = "backups_drilled"
    if drill is None:
        return _finding(name, c.FAIL, expected=every, message="a restore was never tried")
    if not drill["snapshot"]:
        said = f"the last tried restore failed, on {drill['on']} at {told(drill['at'])}: "
        return _finding(name, c.FAIL, expected=every, message=said + "; ".join(drill["wrong"]))
    observed = drill_told(drill)
    origin = drill.get("repository") or repository
    if repository and origin != repository:
        said = f"the last tried restore was of another repository, {origin}"
        return _finding(name, c.FAIL, expected=every, observed=observed, message=said)
    if drill["at"] - now > _CLOCKS_DIFFER:
        said = f"the last tried restore is from the future, a clock is off: {told(drill['at'])}"
        return _finding(name, c.FAIL, expected=every, observed=observed, message=said)
    if drill["wrong"]:
        said = f"the last restore was not what was backed up: {'; '.join(drill['wrong'][:_SHOWN])}"
        return _finding(name, c.FAIL, expected=every, observed=observed, message=said)
    if now - drill["at"] > seconds(every):
        said = f"the last tried restore is too old: {told(drill['at'])}"
        return _finding(name, c.FAIL, expected=every, observed=observed, message=said)
    return _finding(name, c.PASS, expected=every, observed=observed)


# -- drills -------------------------------------------------------------------------------


def drill_result(
    site: Mapping[str, Any],
    proof: Mapping[str, Any],
    snapshot: Mapping[str, Any],
    took: float,
    on: str,
) -> dict[str, Any]:
    """What a tried restore came to, from what `_backup_host.prove` says."""
    files, database = proof["files"], proof["database"]
    wrong = [f"missing: {path}" for path in files["missing"]]
    wrong += [f"different: {path}" for path in files["different"]]
    wrong += [f"table {line}" for line in (database or {}).get("wrong", [])]
    if not files["matched"]:
        wrong.append("no file at all was compared")
    if database is None and _site(site)["database"] is not None:
        wrong.append("no database came back, and the register names one")
    at = time.time()
    return {
        "site": name_of(site),
        "repository": "" if missing(site) else repository(site),
        "on": on,
        "at": at,
        "snapshot": snapshot["id"],
        "recovery_point": round(at - took - snapshot["time"], 1),
        "recovery_time": round(took, 2),
        "matched": files["matched"],
        "moved_on": len(files["moved_on"]),
        "tables": (database or {}).get("tables", 0),
        "rows": (database or {}).get("rows", 0),
        "wrong": wrong,
    }


def drill_failed(site: Mapping[str, Any], why: str, on: str) -> dict[str, Any]:
    """A tried restore of which nothing came: the last word, whatever an earlier one proved."""
    numbers = dict.fromkeys(("matched", "moved_on", "tables", "rows"), 0)
    times = {"at": time.time(), "recovery_time": 0.0, "recovery_point": 0.0}
    return {"site": name_of(site), "on": on, "snapshot": "", **times, **numbers, "wrong": [why]}


def drill_told(drill: Mapping[str, Any]) -> str:
    """A drill in one line, with recovery time and point."""
    moved = f", {drill['moved_on']} written to during the backup" if drill["moved_on"] else ""
    return (
        f"restored on {drill['on']} at {told(drill['at'])}: {drill['matched']} paths the same"
        f"{moved}, {drill['tables']} tables with {drill['rows']} rows; recovery time "
        f"{drill['recovery_time']:.1f} s, recovery point {drill['recovery_point'] / 3600:.1f} h"
    )


def drill_file(site: Mapping[str, Any]) -> Path:
    """Where the controller keeps the last drill of a site."""
    base = Path(os.environ.get("RINGFENCE_EVIDENCE_DIR") or "evidence")
    return base / "backup-drills" / str(site["client"]) / f"{site['id']}.json"


def keep_drill(site: Mapping[str, Any], drill: Mapping[str, Any]) -> None:
    """Keep it for the next audit."""
    path = drill_file(site)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".new")
    staged.write_text(json.dumps(drill, indent=2) + "\n", encoding="utf-8")
    staged.replace(path)


def drill_record(site: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last drill of a site, None where there was none. Raises ValueError for a broken file."""
    try:
        text = drill_file(site).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found: dict[str, Any] = json.loads(text)
    return found


def moment(text: str) -> float:
    """What --at says, in seconds since 1970; without a zone it is the controller's."""
    try:
        return (
            datetime.fromisoformat(re.sub(r"Z$", "+00:00", text.strip())).astimezone().timestamp()
        )
    except ValueError:
        raise SettingsError(f"found {text!r}, expected {_AT}") from None
