# SPDX-License-Identifier: GPL-3.0-or-later
"""The access review: a frozen population, a decision on every row, a sign-off, a follow-up."""

from ringfence.access_review.model import DECISIONS, Decision, Review

__all__ = ["DECISIONS", "Decision", "Review"]
