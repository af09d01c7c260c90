# SPDX-License-Identifier: GPL-3.0-or-later
"""Ringfence on the controller: the evidence store, the reports and the command line."""

__version__ = "0.1.0"
