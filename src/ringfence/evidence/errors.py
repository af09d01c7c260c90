# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with evidence; every message is one line for a person."""

from __future__ import annotations


class EvidenceError(Exception):
    """Evidence that cannot be read, stored or vouched for."""


class DocumentError(EvidenceError):
    """A run document that is not one: the message names the file and the path in it."""


class StoreError(EvidenceError):
    """The store cannot do what was asked."""
