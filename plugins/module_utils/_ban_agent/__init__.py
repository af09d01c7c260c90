# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program that keeps bans on a host: /usr/local/lib/ringfence/ban_agent there.

It is sent whole and runs with nothing but Python's standard library: no part of it imports
anything of this collection but its own neighbours in this folder.
"""
