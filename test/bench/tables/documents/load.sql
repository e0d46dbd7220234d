-- documents: :rows rows of which the payload (about 4 kB that hardly compress) is stored out of line.
CREATE TABLE documents (
	id        bigint PRIMARY KEY,
	tenant_id int NOT NULL,
	payload   jsonb NOT NULL,
	kind      text
) WITH (fillfactor = :fillfactor, autovacuum_enabled = off);

INSERT INTO documents (id, tenant_id, payload)
SELECT i,
	1 + abs(hashint8(i)) % 500,
	jsonb_build_object(
		'kind', (ARRAY['invoice', 'contract', 'letter', 'report'])[1 + abs(hashint8(i + 7)) % 4],
		'version', i % 5,
		'body', (SELECT string_agg(md5(i::text || '/' || n), '') FROM generate_series(1, 120) AS n))
FROM generate_series(1::bigint, :rows) AS i;

CREATE INDEX documents_tenant_id ON documents (tenant_id);
CREATE SEQUENCE documents_id_seq OWNED BY documents.id;
SELECT setval('documents_id_seq', :rows);
ALTER TABLE documents ALTER id SET DEFAULT nextval('documents_id_seq');
VACUUM (ANALYZE) documents;
