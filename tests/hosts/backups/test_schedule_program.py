# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's units with the program itself: they judge, drill and prune real backups."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.plugin_utils import restic_program

from tests.fleet import Fleet
from tests.hosts.backups import controller
from tests.hosts.playing import sh
from tests.s3.radosgw import Gateway, Key

pytestmark = pytest.mark.hosts

_HOSTS = ("bookworm", "trixie")
_SECRET, _BASE = "a-made-up-repository-password", "/srv/ringfence"
_WHERE = (
    f"-i {_BASE}/hosts.yml --evidence-dir {_BASE}/evidence --vault-password-file {_BASE}/password"
)
_PREPARE = """
set -e
useradd --create-home --shell /bin/bash keeper
install -d -o keeper -m 0700 {base} {base}/evidence /home/keeper/.ssh /home/keeper/.cache/ringfence
install -d /srv/www; echo hello > /srv/www/index.html
printf '%s' {key} > /home/keeper/.ssh/id_ed25519
ssh-keyscan 127.0.0.1 > /home/keeper/.ssh/known_hosts 2> /dev/null
echo a-vault-password > {base}/password
printf '%s' {inventory} > {base}/hosts.yml
chmod 600 {base}/password {base}/hosts.yml /home/keeper/.ssh/*
mv {package} /home/keeper/.cache/ringfence/
chown -R keeper {base} /home/keeper
cd {root}
export ANSIBLE_VAULT_PASSWORD_FILE={base}/password
runuser -u keeper -- .venv/bin/ansible-vault encrypt {base}/hosts.yml
runuser -u keeper -- .venv/bin/ansible-playbook -i {base}/hosts.yml playbooks/backup_hosts.yml
"""


@pytest.fixture(scope="module")
def controllers() -> Iterator[Fleet]:
    with (
        Gateway("s3-schedule") as s3,
        Fleet(f"schedule-program-{os.getpid()}", dict(zip(_HOSTS, _HOSTS, strict=True))) as fleet,
    ):
        owner, package = s3.user("owner"), restic_program.package()
        for host in _HOSTS:
            s3.client(owner).create_bucket(Bucket=host)

        def prepare(host: str) -> None:
            controller.install(fleet, host)
            controller.send(fleet, host, [str(package)])
            words = {
                "base": _BASE,
                "root": controller.PLACE,
                "package": package,
                "key": shlex.quote((fleet.ssh_config.parent / "id_ed25519").read_text()),
                "inventory": shlex.quote(json.dumps(_inventory(host, s3.url, owner))),
            }
            sh(fleet, host, _PREPARE.format(**words))

        with ThreadPoolExecutor(len(_HOSTS)) as pool:
            list(pool.map(prepare, _HOSTS))
        yield fleet


def _inventory(bucket: str, url: str, owner: Key) -> dict[str, Any]:
    """The controller looks after itself, as any other host: over ssh."""
    key = {"key": owner.access, "secret": owner.secret}
    backup = {"bucket": bucket, "endpoint": url, "region": "eu-west-1", "password": _SECRET}
    more = {"writer": key, "keeper": key, "keep": {"hourly": 1}, "every": "6h"}
    site = {"client": "acme", "id": "plain", "root": "/srv/www", "backup": {**backup, **more}}
    way = {"ansible_host": "127.0.0.1", "ansible_user": "ops"}
    return {"all": {"hosts": {"web1": {**way, "ringfence_sites": [site]}}}}


def _unit(fleet: Fleet, host: str, name: str) -> tuple[bool, dict[str, Any]]:
    """Whether a unit ended well, and what the program said in it, which is last in its journal."""
    unit = f"ringfence-{name}.service"
    ended = sh(fleet, host, f"systemctl start {unit} && echo well || echo badly; journalctl --sync")
    said = sh(fleet, host, f"journalctl -o cat --no-pager _SYSTEMD_UNIT={unit}")
    assert "\n{\n" in f"\n{said}", said
    document = f"\n{said}".rpartition("\n{\n")[2].rpartition("\n}")[0]
    return ended.startswith("well"), json.loads("{" + document + "}")


@pytest.mark.parametrize("host", _HOSTS)
def test_backups_are_judged_tried_and_pruned_by_the_units(controllers: Fleet, host: str) -> None:
    written = sh(
        controllers,
        host,
        f"cd {controller.PLACE};"
        f" .venv/bin/ringfence schedule /etc/systemd/system --user keeper {_WHERE} &&"
        " systemctl daemon-reload && touch /srv/before",
    )
    assert "6 units written" in written
    well, said = _unit(controllers, host, "backups")
    assert (well, said["exit_code"]) == (False, 1), said
    for _number in range(2):
        sh(controllers, host, "systemctl start ringfence-backup@acme")
    well, said = _unit(controllers, host, "drill")
    assert (well, said["exit_code"]) == (True, 0), said
    assert "recovery time" in said["backups"][0]["controls"][0]["observed"]
    well, said = _unit(controllers, host, "prune")
    assert (well, said["pruned"]) == (True, {"acme/plain": 1}), said
    well, said = _unit(controllers, host, "backups")
    assert (well, said["exit_code"]) == (True, 0), said
    changed = sh(
        controllers,
        host,
        f"find {controller.PLACE} /home /etc /srv /var/lib /var/cache -newer /srv/before -type f"
        " -not -path '/var/lib/ringfence/*' -not -path '/var/lib/systemd/*'",
    )
    ours = ("/srv/ringfence/evidence/", "/var/lib/ringfence-controller/", "/var/cache/ringfence")
    assert [path for path in changed.split() if not path.startswith(ours)] == []
    assert "/srv/ringfence/evidence/backup-drills/acme/plain.json" in changed
    assert _SECRET not in sh(controllers, host, "journalctl --no-pager")
