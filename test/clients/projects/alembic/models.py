import sqlalchemy as sa

metadata = sa.MetaData()

customers = sa.Table(
    'customers', metadata,
    sa.Column('id', sa.BigInteger, primary_key=True),
    sa.Column('name', sa.Text, nullable=False),
)

orders = sa.Table(
    'orders', metadata,
    sa.Column('id', sa.BigInteger, primary_key=True),
    sa.Column('customer_no', sa.Integer, nullable=False, index=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('amount', sa.BigInteger, nullable=False),
    sa.Column('note', sa.Text, nullable=False),
    sa.Column('comment', sa.Text),
    sa.Column('priority', sa.Integer, nullable=False, server_default='0'),
    sa.Column('customer_id', sa.BigInteger, sa.ForeignKey('customers.id', name='order_customer')),
    sa.Column('code', sa.String(20)),
    sa.CheckConstraint('amount >= 0', name='order_amount'),
    sa.UniqueConstraint('customer_no', 'amount', name='order_once'),
    sa.UniqueConstraint('code', name='order_code'),
)
sa.Index('order_customer_no', orders.c.customer_no)
sa.Index('order_status', orders.c.status)
sa.Index('order_customer_id', orders.c.customer_id)
