"""A sum over a customer's orders when he came into his segment: whether anything has happened to him since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scores", sa.Column("orders_sum", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("scores", "orders_sum")
