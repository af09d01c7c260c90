# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of sudo resolved to accounts. tests/hosts/access compares with sudo itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _access_sudo as sudo
from ansible_collections.ringfence.hosting.plugins.module_utils._host import HostError

ADA = sudo.Principal("ada", 1000, frozenset({"ada", "sudo"}), frozenset({1000, 27}))
SVC = sudo.Principal("svc", 999, frozenset({"svc"}), frozenset({999}))


def spec(users: Any, commands: Any, **more: Any) -> dict[str, Any]:
    part = {"Commands": [{"command": c.lstrip("!")} | ({"negated": True} if c[0] == "!" else {})
                         for c in commands], **more.pop("part", {})}  # fmt: skip
    hosts = more.pop("hosts", [{"hostname": "ALL"}])
    return {"User_List": users, "Host_List": hosts, "Cmnd_Specs": [part]}


def rules(*specs: dict[str, Any], defaults: Any = ()) -> sudo.Rules:
    text = json.dumps({"User_Specs": list(specs), "Defaults": list(defaults)})
    return sudo.parse(text, "web1.example", ["192.0.2.7", "fe80::1%eth0"])


@pytest.mark.parametrize(
    ("users", "ada", "svc"),
    [
        ([{"username": "ada"}], "ada", None),
        ([{"usergroup": "sudo"}], "%sudo", None),
        ([{"userid": 999}], None, "#999"),
        ([{"usergid": 27}], "%#27", None),
        ([{"username": "ALL"}], "ALL", "ALL"),
        ([{"username": "ALL"}, {"username": "svc", "negated": True}], "ALL", None),
        ([{"username": "svc", "negated": True}, {"username": "ALL"}], "ALL", "ALL"),
        ([{"netgroup": "admins"}], None, None),
    ],
)
def test_whom_a_rule_is_for(users: Any, ada: str | None, svc: str | None) -> None:
    found = rules(spec(users, ["ALL"]))
    for who, rule in ((ADA, ada), (SVC, svc)):
        assert [grant.rule for grant in found.of(who)] == ([rule] if rule else [])


def test_a_netgroup_is_said_to_be_unknown() -> None:
    found = rules(spec([{"netgroup": "admins"}], ["ALL"]))
    found.of(ADA)
    assert found.unresolved == {"+admins"}


@pytest.mark.parametrize(
    ("hosts", "holds"),
    [
        ([{"hostname": "web1"}], True),
        ([{"hostname": "web1.example"}], True),
        ([{"hostname": "web*"}], True),
        ([{"hostname": "db1"}], False),
        ([{"networkaddr": "192.0.2.0/24"}], True),
        ([{"networkaddr": "198.51.100.0/24"}], False),
        ([{"networkaddr": "nonsense"}], False),
        ([{"hostname": "ALL"}, {"hostname": "web1", "negated": True}], False),
    ],
)
def test_on_which_hosts_it_holds(hosts: Any, holds: bool) -> None:
    assert bool(rules(spec([{"username": "ada"}], ["ALL"], hosts=hosts)).of(ADA)) is holds


@pytest.mark.parametrize(
    ("commands", "part", "root"),
    [
        (["ALL"], {}, True),
        (["ALL"], {"runasusers": [{"username": "svc"}]}, False),
        (["ALL"], {"runasusers": [{"userid": 0}]}, True),
        (["ALL"], {"runasgroups": [{"usergroup": "adm"}]}, False),
        (["/usr/bin/vim"], {}, True),
        (["/usr/bin/vim /etc/motd"], {}, False),
        (["/usr/bin/systemctl reload nginx"], {}, False),
        (["/usr/bin/systemctl"], {}, True),
        (["/usr/bin/systemctl * nginx"], {}, True),
        (['/usr/bin/bash ""'], {}, False),
        (["/usr/local/bin/"], {}, True),
        (["/opt/tools/*"], {}, True),
        (["sudoedit /etc/hosts"], {}, False),
        (["sudoedit /etc/*"], {}, True),
        (["!/usr/bin/su"], {}, False),
        (["/opt/tools/deploy"], {}, True),  # its folder is its user's
        (["/usr/local/sbin/reload-site"], {}, False),
    ],
)
def test_what_makes_somebody_root(commands: list[str], part: Any, root: bool) -> None:
    grants = rules(spec([{"username": "ada"}], commands, part=part)).of(ADA)
    assert bool(sudo.becomes_root(grants, {"/opt/tools/deploy": True})) is root


def test_root_is_reached_over_others() -> None:
    found = rules(
        spec([{"username": "ada"}], ["ALL"], part={"runasusers": [{"username": "svc"}]}),
        spec([{"username": "svc"}], ["ALL"]),
    )
    direct = {who.name: found.of(who) for who in (ADA, SVC)}
    assert not sudo.becomes_root(direct["ada"])
    assert sudo.reachable(direct, "ada") == {"svc", "root"}


def test_tags_and_settings_that_ask_nobody() -> None:
    tag = {"Options": [{"authenticate": False}]}
    (grant,) = rules(spec([{"username": "ada"}], ["ALL"], part=tag)).of(ADA)
    assert (grant.nopasswd, grant.shown()) == (True, "ada: (root) NOPASSWD: ALL")
    setting = {"Options": [{"authenticate": False}]}
    assert rules(defaults=[setting]).asks_nobody(ADA)
    bound = {**setting, "Binding": [{"username": "svc"}]}
    assert not rules(defaults=[bound]).asks_nobody(ADA)
    assert rules(defaults=[bound]).asks_nobody(SVC)
    assert rules(defaults=[{"Options": [{"exempt_group": "sudo"}]}]).asks_nobody(ADA)


@pytest.mark.parametrize("text", ["[]", "{", '{"User_Specs": 3}'])
def test_what_is_not_as_expected_is_an_error(text: str) -> None:
    with pytest.raises(HostError, match="cvtsudoers"):
        sudo.parse(text, "web1").of(ADA)
