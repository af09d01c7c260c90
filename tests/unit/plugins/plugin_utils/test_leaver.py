# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys and names of people.yml are one person's alone."""

from __future__ import annotations

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import leaver

PRINT = "SHA256:" + "A" * 43
PEOPLE = {
    "people": [
        {"id": "cho", "keys": [{"fingerprint": PRINT}], "emails": ["cho@x.example"],
         "accounts": {"cms": ["cho"], "sftp": ["cho"]},
         "access": [{"system": "server", "account": "team"},
                    {"system": "console", "third_party": "aws", "account": "cho.m"},
                    {"system": "server"}]},
        {"id": "ben", "access": [{"system": "server", "account": "Team"}]},
    ],
    "service_accounts": [
        {"id": "deploy", "owner": "cho", "accounts": {"server": ["deploy"]}},
        {"id": "other", "owner": "ben"},
    ],
}  # fmt: skip


def test_names_of_others_are_kept_and_owned_services_named() -> None:
    assert leaver.subject(PEOPLE, "cho") == {
        "person": "cho",
        "fingerprints": [PRINT],
        "emails": ["cho@x.example"],
        "accounts": {"cms": ["cho"], "server": ["cho", "team"], "aws": ["cho.m"]},
        "kept": {"server": ["team"]},
        "owns": ["deploy"],
    }


def test_nobody_is_refused() -> None:
    with pytest.raises(leaver.LeaverError, match="there is no 'zed' in people"):
        leaver.subject(PEOPLE, "zed")
