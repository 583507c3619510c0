"""Inbox: records that could not be read are set aside with the reason, and erasing that a CRM asks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
    op.add_column("inbox", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("inbox", sa.Column("erase", sa.Boolean(), server_default=sa.text("false"), nullable=False))


def downgrade() -> None:
    op.drop_column("inbox", "erase")
    op.drop_column("inbox", "reason")
    op.drop_column("inbox", "not_before")
