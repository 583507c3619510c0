"""Webhooks: the inbox, and what proves them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("is_deletion", sa.Boolean(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "resource", "external_id", name=op.f("pk_inbox")),
    )
    op.create_index("ix_inbox_first_at", "inbox", ["portal_id", "first_at"])
    op.add_column("portals", sa.Column("hook", sa.LargeBinary(), nullable=True))
    op.add_column("portals", sa.Column("hook_fingerprint", sa.Text(), nullable=True))
    op.create_unique_constraint(op.f("uq_portals_hook_fingerprint"), "portals", ["hook_fingerprint"])


def downgrade() -> None:
    op.drop_constraint(op.f("uq_portals_hook_fingerprint"), "portals")
    op.drop_column("portals", "hook_fingerprint")
    op.drop_column("portals", "hook")
    op.drop_table("inbox")
