# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on real hosts: what it refuses, what it changes, what it takes back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.fleet import Fleet
from tests.hosts.playing import ROOT, Done, evidence, play, statuses
from tests.hosts.second_factor.conftest import Apply, exemption, wipe
from tests.hosts.second_factor.people import (
    PLAYBOOK,
    Token,
    add_account,
    clean_environment,
    enrol,
    sftp,
    sign_in,
)

pytestmark = pytest.mark.hosts

DROP_IN = "/etc/ssh/sshd_config.d/00-ringfence-second-factor.conf"
STATE = "/var/lib/ringfence/second-factor"


@pytest.fixture(scope="module")
def alice(fleet: Fleet, host: str, apply: Apply) -> Token:
    wipe(fleet, host, apply)
    add_account(fleet, host, "alice")
    return enrol(fleet, host, "alice")


@pytest.fixture(autouse=True)
def put_back(
    fleet: Fleet,
    host: str,
    apply: Apply,
    alice: Token,  # noqa: ARG001 (enrolled first)
) -> Iterator[None]:
    """Each test begins with alice enrolled and nobody required."""
    saved = fleet.exec(host, "cat", f"{STATE}/alice")
    yield
    done = apply(host, groups=[])
    assert done.returncode == 0, done.output
    fleet.exec(host, "find", STATE, "-type", "f", "!", "-name", "alice", "-delete")
    fleet.exec(host, "sh", "-c", f"cat > {STATE}/alice <<'END'\n{saved}END")


def test_the_account_of_the_play_is_never_shut_out(fleet: Fleet, host: str, apply: Apply) -> None:
    gateway = fleet.hosts[host].gateway
    before = _configuration(fleet, host)
    for exemptions, told in (
        ([], "is not enrolled: nothing was changed"),
        ([exemption("ops", "192.0.2.0/24")], "(exempt only from 192.0.2.0/24)"),
        ([exemption("ops", gateway, expires="2020-01-31")], "expired on 2020-01-31"),
    ):
        done = apply(host, exemptions=exemptions)
        assert done.returncode == 2
        line = f"this play signs in as 'ops' from {gateway}, which would need a code"
        assert line in _plain(done)
        assert told in _plain(done)
    assert _configuration(fleet, host) == before


def test_who_is_enrolled_but_cannot_answer_is_told_so(
    fleet: Fleet, host: str, apply: Apply
) -> None:
    enrol(fleet, host, "ops")
    before = _configuration(fleet, host)
    done = apply(host)
    assert done.returncode == 2
    assert "has no terminal to ask for one: nothing was changed" in _plain(done)
    assert _configuration(fleet, host) == before


def test_who_is_enrolled_proves_it_on_the_terminal(fleet: Fleet, host: str, role: Path) -> None:
    token = enrol(fleet, host, "ops")
    child = _on_terminal(fleet, host, role)
    child.expect(f"{host} now asks for a code. Yours, to prove")
    child.sendline(token.code(+1))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert sign_in(fleet, host, "ops").asked == 1
    # The way back without a play that could sign in: as root beside sshd.
    _take_back(fleet, host)


def test_a_wrong_answer_puts_the_host_back(fleet: Fleet, host: str, role: Path) -> None:
    enrol(fleet, host, "ops")
    before = _configuration(fleet, host)
    child = _on_terminal(fleet, host, role)
    child.expect(f"{host} now asks for a code. Yours, to prove")
    child.sendline("000000")
    child.expect(pexpect.EOF, timeout=120)
    child.close()
    assert child.exitstatus == 2
    assert "the host was put back" in " ".join(str(child.before).split())
    assert _configuration(fleet, host) == before
    assert sign_in(fleet, host, "ops").came_in


def test_shutting_people_out_takes_a_decision(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]]
) -> None:
    add_account(fleet, host, "carol")
    before = _configuration(fleet, host)
    done = apply(host, exemptions=exempt_ops)
    assert done.returncode == 2
    assert "1 account that signs in now would be shut out, unable to give a code: carol" in _plain(
        done
    )
    assert _configuration(fleet, host) == before
    done = apply(host, exemptions=exempt_ops, shut_out_unenrolled=True)
    assert done.returncode == 0, done.output
    assert "shut out until enrolled: carol" in _plain(done)
    # The door is closed by now: no decision is open any more.
    done = apply(host, exemptions=exempt_ops)
    assert (done.returncode, _changed(done)) == (0, 0), done.output
    fleet.exec(host, "userdel", "--remove", "--force", "carol")


def test_root_is_not_taken_for_able_to_give_a_code(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]]
) -> None:
    """sshd takes no code from root unless PermitRootLogin is yes, enrolled or not."""
    script = "install -D -m 600 ~ops/.ssh/authorized_keys /root/.ssh/authorized_keys"
    fleet.exec(host, "bash", "-c", script)
    enrol(fleet, host, "root")
    done = apply(host, exemptions=exempt_ops)
    fleet.exec(host, "rm", "/root/.ssh/authorized_keys")
    assert done.returncode == 2
    assert "would be shut out, unable to give a code: root" in _plain(done)


def test_check_mode_shows_all_and_changes_nothing(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]]
) -> None:
    before = _configuration(fleet, host)
    list_guards = ("sh", "-c", "ls -A /var/lib/ringfence/guard 2>/dev/null || true")
    guards = fleet.exec(host, *list_guards)
    done = apply(host, "--check", "--diff", exemptions=exempt_ops)
    assert (done.returncode, _changed(done)) == (0, 1), done.output
    assert "+@include ringfence-second-factor" in done.output
    assert "+Match User *" in done.output
    assert _configuration(fleet, host) == before
    assert fleet.exec(host, *list_guards) == guards


def test_a_second_run_changes_nothing_and_an_empty_list_takes_all_back(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]]
) -> None:
    before = _configuration(fleet, host)
    assert _changed(apply(host, exemptions=exempt_ops)) == 1
    assert _changed(apply(host, exemptions=exempt_ops)) == 0
    assert _changed(apply(host, groups=[])) == 1
    assert _changed(apply(host, groups=[])) == 0
    assert _configuration(fleet, host) == before
    assert fleet.exec(host, "dpkg", "--verify", "openssh-server").count("/etc/") == 0
    assert f"{STATE}/alice" in fleet.exec(host, "find", STATE)


def test_pam_auth_update_does_not_undo_it(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]]
) -> None:
    apply(host, exemptions=exempt_ops)
    before = _configuration(fleet, host)
    fleet.exec(host, "env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", "--force")
    assert _configuration(fleet, host) == before
    assert sign_in(fleet, host, "alice").asked == 1


def test_by_group_others_sign_in_as_before(fleet: Fleet, host: str, apply: Apply) -> None:
    gateway = fleet.hosts[host].gateway
    for name in ("member", "client", "robot"):
        add_account(fleet, host, name)
    script = "groupadd -f agency; usermod -aG agency member; echo client:sesame | chpasswd"
    fleet.exec(host, "sh", "-c", f"{script}; rm ~client/.ssh/authorized_keys")
    token = enrol(fleet, host, "member")
    done = apply(host, groups=["agency"], exemptions=[exemption("robot", gateway)])
    assert done.returncode == 0, done.output
    assert sign_in(fleet, host, "member", token.code(+1)).came_in
    assert sign_in(fleet, host, "robot").came_in
    # A password alone, as before; the word that is asked for is not "code".
    assert _with_password(fleet, host, "client", "sesame")
    assert not _with_password(fleet, host, "client", "wrong")
    assert not _with_password(fleet, host, "member", "sesame")
    done = apply(host, groups=["agency", "agencie"])
    assert done.returncode == 2
    assert "this host has no group agencie" in _plain(done)
    fleet.exec(host, "sh", "-c", "for n in member client robot; do userdel -rf $n; done")


# As agencies keep accounts of sites: SFTP and nothing else.
_SFTP_ONLY = """
groupadd -f uploads
usermod -aG uploads -s /usr/sbin/nologin site_shop
usermod -aG uploads -s /usr/sbin/nologin site_blog
cd /etc/ssh/sshd_config.d
printf 'Match Group uploads\\n    ForceCommand internal-sftp\\n' > 50-uploads.conf
sshd -t && systemctl reload ssh
"""


def _site(name: str, asked: bool) -> dict[str, Any]:
    return {
        "client": "acme", "id": name, "domains": [f"{name}.example"], "root": f"/srv/{name}",
        "user": f"site_{name}", "web_server": "nginx", "cms": {"name": "static"},
        "security": {"second_factor": {"admin": "none", "ssh": asked}},
    }  # fmt: skip


def test_the_account_of_a_site_uploads_with_key_and_code_where_the_register_says_so(
    fleet: Fleet, host: str, apply: Apply, tmp_path: Path
) -> None:
    def extra(*, shop: bool) -> tuple[str, str]:
        asked = {"shop": shop, "blog": False}
        return "-e", json.dumps({"ringfence_sites": [_site(name, asked[name]) for name in asked]})

    def load(*, shop: bool) -> None:
        done = apply(host, *extra(shop=shop), groups=[])
        assert done.returncode == 0, done.output

    def audited(name: str) -> str:
        folder, options = tmp_path / name, ("-l", host, *extra(shop=True))
        done = play(fleet, "site_second_factor_audit.yml", *options, evidence_in=folder)
        assert done.returncode == 0, done.output
        return statuses(evidence(folder), "site:acme/shop")["second_factor_site_ssh"]

    for name in ("site_shop", "site_blog"):
        add_account(fleet, host, name)
    token = enrol(fleet, host, "site_shop")
    fleet.exec(host, "sh", "-c", _SFTP_ONLY)
    assert sftp(fleet, host, "site_shop").came_in
    assert audited("before") == "fail"
    load(shop=True)
    assert audited("after") == "pass"
    for code in ("", "000000", token.used):
        refused = sftp(fleet, host, "site_shop", code)
        assert (refused.came_in, refused.asked) == (False, 1), refused.said
    done = sftp(fleet, host, "site_shop", token.code(+1))
    assert (done.came_in, done.asked) == (True, 1), done.said
    other = sftp(fleet, host, "site_blog")
    assert (other.came_in, other.asked) == (True, 0), "a site that asks for nothing"
    load(shop=False)
    again = sftp(fleet, host, "site_shop")
    assert (again.came_in, again.asked) == (True, 0), again.said
    fleet.exec(
        host, "sh", "-c",
        "rm /etc/ssh/sshd_config.d/50-uploads.conf; systemctl reload ssh; "
        "for n in shop blog; do userdel -rf site_$n; done; groupdel uploads",
    )  # fmt: skip


def test_another_match_block_that_overrules_is_told(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]]
) -> None:
    path = "/etc/ssh/sshd_config.d/00-admin.conf"
    text = "Match User alice\n    AuthenticationMethods publickey\n"
    fleet.exec(host, "sh", "-c", f"printf '{text}' > {path}")
    before = _configuration(fleet, host)
    done = apply(host, exemptions=exempt_ops)
    after = _configuration(fleet, host)
    fleet.exec(host, "rm", path)
    assert done.returncode == 2
    assert "sshd would not ask 'alice' for a code: another Match block overrules" in _plain(done)
    assert after == before


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("s/^@include common-auth/auth required pam_unix.so/", "found 0: it was changed by hand"),
        (
            "s/^@include common-auth/&\\nauth required pam_oath.so/",
            "pam_oath.so is in it already: take that line out first",
        ),
    ],
)
def test_a_stack_changed_by_hand_is_left_alone(
    fleet: Fleet,
    host: str,
    apply: Apply,
    exempt_ops: list[dict[str, Any]],
    script: str,
    told: str,
) -> None:
    fleet.exec(host, "cp", "-p", "/etc/pam.d/sshd", "/root/sshd.saved")
    fleet.exec(host, "sed", "-i", script, "/etc/pam.d/sshd")
    before = _configuration(fleet, host)
    done = apply(host, exemptions=exempt_ops)
    after = _configuration(fleet, host)
    fleet.exec(host, "cp", "-p", "/root/sshd.saved", "/etc/pam.d/sshd")
    assert done.returncode == 2
    assert told in _plain(done)
    assert after == before


def test_the_audit_tells_all_that_is_less_than_declared(
    fleet: Fleet, host: str, apply: Apply, exempt_ops: list[dict[str, Any]], alice: Token
) -> None:
    add_account(fleet, host, "carol")
    declared = [*exempt_ops, exemption("carol", "192.0.2.7")]
    apply(host, exemptions=declared)
    found = _info(fleet, host, exemptions=declared)
    assert found["findings"] == []
    assert found["compliant"] is True
    rows = {row["account"]: row for row in found["accounts"]}
    assert rows["alice"]["required"] is True
    assert rows["alice"]["enrolled"] is True
    assert rows["alice"]["recovery_codes"] == 5
    assert rows["ops"]["exempt_until"] == "2099-12-31"
    assert rows["carol"]["enrolled"] is False
    assert alice.secret not in json.dumps(found)
    assert not set(alice.recovery_codes) & set(json.dumps(found).split('"'))

    declared[1] = exemption("carol", "192.0.2.7", expires="2020-01-31")
    script = (
        "sed -i 's/ringfence-second-factor/common-auth/' /etc/pam.d/sshd; "
        f"sed -i '/DISALLOW_REUSE/d' {STATE}/alice; "
        f"cp {STATE}/alice {STATE}/ghost; chmod 644 {STATE}/ghost"
    )
    fleet.exec(host, "sh", "-c", script)
    found = _info(fleet, host, exemptions=declared)
    messages = sorted(f"{row['account']}: {row['message']}" for row in found["findings"])
    assert found["compliant"] is False
    for expected in (
        "carol: exemption expired on 2020-01-31 (owner platform@agency.example)",
        ": /etc/pam.d/sshd asks for a password where a code is declared",
        f": {DROP_IN} differs from what is declared",
        f"alice: {STATE}/alice: a code can be used twice",
    ):
        assert [m for m in messages if m.startswith(expected)], messages
    fleet.exec(host, "userdel", "--remove", "--force", "carol")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"groups": ["*", "sudo"]}, "ssh_second_factor_groups: '*' is everybody and stands alone"),
        ({"groups": ["a b"]}, "ssh_second_factor_groups: 'a b': expected a Unix group's name"),
        ({"exemptions": [{"account": "x"}]}, "exemptions[0] ('x').reason: is missing"),
        ({"attempts": 0}, "ssh_second_factor_attempts: expected 1 to 100, got 0"),
    ],
)
def test_bad_variables_get_one_clear_line(
    host: str, apply: Apply, variables: dict[str, Any], told: str
) -> None:
    done = apply(host, **variables)
    assert done.returncode == 2
    assert told in _plain(done)


def _configuration(fleet: Fleet, host: str) -> str:
    found = "find pam.d ssh -type f ! -name '*.pam-old' | sort"
    script = f"cd /etc && {found} | xargs sha256sum; {found} | xargs stat -c '%n %a %U'"
    return fleet.exec(host, "sh", "-c", script)


def _on_terminal(fleet: Fleet, host: str, role: Path) -> pexpect.spawn[str]:
    options = ["-i", str(fleet.inventory), str(role), "--limit", host]
    variables = {"ssh_second_factor_guard_timeout": 30}
    return pexpect.spawn(
        PLAYBOOK,
        [*options, "-e", json.dumps(variables)],
        cwd=str(ROOT),
        env=clean_environment(),
        encoding="utf-8",
        timeout=90,
    )


def _take_back(fleet: Fleet, host: str) -> None:
    script = (
        f"rm {DROP_IN} /etc/pam.d/ringfence-second-factor; "
        "sed -i 's/ringfence-second-factor/common-auth/' /etc/pam.d/sshd; systemctl reload ssh"
    )
    fleet.exec(host, "sh", "-c", script)


def _with_password(fleet: Fleet, host: str, account: str, password: str) -> bool:
    options = ["-F", str(fleet.ssh_config), "-o", "PubkeyAuthentication=no"]
    options += ["-o", "NumberOfPasswordPrompts=1"]
    child = pexpect.spawn(
        "ssh", [*options, "-l", account, host, "echo came in"], encoding="utf-8", timeout=60
    )
    if child.expect(["assword: ?", "came in", pexpect.EOF]) == 0:
        child.sendline(password)
        came_in = child.expect(["came in", pexpect.EOF]) == 0
        child.close()
        return came_in
    child.close()
    return False


def _info(fleet: Fleet, host: str, **arguments: Any) -> dict[str, Any]:
    command = [str(ROOT / ".venv" / "bin" / "ansible"), host, "-i", str(fleet.inventory)]
    command += [
        "-m",
        "ringfence.hosting.totp_info",
        "-a",
        json.dumps({"groups": ["*"], **arguments}),
    ]
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return document


def _changed(done: Done) -> int:
    recap = next(line for line in done.output.splitlines() if "changed=" in line)
    return int(recap.split("changed=")[1].split()[0])


def _plain(done: Done) -> str:
    return " ".join(done.output.split())
