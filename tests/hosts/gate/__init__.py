# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites with a second factor in front of their admin area, on real hosts."""
