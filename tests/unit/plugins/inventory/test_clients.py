# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin, asked by Ansible's own commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible_collections.ringfence.hosting.plugins.plugin_utils import register

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "inventories" / "example"
BIN = Path(sys.executable).parent


def ansible(command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        **environment,
    }
    return subprocess.run(
        [str(BIN / command), *arguments],
        env=settings,
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def listed(*sources: Path, **environment: str) -> dict[str, Any]:
    arguments = [part for source in sources for part in ("-i", str(source))]
    done = ansible("ansible-inventory", "--list", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout, object_hook=plain)
    found["stderr"] = done.stderr
    return found


def plain(part: dict[str, Any]) -> Any:
    """Ansible marks in its listing what is no template."""
    return part["__ansible_unsafe"] if set(part) == {"__ansible_unsafe"} else part


def variables(found: dict[str, Any], host: str) -> dict[str, Any]:
    given: dict[str, Any] = found["_meta"]["hostvars"][host]
    return given


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example"))


@pytest.fixture(scope="module")
def untouched() -> dict[str, Any]:
    return listed(EXAMPLE)


@pytest.mark.parametrize(
    ("group", "hosts"),
    [
        ("client_harbour_cafe", ["web1"]),
        ("client_choral_society", ["web1", "web3"]),
        ("client_north_cycles", ["web2"]),
        ("tier_enhanced", ["web1", "web3"]),
        ("tier_strict", ["web2"]),
        ("cms_wordpress", ["web1", "web2"]),
        ("cms_joomla", ["web3"]),
        ("cms_static", ["web1"]),
        ("web_server_nginx", ["web1", "web2"]),
        ("web_server_apache", ["web3"]),
        ("web", ["web1", "web2", "web3"]),
    ],
)
def test_groups(untouched: dict[str, Any], group: str, hosts: list[str]) -> None:
    assert sorted(untouched[group]["hosts"]) == hosts


def test_no_file_of_the_register_becomes_a_group(untouched: dict[str, Any]) -> None:
    assert "tier_standard" not in untouched  # its only host is shared with a stricter client
    known = ("client_", "tier_", "cms_", "web")
    groups = set(untouched) - {"_meta", "all", "ungrouped", "stderr"}
    assert [name for name in groups if not name.startswith(known)] == []


def test_a_shared_host_takes_the_strictest_values(untouched: dict[str, Any]) -> None:
    web1, web2 = variables(untouched, "web1"), variables(untouched, "web2")
    assert web1["ssh_login_grace_time"] == 45
    assert web1["accounts_inactive_days"] == 30
    assert web1["ringfence_handmade"] == {"accounts_inactive_days": {"group": 40}}
    assert web2["ssh_login_grace_time"] == 30
    assert web2["ssh_max_sessions"] == 1
    assert "ssh_max_auth_tries" not in web1  # the default holds: nothing to set


def test_a_host_is_told_of_its_own_sites_only(untouched: dict[str, Any]) -> None:
    web1 = variables(untouched, "web1")
    assert [(site["client"], site["id"], site["tier"]) for site in web1["ringfence_sites"]] == [
        ("choral_society", "archive", "enhanced"),
        ("harbour_cafe", "main", "standard"),
    ]
    assert "north" not in json.dumps(web1)
    assert [one["id"] for one in web1["ringfence_clients"]] == ["choral_society", "harbour_cafe"]


def test_no_person_and_no_contact_reaches_a_host(untouched: dict[str, Any]) -> None:
    told = json.dumps(untouched["_meta"])
    for private in ("Rosa", "Dana Frost", "dpo@", "orders for seven", "SHA256:", "wp_wc_orders"):
        assert private not in told


def test_a_shop_gets_its_second_factor_and_its_lists(untouched: dict[str, Any]) -> None:
    shop, staging = variables(untouched, "web2")["ringfence_sites"]
    assert shop["security"]["second_factor"]["admin"] == "cms_and_gate"
    assert shop["security"]["second_factor"]["session"] == "8h"
    assert shop["security"]["addresses"]["admin_countries"] == {"allow_only": ["GB", "IE"]}
    assert [row["network"] for row in shop["security"]["addresses"]["deny"]] == ["198.51.100.0/24"]
    assert shop["cdn"]["ranges"] == ["198.18.0.0/20", "2001:db8:e000::/36"]
    assert shop["backup"]["every"] == "2h"
    assert staging["backup"]["every"] == "6h"
    assert "admin_countries" not in staging["security"]["addresses"]
    assert variables(untouched, "web2")["ringfence_change_windows"][0]["client"] == "north_cycles"


def test_waivers_reach_their_host_and_an_ended_one_is_said(untouched: dict[str, Any]) -> None:
    waivers = variables(untouched, "web3")["ringfence_waivers"]
    assert [(row["control"], row["expires"]) for row in waivers] == [
        ("accounts_lockout_attempts", "2025-06-30"),
        ("ssh_password_authentication", "2029-12-31"),
    ]
    assert "ringfence_waivers" not in variables(untouched, "web1")


def test_what_third_parties_people_are_granted_is_on_every_host(untouched: dict[str, Any]) -> None:
    for host in ("web1", "web2"):
        [row] = variables(untouched, host)["ringfence_vendor_access"]
        assert (row["account"], row["third_party"]) == ("sc_sam", "servercare")
        assert (row["start"], row["end"], row["in_force"]) == ("2025-04-02", "2029-04-01", True)
        assert row["from"] == ["203.0.113.64/29"]
    assert variables(untouched, "web3")["ringfence_vendor_access"] == []
    assert (
        "choral_society.yml:40: waivers[1].expires: the waiver of accounts_lockout_attempts ended"
        in untouched["stderr"]
    )


def test_a_register_with_errors_ends_the_run_before_any_host(example: Path) -> None:
    shop = example / "clients" / "north_cycles.yml"
    text = shop.read_text(encoding="utf-8")
    shop.write_text(text.replace("tier: strict", "tier: strikt"), encoding="utf-8")
    people = example / "people.yml"
    text = people.read_text(encoding="utf-8")
    people.write_text(text.replace("name: Cho Marsh", "nmae: Cho Marsh"), encoding="utf-8")
    done = ansible(
        "ansible",
        "-i",
        str(example),
        "-m",
        "ansible.builtin.ping",
        "all",
        ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="false",
    )
    assert done.returncode == 3
    assert done.stdout == ""
    lines = done.stderr.replace(f"{example}/", "").splitlines()
    assert lines == [
        "[ERROR]: the client register cannot be used; no host was touched",
        "people.yml:26: people[2]: name is missing, expected a text",
        "people.yml:27: people[2].nmae: unknown key (did you mean name?)",
    ]


def test_what_the_files_say_against_the_inventory_ends_it_too(example: Path) -> None:
    hosts = example / "hosts.yml"
    text = hosts.read_text(encoding="utf-8")
    hosts.write_text(text.replace("        web2:", "        web9:"), encoding="utf-8")
    done = ansible("ansible-inventory", "-i", str(example), "--list")
    assert done.returncode == 3
    lines = done.stderr.replace(f"{example}/", "").splitlines()
    assert (
        lines[1]
        == "clients/north_cycles.yml:55: sites[0].host: there is no host web2 (did you mean web9?)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b\n c: [\n", "group_vars/web.yml:2: group_vars of web: YAML parsing failed: "),
        ("- a\n", "group_vars of web: Could not process "),
    ],
)
def test_variables_that_cannot_be_read_are_told_with_their_file(
    example: Path, text: str, said: str
) -> None:
    (example / "group_vars" / "web.yml").write_text(text, encoding="utf-8")
    done = ansible("ansible-inventory", "-i", str(example), "--list")
    assert done.returncode == 3
    (_head, line) = done.stderr.replace(f"{example}/", "").splitlines()
    assert line.startswith(said)


def test_it_composes_with_other_sources(example: Path, tmp_path: Path) -> None:
    (example / "hosts.ini").write_text("[databases]\ndb1\n", encoding="utf-8")
    (example / "zz_constructed.yml").write_text(
        "plugin: ansible.builtin.constructed\nstrict: true\n"
        "groups:\n  with_backup: ringfence_sites is defined\n"
        "keyed_groups:\n"
        "  - {prefix: grace, key: ssh_login_grace_time | default('default') | string}\n",
        encoding="utf-8",
    )
    more = tmp_path / "more.yml"
    more.write_text("all: {hosts: {mail1: {}}}\n", encoding="utf-8")
    found = listed(more, example, ANSIBLE_INVENTORY_ENABLED=ENABLED)
    assert sorted(found["with_backup"]["hosts"]) == ["web1", "web2", "web3"]
    assert sorted(found["grace_default"]["hosts"]) == ["db1", "mail1"]
    assert found["grace_30"]["hosts"] == ["web2"]
    assert "ringfence_sites" not in variables(found, "db1")


ENABLED = "ringfence.hosting.clients,host_list,script,auto,yaml,ini,toml"


THREE = "web1: , web2: , web3: "


@pytest.mark.parametrize(
    ("file", "text", "value", "warned"),
    [
        ("group_vars/web.yml", "{GRACE: 20}", 20, False),
        ("group_vars/web.yml", "{GRACE: 100}", 45, False),
        ("group_vars/tier_enhanced.yml", "{GRACE: 15}", 15, False),
        ("host_vars/web1.yml", "{GRACE: 100}", 100, True),
        ("host_vars/web1/ssh.yml", "{GRACE: 20}", 20, False),
        ("hosts.yml", "all: {hosts: {web1: {GRACE: 90}, web2: , web3: }}", 90, True),
        ("hosts.yml", f"all: {{hosts: {{{THREE}}}, vars: {{GRACE: 90}}}}", 45, False),
        ("hosts.yml", f"all: {{hosts: {{{THREE}}}, vars: {{GRACE: 10}}}}", 10, False),
    ],
)
def test_what_people_set_by_hand(
    file: str, text: str, value: int, warned: bool, example: Path
) -> None:
    path = example / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("GRACE", "ssh_login_grace_time"), encoding="utf-8")
    found = listed(example)
    assert variables(found, "web1")["ssh_login_grace_time"] == value
    said = f"host web1: host variable ssh_login_grace_time: {value} is weaker than 45"
    assert (said in found["stderr"]) == warned


def test_a_playbook_sees_the_same(example: Path) -> None:
    (example / "host_vars").mkdir()
    (example / "host_vars" / "web1.yml").write_text("ssh_login_grace_time: 20\n", encoding="utf-8")
    done = ansible(
        "ansible",
        "-i",
        str(example),
        "all",
        "-m",
        "ansible.builtin.debug",
        "-a",
        "msg={{ inventory_hostname }}={{ ssh_login_grace_time }}={{ ringfence_sites[0].id }}",
    )
    assert done.returncode == 0, done.stderr
    said = [line.split('"')[3] for line in done.stdout.splitlines() if '"msg"' in line]
    assert sorted(said) == [
        "web1=20=archive",
        "web2=30=shop",
        "web3=45=members",
    ]


def test_text_of_the_register_is_never_a_template(example: Path) -> None:
    file = example / "clients" / "harbour_cafe.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("name: Harbour Café\n", "name: \"{{ lookup('pipe', 'id') }}\"\n", 1),
        encoding="utf-8",
    )
    done = ansible(
        *("ansible", "-i", str(example), "web1", "-m", "ansible.builtin.debug"),
        *("-a", "msg={{ ringfence_clients[1].name }}"),
    )
    assert "uid=" not in done.stdout
    assert "lookup('pipe', 'id')" in done.stdout


def test_an_encrypted_value_passes_through_and_opens_with_its_password(
    example: Path, tmp_path: Path
) -> None:
    password = tmp_path / "vault"
    password.write_text("of-the-tests\n", encoding="utf-8")
    cipher = ansible(
        "ansible-vault", "encrypt_string", "--vault-password-file", str(password), "s3cret-value"
    ).stdout
    file = example / "clients" / "harbour_cafe.yml"
    text = file.read_text(encoding="utf-8")
    indented = cipher.replace("\n", "\n    ").rstrip()
    file.write_text(
        text.replace(
            "    database: {name: harbour_cafe, user: harbour}\n",
            f"    database:\n      name: harbour_cafe\n      password: {indented}\n",
        ),
        encoding="utf-8",
    )
    found = listed(example)
    hidden = variables(found, "web1")["ringfence_sites"][1]["database"]["password"]
    assert hidden["__ansible_vault"].startswith("$ANSIBLE_VAULT;1.1;AES256")
    assert "s3cret-value" not in json.dumps(found)
    done = ansible(
        *("ansible", "-i", str(example), "web1", "-m", "ansible.builtin.debug"),
        *("-a", "msg={{ ringfence_sites[1].database.password }}"),
        *("--vault-password-file", str(password)),
    )
    assert '"msg": "s3cret-value"' in done.stdout


def test_a_file_encrypted_as_a_whole_opens_with_its_password(example: Path, tmp_path: Path) -> None:
    password = tmp_path / "vault"
    password.write_text("of-the-tests\n", encoding="utf-8")
    people = str(example / "people.yml")
    ansible("ansible-vault", "encrypt", "--vault-password-file", str(password), people)
    closed = ansible("ansible-inventory", "-i", str(example), "--list")
    assert closed.returncode == 3
    assert "people.yml: is encrypted as a whole and no vault password opens it" in closed.stderr
    arguments = ("-i", str(example), "--list", "--vault-password-file", str(password))
    opened = ansible("ansible-inventory", *arguments)
    assert opened.returncode == 0, opened.stderr


def test_the_cache_is_used_and_never_stale(example: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cache"
    settings = {
        "ANSIBLE_INVENTORY_CACHE": "true",
        "ANSIBLE_INVENTORY_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_INVENTORY_CACHE_CONNECTION": str(cached),
    }
    first = listed(example, **settings)
    (kept,) = cached.iterdir()
    written = kept.stat().st_mtime_ns
    assert "Rosa Lind" in kept.read_text(encoding="utf-8")  # whole client files
    assert "Ada Quill" not in kept.read_text(encoding="utf-8")  # but no people
    again = listed(example, **settings)
    assert again["_meta"] == first["_meta"]
    assert kept.stat().st_mtime_ns == written
    file = example / "clients" / "harbour_cafe.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("tier: standard", "tier: strict"), encoding="utf-8")
    changed = listed(example, **settings)
    assert changed["tier_strict"]["hosts"] == ["web1", "web2"]
    file.write_text(text.replace("tier: standard", "tier: stric"), encoding="utf-8")
    assert ansible("ansible-inventory", "-i", str(example), "--list", **settings).returncode == 3


def test_without_our_ansible_cfg(example: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.cfg"
    empty.write_text("[defaults]\n", encoding="utf-8")
    found = listed(example / "hosts.yml", example / "ringfence.yml", ANSIBLE_CONFIG=str(empty))
    assert found["tier_strict"]["hosts"] == ["web2"]
    assert "took files of the client register" not in found["stderr"]
    noisy = listed(example, ANSIBLE_CONFIG=str(empty))
    assert noisy["tier_strict"]["hosts"] == ["web2"]
    assert "took files of the client register for inventories" in " ".join(noisy["stderr"].split())


def test_the_register_may_lie_elsewhere(example: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "register"
    elsewhere.mkdir()
    for name in ("clients", "people.yml", "third_parties.yml"):
        (example / name).rename(elsewhere / name)
    (example / "ringfence.yml").write_text(
        "plugin: ringfence.hosting.clients\nregister: ../register\n", encoding="utf-8"
    )
    assert listed(example)["tier_strict"]["hosts"] == ["web2"]


def test_without_jsonschema_it_says_what_to_install(example: Path, tmp_path: Path) -> None:
    for name in ("jsonschema", "jsonschema_rs"):
        (tmp_path / "shadow" / name).mkdir(parents=True)
        (tmp_path / "shadow" / name / "__init__.py").write_text(
            "raise ImportError('shadowed')\n", encoding="utf-8"
        )
    done = ansible(
        "ansible-inventory", "-i", str(example), "--list", PYTHONPATH=str(tmp_path / "shadow")
    )
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "[ERROR]: the client register cannot be used; no host was touched",
        "the client register is checked with the Python library jsonschema: pip install jsonschema",
    ]


def test_a_mistake_of_ours_ends_the_run_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = inventory_loader.get("ringfence.hosting.clients")

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(register, "read", broken)
    with pytest.raises(SystemExit) as caught:
        plugin.parse(InventoryData(), DataLoader(), str(EXAMPLE / "ringfence.yml"))
    assert caught.value.code == 3
    assert "mistake of Ringfence: KeyError: 'surprise'" in capsys.readouterr().err


def test_the_documentation_is_there() -> None:
    done = ansible("ansible-doc", "-t", "inventory", "ringfence.hosting.clients", "--json")
    (found,) = json.loads(done.stdout).values()
    assert set(found["doc"]["options"]) >= {"plugin", "register", "cache"}
    assert "jsonschema (Python library)" in found["doc"]["requirements"]


@pytest.mark.parametrize(
    "file",
    [*EXAMPLE.glob("clients/*.yml"), *EXAMPLE.glob("[pt]*.yml"), ROOT / "tiers" / "tiers.yml"],
    ids=lambda file: file.name,
)
def test_an_editor_finds_the_schema(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    mark = "# yaml-language-server: $schema="
    assert first.startswith(mark)
    kind = "client" if file.parent.name == "clients" else file.stem
    found = (file.parent / first.removeprefix(mark)).resolve()
    assert found == ROOT / "plugins" / "plugin_utils" / "schemas" / f"{kind}.json"
    assert found.is_file()


def test_a_host_is_told_which_domains_ask_for_a_certificate(
    untouched: dict[str, Any], example: Path
) -> None:
    asked = ["harbour-cafe.example", "www.harbour-cafe.example"]
    assert variables(untouched, "web1")[register.CERTBOT_VARIABLE] == asked
    assert register.CERTBOT_VARIABLE not in variables(untouched, "web2")
    (example / "host_vars").mkdir(exist_ok=True)
    by_hand = f"{register.CERTBOT_VARIABLE}: [other.example]\n"
    (example / "host_vars" / "web1.yml").write_text(by_hand, encoding="utf-8")
    assert variables(listed(example), "web1")[register.CERTBOT_VARIABLE] == ["other.example"]
