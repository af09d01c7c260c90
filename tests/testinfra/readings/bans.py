# SPDX-License-Identifier: GPL-3.0-or-later
"""How automatic bans show on a server with sites; these controls are judged only.

tests/hosts/bans brings a host into each wrong state. playbooks/bans.yml mends all but the kernel's
table, which its service makes again by itself.
"""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_CHAIN = "nft list chain inet ringfence_bans prerouting"
_PLUGIN = "/var/www/shop/public/wp-content/mu-plugins/ringfence-bans.php"

READINGS = {
    "bans_services": Reading(
        read="systemctl is-enabled fail2ban ringfence-bans ringfence-bans-receiver",
        right="enabled\nenabled\nenabled",
        wrong="systemctl -q disable fail2ban",
        hosted=True,
    ),
    "bans_logs": Reading(
        read="grep -l ringfence_probe /etc/nginx/ringfence/acme__shop/bans.conf",
        right="/etc/nginx/ringfence/acme__shop/bans.conf",
        wrong="echo > /etc/nginx/ringfence/acme__shop/bans.conf",
        hosted=True,
    ),
    "bans_plugins": Reading(
        read=f"stat -c '%U %a' {_PLUGIN}; php -l {_PLUGIN} | grep -c 'No syntax errors'",
        right="root 644\n1",
        wrong=f"echo '// nothing' >> {_PLUGIN}",
        hosted=True,
    ),
    "bans_kernel": Reading(
        read=f"{_CHAIN} | grep -c 'saddr.*drop'",
        right="4",
        wrong="nft flush chain inet ringfence_bans prerouting; "
        "systemctl stop ringfence-bans.socket ringfence-bans",
        hosted=True,
    ),
    "bans_never": Reading(
        read=f"{_CHAIN} | grep -m 1 -o 'saddr @[a-z0-9]* [a-z]*'",
        right="saddr @never4 accept",
        wrong="nft flush set inet ringfence_bans never4",
        hosted=True,
    ),
    "bans_peers": Reading(
        read="ss -ltnH 'sport = :2242' | wc -l",
        right="2",
        wrong="python3 -c \"import sqlite3; c = sqlite3.connect('/var/lib/ringfence/bans/"
        "bans.sqlite'); c.execute('delete from notes'); c.commit()\"",
        hosted=True,
    ),
}
