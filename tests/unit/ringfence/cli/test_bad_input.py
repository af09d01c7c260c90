# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one line on standard error, exit code 3, nothing done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.ringfence.cli.conftest import Call

INV = ("-i", "inv")
CASES = [
    (("audit", "--nope"), "No such option: --nope"),
    (("nope",), "No such command 'nope'"),
    (("audit", "-i", "nope"), "nope: there is no such inventory"),
    (("audit", *INV, "--client", "acne"), "there is no client acne (did you mean acme?)"),
    (("audit", *INV, "--host", "web9"), "there is no host web9 (did you mean"),
    (("audit", *INV, "--client", "beta", "--host", "web1"), "host web1 is not one of client beta"),
    (("audit", *INV, "-l", "nobody"), "inv: there are no hosts that match nobody"),
    (("audit", *INV, "--client", "acme", "-l", "web3"), "there are no hosts that match"),
    (("audit", *INV, "--family", "shs"), "there is no family shs (did you mean ssh?)"),
    (("audit", *INV, "--control", "ssh_rot_login"), "(did you mean ssh_root_login?)"),
    (("audit", *INV, "--forks", "0"), "Invalid value for '--forks'"),
    (("audit", *INV, "--forks", "many"), "Invalid value for '--forks'"),
    (("audit", *INV, "--vault-password-file", "no"), "no: there is no such vault password file"),
    (("audit", *INV, "--ask-vault-pass"), "Vault password: there is no terminal to ask at"),
    (("audit", *INV, "--evidence-dir", "inv/hosts.yml"), "expected a folder for the evidence"),
    (("apply", *INV, "--batch", "half"), "--batch half: expected a number of hosts or a share"),
    (("apply", *INV, "--canary", "db1"), "--canary db1: is not one of the chosen hosts"),
    (("apply", *INV, "--outside-window"), "--outside-window: say why"),
    (("apply", *INV, "--outside-window", "--why", " "), "--outside-window: say why"),
    (("apply", *INV, "--why", "x"), "--why: belongs to --outside-window"),
    (("apply", "--resume"), "--resume: "),
    (("apply", "--resume", "--host", "web1"), "--resume: goes on with the hosts and controls"),
    (("apply", "--resume", "--batch", "5"), "--resume: goes on with the hosts and controls"),
    (("apply", *INV, "--guard-timeout", "1"), "Invalid value for '--guard-timeout'"),
    (("explain", "web1"), "Missing argument 'CONTROL'"),
    (("explain", "web1", "ssh_rot_login", *INV), "(did you mean ssh_root_login?)"),
    (("explain", "web9", "ssh_root_login", *INV), "there is no host web9"),
    (("explain", "web1", "ssh_root_login", *INV, "--site", "acme/s9"), "there is no site acme/s9"),
    (("explain", "web2", "ssh_root_login", *INV, "--site", "acme/s0"), "is on web1, not web2"),
    (("status", *INV), "holds no evidence yet"),
    (("diff",), "holds no evidence yet"),
    (("verify",), "holds no evidence yet"),
    (("verify", "--head", "x"), "--head x: expected NUMBER:HASH"),
    (("report", *INV), "holds no evidence yet"),
    (("report", *INV, "--format", "doc"), "--format doc: expected one of html, json, csv, pdf"),
    (("controls", "ssh_rot_login"), "there is no control ssh_rot_login"),
    (("controls", "--family", "shs"), "there is no family shs"),
    (("vendor-access", "remove", *INV), "remove: expected one of apply, revoke, reinstate"),
    (("vendor-access", "revoke", *INV), "revoke: expected the id of a third party"),
    (("vendor-access", "apply", "x", *INV), "apply: expected no third party"),
    (("vendor-access", "revoke", "nobody", *INV), "there is no third party nobody"),
    (("offboard", *INV), "Missing argument 'PERSON'"),
    (("offboard", "nobody", *INV), "there is no person nobody"),
    (("init",), "Missing argument 'FOLDER'"),
    (("init", "inv", "web1"), "inv: is there already"),
    (("init", "new"), "name the hosts, or a file of them with --from"),
    (("init", "new", "a b"), "a b: expected a host such as web1"),
    (("init", "new", "web1:99999"), "web1:99999: expected a host"),
    (("init", "new", "-oProxyCommand=x"), "No such option"),
    (("init", "new", "--", "-oProxyCommand=x"), "expected a host such as web1"),
    (("init", "new", "web1", "web1"), "web1 is named twice"),
    (("init", "new", "--from", "none.txt"), "none.txt: No such file"),
    (("init", "new", "web1", "--private-key", "none"), "none: there is no such key"),
]


@pytest.mark.parametrize(("arguments", "said"), CASES, ids=[" ".join(a) for a, _said in CASES])
def test_bad_input(place: Path, call: Call, arguments: tuple[str, ...], said: str) -> None:
    before = sorted(place.rglob("*"))
    result = call(*arguments)
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == 3, result.output
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ringfence: ")
    assert said in lines[0]
    assert result.stdout == ""
    after = [path for path in sorted(place.rglob("*")) if "evidence" not in path.parts]
    assert after == [path for path in before if "evidence" not in path.parts]


def test_a_group_without_a_command_shows_its_page_alone(place: Path, call: Call) -> None:
    assert place
    result = call("review")
    assert result.exit_code == 3
    assert "sign-off" in result.output
    assert "ringfence: " not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("audit", "-i", "nope", "--json"), "there is no such inventory"),
        (("verify", "--json"), "holds no evidence yet"),
        (("audit", "--nope", "--json"), "No such option"),
    ],
)
def test_bad_input_as_json(place: Path, call: Call, arguments: tuple[str, ...], said: str) -> None:
    assert place
    result = call(*arguments)
    answer = json.loads(result.stdout)
    assert answer["exit_code"] == result.exit_code == 3
    assert said in answer["error"]


def test_a_list_of_hosts_names_file_and_line(place: Path, call: Call) -> None:
    (place / "hosts.txt").write_text("# comment\nweb1\n\nweb 2 # two\n")
    result = call("init", "new", "--from", "hosts.txt")
    assert result.exit_code == 3
    assert "hosts.txt:4: web 2: expected a host" in result.stderr


def test_a_register_that_cannot_be_used_stops_apply_before_any_host(
    place: Path, call: Call
) -> None:
    (place / "inv/clients/acme.yml").write_text("id: acme\n")
    result = call("apply", "-i", "inv")
    assert result.exit_code == 3
    assert "inv/clients/acme.yml" in result.stderr
    assert not (place / "evidence/rollouts").exists() or not list(
        (place / "evidence/rollouts").glob("*.json")
    )
