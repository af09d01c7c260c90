# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody leaves: each credential is tried for real before and after, and a colleague's too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts.access_changes import CLIENT
from tests.hosts.cli.calling import answered
from tests.hosts.sites.servers import Servers
from tests.s3 import embedded
from tests.third_parties import names, servers

pytestmark = pytest.mark.hosts

HOSTS = ("old", "new")
PEOPLE = ("cho", "ben")
SEED = Path(__file__).with_name("seed.sh")
_SECONDS = 90


@dataclass
class Left:
    """Two hosting servers, before and after cho left."""

    fleet: Servers
    folder: Path
    keys: Path
    iam: Any
    secret: dict[str, str]
    before: dict[str, bool]
    plan: tuple[int, dict[str, Any]]
    done: tuple[int, dict[str, Any]]

    def call(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return answered(self.folder, "offboard", *arguments, **self.secret)

    def sh(self, host: str, script: str) -> str:
        return self.fleet.exec(host, "sh", "-c", script)

    def ssh(self, host: str, who: str, account: str, command: str) -> bool:
        config = self.keys / f"{who}.ssh_config"
        own = self.fleet.inventory.with_name("id_ed25519")
        text = self.fleet.ssh_config.read_text().replace(str(own), str(self.keys / who))
        config.write_text(text)
        options = ["-F", str(config), "-o", "ControlPath=none", "-o", "BatchMode=yes"]
        options += ["-o", "ConnectionAttempts=10"]  # sshd may be in the middle of a reload
        done = subprocess.run(
            ["ssh", *options, "-l", account, host, command],
            capture_output=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def ways(self, who: str) -> dict[str, bool]:
        """Each credential of somebody, tried for real."""
        found = {}
        for host in HOSTS:
            found[f"{host} ssh"] = self.ssh(host, who, who, "true")
            found[f"{host} shared account"] = self.ssh(host, who, "team", "true")
            found[f"{host} sudo"] = "not allowed" not in self.sh(
                host, f"sudo -l -U {who}"
            ) and self.ssh(host, who, who, "sudo -n true")
            found[f"{host} mariadb"] = self.sh(
                host, f"mariadb -u {who} -pmade-up-{who} -Ne 'SELECT 1' shop 2>&1 || true"
            ).strip().endswith("1")  # fmt: skip
            page = self.sh(
                host,
                "curl -sk --resolve shop.example:443:127.0.0.1 -o /dev/null -D - "
                f"-b wordpress_test_cookie=x -d log={who} -d pwd=made-up-{who} "
                "https://shop.example/wp-login.php",
            )
            found[f"{host} wordpress"] = "wordpress_logged_in" in page
        keys = self.iam.list_access_keys(UserName=who)["AccessKeyMetadata"]
        found["iam key"] = any(key["Status"] == "Active" for key in keys)
        return found


def _inventory(
    folder: Path, fleet: Servers, keys: Path, url: str, rdap: str, resolver: str
) -> None:
    tree = yaml.safe_load(Path(fleet.inventory).read_text())
    for values in tree["all"]["hosts"].values():
        values.pop("ansible_control_path_dir", None)
    aws = {"party": "aws", "endpoint_url": url, "region": "eu-west-1"}
    said_of_all = {"ringfence_aws": aws, "ringfence_rdap_url": rdap, "ringfence_resolver": resolver}

    def person(name: str, other: str) -> dict[str, Any]:
        everywhere = {"scope": {"everything": True}, "granted_by": other}
        return {
            "id": name, "name": f"{name.title()} Test", "emails": [f"{name}@agency.example"],
            "keys": [{"public_key": (keys / f"{name}.pub").read_text().strip()}],
            "accounts": {"server": [name], "database": [name], "cms": [name], "aws": [name]},
            "access": [{"system": "server", "account": "team", **everywhere}],
        }  # fmt: skip

    team = {"id": "team", "kind": "shared", "owner": "cho", "purpose": "Runs jobs",
            "review_by": "2099-12-31", "accounts": {"server": ["team"]}}  # fmt: skip
    (folder / "inv" / "clients").mkdir(parents=True)
    (folder / "inv" / "group_vars").mkdir()
    for name, said in {
        "hosts.yml": tree,
        "ringfence.yml": {"plugin": "ringfence.hosting.clients"},
        "clients/acme.yml": CLIENT,
        "group_vars/all.yml": said_of_all,
        "people.yml": {"people": [person("cho", "ben"), person("ben", "cho")],
                       "service_accounts": [team]},
    }.items():  # fmt: skip
        (folder / "inv" / name).write_text(yaml.safe_dump(said, sort_keys=False))


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    folder, keys = tmp_path_factory.mktemp("offboard"), tmp_path_factory.mktemp("keys")
    public = {}
    for name in PEOPLE:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True
        )
        public[name] = (keys / f"{name}.pub").read_text().strip()
    hosts, web = {"old": "bookworm", "new": "trixie"}, {"old": "nginx", "new": "nginx"}
    secret = {
        "AWS_ACCESS_KEY_ID": embedded.ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": embedded.SECRET_KEY,
    }
    registry = servers.Rdap()
    registry.add("shop.example", ["active"], signed=False, expires="2099-01-01")
    zones = {("shop.example", "SOA"): ["ns1.example. ops.example. 1 3600 600 86400 60"],
             ("shop.example", "NS"): ["ns1.example."]}  # fmt: skip
    with (
        embedded.server() as url,
        servers.serving(registry) as rdap,
        names.serving(zones) as (address, port),
        Servers(f"offboard-{os.getpid()}", hosts, web) as fleet,
    ):
        iam = embedded.client(url, "iam")
        for name in PEOPLE:
            iam.create_user(UserName=name)
            iam.create_access_key(UserName=name)
        exports = "".join(f"export KEY_{name}='{text}'\n" for name, text in public.items())
        for host in hosts:
            fleet.exec(host, "sh", "-c", exports + SEED.read_text())
        _inventory(folder, fleet, keys, url, rdap, f"{address}:{port}")
        one = Left(fleet, folder, keys, iam, secret, {}, (0, {}), (0, {}))
        one.before = {**{f"cho {k}": v for k, v in one.ways("cho").items()}}
        one.plan = one.call("cho")
        one.before |= {f"planned {k}": v for k, v in one.ways("cho").items()}
        one.done = one.call("cho", "--yes")
        yield one


def test_before_and_after_a_plan_each_credential_opens(left: Left) -> None:
    assert all(left.before.values()), left.before
    _code, plan = left.plan
    assert plan["done"] is False
    assert any("lock account cho" in line for line in plan["taken"])
    assert any("MariaDB account cho@localhost" in line for line in plan["taken"])


def test_afterwards_none_of_them_does(left: Left) -> None:
    assert not any(left.ways("cho").values()), left.ways("cho")


def test_a_colleague_still_has_everything(left: Left) -> None:
    assert all(left.ways("ben").values()), left.ways("ben")


def test_what_others_use_is_named_and_stays(left: Left) -> None:
    _code, done = left.done
    for host in HOSTS:
        assert f"{host}: account team is used by others too: it stays" in done["named"]
        assert left.sh(host, "getent shadow team").split(":")[1][:2] != "!*"
        assert "# of both" in left.sh(host, "cat /home/team/.ssh/authorized_keys")
        assert left.sh(host, "visudo -c -q && echo sound").strip() == "sound"
    assert [task for task in done["by_hand"] if "team another owner" in task["what"]]


def test_the_new_collection_shows_nothing_of_the_person(left: Left) -> None:
    code, done = left.done
    assert done["known_before"]
    assert done["still_shown"] == []
    assert not done["not_done"], done["not_done"]
    assert done["not_read"] == []
    assert code == 1  # what is named is still to be decided
    text = (left.folder / "evidence/reports/offboard-cho.md").read_text()
    assert "- [ ] people.yml" in text


def test_a_second_time_there_is_nothing_to_take_but_what_a_mailer_keeps(left: Left) -> None:
    """That is named, and stays until its deletion, which nobody can undo, is asked for."""
    mailer = servers.Mailchimp()
    mailer.members |= {mailer.hashed(f"{name}@agency.example"): "subscribed" for name in PEOPLE}
    mailer.customers = {"s1": {name: f"{name}@agency.example" for name in PEOPLE}}
    member = "mailer: cho@agency.example, member of News (subscribed)"
    customer = "mailer: cho@agency.example, customer of Shop s1"
    path = left.folder / "inv/group_vars/all.yml"
    values = yaml.safe_load(path.read_text())
    with servers.serving(mailer) as url:
        said = {"party": "mailer", "connector": "mailchimp", "key": mailer.key, "url": f"{url}/3.0"}
        path.write_text(yaml.safe_dump({**values, "ringfence_connectors": [said]}))
        _code, again = left.call("cho", "--yes")
        assert again["taken"] == []
        stays = [line for line in again["named"] if "--erase" in line]
        assert [line.partition(": stays")[0] for line in stays] == [
            f"localhost: {one}" for one in (member, customer)
        ]
        shown = ["mailer: member of News (subscribed)", "mailer: customer of Shop s1"]
        assert again["known_before"][-2:] == again["still_shown"] == shown
        _code, erased = left.call("cho", "--yes", "--erase")
    path.write_text(yaml.safe_dump(values))
    assert erased["taken"] == [f"localhost: delete {one}, for good" for one in (member, customer)]
    assert (erased["known_before"][-2:], erased["still_shown"]) == (shown, [])
    assert mailer.forgotten == {mailer.hashed("cho@agency.example")}
    assert mailer.customers == {"s1": {"ben": "ben@agency.example"}}
    evidence = b"".join(one.read_bytes() for one in (left.folder / "evidence").rglob("*.json"))
    assert mailer.key.encode() not in evidence


def test_the_account_of_the_play_is_not_taken(left: Left) -> None:
    path = left.folder / "inv/people.yml"
    people = path.read_text()
    said = yaml.safe_load(people)
    said["people"].append({"id": "zoe", "name": "Zoe", "accounts": {"server": ["ops"]}})
    path.write_text(yaml.safe_dump(said))
    try:
        code, answer = left.call("zoe", "--yes")
    finally:
        path.write_text(people)
    assert code == 2
    assert "this play comes in by it" in answer["not_done"]["old"]
    assert left.fleet.ssh("old", "id", "-un").strip() == "ops"
