# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains by a registry and a name server, and origins by real requests, all on loopback."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _domain_facts
from ansible_collections.ringfence.hosting.plugins.module_utils._domain_facts import Asking
from werkzeug.serving import make_server

from tests.third_parties import names, servers

SOA = ["ns1.acme.example. ops.acme.example. 1 3600 600 86400 60"]
DS = ["12345 13 2 " + "ab" * 32]
KEY = ["257 3 13 " + "A" * 86 + "=="]
ZONES = {
    ("acme.example", "SOA"): SOA,
    ("acme.example", "NS"): ["ns1.acme.example.", "ns2.acme.example."],
    ("acme.example", "DS"): DS,
    ("acme.example", "DNSKEY"): KEY,
    ("acme.example", "TXT"): ['"v=spf1 -all"', '"other"'],
    ("acme.example", "CAA"): ['0 issue "letsencrypt.org"'],
    ("_dmarc.acme.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("www.acme.example", "A"): ["192.0.2.1"],
    ("shop.acme.example", "A"): ["192.0.2.1"],
    ("bare.example", "SOA"): SOA,
    ("bare.example", "NS"): ["ns1.acme.example."],
    ("example", "SOA"): SOA,
}
WANTED = [
    {"name": "www.acme.example", "client": "acme"},
    {"name": "shop.acme.example", "client": "acme"},
]


@pytest.fixture
def registry() -> servers.Rdap:
    found = servers.Rdap()
    lock = ["client transfer prohibited", "active"]
    found.add("acme.example", lock, signed=True, expires="2031-01-02")
    found.add("bare.example", ["active"], signed=False, expires="2026-12-01")
    return found


@pytest.fixture
def asking(registry: servers.Rdap) -> Iterator[Asking]:
    with servers.serving(registry) as rdap, names.serving(ZONES) as resolver:
        yield Asking(rdap, resolver=resolver, seconds=5.0)


def _domains(asking: Asking, wanted: Any, registered: Any = ()) -> Any:
    return _domain_facts.domains(wanted, asking, registered, wait=lambda _seconds: None)


def test_a_domain_is_told_once_by_registry_and_names(asking: Asking) -> None:
    found, covered = _domains(asking, WANTED)
    assert found == [
        {
            "domain": "acme.example",
            "client": "acme",
            "transfer_lock": True,
            "dnssec": True,
            "expires": "2031-01-02",
            "auto_renew": None,
            "registrar": "Fast Names Ltd",
            "name_servers": ["ns1.acme.example.", "ns2.acme.example."],
            "caa": ['0 issue "letsencrypt.org"'],
            "spf": True,
            "dmarc": True,
        }
    ]
    assert {one["state"] for one in covered} == {"read"}


def test_a_domain_that_is_held_badly(asking: Asking) -> None:
    ((found,), _covered) = _domains(asking, [{"name": "bare.example", "client": "beta"}])
    seen = {key: found[key] for key in ("transfer_lock", "dnssec", "expires", "spf", "dmarc")}
    assert seen == {
        "transfer_lock": False, "dnssec": False, "expires": "2026-12-01",
        "spf": False, "dmarc": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("registered", "lock", "expires"),
    [
        ((), None, None),
        (
            [{"domain": "acme.example", "transfer_lock": False, "expires": "2030-01-01"}],
            False,
            "2030-01-01",
        ),
    ],
    ids=["unknown is no no", "the registrar stands in"],
)
def test_where_the_registry_is_silent(
    asking: Asking, registry: servers.Rdap, registered: Any, lock: Any, expires: Any
) -> None:
    registry.fail("/domain/acme.example", *[servers.BROKEN] * 4)
    ((found,), covered) = _domains(asking, WANTED, registered)
    assert (found["transfer_lock"], found["expires"], found["dnssec"]) == (lock, expires, True)
    assert {one["source"]: one["state"] for one in covered}["registry of acme.example"] == "failed"


def test_the_registry_counts_before_the_registrar(asking: Asking) -> None:
    said = [{"domain": "acme.example", "transfer_lock": False, "expires": "2020-01-01"}]
    ((found,), _covered) = _domains(asking, WANTED, said)
    assert (found["transfer_lock"], found["expires"]) == (True, "2031-01-02")


def test_a_registry_without_any_status_says_nothing_of_a_lock(
    asking: Asking, registry: servers.Rdap
) -> None:
    registry.add("acme.example", [], signed=True, expires="2031-01-02")
    ((found,), _covered) = _domains(asking, WANTED)
    assert found["transfer_lock"] is None


def test_a_domain_of_two_clients_is_nobodys_alone(asking: Asking) -> None:
    wanted = [*WANTED, {"name": "beta.acme.example", "client": "beta"}]
    ((found,), _covered) = _domains(asking, wanted)
    assert "client" not in found


@pytest.mark.parametrize("name", ["nowhere.invalid", "example"])
def test_a_name_without_a_domain_is_told(asking: Asking, name: str) -> None:
    found, covered = _domains(asking, [{"name": name, "client": ""}])
    assert found == []
    assert [(one["source"], one["state"]) for one in covered] == [(f"domain of {name}", "failed")]


def test_names_that_do_not_answer_are_told() -> None:
    with names.serving(ZONES, frozenset({"www.acme.example"})) as resolver:
        asking = Asking("http://127.0.0.1:9", resolver=resolver, seconds=0.5)
        found, covered = _domains(asking, WANTED[:1])
    assert found == []
    assert covered[0]["state"] == "failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ("192.0.2.53", ("192.0.2.53", 53)), ("127.0.0.1:5353", ("127.0.0.1", 5353)),
     ("2001:db8::53", ("2001:db8::53", 53))],
)  # fmt: skip
def test_a_resolver(text: str, expected: Any) -> None:
    assert _domain_facts.resolver_of(text) == expected


@pytest.mark.parametrize("text", ["dns.example", "192.0.2.53:dns", "::1:x"])
def test_what_is_no_resolver(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        _domain_facts.resolver_of(text)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    from werkzeug.serving import make_ssl_devcert

    return make_ssl_devcert(str(tmp_path_factory.mktemp("tls") / "origin"), host="acme.example")


@pytest.mark.parametrize(
    ("status", "expected"),
    [("200 OK", True), ("301 Moved", True), ("404 Not Found", True), ("403 Forbidden", False),
     ("421 Misdirected Request", False), ("502 Bad Gateway", None)],
)  # fmt: skip
def test_an_origin_is_asked_at_its_own_address(
    certificate: tuple[str, str], status: str, expected: bool | None
) -> None:
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["HTTP_HOST"])
        start_response(status, [])
        return [b""]

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = make_server("127.0.0.1", 0, application, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site = {
        "site": "acme/shop",
        "client": "acme",
        "name": "www.acme.example",
        "address": "127.0.0.1",
    }
    try:
        ((found,), _covered) = _domain_facts.origins([{**site, "port": server.server_port}], 5.0)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert found["reachable"] is expected
    assert seen
    assert seen[0].startswith("www.acme.example")


def test_an_origin_that_nobody_lets_in() -> None:
    site = {
        "site": "acme/shop",
        "client": "acme",
        "name": "www.acme.example",
        "address": "127.0.0.1",
    }
    ((found,), _covered) = _domain_facts.origins([{**site, "port": 9}], 2.0)
    assert found["reachable"] is False


def test_the_findings_of_domains() -> None:
    """What is collected here is what is judged there."""
    from ringfence.access import judges_facts

    facts = {"domain": "a.example", "transfer_lock": False, "dnssec": None, "expires": None}
    values = {"access_domain_expiry": 30}
    today = datetime.date(2026, 1, 1)
    found = list(judges_facts._domain("domains", facts, values, today))
    assert [(one.control, one.status) for one in found] == [
        ("access_domain_lock", "fail"),
        ("access_domain_dnssec", "error"),
        ("access_domain_expiry", "error"),
    ]
