import os
import sys

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from models import metadata  # noqa: E402

as_one = 'as_one' in context.get_x_argument(as_dictionary=True)

with create_engine('postgresql+psycopg2://', poolclass=NullPool).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=not as_one,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
