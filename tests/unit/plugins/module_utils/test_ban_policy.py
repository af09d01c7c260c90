# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _ban_policy as policy

FAILED = "sign-in failed address=192.0.2.1"
PROBE = " ringfence-probe address=192.0.2.1"
SIGN_IN = {"attempts": 4, "within": "15m", "ban": "1h"}


def site(name: str = "shop", cms: str = "wordpress", **more: Any) -> dict[str, Any]:
    asked = {"enabled": True, "sign_in": SIGN_IN, "share": True, **more.pop("bans", {})}
    return {
        "client": "acme",
        "id": name,
        "domains": [f"{name}.example"],
        "web_server": "nginx",
        "cms": {"name": cms},
        "security": {"automatic_bans": asked, **more.pop("security", {})},
        **more,
    }


def kinds(*sites: dict[str, Any], ssh: Any = None) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for jail in policy.jails(sites, ssh):
        found.setdefault(jail.kind, []).append(jail.sites)
    return found


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("10m", 600), ("1s", 1), ("4h", 14400), ("2d", 172800), ("1w", 604800)],
)
def test_durations(duration: str, seconds: int) -> None:
    assert policy.seconds(duration) == seconds


@pytest.mark.parametrize("duration", ["", "10", "m", "0m", "-1m", "1 m", "1M", None, "1m\n"])
def test_what_is_no_duration(duration: Any) -> None:
    with pytest.raises(policy.PolicyError, match="expected a duration"):
        policy.seconds(duration)


def test_sites_that_ask_for_the_same_share_a_jail_and_others_keep_their_own() -> None:
    other = {"sign_in": {**SIGN_IN, "attempts": 6}}
    found = kinds(site("a"), site("b"), site("c", bans=other))
    assert found["wordpress"] == [("acme/a", "acme/b"), ("acme/c",)]


def test_the_name_of_a_jail_says_its_values_and_is_short() -> None:
    both = policy.jails([site("a"), site("b")], None)
    one = policy.jails([site("b")], None)
    assert [jail.name for jail in both] == [jail.name for jail in one]
    assert all(len(jail.name) <= 25 for jail in both)
    assert len({jail.name for jail in both}) == len(both)


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ([], set()),
        ([site(bans={"enabled": False})], set()),
        ([{**site(), "security": {}}], set()),
        ([site()], {"wordpress", "ssh"}),
        ([site(cms="joomla")], {"joomla", "ssh"}),
        ([site(cms="static")], {"ssh"}),
        ([site(bans={"exploits": SIGN_IN, "users": SIGN_IN})],
         {"wordpress", "ssh", "exploits", "users"}),
        ([site(cms="static", bans={"users": SIGN_IN})], {"ssh"}),
        ([site(security={"second_factor": {"admin": "cms_and_gate"}})],
         {"wordpress", "ssh", "gate"}),
    ],
)  # fmt: skip
def test_which_jails(sites: list[dict[str, Any]], expected: set[str]) -> None:
    assert set(kinds(*sites)) == expected


def test_ssh_takes_the_strictest_of_each_value() -> None:
    loose = {"sign_in": {"attempts": 9, "within": "1h", "ban": "2h"}, "repeat": {"factor": 2}}
    (jail,) = [j for j in policy.jails([site("a"), site("b", bans=loose)], None) if j.kind == "ssh"]
    assert (jail.attempts, jail.within, jail.ban, jail.factor) == (4, 3600, 7200, 2)


@pytest.mark.parametrize(("ssh", "attempts"), [({}, []), ({**SIGN_IN, "attempts": 2}, [2])])
def test_ssh_as_the_host_says(ssh: dict[str, Any], attempts: list[int]) -> None:
    found = [jail.attempts for jail in policy.jails([site()], ssh) if jail.kind == "ssh"]
    assert found == attempts


def test_a_missing_value_names_the_site() -> None:
    with pytest.raises(
        policy.PolicyError, match=r"acme/shop: automatic_bans.sign_in: ban: missing"
    ):
        policy.jails([site(bans={"sign_in": {"attempts": 1, "within": "1m"}})], None)


def test_never_adds_up_over_sites_management_fleet_and_cdns() -> None:
    watched = site(bans={"never": [{"network": "203.0.113.200", "reason": "monitor"}]})
    behind = site("b", cdn={"ranges": ["198.18.0.0/20", "2001:db8:e000::/36"]})
    found = policy.never([watched, behind], ["192.0.2.0/25"], ["192.0.2.128/25"], ["10.0.0.1"])
    assert found == [
        "10.0.0.1", "127.0.0.0/8", "192.0.2.0/24", "198.18.0.0/20", "203.0.113.200",
        "::1", "2001:db8:e000::/36",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "nowhere", "", None])
def test_never_refuses_everything_and_nothing(text: Any) -> None:
    with pytest.raises(policy.PolicyError, match="automatic_bans_management"):
        policy.never([], [text], [], [])


def sources(**more: Any) -> policy.Sources:
    given = {"uids": {"acme/shop": 999}, "logs": {}, "probe_logs": ["/p"], "domains": {}}
    return policy.Sources(**{**given, **more})


def test_a_line_counts_only_from_the_sites_own_user() -> None:
    text = policy.jails_text(policy.jails([site()], {}), sources(), ["::1"])
    assert "journalmatch = SYSLOG_IDENTIFIER=ringfence-site _UID=999\n" in text
    assert 'filter = ringfence-wordpress[sites="acme__shop"]' in text


def test_what_sshd_says_counts_by_its_sender_which_the_kernel_knows() -> None:
    text = policy.jails_text(policy.jails([site()], None), sources(), ["::1"])
    match = "SYSLOG_IDENTIFIER=sshd _UID=0 + SYSLOG_IDENTIFIER=sshd-session _UID=0"
    assert f"filter = sshd\njournalmatch = {match}\n" in text


def test_a_site_without_a_user_makes_no_jail_that_reads_everything() -> None:
    text = policy.jails_text(policy.jails([site()], {}), sources(uids={}), ["::1"])
    assert "ringfence-wordpress" not in text


def test_repeat_offenders_are_remembered_as_long_as_bans_may_last() -> None:
    listed = policy.jails([site(bans={"repeat": {"factor": 4, "at_most": "4w"}})], None)
    text = policy.jails_text(listed, sources(), ["::1"])
    assert "bantime.formula = ban.Time * 4 ** min(ban.Count, 20)" in text
    assert f"dbpurgeage = {4 * 604800 + 86400}" in policy.fail2ban_text(listed)


@pytest.mark.parametrize(
    ("kind", "sites", "line", "expected"),
    [
        ("wordpress", "acme__shop", f"{FAILED} site=acme__shop user=ann", True),
        ("wordpress", "acme__shop", f"{FAILED} site=acme__shop user=-", True),
        ("wordpress", "acme__shop", f"{FAILED} site=acme__blog user=-", False),
        ("wordpress", "acme__shop", f"x {FAILED} site=acme__shop user=-", False),
        ("users", "acme__shop", f"{FAILED} site=acme__shop user=a%20b", True),
        ("users", "acme__shop", f"{FAILED} site=acme__shop user=-", False),
        ("users", "acme__shop", f"{FAILED} site=acme__shop user=a b", False),
        ("gate", "", "refused reason=password user=dana address=192.0.2.1", True),
        ("gate", "", "refused reason=used_code user=unknown address=192.0.2.1", True),
        ("gate", "", "enrolled user=dana from 192.0.2.1", False),
        ("joomla", "", "\tINFO 192.0.2.1\tjoomlafailure\tUsername and password do not match", True),
        ("joomla", "", "\tINFO 192.0.2.1\tjerror\tjoomlafailure", False),
        ("exploits", r"shop\.example", f"{PROBE} vhost=shop.example status=404 request=", True),
        ("exploits", r"shop\.example", f"{PROBE} vhost=shopxexample status=404 request=", False),
    ],
)  # fmt: skip
def test_filters(kind: str, sites: str, line: str, expected: bool) -> None:
    text = policy.FILTERS[kind].split("failregex = ")[1].strip("\n").replace("%%", "%")
    text = text.replace("<sites>", sites).replace("<HOST>", r"(?P<host>\S+)")
    text = re.sub(r"</?F-[A-Z]+>", "", text)
    assert bool(re.search(text, line)) is expected


@pytest.mark.parametrize(
    ("request_line", "always", "refused"),
    [
        ("/", False, False),
        ("/wp-login.php", False, False),
        ("/wp-admin/post.php?post=1&action=edit", False, False),
        ("/environment/", False, False),
        ("/wp-content/uploads/2026/01/green.png", False, False),
        ("/?s=select+all+union+members", False, False),
        ("/.env", True, False),
        ("/app/.git/config", True, False),
        ("/x?file=../../etc/passwd", True, False),
        ("/wp-content/uploads/2026/y.PHP", True, False),
        ("/?id=1+UNION+ALL+SELECT+1", True, False),
        ("/?x=${jndi:ldap://x}", True, False),
        ("/phpmyadmin/", False, True),
        ("/shell.php", False, True),
        ("/uploads-policy/", False, False),
    ],
)
def test_what_looks_like_a_scan(request_line: str, always: bool, refused: bool) -> None:
    def hit(patterns: tuple[str, ...]) -> bool:
        return any(re.search(pattern, request_line, re.IGNORECASE) for pattern in patterns)

    assert (hit(policy.PROBES), hit(policy.REFUSED_PROBES)) == (always, refused)


def test_patterns_have_nothing_that_ends_the_texts_around_them() -> None:
    assert not set("#\"\n';") & set("".join((*policy.PROBES, *policy.REFUSED_PROBES)))


def test_a_block_without_a_log_keeps_what_it_inherits() -> None:
    asked = [site(bans={"exploits": SIGN_IN})]
    block = {"key": "shop.example:80", "logs": ["/var/log/nginx/access.log combined"]}
    files = policy.nginx_files(asked, {"acme/shop": [block]}, False)
    text = files["/etc/nginx/ringfence/acme__shop/bans.conf"]
    assert "access_log /var/log/nginx/access.log combined if=$ringfence_unlogged;" in text
    assert '"shop.example:80" 1;' in files["/etc/nginx/conf.d/ringfence_bans.conf"]


def test_only_sites_that_ask_get_files() -> None:
    quiet = site("quiet", bans={"enabled": False})
    assert policy.nginx_files([quiet], {}, False) == {}
    files = policy.nginx_files([site(), quiet], {}, False)
    assert not any("quiet" in path for path in files)
    assert "ringfence_banned" not in json.dumps(files)


def test_what_is_shut_for_whom() -> None:
    closed = site(bans={"xmlrpc": "closed"}, cdn={"ranges": ["192.0.2.0/24"]}, web_server="apache")
    files = policy.apache_files([closed], policy.behind_cdn([closed]))
    text = files["/etc/apache2/ringfence/acme__shop/after/bans.conf"]
    assert "Require all denied" in text
    assert "AuthMerging And" in text
