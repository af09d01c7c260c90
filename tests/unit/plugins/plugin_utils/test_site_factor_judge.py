# SPDX-License-Identifier: GPL-3.0-or-later
"""What passes as a second factor of a site, and what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import catalogue, targets
from ansible_collections.ringfence.hosting.plugins.plugin_utils.site_factor_judge import judge

VALUES = {
    name: value
    for name, value in targets.values(catalogue.load(), "site").items()
    if name.startswith("second_factor_site_")
}
GATE = {
    "portal": "gate.example",
    "answers": [["/wp-admin/", 302, "gate.example"], ["//wp-admin", 403, ""]],
    "people": ["ada"],
    "admitted": ["ada"],
    "strangers": [],
}
WORDPRESS = {
    "cms": "wordpress",
    "roles": ["administrator"],
    "forced": ["administrator"],
    "active": True,
    "plugin": "0.13.0",
    "tried_as": "boss",
    "refused": True,
    "users": [{"login": "boss", "own": ["Two_Factor_Totp"], "asked": True}],
}
JOOMLA = {
    "cms": "joomla",
    "roles": ["Super Users"],
    "wanted": [8],
    "forced": [7, 8],
    "never": [2],
    "methods": ["totp"],
    "users": [{"login": "olive", "own": 1}],
}
SSH = {"user": "acme", "asked": True, "can_sign_in": True, "enrolled": False}


def of(part: str, seen: Any) -> dict[str, dict[str, Any]]:
    facts = {"name": "acme/shop", "client": "acme", "gate": None, "cms": None, "ssh": None}
    found = judge({**facts, part: seen}, VALUES)
    return {one["id"].removeprefix("second_factor_site_"): one for one in found}


def test_each_control_is_judged_and_what_is_not_asked_for_does_not_apply() -> None:
    found = of("gate", None)
    assert {f"second_factor_site_{name}" for name in found} == set(VALUES)
    assert {one["status"] for one in found.values()} == {"not_applicable"}


@pytest.mark.parametrize(
    ("part", "seen", "control", "status", "said"),
    [
        ("gate", GATE, "gate_closed", "pass", ""),
        ("gate", GATE, "gate_people", "pass", ""),
        ("gate", {"error": "no answer"}, "gate_closed", "error", "no answer"),
        ("gate", {**GATE, "answers": []}, "gate_closed", "error", "no path was tried"),
        (
            "gate", {**GATE, "answers": [*GATE["answers"], ["/wp-login.php", 200, ""]]},
            "gate_closed", "fail", "/wp-login.php answers 200",
        ),
        (
            "gate", {**GATE, "answers": [["/wp-admin/", 302, "shop.example"]]},
            "gate_closed", "fail", "/wp-admin/ answers 302 to shop.example",
        ),
        (
            "gate", {**GATE, "portal": "", "answers": [["/wp-admin/", 302, ""]]},
            "gate_closed", "fail", "/wp-admin/ answers 302",
        ),
        ("gate", {**GATE, "answers": [["/a/", 500, ""]]}, "gate_closed", "fail", "answers 500"),
        (
            "gate", {**GATE, "answers": [["/wp-admin/", 404, ""], ["//wp-admin", 400, ""]]},
            "gate_closed", "error", "no request met the gate: /wp-admin/ answers 404",
        ),
        (
            "gate", {**GATE, "answers": [["/a/", 404, ""], ["//a", 403, ""]]},
            "gate_closed", "pass", "",
        ),
        ("gate", {**GATE, "strangers": ["cho"]}, "gate_people", "fail", "cho has a sign-in"),
        ("gate", {**GATE, "admitted": ["ada", "cho"]}, "gate_people", "fail", "cho may pass"),
        ("gate", {**GATE, "admitted": []}, "gate_people", "fail", "ada is named and may not pass"),
        ("cms", WORDPRESS, "cms_forced", "pass", ""),
        ("cms", WORDPRESS, "cms_enrolled", "pass", ""),
        ("cms", {**WORDPRESS, "active": False}, "cms_forced", "fail", "is not active"),
        ("cms", {**WORDPRESS, "forced": []}, "cms_forced", "fail", "nothing forces it"),
        ("cms", {**WORDPRESS, "refused": False}, "cms_forced", "fail", "opens the admin area"),
        (
            "cms", {**WORDPRESS, "users": [{"login": "boss", "own": [], "asked": False}]},
            "cms_forced", "fail", "a password alone signs in boss",
        ),
        (
            "cms",
            {**WORDPRESS, "users": [{"login": "eve", "own": ["Two_Factor_Email"], "asked": True}]},
            "cms_enrolled", "fail", "none have eve",
        ),
        ("cms", {**WORDPRESS, "users": []}, "cms_enrolled", "fail", "nobody has one of the roles"),
        ("cms", JOOMLA, "cms_forced", "pass", ""),
        ("cms", JOOMLA, "cms_enrolled", "pass", ""),
        ("cms", {**JOOMLA, "forced": [7]}, "cms_forced", "fail", "the groups 8"),
        ("cms", {**JOOMLA, "never": [8]}, "cms_forced", "fail", "never asked"),
        ("cms", {**JOOMLA, "methods": ["backupcodes"]}, "cms_forced", "fail", "no method"),
        ("cms", {**JOOMLA, "users": [{"login": "tom", "own": 0}]}, "cms_enrolled", "fail", "tom"),
        ("ssh", SSH, "ssh", "pass", ""),
        ("ssh", {**SSH, "asked": False}, "ssh", "fail", "sshd asks acme for no code"),
        ("ssh", {"error": "there is no account"}, "ssh", "error", "there is no account"),
    ],
)  # fmt: skip
def test_a_site(part: str, seen: Any, control: str, status: str, said: str) -> None:
    found = of(part, seen)[control]
    assert found["status"] == status
    assert said in found.get("message", "")


def test_many_names_are_shortened() -> None:
    users = [{"login": f"u{number}", "own": [], "asked": True} for number in range(50)]
    message = of("cms", {**WORDPRESS, "users": users})["cms_enrolled"]["message"]
    assert message.endswith("u19 and 30 more")
