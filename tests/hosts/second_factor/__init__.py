# SPDX-License-Identifier: GPL-3.0-or-later
"""The second factor on real hosts: sign-ins over ssh, enrolment on a terminal, changes refused."""
