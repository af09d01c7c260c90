# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts of what automatic bans put on a host, each whole."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_agent
from ansible_collections.ringfence.hosting.plugins.module_utils._ban_agent import (
    agent,
    central,
    kernel,
    share,
    store,
    users,
    web,
)

LIBRARY = "/usr/local/lib/ringfence/ban_agent"
PROGRAM = "/usr/local/sbin/ringfence-bans"
SSHD_CONFIG = f"{share.FOLDER}/sshd_config"
HOST_KEY = f"{share.FOLDER}/host_key"
AUTHORIZED = f"{share.FOLDER}/authorized_keys"

_PACKAGE = _ban_agent.__name__
_NOTE = "# Written by Ringfence; changes made here are lost.\n"


def program() -> dict[str, str]:
    """Path -> text of the agent, as it was sent with this module."""
    texts = {f"{LIBRARY}/__init__.py": _source(_ban_agent)}
    for part in (agent, central, kernel, share, store, users, web):
        texts[f"{LIBRARY}/{part.__name__.rpartition('.')[2]}.py"] = _source(part)
    texts[PROGRAM] = (
        "#!/usr/bin/python3 -IB\n"
        f'{_NOTE}import sys\n\nsys.path.insert(0, "{LIBRARY.rpartition("/")[0]}")\n'
        "from ban_agent.agent import main\n\nsys.exit(main())\n"
    )
    return texts


def _source(module: Any) -> str:
    # On the host this runs from a zip file, which its loader reads.
    loader = importlib.import_module(module.__name__).__spec__.loader  # type: ignore[union-attr]
    text = str(loader.get_source(module.__name__))  # type: ignore[union-attr]
    return text.replace(f"{_PACKAGE}.", "ban_agent.").replace(_PACKAGE, "ban_agent")


FAIL2BAN_ACTION = (
    _NOTE
    + '''\
"""Hands bans to the service ringfence-bans."""

import json
import socket

from fail2ban.server.action import ActionBase

SOCKET = "/run/ringfence-bans/socket"


class RingfenceBans(ActionBase):
    _prolongable = True

    def start(self):
        pass

    def stop(self):
        pass

    def flush(self):
        # When fail2ban stops, bans stay: each ends by its own time.
        return True

    def ban(self, aInfo):
        self._tell(
            {
                "do": "ban",
                "jail": self._jail.name,
                "id": str(aInfo["fid"]),
                "since": int(aInfo["time"]),
                "seconds": int(aInfo["bantime"]),
                "failures": int(aInfo["failures"] or 0),
                "restored": bool(aInfo["restored"]),
                "site": str(self._captured(aInfo, "F-SITE")),
                "matches": str(aInfo["matches"] or "")[-8000:],
            }
        )

    def reban(self, aInfo):
        self.ban(aInfo)

    def prolong(self, aInfo):
        self.ban(aInfo)

    def unban(self, aInfo):
        self._tell({"do": "ended", "jail": self._jail.name, "id": str(aInfo["fid"])})

    @staticmethod
    def _captured(aInfo, name):
        try:
            return aInfo[name] or ""
        except (KeyError, TypeError):
            return ""

    @staticmethod
    def _tell(message):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(SOCKET)
            connection.sendall(json.dumps(message).encode() + b"\\n")
            connection.shutdown(socket.SHUT_WR)
            answer = json.loads(connection.recv(65536) or b'{"error": "no answer"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])


Action = RingfenceBans
'''
)

SERVICE = f"""\
{_NOTE}[Unit]
Description=Ringfence bans
After=nftables.service ringfence-firewall.service ringfence-bans.socket
Requires=ringfence-bans.socket
Before=fail2ban.service

[Service]
Type=notify
ExecStart={PROGRAM} serve
Restart=always
RestartSec=1
UMask=0077
ProtectSystem=full
PrivateTmp=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryMax=512M

[Install]
WantedBy=multi-user.target
"""

SOCKET_UNIT = f"""\
{_NOTE}[Unit]
Description=Where fail2ban hands its bans to Ringfence

[Socket]
ListenStream={agent.SOCKET}
SocketMode=0600
DirectoryMode=0700
Backlog=1024

[Install]
WantedBy=sockets.target
"""

# Its own daemon, so that no rule of the host's sshd has to be loosened for it, run by an account
# that owns nothing but a spool.
RECEIVER = f"""\
{_NOTE}[Unit]
Description=Where peers tell this host of bans
After=network-online.target
Wants=network-online.target

[Service]
User={share.ACCOUNT}
ExecStartPre=/usr/sbin/sshd -t -f {SSHD_CONFIG}
ExecStart=/usr/sbin/sshd -D -e -f {SSHD_CONFIG}
Restart=always
RestartSec=2
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={share.SPOOL}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
CapabilityBoundingSet=
RestrictSUIDSGID=yes
MemoryMax=128M
TasksMax=64

[Install]
WantedBy=multi-user.target
"""

LOGROTATE = f"""\
{_NOTE}/var/log/ringfence/*-probes.log {{
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    create 0640 root adm
    sharedscripts
    postrotate
        systemctl is-active -q nginx.service && systemctl kill --kill-who=main -s USR1 nginx.service
        systemctl is-active -q apache2.service && systemctl reload apache2.service
        true
    endscript
}}
"""


def sshd_config(port: int) -> str:
    """The daemon that takes peers' words: one account, one key a peer, one command a key."""
    return f"""\
{_NOTE}Port {port}
HostKey {HOST_KEY}
PidFile none
UsePAM no
StrictModes yes
AllowUsers {share.ACCOUNT}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {AUTHORIZED}
DisableForwarding yes
PermitTTY no
PermitUserRC no
PermitUserEnvironment no
MaxAuthTries 2
MaxSessions 1
MaxStartups 20:50:60
LoginGraceTime 10
ClientAliveInterval 10
ClientAliveCountMax 2
LogLevel INFO
"""


def authorized_keys(peers: Iterable[Mapping[str, Any]]) -> str:
    """A peer's key, from its own addresses, may run one command that can only take bans."""
    lines = [
        f'restrict,from="{",".join(peer["from"])}",command="{PROGRAM} receive {peer["name"]}" '
        f"{peer['key']}\n"
        for peer in peers
    ]
    return _NOTE + "".join(lines)


def known_hosts(peers: Iterable[Mapping[str, Any]]) -> str:
    """The keys that peers' daemons answer with."""
    lines = [f"[{peer['address']}]:{peer['port']} {peer['host_key']}\n" for peer in peers]
    return _NOTE + "".join(lines)


def configuration(settings: Mapping[str, Any]) -> str:
    """bans.json."""
    return json.dumps(settings, indent=1, sort_keys=True) + "\n"


MUST_USE = r"""<?php
/**
 * Plugin Name: Ringfence bans
 * Description: Tells the host of bad sign-ins, and keeps blocked users out. Written by Ringfence;
 *              changes made here are lost.
 */
// SPDX-License-Identifier: GPL-3.0-or-later

namespace Ringfence\Bans;

if (!defined('ABSPATH')) {
    exit;
}

const SITE = '@SITE@';
const META = 'ringfence_blocked_until';

function is_blocked(int $id): bool
{
    return $id > 0 && (int) get_user_meta($id, META, true) > time();
}

// Whoever mistakes the field writes a password there: only names that exist are told.
function told_name(string $typed): string
{
    $user = get_user_by('login', $typed) ?: get_user_by('email', $typed);
    if (!$user) {
        return '-';
    }
    $encode = fn ($found) => rawurlencode($found[0]);
    return preg_replace_callback('/[^A-Za-z0-9@._-]/', $encode, $user->user_login);
}

function has_code($error, string $code): bool
{
    return $error instanceof \WP_Error && in_array($code, $error->get_error_codes(), true);
}

function tell(string $typed): void
{
    // The web server says who the visitor is; what a visitor's own headers say is not asked.
    $address = filter_var($_SERVER['REMOTE_ADDR'] ?? '', FILTER_VALIDATE_IP);
    if (!$address) {
        return;
    }
    openlog('ringfence-site', LOG_PID | LOG_NDELAY, LOG_AUTH);
    $user = told_name($typed);
    syslog(LOG_NOTICE, "sign-in failed address=$address site=" . SITE . " user=$user");
    closelog();
}

add_action('wp_login_failed', function ($typed, $error = null): void {
    // Of a blocked user whose password was right there is nothing to tell.
    if (!has_code($error, 'ringfence_blocked')) {
        tell((string) $typed);
    }
}, 10, 2);

// A proxy's own name and password come by the same header: only a wrong one of a user counts.
add_action('application_password_failed_authentication', function ($error): void {
    if (has_code($error, 'incorrect_password')) {
        tell((string) ($_SERVER['PHP_AUTH_USER'] ?? ''));
    }
});

add_filter('authenticate', function ($user) {
    if ($user instanceof \WP_User && is_blocked($user->ID)) {
        return new \WP_Error('ringfence_blocked', __('This account is blocked for a while.'));
    }
    return $user;
}, 1000);

// Sessions and application passwords that are at work already.
add_filter('determine_current_user', fn ($id) => is_blocked((int) $id) ? false : $id, PHP_INT_MAX);
"""

WORDPRESS_USER = r"""<?php
// SPDX-License-Identifier: GPL-3.0-or-later
// Written by Ringfence. wordpress-user.php FOLDER DOMAIN block|unblock USER UNTIL
// Runs as the site's own user.
[, $folder, $domain, $verb, $name, $until] = $argv;

function answer(array $said): void
{
    echo "\n", json_encode(['ringfence' => $said]), "\n";
    exit(0);
}

// Plugins stay unloaded.
define('WP_INSTALLING', true);
$_SERVER += ['HTTP_HOST' => $domain, 'SERVER_NAME' => $domain, 'REQUEST_URI' => '/',
    'REMOTE_ADDR' => '127.0.0.1', 'REQUEST_METHOD' => 'GET', 'HTTPS' => 'on',
    'SERVER_PROTOCOL' => 'HTTP/1.1'];
require $folder . '/wp-load.php';

$user = get_user_by('login', $name) ?: get_user_by('email', $name);
if (!$user) {
    answer(['error' => 'there is no such user']);
}
if ($verb === 'block') {
    update_user_meta($user->ID, 'ringfence_blocked_until', (int) $until);
    WP_Session_Tokens::get_instance($user->ID)->destroy_all();
} else {
    delete_user_meta($user->ID, 'ringfence_blocked_until');
}
clean_user_cache($user->ID);
answer(['id' => $user->ID]);
"""
JOOMLA_LOG = "#\n#<?php die('Forbidden.'); ?>\n"


def must_use_plugin(site: str) -> str:
    """The must-use plugin of a WordPress site."""
    return MUST_USE.replace("@SITE@", site.replace("/", "__"))
