"""A method version's way from draft to retired, its releases, scores beside the live ones, and the scores' history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PEOPLE = ("author", "reviewer", "approver", "reason", "origin")


def upgrade() -> None:
    op.add_column("methods", sa.Column("state", sa.Text(), server_default="published", nullable=False))
    for name in _PEOPLE:
        op.add_column("methods", sa.Column(name, sa.Text(), nullable=True))
    op.add_column(
        "methods",
        sa.Column("notes", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    op.add_column(
        "methods",
        sa.Column("drafted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("methods", sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("methods", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("methods", sa.Column("effective_from", sa.Date(), nullable=True))
    op.alter_column("methods", "published_at", nullable=True)
    op.execute("UPDATE methods SET drafted_at = published_at")
    op.create_table(
        "releases",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("release_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("ids", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("replaced", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "release_id", name=op.f("pk_releases")),
    )
    op.create_table(
        "shadow_scores",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("customer", sa.Integer(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("churn_risk", sa.Boolean(), nullable=False),
        sa.Column("upsell", sa.Boolean(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "customer", name=op.f("pk_shadow_scores")),
    )
    op.create_table(
        "score_history",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("customer", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.Column("f", sa.Integer(), nullable=False),
        sa.Column("m", sa.Numeric(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("churn_risk", sa.Boolean(), nullable=False),
        sa.Column("upsell", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "customer", "day", name=op.f("pk_score_history")),
    )
    op.add_column("scores", sa.Column("segment_on", sa.Integer(), server_default="0", nullable=False))
    op.add_column("scores", sa.Column("held_segment", sa.Text(), nullable=True))
    op.execute("UPDATE scores SET segment_on = changed_at::date - DATE '1970-01-01'")
    op.execute(
        "INSERT INTO score_history"
        " (portal_id, customer, day, last_day, f, m, code, segment, method, churn_risk, upsell)"
        " SELECT portal_id, customer, segment_on, last_day, f, m, code, segment, method, churn_risk, upsell FROM scores"
    )


def downgrade() -> None:
    op.drop_column("scores", "held_segment")
    op.drop_column("scores", "segment_on")
    op.drop_table("score_history")
    op.drop_table("shadow_scores")
    op.drop_table("releases")
    op.execute("DELETE FROM methods WHERE published_at IS NULL")
    op.alter_column("methods", "published_at", nullable=False)
    for name in ("effective_from", "retired_at", "reviewed_at", "drafted_at", "notes", *_PEOPLE, "state"):
        op.drop_column("methods", name)
