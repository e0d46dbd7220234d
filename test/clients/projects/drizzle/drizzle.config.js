module.exports = {
  dialect: 'postgresql',
  schema: './schema.js',
  out: './migrations',
  dbCredentials: {
    host: process.env.PGHOST,
    user: process.env.PGUSER,
    database: process.env.PGDATABASE,
    ssl: false,
  },
};
