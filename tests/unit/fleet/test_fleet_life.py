# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hosts: what they are like inside, and that nothing is left of them."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fleet import Fleet, FleetError
from tests.fleet.access import answers_ssh
from tests.fleet.fleet import find
from tests.fleet.image import ensure_image
from tests.fleet.watcher import ROOT

pytestmark = pytest.mark.hosts
pytest_plugins = ["tests.fleet.pytest_fleet"]

OWNER = """
import sys, time
from tests.fleet import Fleet
fleet = Fleet(sys.argv[1], "bookworm", directory=sys.argv[2], say=lambda text: None)
with fleet:
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def pair(start_fleet: Callable[[str, str], Fleet]) -> Fleet:
    return start_fleet("life", "old=bookworm,new=trixie")


@pytest.fixture
def name() -> str:
    return f"life-{secrets.token_hex(3)}"


@pytest.mark.parametrize("host", ["old", "new"])
class TestInside:
    def test_it_is_a_server_of_its_release_without_failed_units(
        self, pair: Fleet, host: str
    ) -> None:
        release = {"old": "12", "new": "13"}[host]
        assert f'VERSION_ID="{release}"' in pair.exec(host, "cat", "/etc/os-release")
        assert pair.exec(host, "systemctl", "is-system-running").strip() == "running"

    def test_the_administrator_is_not_root_and_may_become_root(
        self, pair: Fleet, host: str
    ) -> None:
        assert pair.ssh(host, "id -un; sudo id -un").split() == ["ops", "root"]

    def test_its_network_settings_are_its_own_and_the_shared_kernel_s_are_not(
        self, pair: Fleet, host: str
    ) -> None:
        setting = "/proc/sys/net/ipv4/conf/all/log_martians"
        pair.exec(host, "sh", "-c", f"echo 1 > {setting}")
        assert pair.exec(host, "cat", setting) == "1\n"
        with pytest.raises(FleetError, match="Read-only file system"):
            pair.exec(host, "sh", "-c", "echo 2 > /proc/sys/kernel/randomize_va_space")

    def test_it_reaches_the_other_host_on_both_protocols(self, pair: Fleet, host: str) -> None:
        other = pair.hosts["new" if host == "old" else "old"]
        for address in (other.address, other.address6):
            pair.exec(host, "ping", "-c", "1", "-W", "3", address)

    def test_it_installs_packages_from_the_machine_s_mirror(self, pair: Fleet, host: str) -> None:
        pair.exec(host, "apt-get", "-qq", "install", "--yes", "--no-install-recommends", "tree")
        assert "tree" in pair.exec(host, "tree", "--version")

    @pytest.mark.parametrize("way", ["from outside", "from inside", "power cut"])
    def test_it_keeps_files_and_port_over_a_reboot(self, pair: Fleet, host: str, way: str) -> None:
        pair.exec(host, "sh", "-c", "echo kept > /root/kept; rm -f /run/since-boot")
        pair.exec(
            host, "sh", "-c", "echo net.ipv4.conf.all.log_martians=1 > /etc/sysctl.d/9-t.conf"
        )
        pair.exec(host, "touch", "/run/since-boot")
        if way == "from outside":
            pair.reboot(host)
        elif way == "from inside":
            pair.exec(host, "systemctl", "reboot", "--no-block")
            _until(lambda: not _has(pair, host, "/run/since-boot"))
            _until(lambda: answers_ssh(pair.hosts[host].port))
        else:
            pair.kill(host)
            pair.revive(host)
        assert not _has(pair, host, "/run/since-boot")
        assert pair.ssh(host, "sudo cat /root/kept; sudo sysctl -n net.ipv4.conf.all.log_martians")


def test_a_wrong_host_is_named_with_the_right_ones(pair: Fleet) -> None:
    with pytest.raises(FleetError, match=r"host 'web9': fleet 'life-\d+' has old, new"):
        pair.exec("web9", "true")


def test_two_fleets_at_once_do_not_disturb_each_other(tmp_path: Path, name: str) -> None:
    fleets = [Fleet(f"{name}{place}", "bookworm", directory=tmp_path / place) for place in "ab"]
    try:
        with ThreadPoolExecutor() as pool:
            one, other = pool.map(Fleet.start, fleets)
        config = tmp_path / "mixed"
        config.write_text(
            one.ssh_config.read_text().replace(
                str(one.hosts["web1"].port), str(other.hosts["web1"].port)
            )
        )
        mixed = subprocess.run(
            ["ssh", "-F", str(config), "-o", "BatchMode=yes", "web1", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Host key verification failed" in mixed.stderr
        one.stop()
        assert other.ssh("web1", "hostname") == "web1\n"
    finally:
        for fleet in fleets:
            fleet.stop()
    assert list(tmp_path.glob("[ab]")) == []


def test_a_name_in_use_is_refused_and_its_fleet_stays(pair: Fleet, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=rf"fleet '{pair.name}' is up already"):
        Fleet(pair.name, "bookworm", directory=tmp_path / "x").start()
    assert not (tmp_path / "x").exists()
    with pytest.raises(FleetError, match="a fleet has its files here"):
        Fleet(f"{pair.name}x", "bookworm", directory=pair.directory).start()
    assert pair.ssh("old", "hostname") == "old\n"


@pytest.mark.parametrize("moment", ["up", "starting"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_owner_dies(
    tmp_path: Path, name: str, sent: signal.Signals, moment: str
) -> None:
    folder = tmp_path / "fleet"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, name, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        if moment == "up":
            assert owner.stdout.readline() == "up\n"
            assert (folder / "hosts.yml").is_file()
        else:
            _until(lambda: find(name=name) is not None)
            time.sleep(0.3)
        owner.send_signal(sent)
    _until(lambda: _nothing_left(name, folder))
    time.sleep(3)  # a host that was being created then would be there by now
    assert _nothing_left(name, folder)


def test_a_detached_fleet_outlives_its_starter_until_down(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "fleet"
    _fleet("up", "--name", name, "--hosts", "bookworm", "--dir", str(folder))
    try:
        time.sleep(3)
        assert name in _fleet("list")
        assert _fleet("ssh", "--name", name, "web1", "--", "id", "-un") == "ops\n"
        assert _fleet("exec", "--dir", str(folder), "web1", "--", "id", "-un") == "root\n"
        (folder / "notes").write_text("somebody else's")
    finally:
        removed = _fleet("down", "--name", name)
    assert removed == f"removed fleet '{name}': 1 hosts\n"
    assert [path.name for path in folder.iterdir()] == ["notes"]
    assert "nothing to remove" in _fleet("down", "--name", name)


def test_gc_removes_a_fleet_whose_files_are_gone_and_no_other(
    pair: Fleet, tmp_path: Path, name: str
) -> None:
    _fleet("up", "--name", name, "--hosts", "bookworm", "--dir", str(tmp_path / "fleet"))
    (tmp_path / "fleet" / "fleet.json").unlink()
    assert f"removed fleet '{name}': 1 hosts" in _fleet("gc")
    assert find(name=name) is None
    assert pair.ssh("old", "hostname") == "old\n"


def test_an_image_is_built_once(pair: Fleet) -> None:
    assert pair.hosts
    said: list[str] = []
    began = time.monotonic()
    first, second = (ensure_image("trixie", say=said.append) for _ in range(2))
    assert first == second
    assert said == []
    assert time.monotonic() - began < 10


def _has(fleet: Fleet, host: str, path: str) -> bool:
    try:
        fleet.exec(host, "test", "-e", path)
    except FleetError as error:
        # Between its end and its start the host answers nobody: not yet known.
        return "not running" in str(error) or "state improper" in str(error)
    return True


def _nothing_left(name: str, folder: Path) -> bool:
    containers = subprocess.run(
        ["podman", "ps", "--all", "--quiet", "--filter", f"label=ringfence.fleet={name}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return not containers and find(name=name) is None and not folder.exists()


def _until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)


def _fleet(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "tests.fleet", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
