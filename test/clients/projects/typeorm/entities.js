const { EntitySchema } = require('typeorm');

const id = { type: 'bigint', primary: true, generated: true };

const Customer = new EntitySchema({
  name: 'customers',
  columns: {
    id,
    name: { type: 'text' },
  },
});

const Order = new EntitySchema({
  name: 'orders',
  columns: {
    id,
    customer_no: { type: 'integer' },
    status: { type: 'varchar', length: 40 },
    amount: { type: 'bigint' },
    note: { type: 'text' },
    comment: { type: 'text', nullable: true },
    priority: { type: 'integer', default: 0 },
    code: { type: 'varchar', length: 20, nullable: true },
  },
  relations: {
    customer: {
      type: 'many-to-one',
      target: 'customers',
      joinColumn: { name: 'customer_id', foreignKeyConstraintName: 'order_customer' },
    },
  },
  indices: [
    { name: 'order_customer_no', columns: ['customer_no'] },
    { name: 'order_status', columns: ['status'] },
    { name: 'order_customer_id', columns: ['customer'] },
  ],
  uniques: [
    { name: 'order_once', columns: ['customer_no', 'amount'] },
    { name: 'order_code', columns: ['code'] },
  ],
  checks: [{ name: 'order_amount', expression: 'amount >= 0' }],
});

module.exports = { entities: [Customer, Order] };
