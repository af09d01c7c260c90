# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates read from their bytes: as another library reads them, and never a crash."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ringfence.hosting.plugins.module_utils import _certificates, _x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

_NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def _issue(key: Any, *, end: datetime = _NOW, authority: bool = False) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "é.example")])
    names = [x509.DNSName("A.example"), x509.DNSName("*.b.example")]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=10000))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    edwards = isinstance(key, ed25519.Ed25519PrivateKey)
    return builder.sign(key, None if edwards else hashes.SHA384())


@pytest.mark.parametrize(
    ("key", "kind", "bits"),
    [
        (rsa.generate_private_key(65537, 2048), "RSA", 2048),
        (ec.generate_private_key(ec.SECP384R1()), "EC", 384),
        (ec.generate_private_key(ec.SECP256K1()), "EC", 0),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519", 256),
    ],
)
def test_it_says_what_another_library_says(key: Any, kind: str, bits: int) -> None:
    made = _issue(key, authority=True)
    found = _x509.parse(made.public_bytes(Encoding.DER))
    assert (found.key, found.bits, found.weak_signature) == (kind, bits, "")
    assert (found.not_before, found.not_after) == (
        made.not_valid_before_utc,
        made.not_valid_after_utc,
    )
    assert found.names == ("a.example", "*.b.example")
    assert found.subject == found.issuer
    assert found.authority


@pytest.mark.parametrize("year", [1999, 2049, 2050, 2120])
def test_both_ways_to_write_a_time(year: int) -> None:
    end = datetime(year, 6, 1, tzinfo=UTC)
    made = _issue(ec.generate_private_key(ec.SECP256R1()), end=end)
    assert _x509.parse(made.public_bytes(Encoding.DER)).not_after == end


def test_every_certificate_of_a_file_in_its_order() -> None:
    one, two = (
        _issue(ec.generate_private_key(ec.SECP256R1()), end=_NOW + timedelta(days=n))
        for n in (1, 2)
    )
    text = b"# noise\n" + b"-----\r\n".join(made.public_bytes(Encoding.PEM) for made in (two, one))
    assert [found.not_after.day for found in _x509.certificates(text)] == [4, 3]
    assert _x509.certificates(b"nothing") == []


_GOOD = _issue(ec.generate_private_key(ec.SECP256R1())).public_bytes(Encoding.DER)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.integers(0, len(_GOOD)).map(lambda end: _GOOD[:end]),
        st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)).map(
            lambda at: _GOOD[: at[0]] + bytes([at[1]]) + _GOOD[at[0] + 1 :]
        ),
    )
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        assert _x509.parse(data).not_after
    text = b"-----BEGIN CERTIFICATE-----" + base64.b64encode(data) + b"-----END CERTIFICATE-----"
    with suppress(ValueError):
        _x509.certificates(text)


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("a.example", True),
        ("www.b.example", True),
        ("*.b.example", True),
        ("b.example", False),
        ("x.www.b.example", False),
        ("*.a.example", False),
    ],
)
def test_names_are_covered_as_browsers_see_it(name: str, covered: bool) -> None:
    assert _certificates.covers(_x509.parse(_GOOD), name) == covered
