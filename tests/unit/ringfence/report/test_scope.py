# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for one client says nothing of another, in any format."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence.report import Report, Scope, ScopeError, build
from ringfence.report.html import render_for_paper
from ringfence.report.scope import WITHHELD
from ringfence.report.source import FORMATS, render

from .fleet import catalogue, control, host, result, run_document, waiver

NOW = datetime(2026, 1, 20, tzinfo=UTC)
CATALOGUE = catalogue(control("files_owner"), control("ssh_banner"))
FOREIGN = frozenset({"Beta Ltd", "beta.example", "/srv/www/beta", "u_beta"})
SCOPE = Scope("Acme", frozenset({"acme1", "shared1"}), FOREIGN)


def run(number: int = 2, **head: Any) -> dict[str, Any]:
    """A run in which each place that can hold a text holds one of another client."""
    return run_document(
        [
            host("acme1", result("ssh_banner", "fail", observed="acme.example")),
            host(
                "shared1",
                result(
                    "files_owner",
                    "fail",
                    expected=["u_acme", "U_BETA"],
                    observed={"/srv/www/beta": "open", "/srv/www/acme": "closed"},
                    message="/srv/www/beta/index.php is open",
                ),
                result(
                    "ssh_banner",
                    "waived",
                    observed="Welcome to BETA.example",
                    waiver=waiver("2027-01-01", reason="Beta Ltd asked", owner="ops"),
                ),
                host={"distribution": "debian", "hostname": "beta.example"},
            ),
            host("beta.example", result("ssh_banner", "fail"), message="Beta Ltd"),
        ],
        number,
        limit="client_beta:beta.example",
        controller="ctl.beta.example",
        **head,
    )


def acme(**more: Any) -> Report:
    """The report for Acme."""
    return build(
        run(), CATALOGUE, before=run(1), history=[run(1)], scope=SCOPE, generated=NOW, **more
    )


@pytest.mark.parametrize("form", [*FORMATS, "paper"])
def test_no_string_of_another_client_is_in_any_format(form: str) -> None:
    text = render_for_paper(acme()) if form == "paper" else render(acme(), form).decode("latin-1")
    for word in FOREIGN:
        assert word.casefold() not in text.casefold()


def test_what_is_withheld_is_said_to_be_so() -> None:
    report = acme()
    assert [h.name for h in report.hosts] == ["acme1", "shared1"]
    assert report.title == "Acme: security of 2 hosts"
    owner = next(c for c in report.controls if c.id == "files_owner")
    assert owner.groups[0].expected == f"u_acme, {WITHHELD}"
    assert owner.groups[0].message == WITHHELD
    assert [w.reason for w in report.waivers] == [WITHHELD]


def test_counts_are_of_the_scope_alone() -> None:
    report = acme()
    assert report.score.checked == 3
    assert report.comparison
    assert report.comparison.score_before.checked == 3
    assert [point.score.checked for point in report.trend] == [3, 3]
    assert not report.comparison.hosts_gone


@pytest.mark.parametrize(
    ("head", "place"),
    [
        ({"operator": "u_beta"}, "report.run.operator"),
        ({"playbook": "beta.example.yml"}, "playbook"),
    ],
)
def test_a_scope_that_does_not_hold_stops_the_report(head: dict[str, str], place: str) -> None:
    with pytest.raises(ScopeError, match=place) as error:
        build(run(**head), CATALOGUE, scope=SCOPE, generated=NOW)
    assert "beta" not in str(error.value).casefold()
