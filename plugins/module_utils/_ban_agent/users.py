# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Accounts of a CMS: shut out, their sessions ended, and let in again.

WordPress is asked by its own functions, as the site's own user. Joomla's tables are changed by the
database's root. A user's name goes nowhere but into an argument and into a quoted text of SQL.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from typing import Any

WORDPRESS = "/usr/local/lib/ringfence/wordpress-user.php"

_TIMEOUT = 60
_JOOMLA_FAILED = "PLG_ACTIONLOG_JOOMLA_USER_LOGIN_FAILED"
_NAME = re.compile(r"[A-Za-z0-9_$]{1,64}")
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,150}")


class UserError(Exception):
    """Why an account could not be shut out or let in, in one line."""


def block(site: dict[str, Any], user: str, until: int) -> str:
    """Shut an account out until then. Returns what `unblock` needs. Raises UserError."""
    if not _USER.fullmatch(user):
        raise UserError("the name of the user is none")
    if site["cms"] == "wordpress":
        return json.dumps(_wordpress(site, "block", user, until))
    if site["cms"] == "joomla":
        return json.dumps(_joomla_block(site, user))
    raise UserError(f"{site['id']} has no accounts that can be blocked")


def unblock(site: dict[str, Any], user: str, state: str) -> None:
    """Let an account in again, unless somebody else had shut it out. Raises UserError."""
    if site["cms"] == "wordpress":
        _wordpress(site, "unblock", user, 0)
    elif site["cms"] == "joomla":
        _joomla_unblock(site, json.loads(state or "{}"))


def _wordpress(site: dict[str, Any], verb: str, user: str, until: int) -> dict[str, Any]:
    try:
        account = pwd.getpwnam(site["user"])
    except KeyError:
        raise UserError(f"{site['id']}: there is no account {site['user']}") from None
    if account.pw_uid == 0:
        raise UserError(f"{site['id']}: its code does not run as root")
    command = [site["php"], "-d", "display_errors=stderr", WORDPRESS]
    command += [site["folder"], site["domain"], verb, user, str(until)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
            cwd="/",
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{site['id']}: {error}") from error
    # A site's own code may print things of its own before.
    for line in reversed(done.stdout.splitlines()):
        if line.startswith('{"ringfence":'):
            answer: dict[str, Any] = json.loads(line)["ringfence"]
            if "error" in answer:
                raise UserError(f"{site['id']}: {answer['error']}")
            return answer
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    raise UserError(f"{site['id']}: WordPress does not answer: {lines[-1]}")


def _joomla_block(site: dict[str, Any], user: str) -> dict[str, Any]:
    users, sessions, keys = (_table(site, name) for name in ("users", "session", "user_keys"))
    name = _quoted(user)
    found = _sql(site, f"SELECT id, block FROM {users} WHERE username = {name}")  # noqa: S608
    rows = [line.split("\t") for line in found.splitlines()]
    if not rows:
        raise UserError(f"{site['id']}: there is no such user")
    number, blocked = int(rows[0][0]), rows[0][1] != "0"
    for statement in (
        f"UPDATE {users} SET block = 1 WHERE id = {number}",  # noqa: S608
        f"DELETE FROM {sessions} WHERE userid = {number}",  # noqa: S608
        f"DELETE FROM {keys} WHERE user_id = {name}",  # noqa: S608
    ):
        _sql(site, statement)
    return {"id": number, "blocked_before": blocked}


def _joomla_unblock(site: dict[str, Any], state: dict[str, Any]) -> None:
    if state.get("blocked_before") or "id" not in state:
        return
    number = int(state["id"])
    _sql(site, f"UPDATE {_table(site, 'users')} SET block = 0 WHERE id = {number}")  # noqa: S608


def joomla_failures(site: dict[str, Any], within: int) -> dict[str, list[int]]:
    """User -> times of bad sign-ins within so many seconds, as Joomla's own action log has them."""
    log, users = _table(site, "action_logs"), _table(site, "users")
    rows = _sql(
        site,
        "SELECT u.username, TIMESTAMPDIFF(SECOND, '1970-01-01', l.log_date)"  # noqa: S608
        f" FROM {log} l JOIN {users} u ON u.id = l.user_id"
        f" WHERE l.message_language_key = '{_JOOMLA_FAILED}' AND u.block = 0"
        f" AND l.log_date > UTC_TIMESTAMP() - INTERVAL {int(within)} SECOND"
        " ORDER BY l.id DESC LIMIT 5000",
    )
    found: dict[str, list[int]] = {}
    for line in rows.splitlines():
        user, _tab, when = line.rpartition("\t")
        if when.lstrip("-").isdigit():
            found.setdefault(user, []).append(int(when))
    return found


def _table(site: dict[str, Any], name: str) -> str:
    prefix = site["database"].get("prefix", "")
    if prefix and not _NAME.fullmatch(prefix):
        raise UserError(f"{site['id']}: the prefix of its tables is none")
    return f"`{prefix}{name}`"


def _sql(site: dict[str, Any], statements: str) -> str:
    database = site["database"].get("name", "")
    if not _NAME.fullmatch(database):
        raise UserError(f"{site['id']}: its database is not known")
    program = "/usr/bin/mariadb" if os.path.exists("/usr/bin/mariadb") else "/usr/bin/mysql"
    command = [program, "--batch", "--skip-column-names", "--default-character-set=utf8mb4"]
    try:
        done = subprocess.run(
            [*command, database],
            input=f"SET SESSION sql_mode = 'STRICT_ALL_TABLES';\n{statements}",
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": "/root"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{site['id']}: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{site['id']}: {lines[0]}")
    return done.stdout


def _quoted(text: str) -> str:
    """A text of SQL, without any character that could end it (sql_mode keeps \\ an escape)."""
    return "CONVERT(X'" + text.encode().hex() + "' USING utf8mb4)"
