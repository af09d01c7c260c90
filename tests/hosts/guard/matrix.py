# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks us out of real hosts in every way we could think of, and measures what happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fleet import Fleet
from tests.hosts.playing import Done, Play, sh

HERE = Path(__file__).parent
_SLACK_SECONDS = 15
# How many times longer than a harmless run the guard is, so that each fault comes into force, on
# whatever machine.
_RUNS_IN_A_GUARD = 6
_SHORTEST, _LONGEST = 15, 180
GUARDED = [
    "/etc/ssh",
    "/etc/pam.d",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
]
_PROBE_SECONDS = 1.5
# Told by other programs than ours: what the files, the filter and the units are.
_STATE = f"""
set -e
find {" ".join(GUARDED)} -xdev ! -type d -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort
find {" ".join(GUARDED)} -xdev -type d -printf '%p %y %m %U:%G\\n' | sort
find {" ".join(GUARDED)} -xdev -type f -exec sha256sum {{}} + | sort
find /etc/systemd/system -printf '%p %y %l\\n' | sort
python3 -c 'import os; print(os.getxattr("/etc/ssh/sshd_config", "user.kept"))'
nft -s list ruleset
systemctl is-active ssh
systemctl is-enabled ssh
"""


Meanwhile = Callable[[Fleet, str, "subprocess.Popen[str]"], contextlib.AbstractContextManager[None]]


def _nothing(*_ignored: object) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


@dataclass(frozen=True)
class Fault:
    """One way to be locked out. `playbook` is one of this folder, or of playbooks/; `says` is in
    the line of the run; `account` is whose sign-ins are watched."""

    name: str
    title: str
    playbook: str = "block"
    says: str = "put back"
    variables: dict[str, Any] = field(default_factory=dict)
    meanwhile: Meanwhile = _nothing
    strangers: bool = False
    # The host starts again before a change comes into force: it may be back between two sign-ins.
    reboots: bool = False
    account: str = "ops"
    # Whether the run itself can say what was put back, or only the next one.
    tells: bool = True


@dataclass
class Outcome:
    """What was measured on one host. Seconds are from arming the guard, save `outage`."""

    fault: Fault
    release: str
    run: Done
    before: str
    after: str
    armed: float
    booted: float
    probes: list[tuple[float, bool]]
    record: dict[str, Any]
    next_run: Done
    left_over: str
    guard_seconds: int

    @property
    def slack(self) -> float:
        """Seconds from the guard's end within which the host must answer.

        A run that outlives its guard has tasks left to do, so it grows with the time that a
        harmless run takes on this machine: three of those, and never less than on a quiet one.
        """
        return max(_SLACK_SECONDS, 3 * self.guard_seconds / _RUNS_IN_A_GUARD)

    @property
    def failed_probes(self) -> list[float]:
        return [moment for moment, worked in self.probes if not worked]

    @property
    def happened(self) -> bool:
        """Whether the fault came into force: somebody was shut out, or the host went down."""
        return bool(self.failed_probes) or (self.fault.reboots and self.booted > self.armed)

    @property
    def answered(self) -> float | None:
        """When a sign-in worked again for good, or None."""
        last = max(self.failed_probes, default=self.booted if self.fault.reboots else 0.0)
        return next((m - self.armed for m, worked in self.probes if worked and m > last), None)

    @property
    def outage(self) -> float | None:
        """For how long sign-ins failed, or None."""
        if self.answered is None or not self.failed_probes:
            return None
        return self.answered + self.armed - min(self.failed_probes)


def guard_seconds(fleet: Fleet, evidence: Path) -> int:
    """How long the guard must be on this machine, with a run on every host at once."""
    nothing = Fault("nothing", "")
    started = time.monotonic()
    runs = [_play(fleet, host, nothing, evidence / host, _LONGEST).start() for host in fleet.hosts]
    for run in runs:
        output, _nothing_else = run.communicate(timeout=300)
        assert run.returncode == 0, output
    wanted = round(_RUNS_IN_A_GUARD * (time.monotonic() - started))
    return min(max(wanted, _SHORTEST), _LONGEST)


def measure(fleet: Fleet, host: str, fault: Fault, seconds: int, evidence: Path) -> Outcome:
    """Lock us out of `host`, whose guard lasts `seconds`, and watch until it answers again."""
    sh(fleet, host, "rm -f /run/ready; ls -d /var/lib/ringfence/guard/*/ 2>/dev/null || true")
    before = sh(fleet, host, _STATE)
    started = time.time()
    play = _play(fleet, host, fault, evidence, seconds)
    crowd = _strangers(fleet, host) if fault.strangers else contextlib.nullcontext()
    with crowd, _probing(fleet, host, fault.account) as probes:
        process = play.start()
        with fault.meanwhile(fleet, host, process):
            output, _nothing = process.communicate(timeout=300)
        _until_settled(fleet, host, started + seconds, probes)
    record = json.loads(sh(fleet, host, "cat /var/lib/ringfence/guard/last.json"))
    armed = sh(fleet, host, f"stat -c %.Y /var/lib/ringfence/guard/{record['id']}/manifest.json")
    return Outcome(
        fault=fault,
        release=fleet.hosts[host].release,
        run=Done(process.returncode, output),
        before=before,
        after=sh(fleet, host, _STATE),
        armed=float(armed),
        booted=_booted(fleet, host),
        probes=[probe for probe in probes if probe[0] > float(armed)],
        record=record,
        # The next run of somebody: it changes nothing, and is told what was put back.
        next_run=_play(fleet, host, Fault("nothing", ""), evidence, _LONGEST).run(),
        left_over=_left_over(fleet, host),
        guard_seconds=seconds,
    )


def _play(fleet: Fleet, host: str, fault: Fault, evidence: Path, seconds: int) -> Play:
    variables = {"fault": fault.name, "guarded": GUARDED, "guard_seconds": seconds}
    variables["ringfence_guard_timeout"] = seconds
    extra = json.dumps(variables | fault.variables)
    own = HERE / f"{fault.playbook}.yml"
    playbook = str(own) if own.exists() else f"{fault.playbook}.yml"
    return Play(fleet, playbook, "--limit", host, "-e", extra, evidence_in=evidence)


def _booted(fleet: Fleet, host: str) -> float:
    """When the host last started; its clocks are this machine's."""
    ticked = sh(fleet, host, "systemctl show --value -p UserspaceTimestampMonotonic")
    return time.time() - time.monotonic() + int(ticked) / 1e6


def _left_over(fleet: Fleet, host: str) -> str:
    """Anything of a guard that should be gone when it is over."""
    script = """
    ls /var/lib/ringfence/guard/armed.json 2>/dev/null || true
    find /etc/systemd/system -name 'ringfence-guard*'
    systemctl list-units --plain --no-legend 'ringfence-guard-*'
    """
    return sh(fleet, host, script)


@contextlib.contextmanager
def _probing(fleet: Fleet, host: str, account: str) -> Iterator[list[tuple[float, bool]]]:
    """Meanwhile, sign in and become root again and again, as an operator would."""
    probes: list[tuple[float, bool]] = []
    over = threading.Event()

    def probe() -> None:
        while not over.is_set():
            worked = signs_in(fleet, host, account)
            probes.append((time.time(), worked))
            over.wait(_PROBE_SECONDS)

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    try:
        yield probes
    finally:
        over.set()
        thread.join(timeout=30)


def signs_in(fleet: Fleet, host: str, account: str) -> bool:
    """Whether a new connection signs in and becomes root."""
    command = ["ssh", "-F", str(fleet.ssh_config), "-o", "ControlPath=none"]
    command += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=3"]
    command += ["-l", account, host, "sudo", "-n", "true"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=15, check=False
        )
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _until_settled(
    fleet: Fleet, host: str, expiry: float, probes: list[tuple[float, bool]]
) -> None:
    """Until no guard is armed and sign-ins work, or this should have been for a good while."""
    armed = "ls /var/lib/ringfence/guard/armed.json 2>/dev/null || true"
    while time.time() < expiry + 4 * _SLACK_SECONDS:
        with contextlib.suppress(Exception):
            if not sh(fleet, host, armed) and all(worked for _moment, worked in probes[-2:]):
                return
        time.sleep(0.5)


# --- what the test does to the run, or to the host, while the play runs


def until_ready(fleet: Fleet, host: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(Exception):
            sh(fleet, host, "test -e /run/ready")
            return
        time.sleep(0.2)
    raise AssertionError(f"{host}: the play never came to its change")


@contextlib.contextmanager
def kill_controller(fleet: Fleet, host: str, process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill -9 the run and every process of it, its open connection among them."""
    until_ready(fleet, host)
    os.killpg(process.pid, signal.SIGKILL)
    for path in (fleet.inventory.parent / "cp").glob("*"):
        if str(fleet.hosts[host].port) in path.name:
            subprocess.run(
                ["ssh", "-O", "exit", "-o", f"ControlPath={path}", "x"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
    yield


@contextlib.contextmanager
def cut_power(fleet: Fleet, host: str, process: subprocess.Popen[str]) -> Iterator[None]:
    """Power goes and comes back while the guard is armed; the run dies with its connection."""
    until_ready(fleet, host)
    os.killpg(process.pid, signal.SIGKILL)
    fleet.kill(host)
    fleet.revive(host)
    yield


_STRANGERS = """
import socket, threading, time
crowded = threading.Event()
def hold():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", 22), timeout=2) as stranger:
                stranger.settimeout(5)
                if not stranger.recv(256).startswith(b"SSH-"):
                    crowded.set()
                    continue
                # Who came before a reload of sshd does not count after it: stay only when full.
                if crowded.wait(0.2):
                    time.sleep(300)
        except OSError:
            crowded.set()
        time.sleep(0.01)
for _ in range(6):
    threading.Thread(target=hold).start()
print("here", flush=True)
"""


@contextlib.contextmanager
def _strangers(fleet: Fleet, host: str) -> Iterator[None]:
    """Some who never sign in take the room there is, and take it again when dropped."""
    # From the host itself: sshd 10 shuts out the address that they come from.
    command = ["podman", "exec", fleet.container(host), "python3", "-c", _STRANGERS]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as strangers:
        assert strangers.stdout is not None
        assert strangers.stdout.readline() == "here\n"
        try:
            yield
        finally:
            # Ending the client of podman leaves what it started in the host.
            sh(fleet, host, "pkill -f '[c]reate_connection' || true")
            strangers.kill()


_LOCKOUT = {
    "ansible.builtin.copy": {
        "dest": "/etc/ssh/sshd_config.d/10-lockout.conf",
        "content": "AllowUsers nobody\n",
        "mode": "0600",
    }
}
_IMPATIENT = "-o ServerAliveInterval=1 -o ServerAliveCountMax=3"
_CUT = """
table inet lockout {
  chain input { type filter hook input priority -300; policy drop; iif lo accept; }
  chain output { type filter hook output priority -300; policy drop; oif lo accept; }
}
""".replace("; }", ";\n}")

FAULTS = [
    Fault("nftables_drops_new", "nftables drops new connections to port 22"),
    Fault("nftables_replaced", "nftables flushed, a ruleset that lets nobody in loaded"),
    Fault("nobody_allowed", "`AllowUsers nobody`"),
    Fault("broken_pam", "PAM stack with a missing module"),
    Fault("broken_sudoers", "sudoers that cannot be parsed"),
    Fault("port_closed", "sshd on a port the firewall closes"),
    Fault("keys_elsewhere", "`sshd -t` is content, the key is refused"),
    Fault("no_startups", "`MaxStartups` starved by a stranger", strangers=True),
    Fault("account_expired", "account of the administrator expired"),
    Fault("ssh_disabled", "ssh stopped, disabled and masked"),
    Fault("too_slow", "the run outlives its guard"),
    Fault(
        "connection_cut",
        "connection cut in mid-change: all packets dropped",
        playbook="one_task",
        variables={
            "changes": [_LOCKOUT],
            "activate": [{"ansible.builtin.command": {"argv": ["nft", "-f", "-"], "stdin": _CUT}}],
            "ansible_ssh_extra_args": _IMPATIENT,
        },
    ),
    Fault(
        "reboot",
        "reboot while armed",
        playbook="one_task",
        reboots=True,
        says="rebooted before the change was confirmed",
        variables={
            "changes": [_LOCKOUT],
            "activate": [
                {"ansible.builtin.command": {"argv": ["systemctl", "reboot"]}},
                {"ansible.builtin.wait_for": {"timeout": 30}},
            ],
            "ansible_ssh_extra_args": _IMPATIENT,
        },
    ),
    Fault(
        "root_closed",
        "a control closes root's login to a run that signs in as root",
        playbook="apply",
        account="root",
        variables={
            "ansible_user": "root",
            "ringfence_controls": ["ssh_root_login"],
        },
    ),
    Fault(
        "startups_by_control",
        "a control starves sign-ins: `MaxStartups` with strangers",
        playbook="apply",
        strangers=True,
        variables={
            "ringfence_controls": ["ssh_max_startups"],
            "ssh_max_startups": "1:100:1",
        },
    ),
    Fault(
        "controller_killed",
        "controller killed (-9) before confirming",
        meanwhile=kill_controller,
        variables={"fault": "nobody_allowed_then_waits"},
        tells=False,
    ),
    Fault(
        "power_cut",
        "power cut while armed",
        meanwhile=cut_power,
        reboots=True,
        variables={"fault": "nobody_allowed_then_waits"},
        says="rebooted before the change was confirmed",
        tells=False,
    ),
]
