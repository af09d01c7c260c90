# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 server in this process, and a way to it that fails as networks and busy services do."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.request import Request, urlopen

import boto3
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

ACCESS_KEY, SECRET_KEY = "AKIAEXAMPLE", "made-up-secret-key"
REGION = "eu-west-1"

# What to do with a request, given its number and its first line: an HTTP status or a whole answer
# to give, "drop" to close the connection, "slow" to be late, or None to pass it on.
Fault = Callable[[int, str], "bytes | int | str | None"]


def _told_as_put(self: S3Response) -> dict[str, Any]:
    """moto lists the optional fields of an inventory by the name of their tag."""
    found = _inventory_put(self)
    fields = found.get("OptionalFields")
    if isinstance(fields, dict):
        named = fields["Field"]
        found["OptionalFields"] = named if isinstance(named, list) else [named]
    return found


_inventory_put = S3Response._inventory_config_from_body
S3Response._inventory_config_from_body = _told_as_put  # type: ignore[method-assign]


@contextmanager
def server() -> Iterator[str]:
    """The URL of a moto server on loopback; its buckets are those of this process."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    started = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    try:
        host, port = started.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        started.stop()


def forget(url: str) -> None:
    """All that the server of this process knows, accounts and buckets, is gone."""
    with urlopen(Request(f"{url}/moto-api/reset", method="POST")) as answer:  # noqa: S310
        assert answer.status == 200


def client(url: str, service: str = "s3") -> Any:
    """boto3's client for it."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


class FaultyWay:
    """Passes requests on to a server, but for those that `fault` picks."""

    def __init__(self, url: str, fault: Fault) -> None:
        self._target = url.removeprefix("http://").split(":")
        self._fault = fault
        self._loop = asyncio.new_event_loop()
        self.seen = 0
        self.connections = 0
        self.url = ""

    def __enter__(self) -> FaultyWay:
        ready = threading.Event()

        async def start() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            ready.set()

        def run() -> None:
            self._loop.run_until_complete(start())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(5)
        return self

    def __exit__(self, *_error: object) -> None:
        async def end() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                self.seen += 1
                what = self._fault(self.seen, head.split(b"\r\n")[0].decode())
                if what == "drop":
                    break
                if what == "slow":
                    await asyncio.sleep(0.5)
                if isinstance(what, bytes):
                    writer.write(what)
                elif isinstance(what, int):
                    writer.write(f"HTTP/1.1 {what} Busy\r\nContent-Length: 0\r\n\r\n".encode())
                else:
                    await self._pass_on(head, body, writer)
                await writer.drain()
        writer.close()

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        upstream, out = await asyncio.open_connection(self._target[0], int(self._target[1]))
        out.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        answer = await upstream.readuntil(b"\r\n\r\n")
        kept = [
            line for line in answer.split(b"\r\n") if not line.lower().startswith(b"connection")
        ]
        writer.write(b"\r\n".join(kept))
        if b"transfer-encoding: chunked" in answer.lower():
            writer.write(await upstream.read())  # to the end, as the connection is closed then
        elif not head.startswith(b"HEAD"):
            writer.write(await upstream.readexactly(_length(answer)))
        out.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
