\set order random(1, :rows / 4)
INSERT INTO items (order_id, sku, quantity, unit_price, total, updated_at)
VALUES (:order, 'SKU-000001', 2, 4.5, 9, now());
