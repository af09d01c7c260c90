# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command takes: its options, its help, and where what it does is imported from."""
