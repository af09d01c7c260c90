# SPDX-License-Identifier: GPL-3.0-or-later
"""Auditors that we did not write, on hosts that we hardened."""
