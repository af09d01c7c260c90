# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run on a test host to see another from outside, and what listens to be seen."""

from __future__ import annotations

# Every TCP port in a range, many at once: {"open": [...], "refused": n, "silent": n}.
SCAN = """
import errno, json, select, socket, sys, time
address, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
todo, pending, poll = iter(range(first, last + 1)), {}, select.epoll()
found = {"open": [], "refused": 0, "silent": 0}
def settle(fd, how):
    port, sock, _began = pending.pop(fd)
    poll.unregister(fd)
    sock.close()
    if how == "open":
        found["open"].append(port)
    else:
        found[how] += 1
while True:
    for port in todo:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((address, port))
        pending[sock.fileno()] = (port, sock, time.monotonic())
        poll.register(sock.fileno(), select.EPOLLOUT)
        if len(pending) >= 3500:
            break
    if not pending:
        break
    for fd, _event in poll.poll(0.05):
        error = pending[fd][1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        settle(fd, "open" if not error else "silent" if error == errno.EHOSTUNREACH else "refused")
    late = time.monotonic() - 0.8
    for fd in [fd for fd, row in pending.items() if row[2] < late]:
        settle(fd, "silent")
found["open"].sort()
print(json.dumps(found))
"""

# Whether a datagram is answered: "answered" or "silent".
ASK_UDP = """
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
sock.sendto(b"hello", (address, port))
try:
    print("answered" if sock.recv(99) == b"hello" else "odd")
except OSError:
    print("silent")
"""

# Connects again and again for some seconds: {"tried": n, "connected": n}.
KNOCK = """
import json, socket, sys, time
address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
until, tried, connected = time.monotonic() + seconds, 0, 0
while time.monotonic() < until:
    tried += 1
    try:
        socket.create_connection((address, port), timeout=0.02).close()
        connected += 1
    except OSError:
        pass
print(json.dumps({"tried": tried, "connected": connected}))
"""

# Holds a connection and sends a line four times a second: prints how many came back.
HOLD = """
import socket, sys, time
address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sock = socket.create_connection((address, port), timeout=2)
sock.settimeout(0.25)
until, back = time.monotonic() + seconds, 0
while time.monotonic() < until:
    try:
        sock.sendall(b"x")
        back += len(sock.recv(99))
    except OSError:
        pass
    time.sleep(0.25)
print(back)
"""

# Answers on TCP and UDP ports, IPv4 and IPv6, with what it was sent: ECHO tcp,tcp udp,udp
ECHO = """
import socket, socketserver, sys, threading
class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(99):
            self.request.sendall(data)
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)
class Streams(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True
class Datagrams(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6
kinds = ((Streams, Stream), (Datagrams, Datagram))
for (server, handler), ports in zip(kinds, sys.argv[1:]):
    for port in ports.split(","):
        serve = server(("::", int(port)), handler).serve_forever
        threading.Thread(target=serve).start()
"""

# Sends a numbered datagram a millisecond from each source, until FILE is there: prints how many of
# each. STREAM port file source>destination …
STREAM = """
import json, os, socket, sys, time
port, stop = int(sys.argv[1]), sys.argv[2]
socks = {}
for pair in sys.argv[3:]:
    source, destination = pair.split(">")
    sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    sock.connect((destination, port))
    socks[source] = sock
sent = 0
while sent % 100 or not os.path.exists(stop):
    for sock in socks.values():
        try:
            sock.send(sent.to_bytes(8, "big"))
        except ConnectionRefusedError:
            raise SystemExit("nobody listens")
    sent += 1
    time.sleep(0.001)
print(json.dumps(dict.fromkeys(socks, sent)))
"""

# Counts datagrams by source until FILE is there, then writes FILE.counts: SINK port file
SINK = """
import collections, json, os, socket, sys
port, stop = int(sys.argv[1]), sys.argv[2]
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
SO_RCVBUFFORCE = 33
sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
sock.bind(("::", port))
sock.settimeout(0.5)
counts = collections.Counter()
while True:
    try:
        counts[sock.recvfrom(99)[1][0].removeprefix("::ffff:")] += 1
    except TimeoutError:
        if os.path.exists(stop):
            break
with open(stop + ".new", "w") as handle:
    json.dump(counts, handle)
os.rename(stop + ".new", stop + ".counts")
"""
