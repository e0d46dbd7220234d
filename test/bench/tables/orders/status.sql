-- The application already writes both columns.
\set id random(1, :rows)
UPDATE orders SET status = 'cancelled', status_v2 = 'void' WHERE id = :id;
