\set customer random(1, :rows / 3)
SELECT id, created_at, status, amount FROM orders WHERE customer_id = :customer ORDER BY created_at DESC LIMIT 10;
