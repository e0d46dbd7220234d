const { DataSource } = require('typeorm');
const { entities } = require('./entities');

module.exports = new DataSource({
  type: 'postgres',
  host: process.env.PGHOST,
  username: process.env.PGUSER,
  database: process.env.PGDATABASE,
  entities,
  migrations: ['migrations/*.js'],
});
