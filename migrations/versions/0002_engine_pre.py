"""Background work: the engine's own tables, what is asked and due, alerts, and the requests that were sent."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from connector.store import engine_schema

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _psycopg() -> Any:
    """The migration's own connection, inside its transaction."""
    return op.get_bind().connection.dbapi_connection


def upgrade() -> None:
    engine_schema.install(_psycopg())
    op.create_table(
        "work",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progressed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("portal_id", "job", name=op.f("pk_work")),
    )
    op.create_table(
        "alerts",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "kind", "about", name=op.f("pk_alerts")),
    )
    op.create_table(
        "request_log",
        sa.Column("portal_id", sa.Integer(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("portal_id", "hour", "operation", "status", name=op.f("pk_request_log")),
    )


def downgrade() -> None:
    op.drop_table("request_log")
    op.drop_table("alerts")
    op.drop_table("work")
    engine_schema.remove(_psycopg())
