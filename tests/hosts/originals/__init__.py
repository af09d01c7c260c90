# SPDX-License-Identifier: GPL-3.0-or-later
"""What we read of a configuration, beside what its own program does with it."""
