# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a control can ask to be reloaded once it has changed the host (`apply.notify`)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.ringfence.hosting.plugins.module_utils._host import Host, HostError

if TYPE_CHECKING:  # shipped to the host, yet loaded only by a run that reloads PHP-FPM
    from ansible_collections.ringfence.hosting.plugins.module_utils import _php  # noqa: F401


class _Reload(NamedTuple):
    commands: tuple[tuple[str, ...], ...]
    check: tuple[str, ...] = ()
    unit: str = ""
    guarded: tuple[str, ...] = ()
    # A module of ours whose `reload` does it, where commands alone do not.
    module: str = ""


_RELOADS = {
    "reload_apache": _Reload(
        commands=(("systemctl", "reload", "apache2.service"),),
        check=("apache2ctl", "configtest"),
        unit="apache2.service",
    ),
    "reload_nginx": _Reload(
        commands=(("systemctl", "reload", "nginx.service"),),
        check=("/usr/sbin/nginx", "-t", "-q"),
        unit="nginx.service",
    ),
    "reload_sshd": _Reload(
        commands=(("systemctl", "reload", "ssh.service"),),
        check=("/usr/sbin/sshd", "-t"),
        unit="ssh.service",
    ),
    "update_pam": _Reload(
        commands=(("env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", "--package"),),
        guarded=(
            "/etc/pam.d/common-account",
            "/etc/pam.d/common-auth",
            "/etc/pam.d/common-password",
            "/etc/pam.d/common-session",
            "/etc/pam.d/common-session-noninteractive",
            "/var/lib/pam",
        ),
    ),
    "restart_journald": _Reload(
        commands=(
            ("systemctl", "restart", "systemd-journald.service"),
            ("journalctl", "--flush"),
        ),
        unit="systemd-journald.service",
    ),
    "restart_mariadb": _Reload(
        commands=(("systemctl", "restart", "mariadb.service"),),
        unit="mariadb.service",
    ),
    "restart_rsyslog": _Reload(
        commands=(("systemctl", "restart", "rsyslog.service"),),
        check=("/usr/sbin/rsyslogd", "-N1"),
        unit="rsyslog.service",
    ),
    "start_journal_upload": _Reload(
        commands=(
            ("systemctl", "enable", "systemd-journal-upload.service"),
            ("systemctl", "restart", "systemd-journal-upload.service"),
        ),
    ),
    "reload_php_fpm": _Reload(commands=(), module="_php"),
    "reload_auditd": _Reload(
        commands=(("systemctl", "kill", "--signal=HUP", "auditd.service"),),
        unit="auditd.service",
    ),
    "reload_systemd": _Reload(commands=(("systemctl", "daemon-reload"),)),
}
NAMES = tuple(_RELOADS)


def carry_out(host: Host, name: str) -> None:
    """Reload by name, after its check. Raises HostError with what the system said."""
    reload = _RELOADS.get(name)
    if reload is None:
        raise HostError(f"there is no reload called {name}")
    if reload.check:
        host.output(list(reload.check))
    if reload.unit and host.run(["systemctl", "is-active", "-q", reload.unit]).rc != 0:
        return  # not running: it reads its files when it starts
    if reload.module:
        importlib.import_module(f"{__package__}.{reload.module}").reload(host)
    for command in reload.commands:
        host.output(list(command))


def reloaded_units(names: Iterable[str]) -> set[str]:
    """The units that the guard must reload when it puts back what they read."""
    return {_RELOADS[name].unit for name in names if _RELOADS[name].unit}


def guarded_paths(names: Iterable[str]) -> set[str]:
    """Files that a reload itself rewrites, which the guard must snapshot too."""
    return {path for name in names for path in _RELOADS[name].guarded}
