"""Room in the pages of scores: each day changes R of everybody, and a row that stays in its page touches no index."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE scores SET (fillfactor = 60)")


def downgrade() -> None:
    op.execute("ALTER TABLE scores RESET (fillfactor)")
