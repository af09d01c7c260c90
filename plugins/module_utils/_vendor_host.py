# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings a host's accounts of third parties' people to what was granted; planned whole first.

Only accounts in our own record are ever touched. The same code runs by itself on the host, by a
timer, from the grants that were last given: it ends what is over between two runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _host,
    _vendor_access,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)
from ansible_collections.ringfence.hosting.plugins.module_utils._vendor_access import (
    AGEING,
    GROUP,
    KEYS,
    SSHD,
    SUDOERS,
    State,
    VendorError,
    Wanted,
)

FOLDER = "/var/lib/ringfence/vendor-access"
STATE = f"{FOLDER}/state.json"
PROGRAM = f"{FOLDER}/vendor-access.pyz"
SERVICE = "/etc/systemd/system/ringfence-vendor-access.service"
TIMER = "/etc/systemd/system/ringfence-vendor-access.timer"
_LOCK = "/run/ringfence-vendor-access.lock"
_LOCK_SECONDS = 60
_SHELL, _NO_SHELL = "/bin/bash", "/usr/sbin/nologin"
# No password opens it, and PAM does not take it for locked.
_NO_PASSWORD = "*"  # noqa: S105
_EXPIRED = "1"  # of /etc/shadow: since 1970
_CRONTABS = "/var/spool/cron/crontabs"
_PACKAGE = "ansible_collections/ringfence/hosting/plugins/module_utils"
_HEADER = "# Ringfence writes this file (role vendor_access); changes to it are lost.\n"
_SERVICE_TEXT = f"""{_HEADER}[Unit]
Description=Ends the access of third parties' people on its last day

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {PROGRAM}
"""
# Some minutes after midnight UTC, when a last day is over; and at boot, where it was missed.
_TIMER_TEXT = f"""{_HEADER}[Unit]
Description=Ends the access of third parties' people on its last day

[Timer]
OnCalendar=*-*-* 00:00:05 UTC
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Account:
    """What /etc/passwd and /etc/shadow say. `expires`: days since 1970, or ""."""

    uid: int
    comment: str
    home: str
    shell: str
    password: str
    expires: str


@dataclass
class Plan:
    """`files`: path -> text (None: removed). `steps`: commands. `closing`: who loses access now."""

    wanted: Wanted
    state: State
    files: dict[str, str | None] = field(default_factory=dict)
    steps: list[list[str]] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    machinery: dict[str, bytes] = field(default_factory=dict)
    timer: bool = False
    homes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    record: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        work = (self.files, self.steps, self.closing, self.machinery, self.timer, self.record)
        return any(work)


@contextlib.contextmanager
def alone(host: Host) -> Iterator[None]:
    """One run at a time: the timer's or a play's."""
    os.makedirs(host.real("/run"), exist_ok=True)
    with open(host.real(_LOCK), "w", encoding="ascii") as handle:
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise VendorError("another run changes vendors' accounts now") from None
                time.sleep(0.1)
        yield


def read_state(host: Host) -> State:
    """Our record of this host. Raises VendorError where it cannot be read."""
    text = host.text(STATE)
    if text is None:
        return State()
    try:
        said = json.loads(text)
        return State(said["accounts"], said["revoked"], said["rows"])
    except (ValueError, KeyError, TypeError):
        raise VendorError(f"{STATE}: is not what was written; restore it from a backup") from None


def plan(
    host: Host,
    rows: list[dict[str, Any]],
    today: date,
    *,
    revoke: list[str] | None = None,
    reinstate: list[str] | None = None,
    user: str = "",
    timer: bool = True,
    record_days: int | None = None,
) -> Plan:
    """What has to be done. `user`: who the play comes in as. Raises VendorError or HostError.

    `record_days`: for how long sudo's records are kept, 0 for ever; None leaves that as it is.
    """
    state = read_state(host)
    accounts = read_accounts(host)
    _forget_strangers(state, accounts)
    grants = _vendor_access.read_grants(rows)
    wanted = _vendor_access.wanted(grants, state, today, revoke or [], reinstate or [])
    for name in wanted.open:
        if name in accounts and name not in state.accounts:
            raise VendorError(
                f"{name}: is an account of this host that was not made here, expected a name that "
                "is free; rename it, or name another one in people.yml; nothing was changed"
            )
    made = Plan(wanted, state, warnings=_vendor_access.told(wanted.open, today))
    _plan_files(host, made, today)
    _plan_accounts(host, made, accounts)
    _require_way_in(made, user)
    _plan_record(host, made, rows)
    if timer and (_kept(made.state) or host.exists(TIMER)):
        _plan_machinery(host, made)
    if record_days is not None:
        _plan_ageing(
            host, made, {*made.state.accounts, *(one.account for one in grants)}, record_days
        )
    return made


def read_accounts(host: Host) -> dict[str, Account]:
    """Name -> account, of the files of this host."""
    shadow = {}
    for line in (host.text("/etc/shadow") or "").splitlines():
        fields = line.split(":")
        if len(fields) > 7:
            shadow[fields[0]] = (fields[1], fields[7])
    found = {}
    for line in (host.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit():
            password, expires = shadow.get(fields[0], ("", ""))
            found[fields[0]] = Account(
                int(fields[2]), fields[4], fields[5], fields[6], password, expires
            )
    return found


def carry_out(host: Host, made: Plan) -> None:
    """Do it; what closes comes first. Raises HostError or VendorError."""
    _keep_record(host, made.state)
    for name in made.closing:
        _write(host, f"{KEYS}/{name}", None)
    for argv in made.steps:
        host.output(argv)
    _note_uids(host, made)
    for path, text in made.files.items():
        _write(host, path, text)
    for path, data in made.machinery.items():
        replace_file(host, path, data, 0o644)
    for name in made.closing:
        end_sessions(host, name, made.state.accounts[name]["uid"])
    if made.machinery or made.timer:
        host.output(["systemctl", "daemon-reload"])
        host.output(["systemctl", "enable", "--quiet", "--now", os.path.basename(TIMER)])
    left = [name for name in made.closing if processes_of(made.state.accounts[name]["uid"])]
    if left:
        raise VendorError(f"{', '.join(left)}: still runs something after it was ended")


def end_sessions(host: Host, name: str, uid: int | None) -> None:
    """End all that runs for an account, and what would start again by itself."""
    if not uid:
        return
    for argv in (
        ["loginctl", "disable-linger", name],
        ["loginctl", "terminate-user", name],
    ):
        with contextlib.suppress(HostError):  # who has no session, and no logind, needs neither
            host.run(argv)
    crontab = host.real(f"{_CRONTABS}/{name}")
    if os.path.lexists(crontab):
        os.makedirs(host.real(f"{FOLDER}/crontabs"), mode=0o700, exist_ok=True)
        shutil.move(crontab, host.real(f"{FOLDER}/crontabs/{name}"))
    for _try in range(50):
        running = processes_of(uid)
        if not running:
            return
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def diffs(host: Host, made: Plan) -> list[dict[str, str]]:
    """Before and after, a file each, and the commands that change accounts."""
    found = []
    for path, text in made.files.items():
        found.append(_diff(path, host.text(path) or "", text or ""))
    if made.steps or made.closing:
        lines = [" ".join(argv) for argv in made.steps]
        lines += [f"end all sessions of {name}" for name in made.closing]
        found.append(_diff("accounts", "", "\n".join([*lines, ""])))
    return found


def main() -> int:
    """What the timer runs: ends (and begins) what is due, from the grants that were last given."""
    host = Host()
    try:
        with alone(host):
            made = plan(host, read_state(host).rows, datetime.now(UTC).date(), timer=False)
            if made.changed:
                carry_out(host, made)
                if SSHD in made.files:
                    host.output(["/usr/sbin/sshd", "-t"])
                    host.output(["systemctl", "reload", "ssh"])
    except (VendorError, HostError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in made.closing:
        home = made.homes.get(name, "")
        sys.stdout.write(f"access of {name} has ended; its home {home} is kept\n")
    return 0


def _forget_strangers(state: State, accounts: Mapping[str, Account]) -> None:
    """An account that somebody removed, or made anew with another id, is ours no more."""
    for name, row in list(state.accounts.items()):
        account = accounts.get(name)
        begun = row["uid"] is None and (account is None or account.comment == row["comment"])
        if not begun and (account is None or account.uid != row["uid"]):
            del state.accounts[name]


def _plan_files(host: Host, made: Plan, today: date) -> None:
    open_, state = made.wanted.open, made.state
    everybody = {*state.accounts, *open_}
    texts: dict[str, str | None] = {
        f"{KEYS}/{name}": _vendor_access.authorized_keys(grants, today)
        for name, grants in open_.items()
    }
    for name in host.names(KEYS):
        texts.setdefault(f"{KEYS}/{name}", None)
    texts[SUDOERS] = _vendor_access.sudoers(open_)
    texts[SSHD] = _vendor_access.sshd_drop_in(everybody)
    made.files = {path: text for path, text in texts.items() if host.text(path) != text}
    if texts[SUDOERS] is not None and not host.exists("/usr/bin/sudo"):
        raise VendorError("sudo is granted and is not installed on this host")


def _plan_ageing(host: Host, made: Plan, accounts: set[str], days: int) -> None:
    if days < 0:
        raise VendorError(f"record_days: expected a number of days, 0 for ever, got {days}")
    before = host.text(AGEING)
    text = _vendor_access.ageing(accounts, before or "", days)
    if (accounts or before is not None) and text != before:
        made.files[AGEING] = text


def _plan_accounts(host: Host, made: Plan, accounts: Mapping[str, Account]) -> None:
    groups = {
        fields[0]: fields[3].split(",")
        for fields in (line.split(":") for line in (host.text("/etc/group") or "").splitlines())
        if len(fields) == 4
    }
    if made.wanted.open and GROUP not in groups:
        made.steps.append(["groupadd", "--system", GROUP])
    for name, grants in made.wanted.open.items():
        expires = _vendor_access.shadow_day(_vendor_access.last_day(grants))
        comment = _vendor_access.comment_of(grants)
        account = accounts.get(name)
        if account is None:
            made.steps.append([
                "useradd", "--create-home", "--user-group", "--groups", GROUP, "--shell", _SHELL,
                "--comment", comment, "--expiredate", expires, "--password", _NO_PASSWORD, name,
            ])  # fmt: skip
        else:
            change = _reopened(account, comment, expires)
            change += [] if name in groups.get(GROUP, []) else ["--append", "--groups", GROUP]
            if change:
                made.steps.append(["usermod", *change, name])
        uid = account.uid if account else None
        grant = grants[0]
        made.state.accounts[name] = {
            "uid": uid,
            "person": grant.person,
            "third_party": grant.third_party,
            "comment": comment,
        }
    for name in made.wanted.closed:
        account = accounts.get(name)
        if account is None:
            continue
        made.homes[name] = account.home
        change = closing_options(account)
        if change:
            made.steps.append(["usermod", *change, name])
        if change or f"{KEYS}/{name}" in made.files or processes_of(account.uid):
            made.closing.append(name)


def _reopened(account: Account, comment: str, expires: str) -> list[str]:
    change = []
    if account.comment != comment:
        change += ["--comment", comment]
    if account.expires != expires:
        change += ["--expiredate", expires]
    if account.shell == _NO_SHELL:
        change += ["--shell", _SHELL]
    if account.password != _NO_PASSWORD:
        change += ["--password", _NO_PASSWORD]
    return change


def closing_options(account: Account) -> list[str]:
    """What usermod has to change so that nobody signs in; empty where nothing."""
    change = []
    if not account.password.startswith("!"):
        change += ["--lock"]
    if account.expires != _EXPIRED:
        change += ["--expiredate", _EXPIRED]
    if account.shell != _NO_SHELL:
        change += ["--shell", _NO_SHELL]
    return change


def _require_way_in(made: Plan, user: str) -> None:
    if user and user in made.closing:
        raise VendorError(
            f"{user}: this play comes in by it and its access has ended, expected another account "
            "to sign in with; nothing was changed"
        )


def _plan_record(host: Host, made: Plan, rows: list[dict[str, Any]]) -> None:
    made.state.revoked = dict(made.wanted.revoked)
    made.state.rows = rows
    if _kept(made.state) or host.exists(STATE):
        made.record = _record(made.state) != host.text(STATE)


def _kept(state: State) -> bool:
    return bool(state.accounts or state.revoked or state.rows)


def _plan_machinery(host: Host, made: Plan) -> None:
    texts = {PROGRAM: program(), SERVICE: _SERVICE_TEXT.encode(), TIMER: _TIMER_TEXT.encode()}
    made.machinery = {path: data for path, data in texts.items() if host.read(path) != data}
    enabled = host.run(["systemctl", "is-enabled", os.path.basename(TIMER)]).rc == 0
    active = host.run(["systemctl", "is-active", os.path.basename(TIMER)]).rc == 0
    made.timer = not (enabled and active)


def program() -> bytes:
    """This code as an archive that Python runs; the same bytes each time."""
    buffer = io.BytesIO()
    parts = _PACKAGE.split("/")
    texts = {"/".join([*parts[:depth], "__init__.py"]): "" for depth in range(1, len(parts) + 1)}
    for module in (sys.modules[__name__], _vendor_access, _host):
        # In a module Ansible ships, the source is in an archive too: ask whoever loaded it.
        source = module.__spec__.loader.get_source(module.__name__)  # type: ignore[union-attr]
        texts[f"{_PACKAGE}/{module.__name__.rpartition('.')[2]}.py"] = source or ""
    start = f"import sys\nfrom {_PACKAGE.replace('/', '.')} import _vendor_host\n"
    texts["__main__.py"] = f"{start}sys.exit(_vendor_host.main())\n"
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in sorted(texts.items()):
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _record(state: State) -> str:
    said = {"accounts": state.accounts, "revoked": state.revoked, "rows": state.rows}
    return json.dumps(said, indent=1, sort_keys=True) + "\n"


def _keep_record(host: Host, state: State) -> None:
    os.makedirs(host.real(FOLDER), mode=0o700, exist_ok=True)
    if host.text(STATE) != _record(state):
        replace_file(host, STATE, _record(state).encode(), 0o600)


def _note_uids(host: Host, made: Plan) -> None:
    accounts = read_accounts(host)
    for name in made.wanted.open:
        made.state.accounts[name]["uid"] = accounts[name].uid
    _keep_record(host, made.state)


def _write(host: Host, path: str, text: str | None) -> None:
    if text is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(host.real(path))
        return
    # sshd reads keys as their holder, who can read them and not write them.
    replace_file(host, path, text.encode(), 0o440 if path == SUDOERS else 0o644)


def processes_of(uid: int | None) -> list[int]:
    """Processes whose real, effective or saved user is `uid`; nobody's are looked for as root."""
    names = os.listdir("/proc") if uid else ()
    return [int(name) for name in names if name.isdigit() and _lives_as(str(uid), name)]


def _lives_as(uid: str, process: str) -> bool:
    try:
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as handle:
            lines = handle.read().splitlines()
    except OSError:  # it has ended meanwhile
        return False
    ids = [word for line in lines if line.startswith("Uid:") for word in line.split()[1:]]
    return uid in ids and not any(line.startswith("State:\tZ") for line in lines)


def _diff(path: str, before: str, after: str) -> dict[str, str]:
    return {"before": before, "after": after, "before_header": path, "after_header": path}
