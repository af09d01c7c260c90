# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of running streams are counted while long lists are swapped: none leaks or is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.hosts.firewall import probes
from tests.hosts.firewall.conftest import OUTSIDER, PUBLIC_ONLY, Target

pytestmark = pytest.mark.hosts

_PORT = 8443
_SERVICES = {**PUBLIC_ONLY, "streams": {"udp": [_PORT], "zones": ["public"]}}
_STOP = "/run/stream"
# Half of a list is the same as in the other one.
_LISTS = """
for n in 0 1; do
    {{ echo {always}; seq $((n * {count} / 2)) $((n * {count} / 2 + {count} - 1)) | awk '{{
        printf "11.%d.%d.%d\\n", $1/65536, $1/256%256, $1%256
        if ($1 % 10 == 0) printf "12.%d.%d.0/24\\n", $1/2560%256, $1/10%256 }}'; }} \
    | tr ' ' '\\n' | sort -u > /root/stream$n
done
wc -c < /root/stream0
"""


@dataclass
class Streams:
    """Streams of an address on the lists, of one in a network, of IPv6, and of one on no list."""

    target: Target
    address: str
    in_network: str
    six: str
    allowed: str

    @property
    def blocked(self) -> list[str]:
        return [self.address, self.in_network, self.six]

    def entries(self) -> str:
        low = self.in_network.rpartition(".")
        return f"{self.address} {self.six} {low[0]}.{int(low[2]) & ~1}/31"

    def start(self) -> None:
        """Begin to count and to send."""
        self.target.sh(f"rm -f {_STOP}*")
        self.target.fleet.exec(OUTSIDER, "rm", "-f", _STOP)
        self.target.fleet.exec(
            self.target.name, "systemd-run", "-q", "--collect", "--unit=sink",
            "python3", "-c", probes.SINK, str(_PORT), _STOP,
        )  # fmt: skip
        self.target.sh(
            f"for i in $(seq 50); do ss -lun | grep -q :{_PORT} && exit; sleep 0.1; done"
        )
        pairs = [
            f"{source}>{self.target.address6 if ':' in source else self.target.address}"
            for source in (*self.blocked, self.allowed)
        ]
        self._sent = self.target.beside(probes.STREAM, _PORT, _STOP, *pairs)

    def stop(self) -> dict[str, tuple[int, int]]:
        """Source -> datagrams sent, datagrams received."""
        self.target.fleet.exec(OUTSIDER, "touch", _STOP)
        sent = json.loads(self._sent.result(60))
        self.target.sh(
            f"touch {_STOP}; for i in $(seq 300); do test -e {_STOP}.counts && exit 0; "
            "sleep 0.1; done; exit 1"
        )
        received = json.loads(self.target.sh(f"cat {_STOP}.counts"))
        return {source: (count, received.get(source, 0)) for source, count in sent.items()}


@pytest.fixture
def streams(firewall: Target) -> Iterator[Streams]:
    network = firewall.outsider.rpartition(".")[0]
    sources = [f"{network}.{number}" for number in (241, 243)]
    for source in sources:
        firewall.fleet.exec(
            OUTSIDER, "sh", "-c", f"ip address add {source}/24 dev eth0 2>/dev/null || true"
        )
    firewall.load(firewall_services=_SERVICES)
    yield Streams(firewall, firewall.outsider, sources[0], firewall.outsider6, sources[1])
    for source in sources:
        firewall.fleet.exec(OUTSIDER, "ip", "address", "del", f"{source}/24", "dev", "eth0")


# The shorter one is compared with the kernel, the longer one is swapped as a whole.
@pytest.mark.parametrize(("count", "long"), [(100_000, False), (300_000, True)])
def test_no_packet_leaks_and_none_is_lost_while_a_long_list_is_swapped(
    streams: Streams, count: int, long: bool
) -> None:
    target = streams.target
    size = int(target.sh(_LISTS.format(count=count, always=streams.entries())))
    assert (size > 3_000_000) is long

    # What is counted can be received: without the lists, all of it is.
    streams.start()
    time.sleep(1)
    counted = streams.stop()
    assert all(sent == received > 100 for sent, received in counted.values()), counted

    target.fill(list="block", src="/root/stream0", state="exact")
    streams.start()
    time.sleep(1)
    for number in (1, 0, 1, 0):
        done = target.fill(list="block", src=f"/root/stream{number}", state="exact")
        assert "changed=1" in done.output
    counted = streams.stop()
    print(f"{count} entries, swapped four times: source: (sent, received) {counted}")
    assert {source: counted[source][1] for source in streams.blocked} == dict.fromkeys(
        streams.blocked, 0
    )
    sent, received = counted[streams.allowed]
    assert received == sent > 2000
