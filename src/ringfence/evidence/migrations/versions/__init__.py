# SPDX-License-Identifier: GPL-3.0-or-later
"""One file a step, in order; a released step is never edited."""
