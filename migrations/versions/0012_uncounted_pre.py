"""An index of the orders that count for nobody, so that data quality finds them without reading all orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_orders_uncounted",
        "orders",
        ["portal_id", "status"],
        postgresql_where=sa.text("customer IS NULL AND NOT gone AND status <> 'lost'"),
    )


def downgrade() -> None:
    op.drop_index("ix_orders_uncounted", table_name="orders")
