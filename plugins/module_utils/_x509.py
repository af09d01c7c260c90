# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a certificate says, read from its bytes: RFC 5280, as far as a web server's needs.

Without a process and without a library: a host may serve hundreds. Whether a signature is right is
not decided here but by OpenSSL, in _certificates.py.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_MARK = rb"(?:X509 |TRUSTED )?CERTIFICATE-----"
_PEM = re.compile(rb"-----BEGIN " + _MARK + rb"(.*?)-----END " + _MARK, re.DOTALL)
_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
_UTC_TIME, _GENERAL_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS, _DNS_NAME, _IP_ADDRESS = 0xA0, 0xA3, 0x82, 0x87
_ALTERNATIVE_NAMES, _BASIC_CONSTRAINTS = "2.5.29.17", "2.5.29.19"
_RSA = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10")
_EC = "1.2.840.10045.2.1"
_CURVES = {"1.2.840.10045.3.1.7": 256, "1.3.132.0.34": 384, "1.3.132.0.35": 521}
_EDWARDS = {"1.3.101.112": "Ed25519", "1.3.101.113": "Ed448"}
_WEAK_SIGNATURES = {
    "1.2.840.113549.1.1.2": "MD2",
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA-1",
    "1.2.840.10045.4.1": "SHA-1",
    "1.2.840.10040.4.3": "SHA-1",
}


class Certificate(NamedTuple):
    """One certificate. `issuer` and `subject` are bytes, to be compared and not to be read.

    `key`: RSA, EC, Ed25519, Ed448 or the number of another kind; `bits`: its length, 0 where the
    kind or the curve is not known. `weak_signature`: the name of a broken hash, else "".
    """

    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    key: str
    bits: int
    weak_signature: str
    authority: bool

    @property
    def own_issuer(self) -> bool:
        return self.issuer == self.subject


def certificates(data: bytes) -> list[Certificate]:
    """Every certificate of a PEM file, in its order. Raises ValueError for one that is broken."""
    found = []
    for match in _PEM.finditer(data):
        try:
            found.append(parse(base64.b64decode(b"".join(match[1].split()), validate=True)))
        except binascii.Error as error:
            raise ValueError("what stands between BEGIN and END is no certificate") from error
    return found


def parse(der: bytes) -> Certificate:
    """One certificate. Raises ValueError where it is not one."""
    try:
        return _parse(der)
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError("the certificate breaks off or says what cannot be read") from error


def _parse(der: bytes) -> Certificate:
    outer = list(_parts(_expect(der, _SEQUENCE)))
    _want(len(outer) == 3)
    fields = list(_parts(_of(outer[0], _SEQUENCE)))
    if fields[0][0] == _VERSION:
        fields.pop(0)
    _want(len(fields) >= 6 and fields[0][0] == _INTEGER)
    _serial, _algorithm, issuer, validity, subject, key_info = fields[:6]
    begin, end = (_time(*part) for part in _parts(_of(validity, _SEQUENCE)))
    kind, bits = _key(_of(key_info, _SEQUENCE))
    names: tuple[str, ...] = ()
    authority = False
    for tag, body in fields[6:]:
        if tag != _EXTENSIONS:
            continue
        for oid, value in _extensions(body):
            if oid == _ALTERNATIVE_NAMES:
                names = tuple(_names(value))
            elif oid == _BASIC_CONSTRAINTS:
                inner = list(_parts(_expect(value, _SEQUENCE)))
                authority = bool(inner) and inner[0] == (0x01, b"\xff")
    signature = _oid(next(_parts(_of(outer[1], _SEQUENCE)))[1])
    return Certificate(
        issuer=_of(issuer, _SEQUENCE),
        subject=_of(subject, _SEQUENCE),
        not_before=begin,
        not_after=end,
        names=names,
        key=kind,
        bits=bits,
        weak_signature=_WEAK_SIGNATURES.get(signature, ""),
        authority=authority,
    )


def _want(condition: bool) -> None:
    if not condition:
        raise ValueError("it is not built as a certificate is")


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            _want(0 < size <= 4)
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        _want(position + length <= len(data))
        yield tag, data[position : position + length]
        position += length


def _expect(data: bytes, tag: int) -> bytes:
    parts = list(_parts(data))
    _want(len(parts) == 1)
    return _of(parts[0], tag)


def _of(part: tuple[int, bytes], tag: int) -> bytes:
    _want(part[0] == tag)
    return part[1]


def _oid(body: bytes) -> str:
    _want(bool(body))
    numbers, number = [], 0
    for byte in body:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    _want(bool(numbers))
    first = min(numbers[0] // 40, 2)
    return ".".join(str(part) for part in (first, numbers[0] - 40 * first, *numbers[1:]))


def _time(tag: int, body: bytes) -> datetime:
    _want(tag in (_UTC_TIME, _GENERAL_TIME))
    text = body.decode("ascii")
    if tag == _UTC_TIME:
        # Two digits of the year: those from 50 on are of the century before.
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _key(body: bytes) -> tuple[str, int]:
    algorithm, bits = list(_parts(body))
    details = list(_parts(_of(algorithm, _SEQUENCE)))
    kind = _oid(_of(details[0], _OID))
    if kind in _RSA:
        key = list(_parts(_expect(_of(bits, _BITS)[1:], _SEQUENCE)))
        return "RSA", int.from_bytes(_of(key[0], _INTEGER), "big").bit_length()
    if kind == _EC and len(details) > 1 and details[1][0] == _OID:
        return "EC", _CURVES.get(_oid(details[1][1]), 0)
    return _EDWARDS.get(kind, kind), 256 if kind in _EDWARDS else 0


def _extensions(body: bytes) -> Iterator[tuple[str, bytes]]:
    for part in _parts(_expect(body, _SEQUENCE)):
        fields = list(_parts(_of(part, _SEQUENCE)))
        yield _oid(_of(fields[0], _OID)), _of(fields[-1], _OCTETS)


def _names(value: bytes) -> Iterator[str]:
    for tag, body in _parts(_expect(value, _SEQUENCE)):
        if tag == _DNS_NAME:
            yield body.decode("ascii").lower()
        elif tag == _IP_ADDRESS and len(body) == 4:
            yield ".".join(str(byte) for byte in body)
