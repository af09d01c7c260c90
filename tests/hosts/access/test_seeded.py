# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of a host is found, and on its clean twin none is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ringfence.evidence import Store

from . import faults
from .conftest import Found, Whole

pytestmark = pytest.mark.hosts

# One line a fault of seed.sh, or of the register that comes with it: control, words of its message.
FAULTS = [
    ("access_leaver", "lena left on 2026-01-31"),
    ("access_account_owner", "ghost on faulty is nobody's"),
    ("access_account_owner", "toor on faulty is nobody's"),
    ("access_account_owner", "root on faulty is nobody's"),  # mark's key opens it
    ("access_account_owner", "staff of plain.example on faulty is nobody's"),
    ("access_account_owner", "report@% in MariaDB on faulty is nobody's"),
    ("access_account_owner", "oldsite@localhost in MariaDB on faulty is nobody's"),
    ("access_account_owner", "helper@localhost in MariaDB on faulty is nobody's"),
    ("access_key_owner", "(strange@test) opens ben on faulty"),
    ("access_key_owner", "(authority@test) opens * on faulty"),
    ("access_key_shared", "(mark@test) opens 2 accounts: root, site_plain"),
    ("access_shared_account", "team on faulty is used by nia, omar"),
    ("access_dormant", "dora on faulty was last used on"),
    ("access_dormant", "root on faulty was not used since"),
    ("access_dormant", "site_plain on faulty was not used since"),
    ("access_dormant", "boss of blog.example on faulty was last used on 2025-10-09"),
    ("access_mfa", "mark on faulty signs in without"),
    ("access_mfa", "bea on faulty signs in without"),
    ("access_mfa", "cal on faulty signs in without"),
    ("access_mfa", "dev on faulty signs in without"),
    ("access_mfa", "root on faulty signs in without"),
    ("access_mfa", "boss of blog.example on faulty signs in without a second factor (application"),
    ("access_mfa", "wp_support of shop.example on faulty signs in without"),
    ("access_mfa", "sysop of plain.example on faulty signs in without"),
    ("access_key_strength", "(wes@test) of wes on faulty is ssh-rsa with 1024 bits"),
    ("access_key_age", "(olga@test) of olga on faulty is"),
    ("access_vendor_contract", "vic uses vic on faulty: the contract of gone ended"),
    ("access_vendor_dates", "vera has vera on faulty outside of 2020-01-01 to 2026-01-31"),
    ("access_vendor_addresses", "care_tim on faulty has a key that is not bound"),
    ("access_service_account", "backupd: its review was due on 2026-01-31 and its owner lena left"),
    ("access_cms_administrator", "wp_support of shop.example on faulty (administrator)"),
    ("access_cms_administrator", "sysop of plain.example on faulty (Super Users)"),
    ("access_ungranted", "gus has gus on faulty: nobody granted it"),
    ("access_ungranted", "mark has root on faulty: nobody granted it"),
    ("access_ungranted", "mark has site_plain on faulty: nobody granted it"),
    ("access_beyond_grant", "bea on faulty has all rights, which nobody granted: group docker"),
    ("access_beyond_grant", "dev on faulty has all rights, which nobody granted: sudo dev: (root)"),
    ("access_beyond_grant", "cal on faulty has all rights, which nobody granted: sudo through"),
    ("access_absent", "abe was granted abe (server), and it is not there"),
    ("access_setuid", "root on faulty lends its rights"),
    ("access_password_kept", "pat on faulty has a password that is kept in a broken hash"),
    ("access_password_kept", "staff of plain.example on faulty has a password that is kept in a"),
    ("access_keys_writable", "wanda on faulty gets keys from a file others can write"),
    ("access_database_tls", "report@% in MariaDB on faulty comes over the network without TLS"),
    ("access_database_unused", "oldsite@localhost in MariaDB on faulty is for a database"),
]


@pytest.mark.parametrize(("control", "said"), FAULTS)
def test_each_fault_is_found(found: Found, control: str, said: str) -> None:
    messages = [text for name, text in found.findings("faulty") if name == control]
    assert any(said in text for text in messages), messages


def test_and_nothing_else(found: Found) -> None:
    left = [
        (control, text)
        for control, text in found.findings("faulty")
        if not any(control == one and said in text for one, said in FAULTS)
    ]
    assert left == []


def test_on_the_clean_twin_nothing_is_found(found: Found) -> None:
    assert found.findings("twin") == set()
    assert {row["username"] for row in found.rows("twin", "server")} == {
        "ada", "ben", "care_sam", "ops",
    }  # fmt: skip


def test_what_was_attested_and_has_ended(found: Found) -> None:
    assert found.findings("register") == {
        ("access_attestation_expired", "gone_staff of gone ended on 2026-02-28")
    }


def test_everything_was_read_but_what_no_host_can_tell(found: Found) -> None:
    gaps = [(one["target"], one["source"]) for one in found.answer["not_read"]]
    assert gaps == [("faulty", "certificates")]


def test_fingerprints_are_ssh_keygens(found: Found) -> None:
    for host in ("faulty", "twin"):
        said = found.fleet.exec(
            host, "sh", "-c",
            "for f in /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys"
            " /var/www/*/.ssh/authorized_keys /etc/ssh/user_ca.pub;"
            " do [ ! -f $f ] || ssh-keygen -lf $f; done",
        )  # fmt: skip
        theirs = sorted(tuple(line.split()[:2]) for line in said.splitlines())
        ours = sorted(
            (str(row["details"]["key_bits"]), row["key_fingerprint"])
            for row in found.rows(host, "server")
            if row["key_fingerprint"]
        )
        assert ours == theirs


def test_grants_are_show_grants(found: Found) -> None:
    for host in ("faulty", "twin"):
        accounts = {row["account_id"]: row for row in found.rows(host, "database")}
        listed = found.fleet.exec(
            host, "mariadb", "-NBe",
            "SELECT CONCAT(User, '@', Host) FROM mysql.user WHERE is_role = 'N'",
        )  # fmt: skip
        assert set(accounts) == set(listed.split())
        for name, row in accounts.items():
            user, _at, place = name.rpartition("@")
            said = found.fleet.exec(host, "mariadb", "-NBre", f"SHOW GRANTS FOR '{user}'@'{place}'")
            theirs = [_as_ours(line) for line in said.splitlines() if line.startswith("GRANT ")]
            assert row["details"]["grants"] == theirs, name


def _as_ours(line: str) -> str:
    """The words of a line of SHOW GRANTS without the account and its password."""
    option = " WITH GRANT OPTION" if line.endswith("WITH GRANT OPTION") else ""
    what = re.sub(r" TO `[^`]*`@`[^`]*`.*$", "", line.removeprefix("GRANT "))
    if " ON " not in what:
        return f"role {what.strip('`')}"
    return what + option


def test_second_factors_last_visits_and_blocks_of_the_cms(found: Found) -> None:
    rows = {
        (row["system"], row["username"], row["credential_type"]): row
        for row in found.rows("faulty", "cms")
    }
    boss = rows["cms:faulty/plain.example", "boss", "password"]
    assert (boss["mfa"], boss["privileged"], boss["person"]) == ("yes", True, "ada")
    assert boss["last_login"].endswith("Z")
    assert rows["cms:faulty/plain.example", "former", "password"]["flags"] == ["blocked"]
    phone = rows["cms:faulty/blog.example", "boss", "application_password"]
    assert phone["last_login"] == "2025-10-09T08:53:20Z"
    assert phone["details"]["sources"] == ["192.0.2.7"]
    assert not [key for key in rows if key[1] in ("visitor50", "reader")]


def test_no_secret_is_kept_and_no_visitor(found: Found) -> None:
    hashes = []
    for host in ("faulty", "twin"):
        said = found.fleet.exec(
            host, "sh", "-c",
            "getent shadow | cut -d: -f2; mariadb -NBe \"SELECT authentication_string FROM"
            " mysql.user; SELECT user_pass FROM shop.wp_users; SELECT user_pass FROM"
            " blog.wp_users\"; cat /etc/nginx/staff 2>/dev/null | cut -d: -f2",
        )  # fmt: skip
        hashes += [one.lstrip("!") for one in said.split() if len(one.lstrip("!")) > 10]
    assert len(hashes) > 8
    secrets = [*hashes, "test-only-", "secret.hash", "p'w", "people.example"]
    store = Store(Store.url_in(found.folder / "evidence"))
    texts = [str(store.collection()), str(store.latest())]
    texts += [path.read_text() for path in (found.folder / "evidence/reports").iterdir()]
    assert len(texts) == 5
    for text in texts:
        assert [one for one in secrets if one in text] == []


def test_nothing_on_a_host_was_changed(found: Found) -> None:
    for host, before in found.before.items():
        assert found.after[host] == before


def test_it_is_in_the_chain(found: Found) -> None:
    store = Store(Store.url_in(found.folder / "evidence"))
    assert store.verify().ok
    assert found.answer["collection"] == store.collections()[-1]["id"]
    latest = store.latest()
    assert latest is not None
    assert [host["name"] for host in latest["hosts"]] == [
        "access:faulty", "access:register", "access:twin",
    ]  # fmt: skip


def test_a_client_sees_nothing_of_the_others(found: Found) -> None:
    answer = found.call("--last", "--client", "blog", "--format", "html", "--format", "json")
    assert answer["accesses"] > 4
    for path in map(Path, answer["files"]):
        text = path.read_text()
        assert "blog.example" in text
        assert not re.search(r"shop\.example|plain\.example|wp_support|sysop|site_shop", text)


def test_a_host_out_of_reach_is_a_gap_and_no_pass(found: Found) -> None:
    found.fleet.exec("twin", "systemctl", "stop", "ssh.socket", "ssh.service")
    try:
        answer = found.call("--limit", "twin")
    finally:
        found.fleet.exec("twin", "systemctl", "start", "ssh.service")
    assert answer["exit_code"] == 2
    assert [(one["target"], one["source"]) for one in answer["not_read"]] == [("twin", "host")]


def test_the_password_of_a_site_is_in_no_process_list(found: Found) -> None:
    """As the kernel shows every command line that runs while accesses are collected."""
    watch = (
        "end=$(( $(date +%s) + 60 )); while [ ! -e /tmp/stop ] && [ $(date +%s) -lt $end ];"
        " do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >> /tmp/seen; done"
    )
    fleet = found.fleet
    watcher = subprocess.Popen(["podman", "exec", fleet.container("faulty"), "sh", "-c", watch])
    try:
        found.call("--limit", "faulty")
    finally:
        fleet.exec("faulty", "touch", "/tmp/stop")
        watcher.wait(timeout=90)
    seen = fleet.exec("faulty", "cat", "/tmp/seen")
    assert "mariadb" in seen
    assert "test-only-" not in seen
    assert "joomla\\" not in seen


# --- all systems at once: one host, the cloud account, third parties, registries, attestations


def test_the_table_has_thirty_faults_and_a_row_for_every_system() -> None:
    assert len(faults.FAULTS) >= 30
    assert len({(one.control, one.row) for one in faults.FAULTS}) == len(faults.FAULTS)
    assert {one.system for one in faults.FAULTS} >= {
        *("server", "database", "WordPress", "Joomla", "web server", "IAM", "S3", "KMS", "CDN77"),
        *("Mailchimp", "mySites.guru", "GoDaddy", "registry", "DNS", "attestation"),
    }


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda one: f"{one.system}: {one.seeded}")
def test_each_fault_of_any_system_is_found(wholes: dict[str, Whole], fault: faults.Fault) -> None:
    found = wholes["faulty"].findings()
    assert (fault.control, fault.row) in found, sorted(found)


def test_and_nothing_else_of_any_system(wholes: dict[str, Whole]) -> None:
    table = {(one.control, one.row) for one in faults.FAULTS}
    left = {
        (control, row): message
        for (control, row), message in wholes["faulty"].findings().items()
        if (control, row) not in table
        and not any(control == one and said in message for one, said in FAULTS)
    }
    # A statement is contradicted by each row that shows it wrong; ben's is in the table.
    wrong = {("access_attestation_contradicted", f"console:cloud {one}")
             for one in ("root", "uploader")}  # fmt: skip
    assert set(left) == wrong, left
    assert set(wholes["faulty"].findings("unknown")) == faults.NOT_TOLD


def test_the_clean_twin_of_all_systems_has_not_one_finding(wholes: dict[str, Whole]) -> None:
    clean = wholes["twin"]
    assert clean.findings() == {}
    assert clean.findings("unknown") == {}
    kinds = {row["system"].partition(":")[0] for row in clean.report["rows"].values()}
    assert kinds == {"server", "database", "cms", "bucket", "console", "cdn"}


@pytest.mark.parametrize(
    ("host", "more"), [("faulty", {("faulty", "certificates")}), ("twin", set())]
)
def test_of_all_systems_everything_was_read_but_what_has_to_be_attested(
    wholes: dict[str, Whole], host: str, more: set[tuple[str, str]]
) -> None:
    gaps = {(one["target"], one["source"]) for one in wholes[host].answer["not_read"]}
    assert gaps == faults.TO_ATTEST | more


@pytest.mark.parametrize("host", ["faulty", "twin"])
def test_all_systems_are_in_one_collection_of_one_store(
    wholes: dict[str, Whole], host: str
) -> None:
    store = Store(Store.url_in(wholes[host].folder / "evidence"))
    assert store.verify().ok
    (collected,) = store.collections()
    assert wholes[host].answer["collection"] == collected["id"]
    whole = store.collection()
    assert whole is not None
    assert {target["name"] for target in whole["targets"]} == {
        *(host, "cloud", "domains", "edgeway", "guru", "mailer", "registrar"),
    }
