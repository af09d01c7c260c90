# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, reaches and removes a fleet of test hosts in podman."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fleet import access, inventory
from tests.fleet.bootstrap import RELEASES
from tests.fleet.command import LIMITS, RUNTIME, FleetError, podman, run
from tests.fleet.image import ensure_image
from tests.fleet.inventory import Host
from tests.fleet.watcher import Watcher, is_alive, process_identity

STATE = "fleet.json"
_LABEL = "ringfence.fleet"
# Enough for systemd, nftables and auditing inside; no more, since kernel.* is shared.
_CAPABILITIES = "SYS_ADMIN,SYS_BOOT,SYS_PTRACE,NET_ADMIN,NET_RAW,AUDIT_WRITE,AUDIT_CONTROL"
# systemd 257 refuses to start on control groups v1 unless it is told twice.
_LEGACY_CGROUPS = "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
_BOOT_SECONDS = 90
# Each host's systemd takes about ten; all hosts and this machine's root share one limit.
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_INSTANCES = 4096


def parse_hosts(text: str) -> dict[str, str]:
    """`bookworm,trixie` or `db=trixie,bookworm` as name → release.

    Hosts without a name are called web1, web2, … by their place.
    Raises FleetError that says which item is wrong.
    """
    hosts: dict[str, str] = {}
    for place, item in enumerate((part.strip() for part in text.split(",")), start=1):
        name, separator, release = item.rpartition("=")
        name = name if separator else f"web{place}"
        inventory.check_name("host", name)
        if release not in RELEASES:
            raise FleetError(f"host {item!r}: release must be one of {', '.join(RELEASES)}")
        if name in hosts:
            raise FleetError(f"host {name!r} is listed twice")
        hosts[name] = release
    return hosts


class Fleet:
    """Some test hosts on one network, as a context manager.

    Leaving the block removes them; so does the end of this process, however it ends
    (a watcher process sees to it). `start(detach=True)` keeps them until `stop()`.
    """

    def __init__(
        self,
        name: str,
        hosts: Mapping[str, str] | str,
        *,
        directory: str | Path | None = None,
        image: str | None = None,
        images: Mapping[str, str] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """`hosts` is name → release, or the text `parse_hosts` reads.

        `directory` gets the inventory and the keys (default: a temporary one); `image`
        names a base image instead of building one; `images` (release → name) are started as
        they are, made by somebody from an image of ours.
        """
        inventory.check_name("fleet", name)
        self.name = name
        self.hosts: dict[str, Host] = {}
        self.directory = Path(directory).absolute() if directory else None
        self._wanted = parse_hosts(hosts) if isinstance(hosts, str) else dict(hosts)
        self._image = image
        self._images = dict(images or {})
        self._say = say
        self._uid = secrets.token_hex(8)
        self._watcher: Watcher | None = None

    # -- life -------------------------------------------------------------------------

    def __enter__(self) -> Fleet:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self, *, detach: bool = False) -> Fleet:
        """Start every host and wait until sshd answers on each; then write the files.

        Raises FleetError, with nothing left behind, when one cannot be started.
        """
        images = {
            release: self._images.get(release)
            or ensure_image(release, base=self._image, say=self._say)
            for release in sorted(set(self._wanted.values()))
        }
        _allow_many_hosts(self._say)
        self._make_directory()
        self._watcher = Watcher("reap", self._uid, str(self._folder))
        try:
            self._start_hosts(images, detach=detach)
        except BaseException:
            self.stop()
            raise
        if detach:
            self._watcher.dismiss()
        return self

    def stop(self) -> None:
        """Remove what `start` made: hosts, network, files."""
        remove(self._uid, self.directory)
        if self._watcher is not None:
            self._watcher.dismiss()

    @classmethod
    def attach(cls, *, name: str | None = None, directory: str | Path | None = None) -> Fleet:
        """The running fleet called `name`, or the one whose files are in `directory`."""
        found = find(name=name, directory=directory)
        if found is None:
            raise FleetError(
                f"no fleet {name or f'in {directory}'} is up; `list` shows those that are"
            )
        folder = Path(found["directory"])
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FleetError(f"{folder / STATE}: not there; `down` removes this fleet") from None
        fleet = cls(state["name"], "bookworm", directory=folder)
        fleet._uid = state["uid"]
        fleet.hosts = {name: Host(**fields) for name, fields in state["hosts"].items()}
        return fleet

    # -- files ------------------------------------------------------------------------

    @property
    def inventory(self) -> Path:
        """The Ansible inventory of this fleet."""
        return self._folder / inventory.INVENTORY

    @property
    def ssh_config(self) -> Path:
        """For `ssh -F`."""
        return self._folder / inventory.SSH_CONFIG

    # -- hosts ------------------------------------------------------------------------

    def container(self, host: str) -> str:
        """The container of a host, for podman."""
        return self._host(host).container

    def exec(self, host: str, *command: str, timeout: float = 300) -> str:
        """Run a command as root beside sshd, and return what it printed."""
        return podman("exec", self._host(host).container, *command, timeout=timeout)

    def ssh(self, host: str, *command: str, timeout: float = 60) -> str:
        """Run a command as the administrator over a new ssh connection."""
        self._host(host)
        return run(["ssh", "-F", str(self.ssh_config), host, *command], timeout=timeout)

    def reboot(self, host: str) -> None:
        """Shut the host down in order, start it again, wait for sshd. Same port."""
        container = self._host(host).container
        podman("stop", "--time", "30", container)
        podman("start", container)
        self._wait(self._host(host))

    def kill(self, host: str) -> None:
        """Cut the power; `revive` starts the host again."""
        podman("kill", "--signal", "KILL", self._host(host).container)

    def revive(self, host: str) -> None:
        """Start a killed or stopped host and wait for sshd."""
        podman("start", self._host(host).container)
        self._wait(self._host(host))

    # -- inside -----------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        if self.directory is None:
            raise FleetError(f"fleet {self.name!r} is not started")
        return self.directory

    def _host(self, name: str) -> Host:
        try:
            return self.hosts[name]
        except KeyError:
            raise FleetError(
                f"host {name!r}: fleet {self.name!r} has {', '.join(self.hosts)}"
            ) from None

    def _make_directory(self) -> None:
        if self.directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix=f"fleet-{self.name}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        if (self.directory / STATE).exists():
            raise FleetError(f"{self.directory}: a fleet has its files here; `down` it first")

    def _start_hosts(self, images: Mapping[str, str], *, detach: bool) -> None:
        # The state first: a fleet without it counts as left over.
        self._write_state()
        network = self._create_network(detach=detach)
        public = access.make_key(self._folder)
        planned = self._plan_hosts(network)

        def boot(host: Host) -> tuple[Host, list[str]]:
            return self._boot(host, images[host.release], network, public)

        with ThreadPoolExecutor(max_workers=4) as pool:
            booted = list(pool.map(boot, planned))
        _fix_bridge_address(network)
        self.hosts = {host.name: host for host, _ in booted}
        access.write_files(
            self._folder, self.hosts.values(), {host.port: keys for host, keys in booted}
        )
        self._write_state()

    def _plan_hosts(self, network: str) -> list[Host]:
        # Fixed addresses: podman would give a restarted host other ones, and its
        # neighbours would go on talking to the old.
        subnets = json.loads(podman("network", "inspect", network))[0]["subnets"]
        bases = {
            parsed.version: parsed
            for parsed in (ipaddress.ip_network(subnet["subnet"]) for subnet in subnets)
        }
        ports = access.free_ports(len(self._wanted))
        return [
            Host(
                name=name,
                release=release,
                container="",
                port=port,
                address=str(bases[4][place]),
                address6=str(bases[6][place]),
                gateway=str(bases[4][1]),
                mac=f"02:{self._uid[:2]}:{self._uid[2:4]}:{self._uid[4:6]}:00:{place:02x}",
            )
            for place, ((name, release), port) in enumerate(
                zip(self._wanted.items(), ports, strict=True), start=11
            )
        ]

    def _create_network(self, *, detach: bool) -> str:
        name = f"ringfence-{self.name}"
        owner = "" if detach else process_identity(os.getpid())
        labels = {
            _LABEL: self.name,
            f"{_LABEL}.uid": self._uid,
            f"{_LABEL}.owner": owner,
            f"{_LABEL}.directory": str(self._folder),
        }
        try:
            podman(
                "network",
                "create",
                "--ipv6",
                "--disable-dns",
                "--opt",
                f"mtu={outgoing_mtu()}",
                *(f"--label={key}={value}" for key, value in labels.items()),
                name,
            )
        except FleetError as error:
            if "already exists" not in str(error):
                raise
            raise FleetError(
                f"fleet {self.name!r} is up already; `down --name {self.name}` removes it"
            ) from None
        return name

    def _boot(self, host: Host, image: str, network: str, public: str) -> tuple[Host, list[str]]:
        legacy = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
        container = podman(
            "create",
            "--pull=never",
            f"--name={network}-{host.name}",
            f"--hostname={host.name}",
            f"--label={_LABEL}={self.name}",
            f"--label={_LABEL}.uid={self._uid}",
            "--systemd=always",
            # `reboot` inside ends the container's init with a signal: start it again.
            "--restart=on-failure",
            *LIMITS,
            "--pids-limit=-1",
            f"--cap-add={_CAPABILITIES}",
            *([f"--env=SYSTEMD_PROC_CMDLINE={_LEGACY_CGROUPS}"] if legacy else []),
            f"--network={network}:ip={host.address},ip6={host.address6},mac={host.mac}",
            "--no-hosts",
            f"--publish=127.0.0.1:{host.port}:22",
            image,
        ).strip()
        archive, keys = access.identity_archive(host.name, public, self._folder)
        podman("cp", "--archive=false", "-", f"{container}:/", stdin=archive)
        podman("start", container)
        host = dataclasses.replace(host, container=container)
        self._wait(host)
        return host, keys

    def _wait(self, host: Host) -> None:
        deadline = time.monotonic() + _BOOT_SECONDS
        state = "starting"
        while time.monotonic() < deadline:
            state = _system_state(host.container)
            if state in ("running", "degraded") and access.answers_ssh(host.port):
                break
            time.sleep(0.2)
        else:
            raise FleetError(
                f"host {host.name}: no sshd within {_BOOT_SECONDS} s (systemd says {state!r})"
            )
        if state == "degraded":
            failed = podman(
                "exec", host.container, "systemctl", "--failed", "--plain", "--no-legend"
            )
            units = " ".join(line.split()[0] for line in failed.splitlines() if line.strip())
            self._say(f"host {host.name}: failed units: {units}")

    def _write_state(self) -> None:
        state = {
            "name": self.name,
            "uid": self._uid,
            "hosts": {name: dataclasses.asdict(host) for name, host in self.hosts.items()},
        }
        text = json.dumps(state, indent=2)
        (self._folder / STATE).write_text(f"{text}\n", encoding="utf-8")


# -- removal --------------------------------------------------------------------------


def remove(uid: str, directory: Path | None) -> bool:
    """Remove the hosts, the network and the files of one fleet; whether there were any."""
    label = f"label={_LABEL}.uid={uid}"
    containers = podman("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()
    if containers:
        podman("rm", "--force", "--time", "0", "--volumes", "--ignore", *containers)
    networks = podman("network", "ls", "--quiet", "--filter", label).split()
    if networks:
        podman("network", "rm", "--force", *networks)
    if directory is not None:
        _remove_files(uid, directory)
    return bool(containers or networks)


def _remove_files(uid: str, directory: Path) -> None:
    try:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        state = {"uid": uid}
    if state["uid"] == uid:
        access.remove_files(directory, STATE)


def running() -> list[dict[str, str]]:
    """Every fleet of this machine: name, uid, owner, directory and its hosts' count."""
    networks = json.loads(
        podman("network", "ls", "--format", "json", "--filter", f"label={_LABEL}") or "[]"
    )
    fleets = []
    for network in networks:
        labels = network["labels"]
        uid = labels[f"{_LABEL}.uid"]
        ids = podman("ps", "--all", "--quiet", "--filter", f"label={_LABEL}.uid={uid}").split()
        fleets.append(
            {
                "name": labels[_LABEL],
                "uid": uid,
                "owner": labels.get(f"{_LABEL}.owner", ""),
                "directory": labels[f"{_LABEL}.directory"],
                "hosts": str(len(ids)),
            }
        )
    return sorted(fleets, key=lambda fleet: fleet["name"])


def leftovers() -> list[dict[str, str]]:
    """Fleets that nobody can stop any more: their starter or their files are gone."""
    return [
        fleet
        for fleet in running()
        if (fleet["owner"] and not is_alive(fleet["owner"]))
        or not (Path(fleet["directory"]) / STATE).is_file()
    ]


def find(*, name: str | None = None, directory: str | Path | None = None) -> dict[str, str] | None:
    """The fleet of this name, or whose files are in `directory`, where there is one."""
    folder = str(Path(directory).absolute()) if directory else None
    for fleet in running():
        if fleet["name"] == name or fleet["directory"] == folder:
            return fleet
    return None


# -- pieces ---------------------------------------------------------------------------


def _allow_many_hosts(say: Callable[[str], None]) -> None:
    allowed = int(_INOTIFY.read_text(encoding="utf-8"))
    if allowed >= _INOTIFY_INSTANCES:
        return
    try:
        _INOTIFY.write_text(f"{_INOTIFY_INSTANCES}\n", encoding="utf-8")
    except OSError as error:
        say(f"{_INOTIFY} stays {allowed} ({error.strerror}): about {allowed // 10} hosts can run")
        return
    say(
        f"raised fs.inotify.max_user_instances from {allowed} to {_INOTIFY_INSTANCES}, until reboot"
    )


def _fix_bridge_address(network: str) -> None:
    # A bridge takes the lowest hardware address of its ports, so this machine's own would
    # change under the hosts when one of them restarts; one that was set once stays.
    bridge = json.loads(podman("network", "inspect", network))[0]["network_interface"]
    address = Path(f"/sys/class/net/{bridge}/address").read_text(encoding="utf-8").strip()
    run(["ip", "link", "set", "dev", bridge, "address", address])


def outgoing_mtu() -> int:
    """The packet size of this machine's way out: a larger one inside would stall."""
    for line in Path("/proc/net/route").read_text(encoding="utf-8").splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            return int(Path(f"/sys/class/net/{interface}/mtu").read_text(encoding="utf-8"))
    return 1500


def _system_state(container: str) -> str:
    done = subprocess.run(
        ["podman", "--runtime", RUNTIME, "exec", container, "systemctl", "is-system-running"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
