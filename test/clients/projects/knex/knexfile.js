const Postgres = require('knex/lib/dialects/postgres');

// Knex prints an error's DETAIL, but not its HINT.
class PostgresWithHints extends Postgres {
  async _query(connection, query) {
    try {
      return await super._query(connection, query);
    } catch (error) {
      if (error.hint) error.detail = `${error.detail}\nHINT:  ${error.hint}`;
      throw error;
    }
  }
}

module.exports = {
  client: PostgresWithHints,
  connection: {}, // PGHOST, PGUSER, PGDATABASE
  migrations: { directory: 'migrations' },
};
