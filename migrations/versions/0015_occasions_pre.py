"""Occasions of rules with the log of each, notices of deadlines, and what is to become of our tasks in the CRM."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "occasions",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("customer", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("work_class", sa.Text(), nullable=False),
        sa.Column("big", sa.Boolean(), nullable=False),
        sa.Column("quality", sa.SmallInteger(), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("manager_id", sa.Text(), nullable=True),
        sa.Column("task_key", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task_state", sa.Text(), server_default="open", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "key", name="pk_occasions"),
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index("ix_occasions_open", "occasions", ["portal_id", "customer"], postgresql_where=is_open)
    op.create_index("ix_occasions_look", "occasions", ["portal_id", "look_at"], postgresql_where=is_open)
    op.create_index("ix_occasions_started", "occasions", ["portal_id", "started_at"])
    op.create_table(
        "occasion_events",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("customer", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "occasion", "number", name="pk_occasion_events"),
        sa.UniqueConstraint("portal_id", "occasion", "source", name="uq_occasion_events_portal_id_occasion_source"),
    )
    op.create_table(
        "sla_notices",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=True),
        sa.Column("customer", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "key", name="pk_sla_notices"),
    )
    op.create_index("ix_sla_notices_made", "sla_notices", ["portal_id", "made_at"])
    op.create_table(
        "task_changes",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("task_key", sa.Text(), nullable=False),
        sa.Column("customer", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "change_id", name="pk_task_changes"),
        sa.UniqueConstraint("portal_id", "source", name="uq_task_changes_portal_id_source"),
    )
    op.create_index(
        "ix_task_changes_planned",
        "task_changes",
        ["portal_id", "change_id"],
        postgresql_where=sa.text("state = 'planned'"),
    )


def downgrade() -> None:
    op.drop_table("task_changes")
    op.drop_table("sla_notices")
    op.drop_table("occasion_events")
    op.drop_table("occasions")
