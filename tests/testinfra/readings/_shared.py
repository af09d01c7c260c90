# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reading is, and the kinds that several families have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """`read` is run by sh as root and must print `right`, or the text for the host's release.

    `wrong` brings the host into a state in which the control must fail. `by_hand` is what a person
    does where Ringfence only tells. `own_kernel`: cannot be shown in a container.
    `hosted`: shown on a server with sites only; elsewhere the control does not apply.
    """

    read: str
    right: str | dict[str, str]
    wrong: str
    by_hand: str = ""
    own_kernel: bool = False
    hosted: bool = False

    def expected(self, release: str) -> str:
        """What `read` prints on a host of this release (bookworm or trixie)."""
        return self.right if isinstance(self.right, str) else self.right[release]


def modes(right: str, wrong: str, *paths: str) -> Reading:
    joined = " ".join(paths)
    return Reading(
        read=f"stat -c '%a %U:%G %n' {joined}",
        right="\n".join(f"{right} {path}" for path in paths),
        wrong=f"chmod {wrong} {joined}",
    )


def live(wrong: int, right: int, *keys: str, own_kernel: bool = False) -> Reading:
    """Live value of each key, and the one that systemd-sysctl would set at boot."""
    names = " ".join(keys)
    boot = (
        "/lib/systemd/systemd-sysctl --cat-config | sed 's/ //g' | grep -Fx "
        + " ".join(f"-e '{key}={right}'" for key in keys)
        + " | sort -u"
    )
    return Reading(
        read=f"sysctl -n {names} | sort -u; {boot}",
        right="\n".join([str(right), *sorted(f"{key}={right}" for key in keys)]),
        wrong="; ".join(f"sysctl -qw {key}={wrong}" for key in keys),
        own_kernel=own_kernel,
    )


def blocked(*modules: str) -> Reading:
    """modprobe's last line is of the module itself; those before are of what it needs."""
    read = "; ".join(
        f"modprobe -n -v {name} 2>&1 | sed -n '$s/ *$//p'; modprobe {name} && echo loaded"
        for name in modules
    )
    return Reading(
        read=f"{read}; grep -cE '^({'|'.join(modules)}) ' /proc/modules",
        right="\n".join(["install /bin/false"] * len(modules) + ["0"]),
        wrong=f"rm -f /etc/modprobe.d/00-ringfence.conf; modprobe {modules[0]}",
        own_kernel=True,
    )


def absent(install: str, *names: str) -> Reading:
    return Reading(
        read=f"dpkg-query -W -f '${{db:Status-Status}}\\n' {' '.join(names)} 2>/dev/null"
        " | grep -cx installed",
        right="0",
        wrong=f"DEBIAN_FRONTEND=noninteractive apt-get -qq install -y {install} > /dev/null",
    )


def present(name: str, wrong: str = "true") -> Reading:
    return Reading(
        read=f"dpkg -s {name} | grep ^Status:", right="Status: install ok installed", wrong=wrong
    )


def unit(unit: str, right: str, wrong: str) -> Reading:
    return Reading(
        read=f"systemctl is-enabled {unit}; systemctl is-active {unit}", right=right, wrong=wrong
    )


def mount(path: str, wrong: str, *right: str) -> Reading:
    """Each option, once in force and once for the next boot."""
    pattern = " ".join(f"-e {option}" for option in right)
    return Reading(
        read=f"findmnt -n -o OPTIONS {path} | tr , '\\n' | grep -x {pattern} | sort; "
        f"{{ findmnt -s -n -o OPTIONS {path} || systemctl cat $(systemd-escape -p --suffix=mount "
        f"{path}) | sed -n s/^Options=//p | tail -1; }} | tr , '\\n' | grep -x {pattern} | sort",
        right="\n".join(sorted(right) * 2),
        wrong=wrong,
    )
