# SPDX-License-Identifier: GPL-3.0-or-later
"""What a grant of a third party's person comes to, without a host."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _vendor_access as vendors
from ansible_collections.ringfence.hosting.plugins.module_utils._vendor_access import State

TODAY = date(2026, 11, 26)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ+Jpb1okulewJ6HAbBo7qUZt6M25sTSGUKD0eh0K2L"
SAM: dict[str, Any] = {
    "account": "sc_sam", "person": "sam", "name": "Sam Vale", "third_party": "care",
    "keys": [{"public_key": f"{KEY} sam@care"}], "from": ["203.0.113.64/29", "2001:db8::1"],
    "sudo": ["/usr/bin/systemctl restart nginx"], "start": "2026-01-01", "end": "2026-11-26",
}  # fmt: skip


def grants(*rows: dict[str, Any]) -> list[vendors.Grant]:
    return vendors.read_grants([{**SAM, **row} for row in rows])


BAD = [
    ({"account": "root"}, "people[0].account: expected a name such as sc_sam, got 'root'"),
    ({"account": "a b"}, "people[0].account: expected a name such as sc_sam, got 'a b'"),
    ({"account": "../x"}, "people[0].account: expected a name such as sc_sam, got '../x'"),
    ({"third_party": "a,b"}, "people[0].third_party: expected an id, got 'a,b'"),
    ({"end": "soon"}, "people[0].end: expected a date such as 2027-01-31, got 'soon'"),
    ({"from": ["here"]}, "people[0].from[0]: expected a network or an address, got 'here'"),
    ({"from": ['1.2.3.4" x']}, "people[0].from[0]: expected a network"),
    ({"sudo": ["systemctl"]}, "people[0].sudo[0]: expected ALL or a program's whole path"),
    ({"sudo": ["/bin/a, ALL"]}, "people[0].sudo[0]: expected ALL or a program's whole path"),
    ({"sudo": ["/bin/a\nx ALL=ALL"]}, "people[0].sudo[0]: expected ALL"),
    ({"keys": [{"public_key": "ssh-ed25519 AAAA"}]}, "people[0].keys[0].public_key: expected a"),
    ({"keys": [{"public_key": KEY.replace("ssh-ed25519", "ssh-rsa")}]}, "public_key: expected"),
    ({"keys": [{"public_key": "no-pty " + KEY}]}, "people[0].keys[0].public_key: expected"),
    ({"keyes": []}, "people[0].keyes: is not known"),
]


@pytest.mark.parametrize(("row", "said"), BAD, ids=[said[:40] for _row, said in BAD])
def test_what_is_no_grant_is_refused_in_one_line(row: dict[str, Any], said: str) -> None:
    with pytest.raises(vendors.VendorError) as refused:
        grants(row)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


DAYS = [
    ({}, True),  # the last day counts
    ({"end": "2026-11-25"}, False),
    ({"start": "2026-11-26"}, True),
    ({"start": "2026-11-27", "end": "2027-01-01"}, False),
    ({"end": ""}, True),
]


@pytest.mark.parametrize(("row", "holds"), DAYS)
def test_a_grant_holds_from_its_first_to_its_last_day(row: dict[str, Any], holds: bool) -> None:
    assert ("sc_sam" in vendors.wanted(grants(row), State(), TODAY).open) is holds


def made(**more: Any) -> State:
    account = {"uid": 1001, "person": "sam", "third_party": "care", "comment": "Sam Vale (care)"}
    return State(accounts={"sc_sam": account}, **more)


CHOICES: list[tuple[list[dict[str, Any]], State, list[str], list[str], set[str], tuple[str, ...]]]
CHOICES = [
    ([{}], made(), [], [], {"sc_sam"}, ()),
    ([], made(), [], [], set(), ("sc_sam",)),
    ([{}], made(), ["care"], [], set(), ("sc_sam",)),
    ([{}], made(), ["other"], [], {"sc_sam"}, ()),
    ([{}], made(revoked={"care": "2026-11-01"}), [], [], set(), ("sc_sam",)),
    ([{}], made(revoked={"care": "2026-11-01"}), [], ["care"], {"sc_sam"}, ()),
]


@pytest.mark.parametrize(("rows", "state", "revoke", "back", "open_", "closed"), CHOICES)
def test_who_has_access(
    rows: list[dict[str, Any]],
    state: State,
    revoke: list[str],
    back: list[str],
    open_: set[str],
    closed: tuple[str, ...],
) -> None:
    found = vendors.wanted(grants(*rows), state, TODAY, revoke, back)
    assert (set(found.open), found.closed) == (open_, closed)


def test_a_revocation_keeps_its_first_day_and_needs_something_to_revoke() -> None:
    again = vendors.wanted([], made(revoked={"care": "2026-11-01"}), TODAY, ["care"])
    assert again.revoked == {"care": "2026-11-01"}
    assert vendors.wanted([], made(), TODAY, ["care"]).revoked == {"care": "2026-11-26"}
    assert vendors.wanted([], State(), TODAY, ["nobody"]).revoked == {}
    with pytest.raises(vendors.VendorError, match="care: is to be revoked and reinstated at once"):
        vendors.wanted([], made(), TODAY, ["care"], ["care"])


def test_one_account_is_one_persons() -> None:
    with pytest.raises(vendors.VendorError, match="sc_sam: granted to sam and tom"):
        vendors.wanted(grants({}, {"person": "tom"}), State(), TODAY)


def test_keys_are_bound_to_addresses_and_to_the_earlier_end() -> None:
    expiring = [{"public_key": KEY, "expires": "2026-11-01"}]
    rows = grants({}, {"keys": [{"public_key": KEY, "expires": "2026-12-01"}], "end": "2027-01-01"})
    lines = vendors.authorized_keys(rows, TODAY).splitlines()[1:]
    place = 'from="203.0.113.64/29,2001:db8::1/128"'
    assert lines == [
        f'{place},expiry-time="20261126235959Z" {KEY} sam@care',
        f'{place},expiry-time="20261201235959Z" {KEY} sam@care',
    ]
    assert vendors.authorized_keys(grants({"keys": expiring}), TODAY).count("\n") == 1


def test_sudo_says_who_whom_when_and_keeps_each_command() -> None:
    text = vendors.sudoers({"sc_sam": grants({}, {"sudo": ["ALL"], "start": "", "end": ""})})
    assert text is not None
    assert "Defaults:sc_sam use_pty, log_output, log_subcmds, !authenticate\n" in text
    assert (
        "sc_sam ALL=(root) NOTBEFORE=20260101000000Z NOTAFTER=20261126235959Z "
        "NOPASSWD: /usr/bin/systemctl restart nginx\n"
    ) in text
    assert "sc_sam ALL=(ALL:ALL) NOPASSWD: ALL\n" in text
    assert vendors.sudoers({"sc_sam": grants({"sudo": []})}) is None


def test_what_sudoers_takes_for_signs_is_escaped() -> None:
    command = "/usr/bin/rsync a:b,c=d"
    text = vendors.sudoers({"sc_sam": grants({"sudo": [command]})})
    assert text is not None
    assert text.endswith("NOPASSWD: /usr/bin/rsync a\\:b\\,c\\=d\n")


@pytest.mark.parametrize(
    ("end", "day"), [(None, ""), (date(1970, 1, 1), "1"), (date(2026, 11, 26), "20784")]
)
def test_an_account_expires_on_the_day_after(end: date | None, day: str) -> None:
    assert vendors.shadow_day(end) == day


def test_the_longest_grant_is_the_accounts_end_and_one_without_is_none() -> None:
    assert vendors.last_day(grants({}, {"end": "2027-01-01"})) == date(2027, 1, 1)
    assert vendors.last_day(grants({}, {"end": ""})) is None


def test_a_hostile_name_stays_one_field_of_passwd() -> None:
    assert vendors.comment_of(grants({"name": "Sam:0:0\n, Välé="})) == "Sam00 Vl (care)"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"keys": []}, "no public_key"),
        ({"from": []}, "its keys open from anywhere"),
        ({"end": ""}, "a grant has no end"),
        ({"keys": [{"public_key": KEY, "expires": "2020-01-01"}]}, "every key"),
    ],
)
def test_what_is_loose_is_told(row: dict[str, Any], said: str) -> None:
    [line] = vendors.told({"sc_sam": tuple(grants(row))}, TODAY)
    assert said in line


def test_nothing_is_told_of_a_tight_grant() -> None:
    assert vendors.told({"sc_sam": tuple(grants({}))}, TODAY) == []


HEADER = "# Ringfence writes this file (role vendor_access); changes to it are lost.\n"
LINE = "e /var/log/sudo-io/sc_sam - - - mM:180d\n"
AGES = [
    ({"sc_sam"}, "", 180, LINE),
    ({"sc_sam"}, HEADER + LINE, 30, LINE.replace("180", "30")),
    (set(), HEADER + LINE, 180, LINE),  # the account is gone, its record is not
    ({"sc_ada"}, HEADER + LINE, 180, LINE.replace("sc_sam", "sc_ada") + LINE),
    ({"sc_sam"}, HEADER + LINE, 0, "#" + LINE.replace("180", "0")),
    (set(), HEADER + "#" + LINE, 180, LINE),
]


@pytest.mark.parametrize(("accounts", "before", "days", "lines"), AGES)
def test_records_age_by_account(accounts: set[str], before: str, days: int, lines: str) -> None:
    assert vendors.ageing(accounts, before, days) == HEADER + lines
