\set tenant random(1, 500)
INSERT INTO documents (tenant_id, payload, kind)
VALUES (:tenant, '{"kind": "letter", "version": 1, "body": "from the application"}', 'letter');
