\set customer random(1, :rows / 3)
INSERT INTO orders (customer_id, created_at, status, amount, note, status_v2)
VALUES (:customer, now(), 'new', 10.5, 'order from the application', 'opened');
