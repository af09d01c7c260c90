# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controls of banners show on a host."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading, modes

_NOTICE = (
    "This system is private property of its owner. Access is restricted to authorized users; "
    "all unauthorized use is prohibited by policy and by law. Activity is monitored and recorded, "
    "and legal action may follow."
)

READINGS = {
    "banners_console": Reading(
        read="cat /etc/issue", right=_NOTICE, wrong=r"echo 'Debian \n \l' > /etc/issue"
    ),
    "banners_network": Reading(
        read="cat /etc/issue.net", right=_NOTICE, wrong="rm -f /etc/issue.net"
    ),
    "banners_message_of_the_day": Reading(
        read="wc -c < /etc/motd", right="0", wrong="uname -a > /etc/motd"
    ),
    "banners_mode": modes("644 root:root", "0666", "/etc/issue"),
}
