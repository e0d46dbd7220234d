from .alembic import Alembic
from .django import Django
from .drizzle import Drizzle
from .knex import Knex
from .node_pg_migrate import NodePgMigrate
from .rails import Rails
from .typeorm import TypeORM

TOOLS = [Django(), Rails(), Alembic(), NodePgMigrate(), TypeORM(), Drizzle(), Knex()]
