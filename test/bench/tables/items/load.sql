-- items: :rows rows, each of an order (foreign key), updated_at kept by a trigger.
CREATE TABLE purchases (id bigint PRIMARY KEY, placed_at timestamptz NOT NULL);
INSERT INTO purchases SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '30 seconds'
FROM generate_series(1::bigint, greatest(:rows / 4, 1)) AS i;

CREATE TABLE items (
	id         bigint PRIMARY KEY,
	order_id   bigint NOT NULL REFERENCES purchases,
	sku        text NOT NULL,
	quantity   int NOT NULL,
	unit_price numeric(10, 2) NOT NULL,
	updated_at timestamptz NOT NULL,
	total      numeric(12, 2)
) WITH (fillfactor = :fillfactor, autovacuum_enabled = off);

INSERT INTO items (id, order_id, sku, quantity, unit_price, updated_at)
SELECT i,
	1 + abs(hashint8(i)) % greatest(:rows / 4, 1),
	'SKU-' || lpad((abs(hashint8(i + 7)) % 50000)::text, 6, '0'),
	1 + abs(hashint8(i + 13)) % 9,
	1 + (abs(hashint8(i + 17)) % 20000) / 100.0,
	timestamptz '2024-01-01 00:00+00' + i * interval '7 seconds'
FROM generate_series(1::bigint, :rows) AS i;

CREATE INDEX items_order_id ON items (order_id);
CREATE INDEX items_sku ON items (sku);
CREATE SEQUENCE items_id_seq OWNED BY items.id;
SELECT setval('items_id_seq', :rows);
ALTER TABLE items ALTER id SET DEFAULT nextval('items_id_seq');

CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.updated_at := clock_timestamp();
	RETURN NEW;
END $$;
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
VACUUM (ANALYZE) items, purchases;
