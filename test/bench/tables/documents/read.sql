\set id random(1, :rows)
SELECT payload FROM documents WHERE id = :id;
