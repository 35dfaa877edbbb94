-- Seed of the example clinic. Build data/clinic.db from this folder with:
--   python3 -c "import sqlite3; sqlite3.connect('data/clinic.db').executescript(open('data/clinic.sql').read())"
BEGIN;
CREATE TABLE patients (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL);
CREATE INDEX patients_tenant ON patients (tenant);
CREATE TABLE appointments (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, patient_id INTEGER NOT NULL REFERENCES patients (id), starts_at TEXT NOT NULL);
CREATE INDEX appointments_tenant ON appointments (tenant);
CREATE TABLE invoices (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, patient_id INTEGER NOT NULL REFERENCES patients (id), amount_cents INTEGER NOT NULL);
CREATE INDEX invoices_tenant ON invoices (tenant);
CREATE TABLE video_calls (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, appointment_id INTEGER NOT NULL REFERENCES appointments (id), minutes INTEGER NOT NULL);
CREATE INDEX video_calls_tenant ON video_calls (tenant);
INSERT INTO patients VALUES (1,'acme','Ada Brook'),(2,'acme','Ben Cole'),(3,'birch','Cleo Dunn');
INSERT INTO appointments VALUES (1,'acme',1,'2025-03-03T09:00:00Z'),(2,'acme',2,'2025-03-03T09:30:00Z'),(3,'birch',3,'2025-03-04T10:00:00Z');
INSERT INTO invoices VALUES (1,'acme',1,4500),(2,'birch',3,6000);
INSERT INTO video_calls VALUES (1,'acme',2,15),(2,'birch',3,20);
COMMIT;
