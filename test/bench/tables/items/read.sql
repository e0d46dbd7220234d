\set order random(1, :rows / 4)
SELECT sku, quantity, unit_price FROM items WHERE order_id = :order;
