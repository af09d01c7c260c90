# SPDX-License-Identifier: GPL-3.0-or-later
"""One-time codes against the vectors of RFC 6238, and the state files that PAM reads."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _totp

SECRET = base64.b32encode(b"12345678901234567890").decode()
LIMITS = _totp.Limits(5, 300)


# RFC 6238 appendix B, SHA-1, the last six of its eight digits.
@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(moment: int, code: str) -> None:
    assert _totp.code_of(SECRET, _totp.step_of(moment)) == code


@pytest.mark.parametrize("away", [-1, 0, 1])
def test_a_code_one_step_away_is_taken(away: int) -> None:
    code = _totp.code_of(SECRET, 1000 + away)
    assert _totp.step_of_code(SECRET, code, 30_000.0) == 1000 + away


@pytest.mark.parametrize(
    ("away", "told"),
    [(-2, "60 s behind"), (2, "60 s ahead of"), (-10, "300 s behind"), (41, "not the code")],
)
def test_a_code_further_away_is_refused_and_the_clock_named(away: int, told: str) -> None:
    with pytest.raises(_totp.TotpError, match=told):
        _totp.step_of_code(SECRET, _totp.code_of(SECRET, 1000 + away), 30_000.0)


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "12345a", "\uff11\uff12\uff13\uff14\uff15\uff16", "-"]
)
def test_what_is_no_code_is_refused(typed: str) -> None:
    with pytest.raises(_totp.TotpError, match="expected the six digits"):
        _totp.step_of_code(SECRET, typed, 59.0)


def test_a_code_may_be_typed_in_two_groups() -> None:
    assert _totp.step_of_code(SECRET, " 287 082\n", 59.0) == 1


def test_secrets_and_recovery_codes_are_fresh() -> None:
    made = {_totp.new_secret() for _ in range(50)}
    assert len(made) == 50
    assert all(len(base64.b32decode(secret)) == 20 for secret in made)
    codes = _totp.new_recovery_codes(10)
    assert len(set(codes)) == 10
    assert all(len(code) == 8 and code.isdigit() and code[0] != "0" for code in codes)
    assert _totp.new_recovery_codes(0) == ()


def test_the_uri_escapes_what_would_end_a_field() -> None:
    made = _totp.uri("ABC", "a@b+c", "web 1/x:y")
    assert made == "otpauth://totp/web%201%2Fx%3Ay:a%40b%2Bc?secret=ABC&issuer=web%201%2Fx%3Ay"


def test_a_state_file_is_what_pam_expects() -> None:
    assert _totp.render(SECRET, ("11111111", "22222222"), LIMITS, 77) == (
        f"{SECRET}\n"
        '" RATE_LIMIT 5 300\n" WINDOW_SIZE 3\n" DISALLOW_REUSE 77\n" TOTP_AUTH\n'
        "11111111\n22222222\n"
    )


def test_a_new_state_file_has_no_weakness() -> None:
    assert _totp.weaknesses(_totp.parse(_totp.render(SECRET, (), LIMITS)), LIMITS) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('" DISALLOW_REUSE\n', "", "twice"),
        ('" TOTP_AUTH\n', '" HOTP_COUNTER 1\n', "count"),
        ('" WINDOW_SIZE 3\n', '" WINDOW_SIZE 17\n', "further"),
        ('" TOTP_AUTH\n', '" TOTP_AUTH\n" STEP_SIZE 60\n', "steps"),
        ('" RATE_LIMIT 5 300\n', "", "limit of 5"),
        ('" RATE_LIMIT 5 300\n', '" RATE_LIMIT 50 300\n', "limit of 5"),
        ('" RATE_LIMIT 5 300\n', '" RATE_LIMIT five\n', "limit of 5"),
        (SECRET, "JBSWY3DPEHPK3PXP", "fewer than 128 bits"),
    ],
)
def test_each_weakness_is_told_and_mended(old: str, new: str, told: str) -> None:
    weak = _totp.render(SECRET, ("11111111",), LIMITS).replace(old, new)
    found = _totp.weaknesses(_totp.parse(weak), LIMITS)
    assert len(found) == 1
    assert told in found[0]
    mended = _totp.parse(_totp.with_limits(weak, LIMITS))
    assert mended.recovery_codes == ("11111111",)
    if old != SECRET:  # a short secret can only be made anew
        assert _totp.weaknesses(mended, LIMITS) == []


def test_mending_keeps_used_codes_and_attempts() -> None:
    before = f'{SECRET}\n" RATE_LIMIT 3 30 100 101\n" DISALLOW_REUSE 55 56\n" TOTP_AUTH\n'
    after = _totp.parse(_totp.with_limits(before, LIMITS))
    assert after.settings["RATE_LIMIT"] == "5 300 100 101"
    assert after.settings["DISALLOW_REUSE"] == "55 56"


def test_a_strict_file_is_left_as_it_is() -> None:
    text = _totp.render(SECRET, (), LIMITS).replace("5 300", "5 300 1 2 3")
    assert _totp.with_limits(text, LIMITS) is text


@pytest.mark.parametrize("text", ["", "\n", "not base32!\n", "\x00\x01\n", '" TOTP_AUTH\n'])
def test_what_holds_no_secret_is_told_without_showing_it(text: str) -> None:
    with pytest.raises(_totp.TotpError, match="holds no secret") as told:
        _totp.parse(text)
    assert not text.strip() or text.strip() not in str(told.value)


@pytest.mark.parametrize("name", ["alice", "web-1", "CORP.x", "a@b.example", "svc$", "_apt", "0x"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert _totp.checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-rf", "../x", "a/b", "a b", "a,b", "a*", "!a", "é", "a\n", "\udcff", "a" * 66],
)
def test_odd_names_are_refused_in_one_printable_line(name: str) -> None:
    with pytest.raises(_totp.TotpError, match="expected a name") as told:
        _totp.checked_name(name)
    assert str(told.value).isprintable()
