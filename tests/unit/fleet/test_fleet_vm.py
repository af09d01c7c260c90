# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine shows what a container cannot, and nothing is left of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleet import FleetError, Machine, UnavailableError, vm
from tests.fleet.watcher import ROOT

OWNER = """
import sys, time
from tests.fleet import Machine
Machine("gone", directory=sys.argv[1], say=lambda text: None).start()
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    try:
        with Machine("vm1") as started:
            yield started
    except UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.mark.hosts
@pytest.mark.machine
class TestMachine:
    def test_it_has_no_failed_units_and_its_own_kernel(self, machine: Machine) -> None:
        machine.ssh("systemctl is-system-running --wait")
        assert re.search(r"^6\.1\.0-\d+-cloud-amd64", machine.ssh("uname -r"))
        assert machine.ssh("sudo sysctl -n kernel.kptr_restrict") == "0\n"
        machine.ssh("sudo sysctl -q -w kernel.kptr_restrict=2")
        assert machine.ssh("sudo sysctl -n kernel.kptr_restrict") == "2\n"

    def test_it_audits_and_confines_and_loads_modules(self, machine: Machine) -> None:
        assert "enabled 1" in machine.ssh("sudo auditctl -s")
        assert "apparmor module is loaded" in machine.ssh("sudo aa-status")
        assert "dummy" in machine.ssh("sudo modprobe dummy && lsmod")

    def test_it_reaches_the_package_mirror(self, machine: Machine) -> None:
        assert "Reading package lists" in machine.ssh("sudo apt-get update")

    @pytest.mark.parametrize("way", ["from inside", "by the power button", "power cut"])
    def test_it_keeps_its_files_over_a_reboot(self, machine: Machine, way: str) -> None:
        machine.ssh("echo kept | sudo tee /root/kept; sudo sync")
        before = _boot(machine)
        if way == "from inside":
            machine.ssh("sudo systemctl reboot --no-block; exit 0")
            _until(lambda: _boot(machine) not in ("", before))
        elif way == "by the power button":
            machine.reboot()
        else:
            machine.kill()
            machine.revive()
        assert _boot(machine) != before
        assert machine.ssh("sudo cat /root/kept") == "kept\n"
        assert "Linux version" in machine.console.read_text(errors="replace")

    def test_another_process_finds_it(self, machine: Machine) -> None:
        assert machine.directory is not None
        found = Machine.attach(machine.directory)
        assert found.host == machine.host
        assert found.ssh("hostname") == "vm1\n"
        with pytest.raises(FleetError, match="a machine has its files here"):
            Machine("vm2", directory=machine.directory).start()

    @pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_nothing_is_left_when_its_owner_dies(
        self, machine: Machine, tmp_path: Path, sent: signal.Signals
    ) -> None:
        assert machine.host.port
        folder = tmp_path / "gone"
        with subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as owner:
            _until(lambda: any(found.directory == folder for found in vm.running()))
            time.sleep(1)
            owner.send_signal(sent)
        _until(lambda: not folder.exists())
        time.sleep(2)
        assert not any(found.directory == folder for found in vm.running())
        assert not folder.exists()


def test_without_an_emulator_it_is_skipped_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fleet", "vm-up", "--name", "x", "--dir", str(tmp_path / "x")],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == (
        "fleet: skipped: qemu-system-x86_64 is not installed; run tools/setup.sh --vm\n"
    )
    assert not (tmp_path / "x").exists()


def test_a_folder_without_a_machine_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"vm\.json: not there; no virtual machine was started"):
        Machine.attach(tmp_path)


def _boot(machine: Machine) -> str:
    try:
        return machine.ssh("cat /proc/sys/kernel/random/boot_id", timeout=30)
    except FleetError:
        return ""


def _until(holds: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.5)
