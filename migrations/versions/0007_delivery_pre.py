"""What was delivered and what waits: causes of moves, sums of runs, refused records, notices of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("moves", sa.Column("cause", sa.Text(), nullable=True))
    op.create_index("ix_moves_run", "moves", ["portal_id", "run_id"])
    op.create_table(
        "delivery_facts",
        sa.Column("portal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "run_id", "kind", "about", "why", name=op.f("pk_delivery_facts")),
    )
    op.create_table(
        "dead_letters",
        sa.Column("portal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("customer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "customer", name=op.f("pk_dead_letters")),
    )
    op.create_table(
        "alert_notices",
        sa.Column("portal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("notice_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "notice_id", name=op.f("pk_alert_notices")),
    )
    op.create_index(
        "ix_alert_notices_waiting", "alert_notices", ["due_at"], postgresql_where=sa.text("state = 'waiting'")
    )


def downgrade() -> None:
    op.drop_table("alert_notices")
    op.drop_table("dead_letters")
    op.drop_table("delivery_facts")
    op.drop_index("ix_moves_run", "moves")
    op.drop_column("moves", "cause")
