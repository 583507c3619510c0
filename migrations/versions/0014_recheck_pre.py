"""Cards that vanished are found without a look at every customer: a drain asks for them at each event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_customers_recheck", "customers", ["portal_id"], postgresql_where=sa.text("recheck"))


def downgrade() -> None:
    op.drop_index("ix_customers_recheck", table_name="customers")
