\set id random(1, :rows)
UPDATE documents SET payload = jsonb_set(payload, '{kind}', '"memo"'), kind = 'memo' WHERE id = :id;
