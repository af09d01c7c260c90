# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backs up a client's sites of one host by restic, restores them, and proves what was restored.

This file is also the program that the timer starts (`ringfence-backup run CLIENT`), so it stands
alone: nothing but the standard library. No secret is ever in an argument or in the environment:
restic and MariaDB get the names of files that only root can read.
"""

from __future__ import annotations

import contextlib
import email.utils
import fcntl
import fnmatch
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SETTINGS = "/etc/ringfence/backup"
STATE = "/var/lib/ringfence/backup"
CACHE = "/var/cache/ringfence/restic"
DUMP, MANIFEST = "database.sql", "manifest.json"
# The client of what belongs to a server and not to a site; no client can have this id.
SERVER = "_server"

_SITE_TAG = "site="
_HOURS = 3600
_LOCK_WAIT = "10m"
_HASH_BLOCK = 1 << 20
_SHOWN = 5
NO_REPOSITORY = 10
# What a server's configuration is told by beside its files: file -> command, where there is such.
_DESCRIBED = {
    "packages.txt": [
        "dpkg-query",
        "--show",
        "--showformat=${Package}:${Architecture} ${Version} ${db:Status-Abbrev}\\n",
    ],
    "packages-manual.txt": ["apt-mark", "showmanual"],
    "nftables.nft": ["nft", "list", "ruleset"],
}
_CODES = {
    NO_REPOSITORY: "there is no repository in this bucket, or no such bucket",
    11: "the repository is locked by another run",
    12: "the repository's password is wrong",
}
_KEY_REFUSED = "S3 refuses the access key: it is wrong, or lacks a right"
# S3 refuses requests that are signed at a time further off than this.
_CLOCK_MAY_DIFFER = 15 * 60
_ASKING_FOR_A_LIST = 300
# What restic says, and what it means to whoever reads the finding; the first that fits counts.
_MEANINGS = (
    (r"RequestTimeTooSkewed|time.*skew", "the clock of this host is off: S3 refuses its requests"),
    (r"QuotaExceeded", "the bucket or its owner has no room left"),
    # A HEAD is refused without a word on why: a wrong secret and a missing right look the same.
    (r"SignatureDoesNotMatch|InvalidAccessKeyId|Access ?Denied|403 Forbidden", _KEY_REFUSED),
    (
        r"certificate has expired or is not yet valid",
        "the certificate of the S3 server has expired, or the clock of this host is off",
    ),
    (r"no such bucket|NoSuchBucket|bucket.*does not exist", "there is no such bucket"),
    (r"no space left on device", "no space left on the disk"),
    (r"\b503\b|SlowDown|ServiceUnavailable", "S3 is too busy to answer"),
    (
        r"connection refused|no such host|timeout|unreachable|connection reset|EOF"
        r"|closed by foreign host|connection timed out",
        "S3 cannot be reached",
    ),
)


class BackupError(Exception):
    """What failed, in one line without a secret; `code` is restic's exit code where it has one."""

    def __init__(self, said: str, code: int = 1) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True)
class Repository:
    """Where a client's backups are, and the files that hold what opens it.

    `password_file` holds the password, `key_file` the access key as AWS's tools want it.
    """

    url: str
    password_file: str
    key_file: str
    region: str = ""
    authority: str = ""
    cache: str = CACHE

    def environment(self) -> dict[str, str]:
        """For restic: places, and nothing that must be kept secret."""
        found = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": os.environ.get("HOME", "/root"),
            "RESTIC_REPOSITORY": self.url,
            "RESTIC_PASSWORD_FILE": self.password_file,
            "AWS_SHARED_CREDENTIALS_FILE": self.key_file,
            "RESTIC_CACHE_DIR": self.cache,
            "RESTIC_PROGRESS_FPS": "0.01",
        }
        if self.region:
            found["AWS_DEFAULT_REGION"] = self.region
        if self.authority:
            found["RESTIC_CACERT"] = self.authority
        return found


def key_file_text(access: str, secret: str) -> str:
    """The text of a file with an access key."""
    return f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"


def restic(
    repository: Repository,
    *arguments: str,
    program: str = "restic",
    seconds: int = 6 * _HOURS,
    refused: str = "",
) -> str:
    """What restic printed. Raises BackupError that says in plain words what is wrong.

    `refused`: a pattern of what it says where it failed, for commands that end with 0 even then.
    """
    try:
        done = subprocess.run(
            [program, *arguments],
            env=repository.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise BackupError("restic is not installed") from None
    except subprocess.TimeoutExpired as error:
        # It goes on trying for a quarter of an hour, and says each time why.
        why = f": {meaning(error.stderr.decode(errors='replace'))}" if error.stderr else ""
        raise BackupError(f"restic {arguments[0]}: no end after {seconds} s{why}") from None
    said = done.stderr.decode(errors="replace")
    output = done.stdout.decode(errors="replace")
    if refused and re.search(refused, f"{said} {output}", re.IGNORECASE):
        raise BackupError(f"restic {arguments[0]}: {meaning(f'{said} {output}')}")
    if done.returncode == 0:
        return output
    words = _CODES.get(done.returncode) or meaning(f"{said} {output}")
    if words.startswith(_KEY_REFUSED):
        words = _clock_told(repository) or words
    raise BackupError(f"restic {arguments[0]}: {words}", done.returncode)


def _clock_told(repository: Repository) -> str:
    """What is wrong with this host's clock, by the S3 server's own; empty where nothing is.

    S3 refuses what was signed at a wrong time, and cannot say so where restic asks by HEAD.
    """
    found = re.match(r"s3:(https?)://([^/]+)", repository.url)
    if not found:
        return ""
    theirs = None
    with contextlib.suppress(OSError, http.client.HTTPException, TypeError, ValueError):
        trust = ssl.create_default_context(cafile=repository.authority or None)
        plain = found[1] == "http"
        asked = (
            http.client.HTTPConnection(found[2], timeout=10)
            if plain
            else http.client.HTTPSConnection(found[2], timeout=10, context=trust)
        )
        with contextlib.closing(asked):
            asked.request("HEAD", "/")
            date = asked.getresponse().headers["Date"]
        theirs = email.utils.parsedate_to_datetime(date).timestamp()
    off = time.time() - theirs if theirs is not None else 0.0
    if abs(off) <= _CLOCK_MAY_DIFFER:
        return ""
    way = "ahead of" if off > 0 else "behind"
    return (
        f"the clock of this host is {abs(off) / 60:.0f} min {way} S3's, which refuses its requests"
    )


def meaning(said: str) -> str:
    """restic's complaint in plain words, with its own last line behind them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = next((line for line in reversed(lines) if "Fatal" in line or "rror" in line), "")
    own = own or (lines[-1] if lines else "no word")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        own = json.loads(own)["message"]
    own = " ".join(own.split())[:300]
    for pattern, words in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            return f"{words} ({own})"
    return own


# -- choosing a snapshot ------------------------------------------------------------------


def snapshots(repository: Repository, *, program: str = "restic") -> list[dict[str, Any]]:
    """Every snapshot, oldest first: `id`, `time` (epoch), `made` (by its host's clock, ISO 8601),
    `site`, `host`, `paths`.

    Asks the repository without a lock: a reader must not wait for a writer.
    """
    rows = json.loads(
        restic(
            repository,
            "snapshots",
            "--json",
            "--no-lock",
            program=program,
            seconds=_ASKING_FOR_A_LIST,
        )
        or "[]"
    )
    found = [
        {
            "id": row["id"],
            "time": epoch(row["time"]),
            "made": clock(row["time"]).isoformat(),
            "site": next(
                (
                    tag[len(_SITE_TAG) :]
                    for tag in row.get("tags") or []
                    if tag.startswith(_SITE_TAG)
                ),
                "",
            ),
            "host": row.get("hostname", ""),
            "paths": row.get("paths", []),
        }
        for row in rows
    ]
    return sorted(found, key=lambda row: row["time"])


def choose(rows: list[dict[str, Any]], site: str, at: float | None = None) -> dict[str, Any]:
    """The newest snapshot of a site, not newer than `at`. Raises BackupError when there is none."""
    fitting = [row for row in rows if row["site"] == site and (at is None or row["time"] <= at)]
    if not fitting:
        before = f" at or before {told(at)}" if at is not None else ""
        raise BackupError(f"there is no backup of {site}{before}")
    return fitting[-1]


def epoch(text: str) -> float:
    """Seconds since 1970 of a time such as 2026-11-26T20:07:25.123456789Z."""
    return clock(text).timestamp()


def clock(text: str) -> datetime:
    """Such a time in its own zone, in that of UTC where it names none."""
    shorter = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
    parsed = datetime.fromisoformat(shorter)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def told(moment: float) -> str:
    """A moment in UTC, as people read it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# -- what is on the disk ------------------------------------------------------------------


def excluded(path: str, patterns: list[str]) -> bool:
    """Whether restic would leave `path` out for one of these patterns.

    One that begins with / is anchored; any other fits at every place. ** is any number of names.
    """
    names = path.strip("/").split("/")
    for pattern in patterns:
        parts = pattern.strip("/").split("/")
        if not pattern.startswith("/"):
            parts = ["**", *parts]
        if _fits(names, parts):
            return True
    return False


def _fits(names: list[str], parts: list[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return any(_fits(names[skip:], parts[1:]) for skip in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])


def inventory(
    paths: list[str], exclude: list[str], known: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Path -> what is there, of all below `paths`.

    `kind` is file, link or folder; a file has `size` (bytes), `mtime` and `ctime` (nanoseconds) and
    `sha256`, a link its `target`. The hash of a file that is as `known` says is not made anew.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in _walk(paths, exclude):
        row = _row(path, (known or {}).get(path))
        if row is not None:
            found[path] = row
    return found


def _walk(paths: list[str], exclude: list[str]) -> Iterator[str]:
    waiting = [path for path in reversed(paths) if not excluded(path, exclude)]
    while waiting:
        path = waiting.pop()
        yield path
        with contextlib.suppress(OSError), os.scandir(path) as entries:
            waiting += [entry.path for entry in entries if not excluded(entry.path, exclude)]


def _row(path: str, known: Mapping[str, Any] | None) -> dict[str, Any] | None:
    try:
        seen = os.lstat(path)
        if stat.S_ISLNK(seen.st_mode):
            return {"kind": "link", "target": os.readlink(path)}
        if stat.S_ISDIR(seen.st_mode):
            return {"kind": "folder"}
        if not stat.S_ISREG(seen.st_mode):
            return None
        row = {
            "kind": "file",
            "size": seen.st_size,
            "mtime": seen.st_mtime_ns,
            "ctime": seen.st_ctime_ns,
        }
        same = known and all(known.get(key) == value for key, value in row.items())
        row["sha256"] = known["sha256"] if same and known else _hash(path)
    except FileNotFoundError:  # gone since the folder was read
        return None
    return row


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def compare(wanted: Mapping[str, Mapping[str, Any]], root: str) -> dict[str, Any]:
    """What of `wanted` (see inventory) is below the folder `root`.

    `matched`: how many are the same; `missing` and `different`: paths; `moved_on`: files that were
    written to between the inventory and the backup, which nothing can be said of.
    """
    missing, different, moved_on, matched = [], [], [], 0
    for path, row in wanted.items():
        seen = _row(os.path.join(root, path.lstrip("/")), None)
        if seen is None:
            missing.append(path)
        elif seen["kind"] == "file" == row["kind"] and seen["mtime"] != row["mtime"]:
            moved_on.append(path)
        elif any(seen.get(key) != row.get(key) for key in ("kind", "size", "sha256", "target")):
            different.append(path)
        else:
            matched += 1
    return {"matched": matched, "missing": missing, "different": different, "moved_on": moved_on}


# -- databases ----------------------------------------------------------------------------


def dump(database: Mapping[str, Any], target: str) -> dict[str, Any]:
    """Write a consistent dump of `name` to the file `target`; `tables` (name -> rows) of it.

    `defaults` is a file with user and password where the server does not know root by its socket.
    `unsafe` names tables of engines that know no transaction: a write may fall between them.
    """
    name = database["name"]
    defaults = [f"--defaults-extra-file={database['defaults']}"] if database.get("defaults") else []
    address = [f"--host={database['host']}"] if database.get("host") else []
    command = ["mariadb-dump", *defaults, *address, "--single-transaction", "--quick"]
    command += ["--routines", "--triggers", "--events", "--hex-blob", "--skip-dump-date"]
    command += ["--default-character-set=utf8mb4", "--", name]
    counted = _Counted()
    try:
        with (
            open(target, "wb", opener=_private) as file,
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            ) as running,
        ):
            for line in running.stdout or ():
                counted.take(line)
                file.write(line)
            code = running.wait()
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
    except FileNotFoundError:
        raise BackupError("mariadb-dump is not installed") from None
    except OSError as error:
        raise BackupError(f"{target}: {error.strerror}") from None
    if code != 0 or not counted.complete:
        said = said.splitlines()[-1] if said else f"ended with {code}"
        raise BackupError(f"mariadb-dump of {name}: {said[:300]}")
    return {"tables": counted.tables, "unsafe": counted.unsafe}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


class _Counted:
    """Counts tables and rows of a dump as it passes: MariaDB writes each row on a line of its own.

    Strings have no line ends in a dump, so a line that begins with ( after INSERT is a row.
    """

    def __init__(self) -> None:
        self.tables: dict[str, int] = {}
        self.unsafe: list[str] = []
        self.complete = False
        self._table = ""
        self._created = ""

    def take(self, line: bytes) -> None:
        """The next line."""
        if line.startswith(b"("):
            if self._table:
                self.tables[self._table] += 1
            return
        if line.startswith(b"INSERT INTO `"):
            self._table = _quoted(line)
            self.tables.setdefault(self._table, 0)
            self.tables[self._table] += line.rstrip().endswith(b");")
        elif line.startswith(b"CREATE TABLE `"):
            self._created = _quoted(line)
            self.tables.setdefault(self._created, 0)
        elif line.startswith(b") ENGINE="):
            engine = line.split(b"=", 1)[1].split()[0].rstrip(b";")
            if engine.lower() != b"innodb":
                self.unsafe.append(self._created)
        elif line.startswith(b"-- Dump completed"):
            self.complete = True


def _quoted(line: bytes) -> str:
    found = re.search(rb"`((?:[^`]|``)*)`", line)
    return found.group(1).replace(b"``", b"`").decode(errors="replace") if found else ""


@contextlib.contextmanager
def scratch_database(folder: str) -> Iterator[list[str]]:
    """A MariaDB server of its own below `folder`, without a network; the command of its client."""
    if shutil.which("mariadbd") is None:
        raise BackupError("no MariaDB server is installed here to load the dump into")
    data, socket = os.path.join(folder, "data"), os.path.join(folder, "socket")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    shutil.chown(folder, "mysql", "mysql")
    # Not $TMPDIR: a hardened host gives each user one of its own, and mysql cannot write to root's.
    where = ["--no-defaults", "--user=mysql", f"--datadir={data}", f"--tmpdir={folder}"]
    install = ["mariadb-install-db", *where, "--skip-test-db"]
    _must([*install, "--auth-root-authentication-method=socket"])
    server = ["mariadbd", *where]
    server += [f"--socket={socket}", "--skip-networking", f"--pid-file={folder}/pid"]
    server += ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"]
    with (
        open(os.path.join(folder, "log"), "wb") as log,
        subprocess.Popen(
            server, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        ) as running,
    ):
        client = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root"]
        try:
            deadline = time.monotonic() + 120
            while subprocess.run(
                [*client, "-e", "DO 1"], capture_output=True, check=False
            ).returncode:
                if running.poll() is not None or time.monotonic() > deadline:
                    raise BackupError("the scratch MariaDB did not start")
                time.sleep(0.1)
            yield client
        finally:
            running.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(60)
            if running.poll() is None:
                running.kill()


def load(client: list[str], dumped: str) -> dict[str, int]:
    """Load a dump into a scratch server; its tables and their rows, as the server counts them."""
    _must([*client, "-e", "CREATE DATABASE scratch"])
    with open(dumped, "rb") as file:
        _must([*client, "scratch"], stdin=file)
    asked = "SELECT TABLE_NAME FROM information_schema.TABLES"
    asked += " WHERE TABLE_SCHEMA='scratch' AND TABLE_TYPE='BASE TABLE'"
    listed = _must([*client, "-N", "-r", "-e", asked])
    names = [line for line in listed.splitlines() if line]
    quoted = ["`{}`".format(name.replace("`", "``")) for name in names]
    # The names come from this very server, and are quoted.
    text = "".join(f"SELECT COUNT(*) FROM {name};\n" for name in quoted)  # noqa: S608
    if not text:
        return {}
    counted = _must([*client, "-N", "scratch", "-e", text])
    return dict(zip(names, map(int, counted.split()), strict=True))


def _must(command: list[str], stdin: Any = subprocess.DEVNULL) -> str:
    done = subprocess.run(command, stdin=stdin, capture_output=True, check=False, timeout=_HOURS)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise BackupError(f"{command[0]}: {said[-1][:300] if said else done.returncode}")
    return done.stdout.decode(errors="replace")


# -- a backup -----------------------------------------------------------------------------


def run(client: str) -> dict[str, Any]:
    """Back up all sites of a client on this host, and write down what came of it."""
    folder = os.path.join(SETTINGS, client)
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    repository = Repository(
        url=job["repository"],
        password_file=os.path.join(folder, "password"),
        key_file=os.path.join(folder, "key"),
        region=job.get("region", ""),
        authority=job.get("authority", ""),
    )
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    with open(os.path.join(STATE, f"{client}.lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("another backup of this client is running") from None
        began = time.time()
        # A run here that was killed left its lock, which keeps whoever cares for the repository out
        # of it for half an hour. What is wrong with the repository the backup itself will say.
        with contextlib.suppress(BackupError):
            restic(repository, "unlock")
        before = _state(client)
        sites = {
            one["site"]: _site(repository, job, one, before.get(one["site"], {}))
            for one in job["sites"]
        }
        state = {"client": client, "began": began, "ended": time.time(), "sites": sites}
        kept = os.path.join(STATE, f"{client}.json")
        try:
            _write(kept, json.dumps(state))
        except OSError:
            # What the run before said must not speak for this one.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(kept)
            raise
    return state


def _state(client: str) -> dict[str, Any]:
    try:
        with open(os.path.join(STATE, f"{client}.json"), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)["sites"]
    except (OSError, ValueError, KeyError):
        return {}
    return found


def _site(
    repository: Repository, job: dict[str, Any], one: dict[str, Any], before: Mapping[str, Any]
) -> dict[str, Any]:
    began = time.time()
    try:
        done = back_up(repository, job["client"], one, job.get("host", ""))
    except (BackupError, OSError, ValueError) as error:
        return {
            "error": str(error),
            "failed_at": began,
            "last_good": before.get("last_good"),
        }
    return {**done, "error": "", "last_good": began, "seconds": round(time.time() - began, 2)}


def back_up(
    repository: Repository, client: str, one: Mapping[str, Any], host: str
) -> dict[str, Any]:
    """One snapshot of one site: files, dump and manifest; of a server what tells its state."""
    spool = os.path.join(STATE, "spool", client, one["site"])
    os.makedirs(spool, mode=0o700, exist_ok=True)
    more = [path for path in one.get("optional", []) if os.path.lexists(path)]
    paths = [*one["paths"], *more]
    absent = [path for path in one["paths"] if not os.path.lexists(path)]
    if absent:
        raise BackupError(f"not there: {', '.join(absent[:_SHOWN])}")
    database = one.get("database")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(spool, DUMP))
    counted = dump(database, os.path.join(spool, DUMP)) if database else {}
    told_by = describe(spool) if one.get("server") else {}
    manifest_file = os.path.join(spool, MANIFEST)
    files = inventory(paths, one["exclude"], _files_of(manifest_file))
    manifest = {
        "client": client,
        "site": one["site"],
        "made": time.time(),
        "paths": paths,
        "files": files,
        "described": told_by,
        "database": {**counted, "name": database["name"]} if database else None,
    }
    _write(manifest_file, json.dumps(manifest))
    exclude = os.path.join(spool, "exclude")
    _write(exclude, "".join(f"{pattern}\n" for pattern in one["exclude"]))
    arguments = ["backup", "--json", "--quiet", f"--host={host or os.uname().nodename}"]
    arguments += [f"--tag={_SITE_TAG}{one['site']}", f"--retry-lock={_LOCK_WAIT}"]
    arguments += [f"--exclude-file={exclude}", "--", *paths, spool]
    said = restic(repository, *arguments)
    summary = json.loads(said.strip().splitlines()[-1])
    tables = counted.get("tables", {})
    return {
        "snapshot": summary["snapshot_id"],
        "files": sum(row["kind"] == "file" for row in files.values()),
        "bytes": summary["total_bytes_processed"],
        "stored": summary.get("data_added_packed", summary["data_added"]),
        "tables": len(tables),
        "rows": sum(tables.values()),
        "unsafe_tables": counted.get("unsafe", []),
    }


def describe(folder: str) -> dict[str, str]:
    """Write into `folder` what a server's files do not say: file name -> SHA-256.

    A program that the server does not have has nothing to say; one that fails is an error.
    """
    found = {}
    for name, command in _DESCRIBED.items():
        target = os.path.join(folder, name)
        if shutil.which(command[0]) is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
            continue
        _write(target, _must(command))
        found[name] = _hash(target)
    return found


def _files_of(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)["files"]
    except (OSError, ValueError, KeyError):
        return {}
    return found


def _write(path: str, text: str) -> None:
    staged = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(staged, path)
    except OSError:
        os.unlink(staged)
        raise


# -- a restore ----------------------------------------------------------------------------


def restore(repository: Repository, snapshot: str, folder: str) -> None:
    """Everything of a snapshot below `folder`, at its whole path, owners and modes as they were."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    restic(repository, "restore", "--no-lock", f"--target={folder}", snapshot)


def spool_of(folder: str, client: str, site: str) -> str:
    """Where a restored snapshot has its dump and its manifest."""
    return os.path.join(folder, STATE.lstrip("/"), "spool", client, site)


def prove(folder: str, client: str, site: str, scratch: str) -> dict[str, Any]:
    """What a restored snapshot below `folder` is worth: files by the manifest, rows by loading.

    `files` is as `compare` says it; `database` has `tables`, `rows` and what is `wrong`, and is
    None where the backup has none.
    """
    spool = spool_of(folder, client, site)
    try:
        with open(os.path.join(spool, MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError):
        raise BackupError("the backup has no manifest to compare with") from None
    found: dict[str, Any] = {"made": manifest["made"]}
    found["files"] = compare(manifest["files"], folder)
    _compare_described(manifest.get("described", {}), spool, found["files"])
    found["database"] = None
    if manifest["database"]:
        wanted = manifest["database"]["tables"]
        with scratch_database(scratch) as server:
            counted = load(server, os.path.join(spool, DUMP))
        wrong = [
            f"{name}: {counted.get(name, 'no table')} rows, {rows} recorded"
            for name, rows in wanted.items()
            if counted.get(name) != rows
        ]
        wrong += [f"{name}: not recorded" for name in counted if name not in wanted]
        found["database"] = {
            "tables": len(counted),
            "rows": sum(counted.values()),
            "wrong": wrong,
        }
    return found


def _compare_described(wanted: Mapping[str, str], spool: str, found: dict[str, Any]) -> None:
    """Add to what `compare` found what was restored of `describe`."""
    for name, digest in wanted.items():
        path = os.path.join(spool, name)
        if not os.path.isfile(path):
            found["missing"].append(name)
        elif _hash(path) != digest:
            found["different"].append(name)
        else:
            found["matched"] += 1


@contextlib.contextmanager
def opened(
    url: str,
    password: str,
    access: str,
    secret: str,
    *,
    region: str = "",
    authority: str = "",
    cache: str = CACHE,
) -> Iterator[Repository]:
    """A repository whose secrets are in files, in memory if can be, while the block lasts."""
    base = "/run" if os.access("/run", os.W_OK) and os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="ringfence-backup-", dir=base) as folder:
        files = {"password": password, "key": key_file_text(access, secret)}
        if authority:
            files["authority.pem"] = authority
        for name, text in files.items():
            _write(os.path.join(folder, name), text)
        yield Repository(
            url=url,
            password_file=os.path.join(folder, "password"),
            key_file=os.path.join(folder, "key"),
            region=region,
            authority=os.path.join(folder, "authority.pem") if authority else "",
            cache=cache,
        )


# -- the program --------------------------------------------------------------------------


def _tell(said: str) -> None:
    sys.stderr.write(f"{said}\n")


def main(arguments: list[str]) -> int:
    """`run CLIENT`: 0 when every site was backed up."""
    if len(arguments) != 2 or arguments[0] != "run":
        _tell("usage: ringfence-backup run CLIENT")
        return 2
    try:
        state = run(arguments[1])
    except (BackupError, OSError, ValueError) as error:
        _tell(f"ringfence-backup: {arguments[1]}: {error}")
        return 1
    for site, one in state["sites"].items():
        if one["error"]:
            _tell(f"{arguments[1]}/{site}: {one['error']}")
        else:
            sys.stdout.write(
                f"{arguments[1]}/{site}: snapshot {one['snapshot'][:8]}, {one['files']} files, "
                f"{one['tables']} tables, {one['stored']} bytes stored, {one['seconds']} s\n"
            )
    return 1 if any(one["error"] for one in state["sites"].values()) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
