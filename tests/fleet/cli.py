# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the test hosts."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fleet import fleet as fleets
from tests.fleet import vm
from tests.fleet.bootstrap import RELEASES
from tests.fleet.command import FleetError
from tests.fleet.fleet import Fleet
from tests.fleet.image import ensure_image, remove_outdated
from tests.fleet.vm import Machine, UnavailableError
from tests.fleet.watcher import ROOT, watch

_DEFAULT_FOLDER = ROOT / ".cache" / "fleet"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 wrong usage, 3 skipped; each said in one line."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except UnavailableError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 3
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fleet: stopped; nothing is left behind", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.fleet", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build the image of a release, or find it cached")
    build.add_argument("--release", choices=RELEASES, required=True)
    build.add_argument("--image", metavar="BASE", help="start from this image, not from packages")
    build.add_argument("--rebuild", action="store_true", help="build even when it is cached")
    build.set_defaults(run=_build)

    up = commands.add_parser("up", help="start hosts that stay until `down`")
    up.add_argument("--name", required=True)
    up.add_argument(
        "--hosts",
        required=True,
        metavar="[NAME=]RELEASE,…",
        help="such as bookworm,trixie or db=trixie; names default to web1, web2, …",
    )
    up.add_argument("--dir", type=Path, help="gets inventory, keys and ssh_config")
    up.add_argument("--image", metavar="BASE", help="start from this image, not from packages")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="remove the hosts, their network and files")
    _add_which(down)
    down.set_defaults(run=_down)

    for name, function, text in (
        ("reboot", _reboot, "shut a host down, start it, wait for sshd"),
        ("kill", _kill, "cut a host's power"),
        ("revive", _revive, "start a killed host, wait for sshd"),
    ):
        command = commands.add_parser(name, help=text)
        _add_which(command)
        command.add_argument("host")
        command.set_defaults(run=function)

    for name, program, text in (
        ("ssh", _ssh, "sign in as the administrator"),
        ("exec", _exec, "run a command as root, without ssh"),
    ):
        command = commands.add_parser(name, help=text)
        _add_which(command)
        command.add_argument("host")
        command.add_argument("command", nargs=argparse.REMAINDER)
        command.set_defaults(run=program)

    vm_up = commands.add_parser("vm-up", help="start a virtual machine that stays until `vm-down`")
    vm_up.add_argument("--name", required=True, help="also its host name")
    vm_up.add_argument("--release", choices=RELEASES, default="bookworm")
    vm_up.add_argument("--dir", type=Path, help="gets inventory, keys, ssh_config, console.log")
    vm_up.set_defaults(run=_vm_up)

    for name, action, text in (
        ("vm-down", _vm_down, "end a virtual machine and remove its files"),
        ("vm-reboot", _vm_reboot, "shut it down by its power button, start it, wait for sshd"),
        ("vm-kill", _vm_kill, "cut its power"),
        ("vm-revive", _vm_revive, "start a killed one, wait for sshd"),
    ):
        command = commands.add_parser(name, help=text)
        _add_which(command)
        command.set_defaults(run=action)

    listing = commands.add_parser("list", help="every fleet of this machine")
    listing.set_defaults(run=_list)

    gc = commands.add_parser("gc", help="remove fleets whose starter or files are gone")
    gc.add_argument("--images", action="store_true", help="also images of former recipes")
    gc.set_defaults(run=_gc)

    for name, remove in (("reap", fleets.remove), ("reap-vm", vm.remove)):
        reap = commands.add_parser(name)
        reap.add_argument("uid")
        reap.add_argument("directory", type=Path)
        reap.set_defaults(run=_reap, remove=remove)
    return parser


def _add_which(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--name")
    which.add_argument("--dir", type=Path)


def _attach(options: argparse.Namespace) -> Fleet:
    return Fleet.attach(name=options.name, directory=options.dir)


def _build(options: argparse.Namespace) -> None:
    print(ensure_image(options.release, base=options.image, rebuild=options.rebuild, say=_note))


def _up(options: argparse.Namespace) -> None:
    folder = options.dir or _DEFAULT_FOLDER / options.name
    fleet = Fleet(options.name, options.hosts, directory=folder, image=options.image, say=_note)
    fleet.start(detach=True)
    for host in fleet.hosts.values():
        print(f"{host.name:12} {host.release:10} 127.0.0.1:{host.port}  {host.address}")
    print(f"inventory: {fleet.inventory}")
    print(f"sign in:   ssh -F {fleet.ssh_config} {next(iter(fleet.hosts))}")


def _down(options: argparse.Namespace) -> None:
    fleet = fleets.find(name=options.name, directory=options.dir)
    if fleet is None:
        print(f"nothing to remove: no fleet {options.name or f'in {options.dir}'} is up")
        return
    fleets.remove(fleet["uid"], Path(fleet["directory"]))
    print(f"removed fleet {fleet['name']!r}: {fleet['hosts']} hosts")


def _reboot(options: argparse.Namespace) -> None:
    _attach(options).reboot(options.host)


def _kill(options: argparse.Namespace) -> None:
    _attach(options).kill(options.host)


def _revive(options: argparse.Namespace) -> None:
    _attach(options).revive(options.host)


def _ssh(options: argparse.Namespace) -> int:
    fleet = _attach(options)
    return subprocess.call(["ssh", "-F", str(fleet.ssh_config), options.host, *_command(options)])


def _exec(options: argparse.Namespace) -> int:
    container = _attach(options).container(options.host)
    terminal = ["--tty"] if sys.stdin.isatty() else []
    command = _command(options) or ["bash"]
    return subprocess.call(["podman", "exec", "--interactive", *terminal, container, *command])


def _command(options: argparse.Namespace) -> list[str]:
    words: list[str] = options.command
    return words[1:] if words[:1] == ["--"] else words


def _vm_up(options: argparse.Namespace) -> None:
    folder = options.dir or _DEFAULT_FOLDER / options.name
    machine = Machine(options.name, options.release, directory=folder, say=_note)
    machine.start(detach=True)
    print(f"{machine.name:12} {machine.release:10} 127.0.0.1:{machine.host.port}")
    print(f"inventory: {machine.inventory}")
    print(f"sign in:   ssh -F {machine.ssh_config} {machine.name}")
    print(f"console:   {machine.console}")


def _machine(options: argparse.Namespace) -> Machine:
    return Machine.attach(options.dir or _DEFAULT_FOLDER / options.name)


def _vm_down(options: argparse.Namespace) -> None:
    folder = options.dir or _DEFAULT_FOLDER / options.name
    if not (folder / vm.STATE).exists():
        print(f"nothing to remove: no virtual machine has its files in {folder}")
        return
    machine = _machine(options)
    machine.stop()
    print(f"removed virtual machine {machine.name!r}")


def _vm_reboot(options: argparse.Namespace) -> None:
    _machine(options).reboot()


def _vm_kill(options: argparse.Namespace) -> None:
    _machine(options).kill()


def _vm_revive(options: argparse.Namespace) -> None:
    _machine(options).revive()


def _list(_: argparse.Namespace) -> None:
    for fleet in fleets.running():
        print(f"{fleet['name']:24} {fleet['hosts']:>3} hosts  {fleet['directory']}")
    for machine in vm.running():
        print(f"{machine.name:24}  vm        {machine.directory}")


def _gc(options: argparse.Namespace) -> None:
    for fleet in fleets.leftovers():
        fleets.remove(fleet["uid"], Path(fleet["directory"]))
        print(f"removed fleet {fleet['name']!r}: {fleet['hosts']} hosts")
    for machine in vm.leftovers():
        vm.remove(machine.uid, machine.directory)
        print(f"removed virtual machine {machine.directory}")
    if options.images:
        for outdated in (*remove_outdated(), *vm.remove_outdated()):
            print(f"removed {outdated}")


def _reap(options: argparse.Namespace) -> None:
    watch(lambda: options.remove(options.uid, options.directory))


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
