# SPDX-License-Identifier: GPL-3.0-or-later
"""A small name server on loopback: answers from a table of records, by UDP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Records = Mapping[tuple[str, str], list[str]]


@contextmanager
def serving(records: Records, silent: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    """Address and port of a server for `records`: (name, kind) -> values.

    A name that has no record of any kind does not exist. Names in `silent` get no answer.
    """
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind(("127.0.0.1", 0))
    endpoint.settimeout(0.2)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                data, peer = endpoint.recvfrom(4096)
            except TimeoutError:
                continue
            reply = _reply(data, records, silent)
            if reply is not None:
                endpoint.sendto(reply, peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield endpoint.getsockname()
    finally:
        ended.set()
        thread.join()
        endpoint.close()


def _reply(data: bytes, records: Records, silent: frozenset[str]) -> bytes | None:
    query = dns.message.from_wire(data)
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True)
    if name in silent:
        return None
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    values = records.get((name, dns.rdatatype.to_text(question.rdtype)))
    if values:
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *values))
    elif not any(known.endswith(name) for known, _kind in records):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()
