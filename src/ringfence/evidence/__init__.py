# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence store: what was asked of which host, when, and what came of it.

What the chain shows: an entry that was changed, removed, inserted or moved, and an end that was
cut off, as long as the writer of the forgery did not rebuild everything after it. What a chain
alone cannot show: that somebody with write access to the whole database rebuilt the chain from a
point on, or cut its end off and set the head back. Against the first stands a signature whose key
that person has not got; against the second a head noted elsewhere (every report prints it).
Neither shows that a host told the truth.
"""

from ringfence.evidence.catalogue import CatalogueCopy
from ringfence.evidence.chain import Finding, Head, Verification
from ringfence.evidence.comparison import Change, Comparison, compare
from ringfence.evidence.document import Catalogue, Document
from ringfence.evidence.errors import DocumentError, EvidenceError, StoreError
from ringfence.evidence.store import Ingested, Pruned, Rejected, RunSummary, Store

__all__ = [
    "Catalogue",
    "CatalogueCopy",
    "Change",
    "Comparison",
    "Document",
    "DocumentError",
    "EvidenceError",
    "Finding",
    "Head",
    "Ingested",
    "Pruned",
    "Rejected",
    "RunSummary",
    "Store",
    "StoreError",
    "Verification",
    "compare",
]
