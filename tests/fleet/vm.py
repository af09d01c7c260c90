# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian host with a kernel of its own, in qemu: for what a container cannot show."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fleet import access, inventory
from tests.fleet.bootstrap import RELEASES, Bootstrap, bootstrap, package_list, recipe
from tests.fleet.command import FleetError, run
from tests.fleet.image import lock
from tests.fleet.inventory import Host
from tests.fleet.watcher import Watcher, is_alive, process_identity

STATE = "vm.json"
CONSOLE = "console.log"
_OVERLAY, _IDENTITY, _CONTROL, _OUTPUT = "disk.qcow2", "identity.tar", "qemu.sock", "qemu.log"
_FILES = (STATE, CONSOLE, _OVERLAY, _IDENTITY, _CONTROL, _OUTPUT)
_QEMU = "qemu-system-x86_64"
_MARK = "ringfence-"
_DISK_SIZE = "4G"
# Software emulation on a busy machine: a boot of one minute may take several.
_BOOT_SECONDS = 600
_SHUTDOWN_SECONDS = 180
# Under emulation on a busy machine sshd itself takes its time to say who it is.
_GREETING_SECONDS = 20
_KERNEL_ARGUMENTS = "root=/dev/vda rw console=ttyS0 apparmor=1 security=apparmor"


class UnavailableError(FleetError):
    """No virtual machine can run here: a reason to skip, not to fail."""


@dataclass(frozen=True)
class Running:
    """A virtual machine's process, as its command line tells."""

    pid: int
    uid: str
    name: str
    directory: Path


class Machine:
    """One virtual machine, as a context manager; it ends with this process at the latest.

    `start(detach=True)` keeps it until `stop()`.
    """

    def __init__(
        self,
        name: str,
        release: str = "bookworm",
        *,
        directory: str | Path | None = None,
        memory: int = 1024,
        say: Callable[[str], None] = print,
    ) -> None:
        """`name` is its host name; `directory` gets its files (default: a temporary one).

        `memory` is in MiB.
        """
        inventory.check_name("machine", name)
        if release not in RELEASES:
            raise FleetError(f"release {release!r}: expected one of {', '.join(RELEASES)}")
        self.name, self.release = name, release
        self.host = Host(name, release, container="", port=0, gateway="10.0.2.2")
        self.directory = Path(directory).absolute() if directory else None
        self._memory = memory
        self._say = say
        self._uid = secrets.token_hex(8)
        self._watcher: Watcher | None = None

    def __enter__(self) -> Machine:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # -- life -------------------------------------------------------------------------

    def start(self, *, detach: bool = False) -> Machine:
        """Boot it and wait until sshd answers; then write the files.

        Raises UnavailableError where there is no emulator, FleetError, with nothing left
        behind, when it does not come up.
        """
        folder = ensure_disk(self.release, say=self._say)
        self._make_directory()
        self._watcher = Watcher("reap-vm", self._uid, str(self._folder))
        try:
            self._write_state(owner="" if detach else process_identity(os.getpid()))
            self._prepare(folder)
            self._launch()
            self._wait()
        except BaseException:
            self.stop()
            raise
        if detach:
            self._watcher.dismiss()
        return self

    def stop(self) -> None:
        """Cut the power and remove what `start` made."""
        remove(self._uid, self.directory)
        if self._watcher is not None:
            self._watcher.dismiss()

    @classmethod
    def attach(cls, directory: str | Path) -> Machine:
        """The machine whose files are in `directory`."""
        path = Path(directory).absolute() / STATE
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FleetError(f"{path}: not there; no virtual machine was started here") from None
        machine = cls(
            state["name"], state["host"]["release"], directory=directory, memory=state["memory"]
        )
        machine.host, machine._uid = Host(**state["host"]), state["uid"]
        return machine

    # -- use --------------------------------------------------------------------------

    @property
    def inventory(self) -> Path:
        """The Ansible inventory with this machine."""
        return self._folder / inventory.INVENTORY

    @property
    def ssh_config(self) -> Path:
        """For `ssh -F`."""
        return self._folder / inventory.SSH_CONFIG

    @property
    def console(self) -> Path:
        """What the machine has printed on its console since it was started."""
        return self._folder / CONSOLE

    def ssh(self, *command: str, timeout: float = 300) -> str:
        """Run a command as the administrator over a new ssh connection."""
        return run(["ssh", "-F", str(self.ssh_config), self.name, *command], timeout=timeout)

    def reboot(self) -> None:
        """Press the power button, switch it on again, wait for sshd.

        It needs no sign-in, so it works on a machine that refuses everybody.
        """
        self._press_power_button()
        self._launch()
        self._wait()

    def kill(self) -> None:
        """Cut the power; `revive` switches it on again."""
        for machine in running():
            if machine.uid == self._uid:
                _end(machine.pid)

    def revive(self) -> None:
        """Switch a killed machine on and wait for sshd."""
        self._launch()
        self._wait()

    # -- inside -----------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        if self.directory is None:
            raise FleetError(f"machine {self.name!r} is not started")
        return self.directory

    def _make_directory(self) -> None:
        if self.directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix=f"vm-{self.name}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        if (self.directory / STATE).exists():
            raise FleetError(f"{self.directory}: a machine has its files here; `vm-down` it first")

    def _prepare(self, image: Path) -> None:
        folder = self._folder
        public = access.make_key(folder)
        archive, keys = access.identity_archive(self.name, public, folder)
        identity = folder / _IDENTITY
        identity.touch(mode=0o600)
        identity.write_bytes(archive)
        overlay = ["-f", "qcow2", "-F", "raw", "-b", str(image / "disk.img")]
        run(["qemu-img", "create", "-q", *overlay, str(folder / _OVERLAY)])
        self.host = dataclasses.replace(
            self.host, port=access.free_ports(1)[0], container=str(image)
        )
        access.write_files(folder, [self.host], {self.host.port: keys})
        self._write_state()

    def _launch(self) -> None:
        folder, image = self._folder, Path(self.host.container)
        with (folder / _OUTPUT).open("ab") as output:
            subprocess.Popen(
                [
                    _QEMU,
                    *("-name", f"{_MARK}{self._uid}-{self.name}"),
                    *("-nodefaults", "-no-user-config", "-display", "none"),
                    # Not kvm, even where it is offered: nested in another machine's it may
                    # halt the kernel in mid-boot.
                    *("-accel", "tcg,thread=multi"),
                    # Without svm, as on a rented server: with it, a restart was seen to stand
                    # still for a minute.
                    *("-cpu", "max,svm=off,la57=off", "-smp", "2", "-m", str(self._memory)),
                    *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")),
                    *("-append", f"{_KERNEL_ARGUMENTS} systemd.hostname={self.name}"),
                    # What the machine has written outlives the emulator's end in any case; this
                    # machine's own power is not cut.
                    *("-drive", f"if=virtio,format=qcow2,cache=unsafe,file={folder / _OVERLAY}"),
                    *("-drive", f"if=virtio,format=raw,readonly=on,file={folder / _IDENTITY}"),
                    *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.host.port}-:22"),
                    *("-device", "virtio-net-pci,netdev=net,romfile="),
                    *("-device", "virtio-rng-pci"),
                    *("-chardev", f"file,id=console,append=on,path={folder / CONSOLE}"),
                    *("-serial", "chardev:console"),
                    *("-qmp", f"unix:{folder / _CONTROL},server=on,wait=off"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _wait(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < _BOOT_SECONDS:
            if access.answers_ssh(self.host.port, _GREETING_SECONDS):
                self._say(f"{self.name}: sshd answers after {time.monotonic() - began:.0f} s")
                return
            if not self._runs() and time.monotonic() - began > 2:
                words = (self._folder / _OUTPUT).read_text(encoding="utf-8", errors="replace")
                raise FleetError(f"{self.name}: {_QEMU} ended: {words.strip()[-300:]}")
            time.sleep(0.5)
        raise FleetError(f"{self.name}: no sshd within {_BOOT_SECONDS} s; see {self.console}")

    def _press_power_button(self) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            try:
                control.connect(str(self._folder / _CONTROL))
            except OSError as error:
                raise FleetError(f"{self.name}: does not run ({error.strerror})") from None
            stream = control.makefile("rw", encoding="utf-8")
            for command in ("qmp_capabilities", "system_powerdown"):
                stream.write(json.dumps({"execute": command}) + "\n")
                stream.flush()
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            while self._runs():
                if time.monotonic() > deadline:
                    raise FleetError(
                        f"{self.name}: not shut down within {_SHUTDOWN_SECONDS} s;"
                        f" see {self.console}"
                    )
                time.sleep(0.5)

    def _runs(self) -> bool:
        return any(machine.uid == self._uid for machine in running())

    def _write_state(self, owner: str | None = None) -> None:
        path = self._folder / STATE
        if owner is None:
            owner = json.loads(path.read_text(encoding="utf-8"))["owner"]
        state = {
            "name": self.name,
            "uid": self._uid,
            "owner": owner,
            "memory": self._memory,
            "host": dataclasses.asdict(self.host),
        }
        path.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def ensure_disk(release: str, *, say: Callable[[str], None] = print) -> Path:
    """The folder with the disk, kernel and ramdisk of `release`, made when there is none.

    Raises UnavailableError where no machine can run, FleetError when it cannot be made.
    """
    for program in (_QEMU, "qemu-img", "mke2fs"):
        if shutil.which(program) is None:
            raise UnavailableError(f"skipped: {program} is not installed; run tools/setup.sh --vm")
    if platform.machine() != "x86_64":
        raise UnavailableError(f"skipped: only for x86_64, and this is {platform.machine()}")
    root = _root(release)
    folder = _cache() / f"{release}-{root.digest}"
    with lock(f"vm-{release}"):
        if not (folder / "disk.img").exists():
            say(f"building the disk of a {release} machine from {root.origin} …")
            began = time.monotonic()
            _build_disk(root, folder)
            say(f"built {folder} in {time.monotonic() - began:.0f} s")
    return folder


def remove_outdated() -> list[Path]:
    """Remove disks that no recipe of today would use and no machine runs from."""
    current = {_cache() / f"{release}-{_root(release).digest}" for release in RELEASES}
    used = {Path(Machine.attach(machine.directory).host.container) for machine in running()}
    outdated = sorted(set(_cache().glob("*")) - current - used)
    for folder in outdated:
        shutil.rmtree(folder)
    return outdated


def remove(uid: str, directory: Path | None) -> bool:
    """End one machine and remove its files; whether it ran."""
    machines = [machine for machine in running() if machine.uid == uid]
    for machine in machines:
        _end(machine.pid)
    if directory is not None:
        try:
            state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            state = {"uid": uid}
        if state["uid"] == uid:
            access.remove_files(directory, *_FILES)
    return bool(machines)


def running() -> list[Running]:
    """Every virtual machine of ours that runs on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # ended just now
            continue
        if not words[0].endswith(_QEMU) or not words[2:] or not words[2].startswith(_MARK):
            continue
        uid, _, name = words[2].removeprefix(_MARK).partition("-")
        control = words[words.index("-qmp") + 1]
        directory = Path(control.removeprefix("unix:").partition(",")[0]).parent
        found.append(Running(int(path.parent.name), uid, name, directory))
    return found


def leftovers() -> list[Running]:
    """Machines that nobody can stop any more: their starter or their files are gone."""
    return [machine for machine in running() if _is_left_over(machine)]


def _is_left_over(machine: Running) -> bool:
    try:
        state = json.loads((machine.directory / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return state["uid"] != machine.uid or bool(state["owner"] and not is_alive(state["owner"]))


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    while any(machine.pid == pid for machine in running()):
        time.sleep(0.05)


def _root(release: str) -> Bootstrap:
    packages = package_list(release, recipe("packages.txt") + recipe("vm-packages.txt"))
    script = recipe("prepare.sh") + recipe("vm-prepare.sh")
    return bootstrap(release, packages, script, early=recipe("vm-early.sh"))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ringfence" / "vm"


def _build_disk(root: Bootstrap, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
        tree, made = Path(scratch) / "root", Path(scratch) / "made"
        made.mkdir()
        root.build(tree)
        for kind in ("vmlinuz", "initrd.img"):
            shutil.copy(next((tree / "boot").glob(f"{kind}-*")), made / kind)
        disk = str(made / "disk.img")
        run(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(tree), disk, _DISK_SIZE])
        made.rename(folder)
