"""Kept reading keys, their recovery agents, and reminders of certificates that end.

Floor:  tables
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "agents",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("threshold", sa.Integer, nullable=False),
        sa.Column("pem", sa.LargeBinary, nullable=False),
    )
    serial = sa.ForeignKey("certificates.serial")
    op.create_table(
        "archive",
        sa.Column("serial", sa.String(40), serial, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("agents", sa.BigInteger, sa.ForeignKey("agents.number"), nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_archive_agents", "archive", ["agents"])
    serial = sa.ForeignKey("certificates.serial")
    op.create_table(
        "reminders",
        sa.Column("serial", sa.String(40), serial, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
