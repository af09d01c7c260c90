# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A secret on its way from a host to the operator's terminal: encrypted to a key of this moment."""

from __future__ import annotations

import base64

try:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
except ImportError:  # comes with ansible-core; only a check that imports this file alone lacks it
    pass

_KEY_BITS = 3072


class Envelope:
    """A key that is made now and kept in memory: what was encrypted to it is read here alone."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)

    @property
    def public_key(self) -> str:
        """What the host encrypts to, as PEM."""
        public = self._key.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return public.public_bytes(serialization.Encoding.PEM, form).decode()

    def opened(self, sealed: str) -> str:
        """What the host encrypted (RSA-OAEP with SHA-256, in base64)."""
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        return self._key.decrypt(base64.b64decode(sealed), oaep).decode()
