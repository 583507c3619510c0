"""The last state of an alert that was told, so that each change is told once whoever made it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("told", sa.Text(), server_default="closed", nullable=False))


def downgrade() -> None:
    op.drop_column("alerts", "told")
