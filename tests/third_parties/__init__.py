# SPDX-License-Identifier: GPL-3.0-or-later
"""Local servers that follow the published contracts of third parties."""
