-- orders: :rows rows of about 96 bytes, four indexes.  :fillfactor is 100, or 45 for the all-HOT limit.
CREATE TABLE orders (
	id          bigint NOT NULL,
	customer_id bigint NOT NULL,
	created_at  timestamptz NOT NULL,
	status      text NOT NULL,
	amount      numeric(10, 2) NOT NULL,
	note        text NOT NULL,
	status_v2   text
) WITH (fillfactor = :fillfactor, autovacuum_enabled = off);

INSERT INTO orders (id, customer_id, created_at, status, amount, note)
SELECT i,
	1 + abs(hashint8(i)) % greatest(:rows / 3, 1),
	timestamptz '2024-01-01 00:00+00' + i * interval '11 seconds',
	(ARRAY['new', 'paid', 'packed', 'shipped', 'delivered', 'delivered', 'delivered', 'cancelled'])[1 + abs(hashint8(i + 7)) % 8],
	100 + (abs(hashint8(i + 13)) % 90000) / 100.0,
	left('order ' || md5(i::text), 30)
FROM generate_series(1::bigint, :rows) AS i;

ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE INDEX orders_created_at ON orders (created_at);
CREATE INDEX orders_status ON orders (status);
CREATE SEQUENCE orders_id_seq OWNED BY orders.id;
SELECT setval('orders_id_seq', :rows);
ALTER TABLE orders ALTER id SET DEFAULT nextval('orders_id_seq');
VACUUM (ANALYZE) orders;
