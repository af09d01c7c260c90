# SPDX-License-Identifier: GPL-3.0-or-later
"""How the firewall shows on a host; these controls are judged only, and mended by hand."""

from __future__ import annotations

from tests.testinfra.readings._shared import Reading

_RULES = r"""table inet filter {
  chain input { type filter hook input priority 0; policy drop;
    iifname lo accept
    ct state established,related accept
    icmp type echo-request accept
    meta l4proto ipv6-icmp accept
    tcp dport { 22, 80, 443 } accept
  }
}
"""
# nftables first: the others' rules need it.
_MEND = (
    "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y nftables > /dev/null; "
    f"cat > /etc/nftables.conf <<'END'\n{_RULES}END\nsystemctl -q enable nftables; "
    "nft -f /etc/nftables.conf"
)
_CHAIN = "nft list chain inet filter input"


def _seen(read: str, right: str) -> Reading:
    """What the rules that are loaded by hand bring; without nftables there are none."""
    return Reading(read=read, right=right, wrong="true", by_hand="true")


READINGS = {
    "firewall_tool": Reading(
        read="dpkg -s nftables | grep ^Status:",
        right="Status: install ok installed",
        wrong="apt-get -qq remove -y nftables > /dev/null",
        by_hand=_MEND,
    ),
    "firewall_single": Reading(
        read="systemctl is-active ufw",
        right="inactive",
        wrong="mkdir -p /usr/local/lib/systemd/system; printf '[Service]\\nExecStart=/bin/sleep "
        "infinity\\n' > /usr/local/lib/systemd/system/ufw.service; systemctl daemon-reload; "
        "systemctl start ufw",
        by_hand="systemctl stop ufw",
    ),
    "firewall_default_deny": _seen(f"{_CHAIN} | grep -c 'policy drop'", "1"),
    "firewall_loopback": _seen(f"{_CHAIN} | grep -c 'iifname \"lo\" accept'", "1"),
    "firewall_established": _seen(f"{_CHAIN} | grep -c 'ct state established,related accept'", "1"),
    "firewall_at_boot": _seen("systemctl is-enabled nftables", "enabled"),
}
