# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign-ins with ssh, a key and a code, against the sshd and the PAM of both releases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet
from tests.fleet.command import podman, run
from tests.hosts.second_factor.conftest import Apply, exemption, wipe
from tests.hosts.second_factor.people import Token, add_account, code_at, enrol, sign_in

pytestmark = pytest.mark.hosts

ENROLLED = ("plain", "skew", "replay", "other", "limit", "paper", "selfmade")
REFUSED_SECONDS = 20


# RFC 6238, appendix B: the seed is the ASCII text, the codes have eight digits.
@pytest.mark.parametrize(
    ("moment", "code"),
    [(59, "94287082"), (1111111109, "07081804"), (2000000000, "69279037")],
)
def test_the_codes_of_these_tests_are_those_of_the_rfc(moment: int, code: str) -> None:
    assert code_at("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", moment, digits=8) == code


@pytest.fixture(scope="module")
def tokens(fleet: Fleet, host: str, apply: Apply) -> Iterator[dict[str, Token]]:
    """A host that requires a code of everybody, and the tokens of those who are enrolled."""
    wipe(fleet, host, apply)
    for name in (*ENROLLED, "robot", "past", "late"):
        add_account(fleet, host, name)
    tokens = {name: enrol(fleet, host, name) for name in ENROLLED}
    gateway = fleet.hosts[host].gateway
    done = apply(
        host,
        seconds=REFUSED_SECONDS,
        shut_out_unenrolled=True,
        exemptions=[
            exemption("ops", gateway),
            exemption("robot", f"{gateway}/32"),
            exemption("past", gateway, expires="2020-01-31"),
        ],
    )
    assert done.returncode == 0, done.output
    yield tokens
    wipe(fleet, host, apply)


def test_key_and_code_sign_in(fleet: Fleet, host: str, tokens: dict[str, Token]) -> None:
    # The code of now was used up by the enrolment.
    done = sign_in(fleet, host, "plain", tokens["plain"].code(+1))
    assert done.came_in, done.said
    assert done.asked == 1


@pytest.mark.usefixtures("tokens")
def test_without_the_code_nobody_signs_in(fleet: Fleet, host: str) -> None:
    done = sign_in(fleet, host, "plain", "")
    assert not done.came_in
    assert done.asked == 1
    assert "Permission denied (keyboard-interactive)" in done.said


@pytest.mark.usefixtures("tokens")
def test_without_the_key_no_code_is_asked_for(fleet: Fleet, host: str, tmp_path: Path) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "stranger")])
    done = sign_in(fleet, host, "plain", "123456", key=tmp_path / "stranger")
    assert (done.came_in, done.asked) == (False, 0)
    assert "Permission denied (publickey)" in done.said


def test_one_step_of_skew_is_taken_and_two_are_not(
    fleet: Fleet, host: str, tokens: dict[str, Token]
) -> None:
    token = tokens["skew"]
    while token.code(-1) == token.used:  # that one is refused for another reason
        time.sleep(1)
    assert not sign_in(fleet, host, "skew", token.code(-2)).came_in
    assert not sign_in(fleet, host, "skew", token.code(+2)).came_in
    assert sign_in(fleet, host, "skew", token.code(-1)).came_in
    assert sign_in(fleet, host, "skew", token.code(+1)).came_in


def test_a_code_works_once(fleet: Fleet, host: str, tokens: dict[str, Token]) -> None:
    code = tokens["replay"].code(+1)
    assert sign_in(fleet, host, "replay", code).came_in
    assert not sign_in(fleet, host, "replay", code).came_in


@pytest.mark.usefixtures("tokens")
def test_the_code_of_the_enrolment_is_used_up(fleet: Fleet, host: str) -> None:
    add_account(fleet, host, "fresh")
    token = enrol(fleet, host, "fresh")
    assert not sign_in(fleet, host, "fresh", token.used).came_in
    assert sign_in(fleet, host, "fresh", token.code(+1)).came_in


def test_the_code_of_somebody_else_is_refused(
    fleet: Fleet, host: str, tokens: dict[str, Token]
) -> None:
    assert not sign_in(fleet, host, "other", tokens["plain"].code(-1)).came_in


def test_five_wrong_codes_close_the_door_for_a_while(
    fleet: Fleet, host: str, tokens: dict[str, Token]
) -> None:
    token = tokens["limit"]
    for _attempt in range(5):
        assert not sign_in(fleet, host, "limit", "000000").came_in
    closed = time.time()
    assert not sign_in(fleet, host, "limit", token.code(+1)).came_in
    time.sleep(max(0.0, closed + REFUSED_SECONDS + 2 - time.time()))
    assert sign_in(fleet, host, "limit", token.code(+1)).came_in


def test_a_recovery_code_works_once(fleet: Fleet, host: str, tokens: dict[str, Token]) -> None:
    first, second, *_rest = tokens["paper"].recovery_codes
    assert sign_in(fleet, host, "paper", first).came_in
    assert not sign_in(fleet, host, "paper", first).came_in
    assert sign_in(fleet, host, "paper", second).came_in


@pytest.mark.usefixtures("tokens")
def test_who_is_required_and_not_enrolled_is_refused(fleet: Fleet, host: str) -> None:
    assert not sign_in(fleet, host, "late", "123456").came_in


def test_nobody_makes_a_token_for_themselves(
    fleet: Fleet, host: str, tokens: dict[str, Token]
) -> None:
    own = Token("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    script = 'printf \'%s\n" TOTP_AUTH\n\' "$1" > ~late/.google_authenticator'
    script += "; chmod 600 ~late/.google_authenticator; chown late: ~late/.google_authenticator"
    fleet.exec(host, "bash", "-c", script, "bash", own.secret)
    assert not sign_in(fleet, host, "late", own.code()).came_in
    folder = "/var/lib/ringfence/second-factor"
    tried = fleet.exec(
        host, "su", "selfmade", "-c", f"ls {folder}; rm -f {folder}/selfmade; echo tried"
    )
    assert tried.split() == ["tried"]
    assert sign_in(fleet, host, "selfmade", tokens["selfmade"].code(+1)).came_in


@pytest.mark.usefixtures("tokens")
def test_an_exemption_holds_from_its_source_only(fleet: Fleet, host: str) -> None:
    done = sign_in(fleet, host, "robot")
    assert (done.came_in, done.asked) == (True, 0)
    assert _from_next_door(fleet, host, "robot") == "refused"


@pytest.mark.usefixtures("tokens")
def test_an_expired_exemption_is_none(fleet: Fleet, host: str) -> None:
    done = sign_in(fleet, host, "past", "123456")
    assert (done.came_in, done.asked) == (False, 1)


@pytest.mark.usefixtures("tokens")
def test_sudo_asks_for_no_code(fleet: Fleet, host: str) -> None:
    assert fleet.ssh(host, "sudo", "-n", "id", "-un").strip() == "root"
    script = "echo plain:sesame | chpasswd; echo 'plain ALL=(ALL) ALL' > /etc/sudoers.d/plain"
    fleet.exec(host, "sh", "-c", script)
    answer = fleet.exec(
        host, "su", "plain", "-c", "echo sesame | sudo -S -p 'asked %p' id -un 2>/dev/null"
    )
    assert answer.strip().endswith("root")


def _from_next_door(fleet: Fleet, host: str, account: str) -> str:
    """Sign in to `host` from the other host, with the fleet's own key."""
    other = next(name for name in fleet.hosts if name != host)
    key = fleet.inventory.with_name("id_ed25519").read_text()
    script = (
        "umask 077; cat > /root/key; ssh -i /root/key -o BatchMode=yes -o StrictHostKeyChecking=no "
        f"-o UserKnownHostsFile=/dev/null {account}@{fleet.hosts[host].address} echo came in "
        "2>&1 || true; rm /root/key"
    )
    said = podman("exec", "-i", fleet.container(other), "sh", "-c", script, stdin=key)
    if "came in" in said:
        return "came in"
    assert "Permission denied (keyboard-interactive)" in said, said
    return "refused"
