-- One of everything that an application may have, in schema public.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE TYPE addr AS (street text, zip int);
CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION standard(a int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT a + 1; END;
CREATE PROCEDURE only_the_application_calls_this() LANGUAGE plpgsql AS $$BEGIN PERFORM 1; END$$;
CREATE TABLE users (
  id serial PRIMARY KEY, name text NOT NULL, mood mood DEFAULT 'ok', mail email, a addr,
  twice int GENERATED ALWAYS AS (doubled(3)) STORED, tenant text, boss int REFERENCES users (id));
CREATE TABLE orders (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  total numeric(10, 2), j json);
ALTER TABLE users ADD last_order int REFERENCES orders (id);
CREATE INDEX orders_user ON orders (user_id);
CREATE UNIQUE INDEX users_mail ON users (mail);
COMMENT ON TABLE users IS 'it''s users';
COMMENT ON CONSTRAINT orders_user_id_fkey ON orders IS 'whose it''s';
CREATE TABLE lines (o int, n smallint, what text, PRIMARY KEY (n, o), UNIQUE (o, what) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT checked CHECK (n > 0) NOT VALID);
CREATE TABLE audit (id bigserial, what text);
CREATE FUNCTION aud() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.audit (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END$$;
CREATE TRIGGER origin AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION aud();
CREATE TRIGGER always AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION aud();
CREATE TRIGGER replica AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION aud();
CREATE TRIGGER disabled AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION aud();
ALTER TABLE users ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER replica, DISABLE TRIGGER disabled;
CREATE RULE noted AS ON DELETE TO lines DO ALSO INSERT INTO public.audit (what) VALUES ('rule');
CREATE TABLE log (at timestamptz NOT NULL, n int NOT NULL, line text, PRIMARY KEY (at, n)) PARTITION BY RANGE (at);
CREATE TABLE log_24 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (n);
CREATE TABLE log_24_1 PARTITION OF log_24 FOR VALUES IN (1);
CREATE TABLE log_24_rest PARTITION OF log_24 DEFAULT;
CREATE TABLE log_rest PARTITION OF log DEFAULT;
CREATE INDEX log_line ON log (line);
CREATE TABLE base (a int, b text DEFAULT 'x'); CREATE TABLE child (c int) INHERITS (base);
CREATE VIEW happy AS SELECT id, mail FROM users WHERE mood = 'happy';
CREATE VIEW happier AS SELECT count(*) AS n FROM happy;
CREATE MATERIALIZED VIEW sums AS SELECT user_id, sum(total) AS total FROM orders GROUP BY 1;
CREATE UNIQUE INDEX sums_user ON sums (user_id);
CREATE MATERIALIZED VIEW never AS SELECT n FROM happier WITH NO DATA;
CREATE SEQUENCE invoice START 100 INCREMENT 5 CYCLE; SELECT nextval('invoice') FROM generate_series(1, 5);
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE empty (id int PRIMARY KEY, t text);
CREATE TABLE "Odd ""na'me"" %20ü/x" ("Sp ace" int PRIMARY KEY, "QUO""te" text, "%1$s" text DEFAULT '%', "select" int);
CREATE INDEX "odd ix'" ON "Odd ""na'me"" %20ü/x" ("QUO""te");
CREATE TABLE rooms (during int4range, EXCLUDE USING gist (during WITH &&));
CREATE UNLOGGED TABLE volatile (v int); INSERT INTO volatile VALUES (1);
CREATE TABLE guarded (id int PRIMARY KEY, owner text); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (owner = current_user);
CREATE TABLE later (id int PRIMARY KEY, user_id int, CONSTRAINT late FOREIGN KEY (user_id) REFERENCES users DEFERRABLE INITIALLY DEFERRED);
CREATE STATISTICS together ON name, tenant FROM users;
CREATE TABLE vals (
  id int PRIMARY KEY, f4 real, f8 float8, n numeric, ts timestamp, tz timestamptz, d date, t time, ttz timetz, iv interval,
  b bytea, j json, jb jsonb, ar int[], ar2 text[][], r int4range, mr int4multirange, ip inet, cd cidr, mac macaddr, u uuid,
  c char(6), vc varchar(9), nm name, bits bit(3), vb varbit, m money, p point, pl polygon, ts_v tsvector, ts_q tsquery, comp addr, ca addr[],
  lsn pg_lsn, ch "char", bo bool, big text);
INSERT INTO vals (id) VALUES (0);
INSERT INTO vals VALUES
 (1, '-0', '-0', 'NaN', 'infinity', '-infinity', 'infinity', '24:00', '00:00+15:59', '-178000000 years', '\x00ff5c', '{"b": 1,  "a":2, "b":3}', '{"b": 1, "a": [null, 1.10]}',
  '[2:3]={1,NULL}', '{{a,"NULL"},{"b,c",NULL}}', '[1,5)', '{[1,3),[7,9)}', '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  'ab', '', 'n', '101', '', '-12.34', '(1,-2.5)', '((0,0),(1,1),(2,0))', 'a:1A b:2', 'a & !b', '("x, ""y""",3)', '{"(a,1)"}', '16/B374D848', 'x', true, E'tab\tnl\nback\\slash\\N cr\r vt\v \\.'),
 (2, '3.4028235e38', '1.7976931348623157e308', 'Infinity', '4713-01-01 BC', '294276-12-31 23:59:59.999999+00', '5874897-12-31', '00:00:00.000001', NULL, '1 mon -1 day 00:00:00.000001',
  '', 'null', 'null', '{}', '{}', 'empty', '{}', '::1', '::/0', NULL, NULL, '', '\N', '', '000', '1', NULL, NULL, NULL, '', '', NULL, '{}', NULL, '', false, repeat('long ', 209715)),
 (3, 'Infinity', '5e-324', '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, decode(repeat('00', 100), 'hex'), '"\u00e9\ud83d\ude00"', '"😀"', NULL, NULL, '(,)', NULL, NULL, NULL, NULL, NULL,
  '\.', E'\\.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '(,)', NULL, NULL, NULL, NULL, E'\\.'),
 (4, 0.1, 0.1::float8 + 0.2, 123456789012345678901234567890.000100, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, E'\u00e9 e\u0301 \U0001F600 \u200d \\x00 \\000 \u0001');
INSERT INTO users (name, mood, mail, a, tenant) SELECT 'u' || i, (ARRAY['sad', 'ok', 'happy']::mood[])[1 + i % 3], 'u' || i || '@x', ROW ('s' || i, i)::addr, 't' || i % 3
  FROM generate_series(1, 90) i;
UPDATE users SET boss = id - 1 WHERE id > 1;
INSERT INTO orders (user_id, total, j) SELECT 1 + i % 90, i * 1.5, '{"a": 1,  "b":2}' FROM generate_series(1, 300) i;
UPDATE users SET last_order = id;
INSERT INTO lines SELECT i, 1 + i % 4, 'w' || i FROM generate_series(1, 50) i;
INSERT INTO log SELECT '2024-06-01'::timestamptz + i * interval '1 day', i % 3, 'l' || i FROM generate_series(1, 400) i;
INSERT INTO base VALUES (1), (2); INSERT INTO child VALUES (3, 'y', 4);
INSERT INTO "Odd ""na'me"" %20ü/x" VALUES (1, 'q"', '%s', 2);
INSERT INTO rooms VALUES ('[1,3)'), ('[3,9)');
INSERT INTO guarded VALUES (1, 'nobody'), (2, 'postgres');
INSERT INTO later SELECT i, i FROM generate_series(1, 9) i;
REFRESH MATERIALIZED VIEW sums;
