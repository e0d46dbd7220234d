\set id random(1, :rows)
UPDATE items SET quantity = 3, total = 3 * unit_price WHERE id = :id;
