"""Challenges to holders of keys that cannot sign, and lists by state and kind from indices.

Floor:  tables
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table and the indices."""
    op.create_table(
        "challenges",
        sa.Column("serial", sa.String(40), sa.ForeignKey("certificates.serial"), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
    )
    op.drop_index("ix_certificates_not_after", "certificates")
    op.create_index("ix_certificates_end", "certificates", ["not_after", "number"])
    op.create_index("ix_certificates_kind", "certificates", ["profile", "not_after", "number"])
    op.create_index("ix_revocations_reason", "revocations", ["reason", "number"])
