# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: commit-confirm for changes that can lock the operator out.

`arm` snapshots files, the live packet filter, units and sysctls, and starts a systemd timer that
puts them back. `confirm`, called over a connection made after the change, stops the timer. With no
confirmation the host puts itself back: by the timer, or at boot when it was rebooted while armed.

The folder of a guard (/var/lib/ringfence/guard/<id>) holds everything needed to put back, this
program itself among it, as a zip archive Python runs: no controller, no temporary folder of Ansible
and no package is needed. Python and not shell, because the guard must compare, carry on after an
error and write a record that can be read back, and every host Ansible manages has it.

`armed.json` is the truth: while it is there the guard is armed, and no other can be. It is made
after the timer is started and removed last, so a crash in between leaves a guard that still fires.

A run that is slower than its guard goes on when the host has put itself back, and what it changes
then is guarded by nobody. So the timer does not end with the guard: for some minutes it looks every
few seconds, and puts back again, until the run hears of it, another guard is armed or time is up.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import pwd
import re
import secrets
import shutil
import sys
import syslog
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import (
    _guard_files,
    _guard_nftables,
    _guard_units,
)

Record = dict[str, Any]

ROOT = Path("/var/lib/ringfence/guard")
SYSTEMD = Path("/etc/systemd/system")

MAX_BYTES = 64 * 1024 * 1024
MAX_PATHS = 20_000
MIN_TIMEOUT = 5
MAX_TIMEOUT = 3600
_KEPT = 3
_SPARE_BYTES = 1024 * 1024
_SPARE_INODES = 64
_LOCK_SECONDS = 20
# How long a guard may take to put back before it counts as stuck.
_GRACE_SECONDS = 60
_WATCH_SECONDS = 300
_WATCH_INTERVAL = 5
# Then the timer gives up, and the next boot and the next run are what is left.
_MOST_FAILURES = 10
_BOOT_UNIT = "ringfence-guard-boot.service"
_PACKAGE = "ansible_collections/ringfence/hosting/plugins/module_utils"
_REFUSED = "guard not armed, nothing changed"


class GuardError(Exception):
    """The guard cannot do what was asked; the message is one line.

    `ended` is the outcome of the guard when that is the reason: it was confirmed, or it has put the
    host back.
    """

    def __init__(self, message: str, ended: Record | None = None) -> None:
        super().__init__(message)
        self.ended = ended


def new_id() -> str:
    """An identifier for a guard. The controller may make it, to ask for it after a lost call."""
    return secrets.token_hex(6)


def arm(
    paths: Sequence[str],
    timeout: int = 120,
    reason: str = "",
    *,
    nftables: bool = True,
    reload: Sequence[str] = (),
    sysctls: Sequence[str] = (),
    operator: str = "",
    guard_id: str = "",
) -> Record:
    """Snapshot and start the timer; after this returns the host can put itself back.

    `timeout` is in seconds; `reload` names the units that read `paths` (ssh is always looked
    after); `sysctls` are names such as net.ipv4.conf.all.rp_filter. Returns {id, expires_at,
    timeout, paths (what is guarded, resolved), previous (the outcome of the last guard that put
    something back, when no run was told of it yet, else None)}. Raises GuardError, having changed
    nothing.
    """
    _require_host(timeout)
    record: Record = {
        "id": guard_id or new_id(),
        "reason": _one_line(reason) or "no reason given",
        "operator": _one_line(operator) or _operator(),
        "timeout": timeout,
    }
    with _refusing():
        record["reload"] = [_guard_units.full_name(unit) for unit in reload]
        record["paths"] = _guard_files.survey(paths)
        _make_root()
    with _lock():
        _refuse_second()
        _require_room(record["paths"])
        _require_valid_sshd()
        folder = _make_folder(record["id"])
        try:
            with _refusing():
                _snapshot(folder, record, nftables, sysctls)
                _write_program(folder)
                _write_boot_unit(folder)
                _end_watch()
                _start_timer(folder, timeout)
                record |= _deadline(timeout)
                _write_json(ROOT / "armed.json", record)
        except BaseException:
            _disarm(record["id"])
            shutil.rmtree(folder, ignore_errors=True)
            raise
        previous = _untold()
        _prune(record["id"])
    _log(f"guard {record['id']} armed for {timeout} s by {record['operator']}: {record['reason']}")
    keys = ("id", "expires_at", "timeout", "paths")
    return {key: record[key] for key in keys} | {"previous": previous}


def activate(guard_id: str) -> Record:
    """Make the running daemons read what was changed, so that a new sign-in tests the change.

    A handler that has not run yet would otherwise reload sshd after the guard was confirmed.
    Returns {changed: paths, tables, sysctls and units that differ from the snapshot, reloaded:
    units}.
    """
    armed = _require_armed(guard_id)
    differing = _differing(guard_id)
    reloaded = []
    for unit in armed["reload"] if differing else []:
        problem = _guard_units.reload_and_wait(unit)
        if problem:
            raise GuardError(problem)
        reloaded.append(unit)
    return {"changed": differing, "reloaded": reloaded}


def confirm(guard_id: str) -> Record:
    """Keep the change: stop the timer. Confirming twice is fine.

    Returns {id, outcome: "confirmed", already: whether it was before, changed: what differs from
    the snapshot}. Raises GuardError when the guard has put the host back; what was changed after
    that, unguarded, is put back as well.
    """
    with _lock():
        ended = _outcome(guard_id)
        if ended and ended["outcome"] == "confirmed":
            return ended | {"already": True}
        if ended:
            ended = _put_back_later(ended)
            _end_watch()
            acknowledge(guard_id)
            line = f"{ended['why']}; the host put itself back at {ended['at']}: {ended['summary']}"
            raise GuardError(line, ended)
        armed = _require_armed(guard_id)
        if _seconds_left(armed) <= 0:
            raise GuardError(f"guard {guard_id} has expired: the host is putting itself back")
        outcome = _basics(armed) | {"outcome": "confirmed", "changed": _differing(guard_id)}
        # From here on the timer finds nothing armed, should stopping it fail.
        _forget(guard_id)
        _finish(outcome)
        _disarm(guard_id)
    _log(f"guard {guard_id} confirmed")
    return outcome | {"already": False}


def restore(guard_id: str, why: str, *, at_boot: bool = False) -> Record:
    """Put everything back as it was when the guard was armed.

    Returns the outcome {id, outcome: "restored", why, at, summary (one line), restored, removed,
    tables, sysctls, units, seconds}, the earlier one when it was put back before. Raises GuardError
    when the guard is unknown, was confirmed, or something could not be put back: the guard then
    stays armed, the timer's service tries again, and so does the next boot.
    """
    with _lock():
        ended = _outcome(guard_id)
        if ended and ended["outcome"] == "confirmed":
            raise GuardError(f"guard {guard_id} was confirmed at {ended['at']}", ended)
        if ended:
            _forget(guard_id)
            ended = _put_back_later(ended)
            _end_watch()
            return ended
        outcome = _put_back_now(_require_armed(guard_id), why, at_boot=at_boot)
        _disarm(guard_id)
    return outcome


def expire(guard_id: str) -> None:
    """What the timer does: put back when the time is over, and again what is changed after that.

    Raises GuardError as `restore` does; the timer comes again.
    """
    with _lock():
        ended = _outcome(guard_id)
        if not ended:
            why = "no confirmation came in time"
            outcome = _put_back_now(_require_armed(guard_id), why, at_boot=False)
            until = time.monotonic() + _WATCH_SECONDS
            _write_json(ROOT / "watch.json", {"id": guard_id, "until": until})
            _tell_terminals(outcome)
            return
        _forget(guard_id)
        watch = _read_json(ROOT / "watch.json")
        if watch and watch["id"] == guard_id and time.monotonic() < watch["until"]:
            _put_back_later(ended)
        else:
            _end_watch()
            _disarm(guard_id)


def status(guard_id: str = "") -> Record:
    """{armed: {id, reason, operator, armed_at, expires_at, seconds_left, paths} or None,
    last: the outcome of `guard_id`, or of the last guard that ended, or None,
    failed: what could not be put back by a guard that is still armed, or None}."""
    armed = _armed()
    shown = None
    if armed:
        keys = ("id", "reason", "operator", "armed_at", "expires_at", "paths")
        shown = {key: armed[key] for key in keys} | {"seconds_left": round(_seconds_left(armed), 1)}
    last = _outcome(guard_id) if guard_id else _read_json(ROOT / "last.json")
    return {"armed": shown, "last": last, "failed": _read_json(ROOT / "failed.json")}


def armed_id() -> str:
    """The identifier of the guard that is armed. Raises GuardError when none is."""
    armed = _armed()
    if not armed:
        raise GuardError("no guard is armed on this host")
    return str(armed["id"])


def acknowledge(guard_id: str) -> None:
    """Remember that an operator was told what this guard put back."""
    untold = _read_json(ROOT / "untold.json")
    if untold and untold["id"] == guard_id:
        (ROOT / "untold.json").unlink(missing_ok=True)


def summary(outcome: Record) -> str:
    """One line: what an outcome put back, and what it could not."""
    parts = [
        f"{verb} {_listed(outcome[kind])}"
        for kind, verb in (
            ("restored", "put back"),
            ("removed", "removed"),
            ("tables", "put back nftables"),
            ("sysctls", "put back sysctl"),
        )
        if outcome[kind]
    ]
    line = ", ".join(parts + outcome["units"]) or "nothing had changed"
    if outcome["errors"]:
        line += "; could not put back: " + "; ".join(outcome["errors"])
    return line


def main(argv: Sequence[str]) -> int:
    """Entry point of the archive in the guard's folder: `check|expire|boot|restore FOLDER`."""
    global ROOT
    action, folder = argv[0], Path(argv[1])
    ROOT = folder.parent
    try:
        if action == "check":
            entries = _manifest(folder.name)["entries"]
            return 0 if _guard_files.intact(entries, folder / "blobs") else 1
        if action == "expire":
            expire(folder.name)
        elif action == "boot":
            why = "the host was rebooted before the change was confirmed"
            restore(folder.name, why, at_boot=True)
        else:
            summary = restore(folder.name, "asked for at the console")["summary"]
            sys.stdout.write(f"{summary}\n")
    except GuardError as error:
        sys.stderr.write(f"{error}\n")
        armed = _armed()
        # Confirmed, or put back by hand, at the very moment the timer fired: nothing is wrong.
        return 1 if armed and armed["id"] == folder.name else 0
    return 0


# --- refusing


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Whatever goes wrong while arming is told in one line that says nothing was changed."""
    try:
        yield
    except (
        OSError,
        _guard_files.SnapshotError,
        _guard_nftables.FilterError,
        _guard_units.UnitError,
    ) as error:
        raise GuardError(f"{_REFUSED}: {error}") from error


def _require_host(timeout: int) -> None:
    if os.geteuid() != 0:
        raise GuardError(f"{_REFUSED}: the guard needs root (become: true)")
    if not Path("/run/systemd/system").is_dir() or not shutil.which("systemd-run"):
        raise GuardError(f"{_REFUSED}: the guard's timer needs systemd, this host does not run it")
    if not MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
        raise GuardError(
            f"{_REFUSED}: timeout: expected {MIN_TIMEOUT} to {MAX_TIMEOUT} seconds, not {timeout}"
        )


def _refuse_second() -> None:
    armed = _armed()
    if not armed:
        return
    guard_id = armed["id"]
    if _seconds_left(armed) > -_GRACE_SECONDS:
        raise GuardError(
            f"{_REFUSED}: another guarded change is under way, guard {guard_id} armed by "
            f"{armed['operator']} ({armed['reason']}) until {armed['expires_at']}; "
            "try again when it is confirmed or has put the host back"
        )
    failed = _read_json(ROOT / "failed.json")
    problem = f" ({failed['summary']})" if failed else ""
    raise GuardError(
        f"{_REFUSED}: guard {guard_id} expired at {armed['expires_at']} and has not put the host "
        f"back{problem}; do that first: ringfence.hosting.guard with state: restored"
    )


def _require_room(paths: Sequence[str]) -> None:
    """A full disk is found before the change, not while putting it back."""
    wanted = _guard_files.sizes(paths)
    total = sum(wanted.values())
    if len(paths) > MAX_PATHS or total > MAX_BYTES:
        raise GuardError(
            f"{_REFUSED}: {len(paths)} paths with {total} bytes are too much to snapshot, expected "
            f"at most {MAX_PATHS} paths and {MAX_BYTES} bytes: name fewer paths"
        )
    places = {ROOT.stat().st_dev: (str(ROOT), total)}
    for path in reversed(paths):
        with contextlib.suppress(OSError):
            device = os.lstat(path).st_dev
            places.setdefault(device, (path, wanted.get(device, 0)))
    for place, size in places.values():
        free = os.statvfs(place)
        needed = size + _SPARE_BYTES
        if free.f_bavail * free.f_frsize < needed:
            raise GuardError(
                f"{_REFUSED}: the disk is full: the file system of {place} has "
                f"{free.f_bavail * free.f_frsize} bytes free, {needed} are needed"
            )
        # A file system that does not count inodes (btrfs) says it has none at all.
        if free.f_files and free.f_favail < len(paths) + _SPARE_INODES:
            raise GuardError(
                f"{_REFUSED}: the disk is full: the file system of {place} has {free.f_favail} "
                f"inodes free, {len(paths) + _SPARE_INODES} are needed"
            )


def _require_valid_sshd() -> None:
    """Putting back a configuration sshd refuses would not open the door again."""
    problem = _guard_units.sshd_problem()
    if problem:
        raise GuardError(
            f"{_REFUSED}: sshd refuses its present configuration ({problem}); mend it first, "
            "for a restart of ssh would lock you out"
        )


def _require_armed(guard_id: str) -> Record:
    armed = _armed()
    if armed and armed["id"] == guard_id:
        return armed
    ended = _outcome(guard_id)
    if ended:
        raise GuardError(f"guard {guard_id} is over: {ended['outcome']} at {ended['at']}", ended)
    raise GuardError(f"guard {guard_id} is not armed on this host")


# --- arming


def _make_root() -> None:
    ROOT.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    ROOT.mkdir(mode=0o700, exist_ok=True)
    ROOT.chmod(0o700)


def _make_folder(guard_id: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{6,32}", guard_id):
        raise GuardError(f"{_REFUSED}: id: expected 6 to 32 hexadecimal digits, not {guard_id!r}")
    folder = ROOT / guard_id
    with _refusing():
        folder.mkdir(mode=0o700)
        (folder / "blobs").mkdir(mode=0o700)
    return folder


def _snapshot(folder: Path, record: Record, nftables: bool, sysctls: Sequence[str]) -> None:
    manifest = {
        "entries": _guard_files.capture(record["paths"], folder / "blobs"),
        "nftables": _guard_nftables.capture() if nftables else None,
        "units": _guard_units.states([*record["reload"], *_guard_units.SSH_UNITS]),
        "sysctls": _guard_units.read_sysctls(sysctls),
    }
    _sync(folder / "blobs")
    _write_json(folder / "manifest.json", manifest)


def _write_program(folder: Path) -> None:
    """Pack these modules into an archive Python runs, and see that it runs."""
    program = folder / "guard.pyz"
    parts = Path(_PACKAGE).parts
    with zipfile.ZipFile(program, "w") as archive:
        for depth in range(1, len(parts) + 1):
            archive.writestr("/".join([*parts[:depth], "__init__.py"]), "")
        for module in (sys.modules[__name__], _guard_files, _guard_nftables, _guard_units):
            name = module.__name__.rpartition(".")[2]
            # In a module Ansible ships, the source is in an archive too: ask whoever loaded it.
            source = module.__spec__.loader.get_source(module.__name__)  # type: ignore[union-attr]
            archive.writestr(f"{_PACKAGE}/{name}.py", source)
        start = f"import sys\nfrom {_PACKAGE.replace('/', '.')} import _guard\n"
        archive.writestr("__main__.py", f"{start}sys.exit(_guard.main(sys.argv[1:]))\n")
    _sync(program)
    _sync(folder)
    checked = _guard_units.call(_command(folder, "check"))
    if checked.returncode:
        problem = _guard_units.first_line(checked.stderr) or "the snapshot is not intact"
        raise GuardError(f"{_REFUSED}: what puts back does not run on this host: {problem}")


def _command(folder: Path, action: str) -> list[str]:
    # -I and -S: nothing a change does to the environment or to site-packages can break it.
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", str(folder / "guard.pyz"), action, str(folder)]


def _start_timer(folder: Path, timeout: int) -> None:
    argv = ["systemd-run", "--quiet", "--collect", f"--unit=ringfence-guard-{folder.name}"]
    argv += [f"--description=Ringfence guard {folder.name}: puts back an unconfirmed change"]
    argv += [f"--on-active={timeout}s", f"--on-unit-inactive={_WATCH_INTERVAL}s"]
    argv += ["--timer-property=AccuracySec=100ms", "--property=Type=oneshot"]
    argv += ["--property=TimeoutStartSec=180", "--property=OOMScoreAdjust=-900"]
    started = _guard_units.call([*argv, *_command(folder, "expire")])
    if started.returncode:
        problem = _guard_units.first_line(started.stderr)
        raise GuardError(f"{_REFUSED}: systemd-run failed: {problem}")


def _write_boot_unit(folder: Path) -> None:
    """Before the firewall is loaded and sshd starts, so that neither sees the unconfirmed files."""
    text = f"""\
[Unit]
Description=Ringfence guard {folder.name}: puts back a change not confirmed before the reboot
DefaultDependencies=no
RequiresMountsFor={ROOT} /etc
After=local-fs.target systemd-remount-fs.service
Before=sysinit.target network-pre.target nftables.service systemd-sysctl.service
Before=ssh.service sshd.service ssh.socket shutdown.target
Conflicts=shutdown.target
ConditionPathExists={ROOT}/armed.json

[Service]
Type=oneshot
ExecStart={" ".join(_command(folder, "boot"))}
TimeoutStartSec=90
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=sysinit.target
"""
    wants = SYSTEMD / "sysinit.target.wants"
    wants.mkdir(mode=0o755, parents=True, exist_ok=True)
    _write_text(SYSTEMD / _BOOT_UNIT, text, mode=0o644)
    with contextlib.suppress(FileExistsError):
        (wants / _BOOT_UNIT).symlink_to(SYSTEMD / _BOOT_UNIT)
    _sync(wants)


def _deadline(timeout: int) -> Record:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "armed_at": _iso(now),
        "expires_at": _iso(now + datetime.timedelta(seconds=timeout)),
        # The wall clock may be set during a run; the timer counts by this one.
        "deadline": time.monotonic() + timeout,
        "boot": _boot(),
    }


def _operator() -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return pwd.getpwuid(int(Path("/proc/self/loginuid").read_text())).pw_name
    return os.environ.get("SUDO_USER", "root")


# --- ending


def _finish(outcome: Record) -> None:
    outcome["at"] = _iso(datetime.datetime.now(datetime.UTC))
    _write_json(ROOT / outcome["id"] / "outcome.json", outcome)
    _write_json(ROOT / "last.json", outcome)
    (ROOT / "failed.json").unlink(missing_ok=True)
    _remove_boot_unit()


def _forget(guard_id: str) -> None:
    armed = _armed()
    if armed and armed["id"] == guard_id:
        (ROOT / "armed.json").unlink()
        _sync(ROOT)


def _remove_boot_unit() -> None:
    for path in (SYSTEMD / "sysinit.target.wants" / _BOOT_UNIT, SYSTEMD / _BOOT_UNIT):
        path.unlink(missing_ok=True)


def _disarm(guard_id: str) -> None:
    _remove_boot_unit()
    # The timer only: its service may be the process that is running this.
    _guard_units.call(["systemctl", "stop", f"ringfence-guard-{guard_id}.timer"])


def _put_back(guard_id: str, reload: Sequence[str], *, at_boot: bool) -> Record:
    started = time.monotonic()
    manifest = _manifest(guard_id)
    files = _guard_files.put_back(manifest["entries"], ROOT / guard_id / "blobs")
    done: Record = {"restored": files["restored"], "removed": files["removed"]}
    done |= {"tables": [], "sysctls": [], "units": [], "errors": list(files["errors"])}
    units = manifest["units"]
    steps: list[Callable[[], None]]
    if at_boot:
        # Nothing runs yet, and what is stored is read after us: the files are enough.
        steps = [lambda: _guard_units.start_at_boot(units, done)]
    else:
        # The filter once more after the units, some of which load rules; ssh when its way is open.
        steps = [
            lambda: _guard_units.put_back_sysctls(manifest["sysctls"], done),
            lambda: _put_back_tables(manifest, done),
            lambda: _guard_units.put_back_units(units, reload, done),
            lambda: _put_back_tables(manifest, done),
            lambda: _guard_units.open_ssh(units, done),
        ]
    for step in steps:
        try:
            step()
        except Exception as error:  # whatever it is, one broken part must not keep the others shut
            done["errors"].append(_one_line(str(error)))
    done["errors"] = list(dict.fromkeys(done["errors"]))
    return done | {"seconds": round(time.monotonic() - started, 3)}


def _put_back_tables(manifest: Record, done: Record) -> None:
    if manifest["nftables"] is not None:
        tables, errors = _guard_nftables.put_back(manifest["nftables"])
        done["tables"] += [name for name in tables if name not in done["tables"]]
        done["errors"] += errors


def _put_back_now(armed: Record, why: str, *, at_boot: bool) -> Record:
    guard_id = armed["id"]
    outcome = _basics(armed) | {"outcome": "restored", "why": _one_line(why)}
    outcome |= _put_back(guard_id, armed["reload"], at_boot=at_boot)
    outcome["summary"] = summary(outcome)
    _log(f"guard {guard_id}: {outcome['why']}: {outcome['summary']}")
    if outcome["errors"]:
        _note_failure(outcome)
        raise GuardError(f"guard {guard_id}: {outcome['summary']}")
    _write_json(ROOT / "untold.json", {"id": guard_id})
    _finish(outcome)
    _forget(guard_id)
    return outcome


def _note_failure(outcome: Record) -> None:
    failures = (_read_json(ROOT / "failed.json") or {}).get("failures", 0) + 1
    _write_json(ROOT / "failed.json", outcome | {"failures": failures})
    if failures == _MOST_FAILURES:
        _guard_units.call(["systemctl", "stop", f"ringfence-guard-{outcome['id']}.timer"])


def _put_back_later(ended: Record) -> Record:
    """Undo what a run changed after its guard had put the host back. Returns the outcome, with it.

    Not while another guard is armed, which would take this for the change of its own run; and not
    when others have been since.
    """
    guard_id = ended["id"]
    last = _read_json(ROOT / "last.json")
    if _armed() or not last or last["id"] != guard_id or not _differing(guard_id):
        return ended
    again = _put_back(guard_id, ended["reload"], at_boot=False)
    line = summary(again)
    if line in ended.get("later", []):
        return ended
    ended = ended | {"later": [*ended.get("later", []), line]}
    ended["summary"] += f"; of what was changed after that: {line}"
    _log(f"guard {guard_id}: changed after it had ended: {line}")
    _write_json(ROOT / guard_id / "outcome.json", ended)
    _write_json(ROOT / "last.json", ended)
    return ended


def _tell_terminals(outcome: Record) -> None:
    """Whoever is mending the host by hand must know who undoes it."""
    timer = f"ringfence-guard-{outcome['id']}.timer"
    text = (
        f"Ringfence undid a change that nobody confirmed ({outcome['reason']}, by "
        f"{outcome['operator']}): {outcome['summary']}. It does so again for "
        f"{_WATCH_SECONDS // 60} minutes. To end that: systemctl stop {timer}"
    )
    _guard_units.call(["wall", text])


def _end_watch() -> None:
    watch = _read_json(ROOT / "watch.json")
    if watch:
        (ROOT / "watch.json").unlink()
        _disarm(watch["id"])


def _differing(guard_id: str) -> list[str]:
    manifest = _manifest(guard_id)
    differing = _guard_files.changed(manifest["entries"])
    try:
        if manifest["nftables"] is not None:
            differing += _guard_nftables.changed(manifest["nftables"])
        differing += _guard_units.changed_units(manifest["units"])
    except (_guard_nftables.FilterError, _guard_units.UnitError) as error:
        raise GuardError(str(error)) from error
    return differing + _guard_units.changed_sysctls(manifest["sysctls"])


def _prune(keep: str) -> None:
    """Snapshots hold copies of secrets: keep the few a person may still want to look at."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name != keep]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[_KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


# --- records


def _basics(armed: Record) -> Record:
    keys = ("id", "reason", "operator", "armed_at", "expires_at", "reload")
    return {key: armed[key] for key in keys}


def _armed() -> Record | None:
    return _read_json(ROOT / "armed.json")


def _outcome(guard_id: str) -> Record | None:
    return _read_json(ROOT / guard_id / "outcome.json")


def _untold() -> Record | None:
    untold = _read_json(ROOT / "untold.json")
    if not untold:
        return None
    acknowledge(untold["id"])
    return _outcome(untold["id"])


def _manifest(guard_id: str) -> Record:
    manifest = _read_json(ROOT / guard_id / "manifest.json")
    if not manifest:
        raise GuardError(f"guard {guard_id}: the snapshot in {ROOT / guard_id} cannot be read")
    return manifest


def _seconds_left(armed: Record) -> float:
    if armed["boot"] != _boot():
        return 0.0
    return float(armed["deadline"]) - time.monotonic()


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """One at a time: whoever arms, confirms or puts back. Released by the kernel at a crash."""
    try:
        handle = (ROOT / "lock").open("w")
    except FileNotFoundError:
        raise GuardError("no guard was ever armed on this host") from None
    except OSError as error:
        raise GuardError(f"the guard cannot be used: {error}") from error
    with handle:
        until = time.monotonic() + _LOCK_SECONDS
        while not _locked(handle.fileno()):
            if time.monotonic() > until:
                raise GuardError("the guard of this host is in use by another process")
            time.sleep(0.1)
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_json(path: Path) -> Record | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_json(path: Path, record: Record) -> None:
    _write_text(path, json.dumps(record) + "\n", mode=0o600)


def _write_text(path: Path, text: str, mode: int) -> None:
    """Whole and durable, or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as handle:
        os.fchmod(handle.fileno(), mode)
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _log(message: str) -> None:
    syslog.openlog("ringfence-guard", syslog.LOG_PID, syslog.LOG_AUTH)
    syslog.syslog(syslog.LOG_NOTICE, message)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _iso(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _boot() -> str:
    # In a container the id is the kernel's, which outlives it: the start of init tells them apart.
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{kernel} {_guard_units.process_field(1, 22)}"
