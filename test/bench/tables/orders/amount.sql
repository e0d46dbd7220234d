\set id random(1, :rows)
BEGIN;
SELECT amount FROM orders WHERE id = :id FOR UPDATE;
UPDATE orders SET amount = amount + 0.5 WHERE id = :id;
COMMIT;
