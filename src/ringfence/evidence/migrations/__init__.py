# SPDX-License-Identifier: GPL-3.0-or-later
"""Schema migrations of the evidence store, run by alembic when a store is opened."""
