# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host says of its accounts, of what sshd asks them for, and of who is enrolled."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _totp
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._totp import TotpError
from ansible_collections.ringfence.hosting.plugins.module_utils._totp_policy import (
    SSHD_CONFIG,
    STATE_FOLDER,
)

HISTORY = "/var/lib/ringfence/second-factor-history.jsonl"

_SSHD = "/usr/sbin/sshd"
_DROP_INS = "/etc/ssh/sshd_config.d"
_MATCH = re.compile(rb"(?im)^[ \t]*match[ \t]")
_MODULES = ("/lib/*/security", "/usr/lib/*/security")
_KEY_BYTES = 1 << 16
_KEPT_EVENTS = 10_000


@dataclass(frozen=True)
class Account:
    """A line of the account database; `password`: one can be typed for it."""

    name: str
    uid: int
    home: str
    groups: frozenset[str]
    password: bool


class Sshd:
    """What `sshd -T -C` says: of the live configuration, or of one that `config` names."""

    def __init__(self, host: Host, config: str = SSHD_CONFIG) -> None:
        self._host, self._config = host, config

    def effective(self, user: str, address: str) -> dict[str, list[str]]:
        """Option -> its values for `user` who comes from `address`. Raises HostError."""
        spec = f"user={user},host={address},addr={address},laddr=192.0.2.254,lport=22"
        listing = self._host.output([_SSHD, "-T", "-f", self._config, "-C", spec])
        found: dict[str, list[str]] = {}
        for line in listing.splitlines():
            key, _space, value = line.partition(" ")
            found.setdefault(key, []).append(value)
        return found

    def asks_for_code(self, user: str, address: str) -> bool:
        """Whether no way in for `user` from `address` goes without PAM's question for the code."""
        found = self.effective(user, address)
        ways = " ".join(found["authenticationmethods"]).split()
        asked = all("keyboard-interactive:pam" in way.split(",") for way in ways)
        needed = found["usepam"] + found["kbdinteractiveauthentication"]
        return asked and needed == ["yes", "yes"]


@contextlib.contextmanager
def candidate(host: Host, contents: Mapping[str, str | None]) -> Iterator[Sshd]:
    """The sshd that would run with `contents` (path -> text, None: removed). Nothing is written."""
    with tempfile.TemporaryDirectory(prefix="ringfence-sshd-") as scratch:
        drop_ins = Path(scratch, "drop-ins")
        drop_ins.mkdir(mode=0o700)
        for name in host.names(_DROP_INS):
            (drop_ins / name).write_bytes(host.read(f"{_DROP_INS}/{name}") or b"")
        for path, text in contents.items():
            if os.path.dirname(path) == _DROP_INS:
                copy = drop_ins / os.path.basename(path)
                copy.unlink(missing_ok=True)
                if text is not None:
                    copy.write_text(text, encoding="utf-8")
        main = host.read(SSHD_CONFIG) or b""
        pattern = rb"(?im)^(\s*include\s+)" + re.escape(_DROP_INS.encode())
        config = Path(scratch, "sshd_config")
        config.write_bytes(re.sub(pattern, rb"\g<1>" + os.fsencode(drop_ins), main))
        try:
            yield Sshd(host, str(config))
        except HostError as error:
            raise HostError(str(error).replace(str(drop_ins), _DROP_INS)) from error


def has_other_matches(host: Host, ours: str) -> bool:
    """Whether somebody else's Match block could overrule what `ours` (a drop-in) says."""
    paths = [SSHD_CONFIG, *(f"{_DROP_INS}/{name}" for name in host.names(_DROP_INS))]
    return any(_MATCH.search(host.read(path) or b"") for path in paths if path != ours)


def accounts(host: Host) -> dict[str, Account]:
    """Every account by name, from the host's own databases. Raises HostError."""
    return host.once("accounts", lambda: _accounts(host))


def group_names(host: Host) -> set[str]:
    """The names of the groups that the host knows."""
    return {row[0] for row in _database(host, "group", 4)}


def can_sign_in(host: Host, account: Account, sshd: Mapping[str, list[str]]) -> bool:
    """Whether the account has a key or a password that sshd (its options) takes now.

    Counts too many rather than too few: a shell of nologin still allows sftp and forwarding.
    """
    if not admitted(account, sshd):
        return False
    typed = "yes" in sshd["passwordauthentication"] + sshd["kbdinteractiveauthentication"]
    if account.uid == 0 and sshd["permitrootlogin"] != ["yes"]:
        typed = False
    if typed and account.password:
        return True
    if sshd.get("authorizedkeyscommand", ["none"]) != ["none"]:
        return True
    return any(_has_key(host.real(path)) for path in key_files(account, sshd))


def state_path(account: str) -> str:
    """Where the secret of `account` is kept."""
    return f"{STATE_FOLDER}/{_totp.checked_name(account)}"


def state_of(host: Host, account: str) -> _totp.State | None:
    """The enrolment of `account`; None where there is none.

    Raises TotpError for a file that PAM would refuse or that others can read.
    """
    path = state_path(account)
    found = host.attributes(path)
    if found is None:
        return None
    if found.kind != "file" or found.uid != 0 or found.mode & 0o077:
        raise TotpError(f"{path}: expected a plain file of root's that only root can read")
    try:
        return _totp.parse((host.read(path) or b"").decode("ascii", "replace"))
    except TotpError as error:
        raise TotpError(f"{path}: {error}") from error


def enrolled_names(host: Host) -> list[str]:
    """The accounts for which there is a state file; PAM's own temporary files are none."""
    return [name for name in host.names(STATE_FOLDER) if _is_name(name)]


def module_installed(host: Host) -> bool:
    """Whether PAM finds pam_google_authenticator.so."""
    return any(host.glob(f"{folder}/pam_google_authenticator.so") for folder in _MODULES)


def note(host: Host, event: str, account: str, operator: str, reason: str = "") -> None:
    """Append to the history: root's alone, one JSON document a line, no secret in it."""
    entry = {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "event": event,
        "account": account,
        "operator": operator,
    }
    if reason:
        entry["reason"] = reason
    lines = (host.read(HISTORY) or b"").splitlines()[-_KEPT_EVENTS:]
    lines.append(json.dumps(entry, ensure_ascii=True).encode())
    replace_file(host, HISTORY, b"\n".join(lines) + b"\n", 0o600)


def history(host: Host) -> dict[str, dict[str, Any]]:
    """Account -> its last event."""
    found: dict[str, dict[str, Any]] = {}
    for line in (host.read(HISTORY) or b"").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            found[entry["account"]] = entry
    return found


def _accounts(host: Host) -> dict[str, Account]:
    groups = _database(host, "group", 4)
    by_number = {row[2]: row[0] for row in groups}
    memberships: dict[str, set[str]] = {}
    for row in groups:
        for member in filter(None, row[3].split(",")):
            memberships.setdefault(member, set()).add(row[0])
    hashes = {row[0]: row[1] for row in _database(host, "shadow", 2)}
    found = {}
    for name, _x, uid, gid, _gecos, home, *_shell in _database(host, "passwd", 7):
        names = memberships.get(name, set()) | ({by_number[gid]} if gid in by_number else set())
        typed = hashes.get(name, "*")
        # An empty field is a password of no characters, which sshd takes by its own option only.
        password = bool(typed) and typed[0] not in "!*x"
        found[name] = Account(name, int(uid), home, frozenset(names), password)
    return found


def _database(host: Host, name: str, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in host.output(["getent", name]).splitlines()]
    return [row for row in rows if len(row) >= fields and row[0]]


def admitted(account: Account, sshd: Mapping[str, list[str]]) -> bool:
    """What AllowUsers and its like say; a pattern's host part is taken to match."""
    if account.uid == 0 and sshd["permitrootlogin"] == ["no"]:
        return False
    users = {key: _patterns(sshd, key) for key in ("allowusers", "denyusers")}
    denied = [p for p in users["denyusers"] if "@" not in p]
    if _matches(denied, [account.name]):
        return False
    allowed = [pattern.partition("@")[0] for pattern in users["allowusers"]]
    if allowed and not _matches(allowed, [account.name]):
        return False
    if _matches(_patterns(sshd, "denygroups"), account.groups):
        return False
    groups = _patterns(sshd, "allowgroups")
    return not groups or _matches(groups, account.groups)


def _patterns(sshd: Mapping[str, list[str]], key: str) -> list[str]:
    return " ".join(sshd.get(key, [])).split()


def _matches(patterns: list[str], names: Any) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def key_files(account: Account, sshd: Mapping[str, list[str]]) -> list[str]:
    found = []
    for pattern in " ".join(sshd.get("authorizedkeysfile", [])).split():
        if pattern == "none":
            continue
        path = pattern.replace("%h", account.home).replace("%u", account.name)
        path = path.replace("%U", str(account.uid)).replace("%%", "%")
        found.append(path if path.startswith("/") else f"{account.home}/{path}")
    return found


def _has_key(path: str) -> bool:
    """Whether a line could be a key. The file is its user's, so it may be a pipe: never wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        lines = handle.read(_KEY_BYTES).splitlines()
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in lines)


def _is_name(name: str) -> bool:
    try:
        return bool(_totp.checked_name(name))
    except TotpError:
        return False
