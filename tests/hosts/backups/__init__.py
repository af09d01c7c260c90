# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites of real hosts are backed up to a real S3 server, restored, lost and brought back."""
