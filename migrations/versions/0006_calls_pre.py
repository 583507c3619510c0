"""Calls of robots and workflow actions that wait for their answer, and one-time tokens that were used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("portal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("call_key", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "call_key", name=op.f("pk_calls")),
    )
    op.create_index(
        "ix_calls_open", "calls", ["portal_id", "asked_at"], postgresql_where=sa.text("answered_at IS NULL")
    )
    op.create_table(
        "spent_tokens",
        sa.Column("portal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_key", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "token_key", name=op.f("pk_spent_tokens")),
    )


def downgrade() -> None:
    op.drop_table("spent_tokens")
    op.drop_index("ix_calls_open", table_name="calls")
    op.drop_table("calls")
