const { sql } = require('drizzle-orm');
const { bigint, bigserial, check, foreignKey, index, integer, pgTable, text, unique, varchar } = require('drizzle-orm/pg-core');

const customers = pgTable('customers', {
  id: bigserial({ mode: 'bigint' }).primaryKey(),
  name: text().notNull(),
});

const orders = pgTable('orders', {
  id: bigserial({ mode: 'bigint' }).primaryKey(),
  customer_no: integer().notNull(),
  status: varchar({ length: 40 }).notNull(),
  amount: bigint({ mode: 'bigint' }).notNull(),
  note: text().notNull(),
  comment: text(),
  priority: integer().notNull().default(0),
  customer_id: bigint({ mode: 'bigint' }),
  code: varchar({ length: 20 }),
}, (table) => [
  index('order_customer_no').on(table.customer_no),
  index('order_status').on(table.status),
  index('order_customer_id').on(table.customer_id),
  foreignKey({ name: 'order_customer', columns: [table.customer_id], foreignColumns: [customers.id] }),
  unique('order_once').on(table.customer_no, table.amount),
  unique('order_code').on(table.code),
  check('order_amount', sql`amount >= 0`),
]);

module.exports = { customers, orders };
