# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that certbot issues, from a real authority of our own."""
