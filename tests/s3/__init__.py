# SPDX-License-Identifier: GPL-3.0-or-later
"""S3 servers to test against, and what goes wrong on the way to them."""
