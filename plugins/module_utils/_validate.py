# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Validators: ask the program that will read a file whether it takes it, before it is written."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host

if TYPE_CHECKING:  # shipped to the host, yet loaded only by a run that checks such a file
    from ansible_collections.ringfence.hosting.plugins.module_utils import _nginx as _  # noqa: F401

_SSHD_CONFIG = "/etc/ssh/sshd_config"
_SSHD_DROP_INS = "/etc/ssh/sshd_config.d"
_RSYSLOG = "/etc/rsyslog.conf"
_RSYSLOG_DROP_INS = "/etc/rsyslog.d"


def complaint(host: Host, validator: str, contents: dict[str, bytes]) -> str | None:
    """What `validator` has against `contents` (path -> new bytes); None where it takes them."""
    return _VALIDATORS[validator](host, contents)


def _sshd(host: Host, contents: dict[str, bytes]) -> str | None:
    """`sshd -t` on a copy of the configuration that already holds the new files."""
    with tempfile.TemporaryDirectory(prefix="ringfence-sshd-") as scratch:
        drop_ins = Path(scratch, "drop-ins")
        drop_ins.mkdir(mode=0o700)
        for name in host.names(_SSHD_DROP_INS):
            path = f"{_SSHD_DROP_INS}/{name}"
            (drop_ins / name).write_bytes(contents.get(path, host.read(path) or b""))
        for path, data in contents.items():
            if os.path.dirname(path) == _SSHD_DROP_INS:
                (drop_ins / os.path.basename(path)).write_bytes(data)
        main = contents.get(_SSHD_CONFIG, host.read(_SSHD_CONFIG) or b"")
        pattern = rb"(?im)^(\s*include\s+)" + re.escape(_SSHD_DROP_INS.encode())
        copy = Path(scratch, "sshd_config")
        copy.write_bytes(re.sub(pattern, rb"\g<1>" + os.fsencode(drop_ins), main))
        done = host.run(["/usr/sbin/sshd", "-t", "-f", str(copy)])
        return None if done.rc == 0 else done.complaint().replace(str(drop_ins), _SSHD_DROP_INS)


def _fstab(host: Host, contents: dict[str, bytes]) -> str | None:
    """What findmnt says of the new fstab and did not say of the old one (a disk may be away)."""
    before = set(_fstab_complaints(host, host.read("/etc/fstab") or b""))
    new = [said for said in _fstab_complaints(host, contents["/etc/fstab"]) if said not in before]
    return new[0] if new else None


def _fstab_complaints(host: Host, content: bytes) -> list[str]:
    with tempfile.NamedTemporaryFile(prefix="ringfence-fstab-") as copy:
        copy.write(content)
        copy.flush()
        done = host.run(["findmnt", "--verify", "--tab-file", copy.name])
    if done.rc == 0:
        return []
    lines = (done.out + done.err).replace(copy.name, "/etc/fstab").splitlines()
    # The closing count of errors differs from file to file.
    faults = [line.strip() for line in lines if "[E]" in line or "parse error at" in line]
    return faults or [done.complaint()]


def _rsyslog(host: Host, contents: dict[str, bytes]) -> str | None:
    """`rsyslogd -N1` on a copy of the configuration that already holds the new files."""
    with tempfile.TemporaryDirectory(prefix="ringfence-rsyslog-") as scratch:
        drop_ins = Path(scratch, "drop-ins")
        drop_ins.mkdir(mode=0o700)
        paths = {f"{_RSYSLOG_DROP_INS}/{name}" for name in host.names(_RSYSLOG_DROP_INS)}
        for path in paths | {p for p in contents if os.path.dirname(p) == _RSYSLOG_DROP_INS}:
            content = contents.get(path, host.read(path) or b"")
            (drop_ins / os.path.basename(path)).write_bytes(content)
        main = contents.get(_RSYSLOG, host.read(_RSYSLOG) or b"")
        copy = Path(scratch, "rsyslog.conf")
        copy.write_bytes(main.replace(_RSYSLOG_DROP_INS.encode(), os.fsencode(drop_ins)))
        done = host.run(["/usr/sbin/rsyslogd", "-N1", "-f", str(copy)])
        if done.rc == 0:
            return None
        lines = (done.err + done.out).replace(str(drop_ins), _RSYSLOG_DROP_INS).splitlines()
        # The first line only says which version is asked, and the last that it is done.
        return next((said for said in lines if "error" in said.lower()), done.complaint())


def _sudoers(host: Host, contents: dict[str, bytes]) -> str | None:
    """`visudo -c` on a copy of each drop-in: one that it refuses would shut sudo for everybody."""
    for path, data in sorted(contents.items()):
        with tempfile.NamedTemporaryFile(prefix="ringfence-sudoers-") as copy:
            copy.write(data)
            copy.flush()
            done = host.run(["visudo", "-c", "-f", copy.name])
        if done.rc != 0:
            return done.complaint().replace(copy.name, path)
    return None


def _php_fpm(host: Host, contents: dict[str, bytes]) -> str | None:
    """`php-fpm -t` with the new drop-ins beside those that are there, a version at a time."""
    versions = sorted({path.split("/")[3] for path in contents})
    complaints = (_php_fpm_version(host, version, contents) for version in versions)
    return next((said for said in complaints if said), None)


def _php_fpm_version(host: Host, version: str, contents: dict[str, bytes]) -> str | None:
    folder = f"/etc/php/{version}/fpm"
    with tempfile.TemporaryDirectory(prefix="ringfence-php-") as scratch:
        for kind in ("conf.d", "pool.d"):
            Path(scratch, kind).mkdir()
        for path, data in contents.items():
            if path.startswith(f"{folder}/"):
                Path(scratch, path.removeprefix(f"{folder}/")).write_bytes(data)
        main = Path(scratch, "php-fpm.conf")
        ours = f"\ninclude={scratch}/pool.d/*.conf\n[global]\nerror_log = /dev/null\n"
        main.write_bytes((host.read(f"{folder}/php-fpm.conf") or b"") + ours.encode())
        scanned = f"{folder}/conf.d:{scratch}/conf.d"
        argv = [f"/usr/sbin/php-fpm{version}", "-t", "-y", str(main)]
        done = host.run(argv, environment={"PHP_INI_SCAN_DIR": scanned})
        # a mistake in an ini file is only warned of, and the rest of that file not read
        wrong = [row for row in done.err.splitlines() if "syntax error" in row or "ERROR" in row]
    if done.rc == 0 and not wrong:
        return None
    return (wrong[0] if wrong else done.complaint()).replace(scratch, folder)


def _nginx(host: Host, contents: dict[str, bytes]) -> str | None:
    """`nginx -t` on the whole configuration, as one file that already holds what is new."""
    nginx = importlib.import_module(f"{__package__}._nginx")
    # The snippet is in no configuration until somebody includes it.
    text, origins = nginx.flattened(host, contents)
    with tempfile.TemporaryDirectory(prefix="ringfence-nginx-") as scratch:
        # What is named without a folder lies beside the configuration.
        for name in host.names("/etc/nginx"):
            os.symlink(f"/etc/nginx/{name}", f"{scratch}/{name}")
        copy = Path(scratch, "nginx.conf.ringfence")
        copy.write_bytes(text.encode("utf-8", "surrogateescape"))
        done = host.run(["/usr/sbin/nginx", "-t", "-q", "-c", str(copy)])
    if done.rc == 0:
        return None
    said = next((row for row in done.err.splitlines() if "[emerg]" in row), done.complaint())
    return _placed(re.sub(r"^nginx: \[emerg\] ", "", said), str(copy), origins)


def _apache(host: Host, contents: dict[str, bytes]) -> str | None:
    """`apache2 -t` on the main file with a folder of drop-ins that already holds what is new.

    What waits for a module that is not yet loaded is checked with it.
    """
    drop_ins, available = "/etc/apache2/conf-enabled", "/etc/apache2/conf-available"
    with tempfile.TemporaryDirectory(prefix="ringfence-apache-") as scratch:
        folder = Path(scratch, "conf-enabled")
        folder.mkdir()
        new = {os.path.basename(path): data for path, data in contents.items()}
        for name in host.names(drop_ins):
            if name not in new:
                os.symlink(f"{drop_ins}/{name}", folder / name)
        for name, data in new.items():
            (folder / name).write_bytes(data)
        main = Path(scratch, "apache2.conf")
        text = host.read("/etc/apache2/apache2.conf") or b""
        pattern = rb"(?im)^(\s*Include(?:Optional)?\s+)[\"']?(?:/etc/apache2/)?conf-enabled/"
        main.write_bytes(re.sub(pattern, rb"\g<1>" + os.fsencode(folder) + b"/", text))
        argv = ["apache2ctl", "-t", "-f", str(main)]
        for module in _missing_modules(host, contents):
            argv += ["-C", f"Include /etc/apache2/mods-available/{module}.load"]
        done = host.run(argv)
    if done.rc == 0:
        return None
    lines = (done.err + done.out).replace(str(folder), available).splitlines()
    said = [row for row in lines if row.strip() and "ulimit" not in row and "AH00558" not in row]
    return " ".join(said[:2]) or done.complaint()


def _mariadb(host: Host, contents: dict[str, bytes]) -> str | None:
    """What mariadbd says of its own files with the new ones behind them; it does not start."""
    with tempfile.TemporaryDirectory(prefix="ringfence-mariadb-") as scratch:
        folder = Path(scratch, "conf.d")
        folder.mkdir()
        for path, data in contents.items():
            (folder / os.path.basename(path)).write_bytes(data)
        main = Path(scratch, "my.cnf")
        main.write_text(f"!include /etc/mysql/my.cnf\n!includedir {folder}\n", encoding="utf-8")
        argv = [f"--defaults-file={main}", "--user=mysql", "--help", "--verbose"]
        done = host.run(["/usr/sbin/mariadbd", *argv])
    if done.rc == 0:
        return None
    wrong = [row for row in done.err.splitlines() if "[ERROR]" in row] or done.err.splitlines()
    return re.sub(r"^.*\[(?:ERROR|Warning)\] ", "", wrong[0]) if wrong else done.complaint()


def _missing_modules(host: Host, contents: dict[str, bytes]) -> list[str]:
    wanted = {
        name.decode()
        for data in contents.values()
        for name in re.findall(rb"<IfModule (\w+)_module>", data)
    }
    return sorted(
        name
        for name in wanted
        if host.exists(f"/etc/apache2/mods-available/{name}.load")
        and not host.exists(f"/etc/apache2/mods-enabled/{name}.load")
    )


def _placed(said: str, copy: str, origins: list[tuple[str, int]]) -> str:
    """A complaint about a line of the copy, as one about the line that it came from."""

    def origin(match: re.Match[str]) -> str:
        number = min(int(match[1]), len(origins)) - 1
        path, line = origins[number]
        return f"{path}:{line}"

    return re.sub(rf"{re.escape(copy)}:(\d+)", origin, said)


_VALIDATORS: dict[str, Callable[[Host, dict[str, bytes]], str | None]] = {
    "apache": _apache,
    "sshd": _sshd,
    "fstab": _fstab,
    "mariadb": _mariadb,
    "nginx": _nginx,
    "php_fpm": _php_fpm,
    "rsyslog": _rsyslog,
    "sudoers": _sudoers,
}
