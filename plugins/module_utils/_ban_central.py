# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The central list of bans on the host that keeps it: CrowdSec's local API, nothing more.

It is an instance of its own, beside whatever the package sets up: its own settings, data and unit.
It reads no logs, knows no hub, and talks to no service of the vendor.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _packages
from ansible_collections.ringfence.hosting.plugins.module_utils._host import (
    Host,
    HostError,
    replace_file,
)

UNIT = "ringfence-bans-central.service"
FOLDER = "/etc/ringfence/bans-central"
DATA = "/var/lib/ringfence/bans-central"
CERTIFICATE = f"{FOLDER}/cert.pem"
CLIENT = f"{FOLDER}/client.yaml"

_UNIT_FILE = f"/etc/systemd/system/{UNIT}"
_SETTINGS = f"{FOLDER}/crowdsec.yaml"
_PROFILES = f"{FOLDER}/profiles.yaml"
_KEY = f"{FOLDER}/key.pem"
_PROGRAM = "/usr/bin/crowdsec"
_CLIENT = "/usr/bin/cscli"
_OPENSSL = "/usr/bin/openssl"
_PACKAGE_UNIT = "crowdsec.service"
# The package registers with the vendor's service as it is installed, unless this file is there.
_ONLINE = "/etc/crowdsec/online_api_credentials.yaml"
_YEARS_DAYS = 3650
_MONTH_SECONDS = 30 * 86400
_START_SECONDS = 60
_NOTE = "# Written by Ringfence; changes made here are lost.\n"


# --- its files


def settings_text(address: str, port: int) -> str:
    """The settings of CrowdSec: no `online_client`, so that nothing is told to the vendor."""
    everywhere = "[::]" if ":" in address else "0.0.0.0"  # noqa: S104 - the kernel lets the fleet in
    shown = {
        # Else CrowdSec 1.4.6 does not tell systemd that it is ready.
        "common": {"daemonize": True, "log_media": "stdout", "log_level": "warning"},
        "config_paths": {
            "config_dir": FOLDER,
            "data_dir": DATA,
            "simulation_path": f"{FOLDER}/simulation.yaml",
            "hub_dir": f"{DATA}/hub",
            "index_path": f"{DATA}/hub/.index.json",
            "notification_dir": f"{FOLDER}/notifications",
            "plugin_dir": f"{DATA}/plugins",
        },
        "cscli": {"output": "json", "color": "no"},
        "db_config": {
            "type": "sqlite",
            "db_path": f"{DATA}/crowdsec.db",
            "use_wal": True,
            # What is over is forgotten; what is in force is never so old.
            "flush": {"max_items": 100000, "max_age": "60d"},
        },
        "api": {
            # For cscli on this host, with what this host itself signs in with.
            "client": {"credentials_path": CLIENT},
            "server": {
                "log_level": "warning",
                "listen_uri": f"{everywhere}:{port}",
                "profiles_path": _PROFILES,
                "tls": {"cert_file": CERTIFICATE, "key_file": _KEY},
            },
        },
        "prometheus": {"enabled": False},
    }
    # JSON is YAML.
    return f"{_NOTE}{json.dumps(shown, indent=1)}\n"


# One there must be. It decides nothing: decisions come with what hosts tell.
PROFILES = f'{_NOTE}name: none\nfilters:\n  - "false"\non_success: break\n'

UNIT_TEXT = f"""\
{_NOTE}[Unit]
Description=Ringfence: the central list of bans
After=network-online.target ringfence-bans.service
Wants=network-online.target

[Service]
Type=notify
ExecStart={_PROGRAM} -c {_SETTINGS} -no-cs
# It says 1 where it was told to stop.
SuccessExitStatus=1
Restart=always
RestartSec=2
UMask=0077
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={DATA}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryMax=512M

[Install]
WantedBy=multi-user.target
"""


def _files(address: str, port: int) -> dict[str, tuple[str, int]]:
    return {
        _SETTINGS: (settings_text(address, port), 0o600),
        _PROFILES: (PROFILES, 0o600),
        _UNIT_FILE: (UNIT_TEXT, 0o644),
    }


def client_text(address: str, port: int, secret: Mapping[str, str]) -> str:
    """How cscli on this host reaches the list."""
    shown = {
        "url": f"https://{f'[{address}]' if ':' in address else address}:{port}/",
        "login": secret.get("machine", ""),
        "password": secret.get("password", ""),
        "ca_cert_path": CERTIFICATE,
    }
    return f"{_NOTE}{json.dumps(shown, indent=1)}\n"


# --- setting it up


def set_up(host: Host, given: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """Bring the service up. Its result: `changed`, `diff`, the `certificate` that it answers with.

    Raises HostError.
    """
    wanted = {
        path: (text, mode)
        for path, (text, mode) in _files(given["addresses"][0], int(given["port"])).items()
        if host.text(path) != text
    }
    diff = [_diff(path, host.text(path) or "", text) for path, (text, _mode) in wanted.items()]
    lacking = not host.exists(_PROGRAM)
    if lacking:
        diff.append(_diff("package crowdsec", "absent\n", "present\n"))
    stale = not _is_good(host, given["addresses"])
    if stale:
        diff.append(_diff(CERTIFICATE, "", "(a new certificate)\n"))
    stopped = not _runs(host)
    changed = bool(diff) or stopped
    if changed and not check:
        if lacking:
            _install(host)
        _make_folders(host)
        if stale:
            _make_certificate(host, given["addresses"])
        for path, (text, mode) in wanted.items():
            replace_file(host, path, text.encode(), mode)
            os.chmod(host.real(path), mode)
        _start(host, restart=bool(wanted) or stale)
    return {"changed": changed, "diff": diff, "certificate": host.text(CERTIFICATE) or ""}


def _is_good(host: Host, addresses: Sequence[str]) -> bool:
    """Whether the certificate holds for the address that hosts ask, and for some time to come."""
    if not host.exists(CERTIFICATE) or not host.exists(_KEY):
        return False
    asked = [_OPENSSL, "x509", "-noout", "-in", CERTIFICATE]
    if host.run([*asked, "-checkend", str(_MONTH_SECONDS)]).rc != 0:
        return False
    return "does match" in host.run([*asked, "-checkip", addresses[0]]).out


def _runs(host: Host) -> bool:
    shown = host.run(["systemctl", "show", "-p", "ActiveState,UnitFileState", UNIT]).out
    state = dict(line.partition("=")[::2] for line in shown.splitlines())
    return state.get("ActiveState") == "active" and state.get("UnitFileState") == "enabled"


def _install(host: Host) -> None:
    """Without the package's own service, which would read logs, and its registration."""
    os.makedirs(host.real(os.path.dirname(_ONLINE)), exist_ok=True)
    if not host.exists(_ONLINE):
        replace_file(host, _ONLINE, b"# Nothing is told to the vendor's service.\n", 0o600)
    host.output(["systemctl", "mask", _PACKAGE_UNIT])
    try:
        _packages.install(host, ["crowdsec"])
    finally:
        host.run(["systemctl", "unmask", _PACKAGE_UNIT])
    host.run(["systemctl", "disable", "--now", _PACKAGE_UNIT])


def _make_folders(host: Host) -> None:
    for folder in (FOLDER, DATA, f"{DATA}/hub"):
        os.makedirs(host.real(folder), mode=0o700, exist_ok=True)
        os.chmod(host.real(folder), 0o700)


def _make_certificate(host: Host, addresses: Sequence[str]) -> None:
    """One that stands for itself: hosts are handed it and take no other."""
    names = ",".join(f"IP:{ipaddress.ip_address(address)}" for address in addresses)
    made = {path: f"{path}.new" for path in (_KEY, CERTIFICATE)}
    host.output([
        _OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", str(_YEARS_DAYS), "-subj", "/CN=ringfence-bans-central",
        "-addext", f"subjectAltName={names}",
        "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
        "-keyout", made[_KEY], "-out", made[CERTIFICATE],
    ])  # fmt: skip
    for path, staged in made.items():
        os.chmod(host.real(staged), 0o600)
        os.replace(host.real(staged), host.real(path))


def _start(host: Host, *, restart: bool) -> None:
    host.output(["systemctl", "daemon-reload"])
    host.output(["systemctl", "enable", "--now", UNIT], timeout=_START_SECONDS + 30)
    if restart:
        host.output(["systemctl", "restart", UNIT], timeout=_START_SECONDS + 30)


# --- who may use it


def register(host: Host, given: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """Let in exactly the `members`. `credentials`: those of who has none yet.

    `here`: members that are in this run; `lacking`: those without anything to sign in with.
    The secrets are made by CrowdSec, which keeps what they are recognised by. Raises HostError.
    """
    known = _known(host) if host.exists(_SETTINGS) else {"machines": {}, "bouncers": {}}
    fresh, out = membership(known, given["members"], given["here"], given["lacking"])
    changed = bool(fresh) or any(out.values())
    credentials = {}
    if changed and not check:
        for kind, names in out.items():
            for name in names:
                host.output([_CLIENT, "-c", _SETTINGS, kind, "delete", name])
        credentials = {name: _let_in(host, name) for name in fresh}
    return {"changed": changed, "credentials": credentials}


def membership(
    known: Mapping[str, Mapping[str, bool]],
    members: Sequence[str],
    here: Sequence[str],
    lacking: Sequence[str],
) -> tuple[list[str], dict[str, list[str]]]:
    """Who is to be let in anew, and kind -> whose entry goes first. `known`: see `_known`."""
    # A machine may ask to be let in, under any name: such a one is none of ours.
    good = {kind: {name for name, ours in rows.items() if ours} for kind, rows in known.items()}
    unknown = {name for name in here if any(name not in names for names in good.values())}
    fresh = unknown | set(lacking)
    out = {
        kind: sorted((set(rows) - (good[kind] & set(members))) | (set(rows) & fresh))
        for kind, rows in known.items()
    }
    return sorted(fresh), out


def _known(host: Host) -> dict[str, dict[str, bool]]:
    """Machines and bouncers by name, and whether somebody here let them in."""
    found = {}
    for kind, key in (("machines", "machineId"), ("bouncers", "name")):
        said = host.output([_CLIENT, "-c", _SETTINGS, kind, "list", "-o", "json"])
        try:
            rows = json.loads(said) or []
            found[kind] = {str(row[key]): bool(row.get("isValidated", True)) for row in rows}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HostError(f"cscli lists {kind} in a way that cannot be understood") from error
    return found


def _let_in(host: Host, name: str) -> dict[str, str]:
    path = f"{DATA}/new-machine.yaml"
    try:
        host.output([_CLIENT, "-c", _SETTINGS, "machines", "add", name, "--auto", "-f", path])
        os.chmod(host.real(path), 0o600)
        text = host.text(path) or ""
    finally:
        with suppress(FileNotFoundError):
            os.unlink(host.real(path))
    rows = dict(line.partition(": ")[::2] for line in text.splitlines())
    key = host.output([_CLIENT, "-c", _SETTINGS, "bouncers", "add", name, "-o", "raw"]).strip()
    password = rows.get("password", "").strip()
    if not password or not key:
        raise HostError(f"cscli made no credentials for {name}")
    return {"machine": name, "password": password, "key": key}


# --- taking it away


def left(host: Host) -> list[str]:
    """What of it is on a host."""
    return [path for path in (_UNIT_FILE, FOLDER, DATA) if host.exists(path)]


def take_away(host: Host) -> None:
    """The service, its settings, its data with all credentials; the package stays, unused."""
    if host.exists(_UNIT_FILE):
        host.output(["systemctl", "disable", "--now", UNIT], timeout=120)
        os.unlink(host.real(_UNIT_FILE))
        host.output(["systemctl", "daemon-reload"])
    for folder in (FOLDER, DATA):
        shutil.rmtree(host.real(folder), ignore_errors=True)


def _diff(path: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": path, "after_header": path, "before": before, "after": after}
