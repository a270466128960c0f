"""The first tables: certificates, revocations, CRLs and the log of events.

Floor:  tables
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "issuers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, unique=True),
        sa.Column("issuer", sa.Integer, sa.ForeignKey("issuers.id"), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("label", sa.Text, unique=True),
        sa.Column("renews", sa.String(40)),
        sa.Column("der", sa.LargeBinary, nullable=False),
    )
    for column in ("public_key", "not_after", "renews"):
        op.create_index(f"ix_certificates_{column}", "certificates", [column])
    serial = sa.ForeignKey("certificates.serial")
    op.create_table(
        "addresses",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("serial", sa.String(40), serial, primary_key=True),
    )
    serial = sa.ForeignKey("certificates.serial")
    op.create_table(
        "revocations",
        sa.Column("serial", sa.String(40), serial, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("issuer", sa.Integer, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Integer, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_revocations_number", "revocations", ["number"])
    op.create_index("ix_revocations_scope", "revocations", ["issuer", "scope"])
    op.create_table(
        "crls",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("issuer", sa.Integer, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("crl_number", sa.BigInteger, nullable=False),
        sa.Column("base", sa.BigInteger),
        sa.Column("this_update", sa.BigInteger, nullable=False),
        sa.Column("next_update", sa.BigInteger, nullable=False),
        sa.Column("covers", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("serial", sa.String(40)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
    )
    first = sa.table(
        "head", sa.column("id"), sa.column("number"), sa.column("hash", sa.LargeBinary)
    )
    op.execute(first.insert().values(id=1, number=0, hash=bytes(32)))
