// The tables without what is not safe to add to them.
const { bigserial, index, integer, pgTable, text, varchar } = require('drizzle-orm/pg-core');

const customers = pgTable('customers', {
  id: bigserial({ mode: 'bigint' }).primaryKey(),
  name: text().notNull(),
});

const orders = pgTable('orders', {
  id: bigserial({ mode: 'bigint' }).primaryKey(),
  customer_no: integer().notNull(),
  status: varchar({ length: 40 }).notNull(),
  amount: integer().notNull(),
  note: text(),
  comment: text(),
  priority: integer().notNull().default(0),
}, (table) => [
  index('order_customer_no').on(table.customer_no),
]);

module.exports = { customers, orders };
