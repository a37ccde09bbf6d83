-- What the first version wrote, with its own statements. The key of `ci` is in test_schema.py.
BEGIN TRANSACTION;
CREATE TABLE keys (
	id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	user VARCHAR NOT NULL,
	groups JSON NOT NULL,
	algorithm VARCHAR NOT NULL,
	hash VARCHAR NOT NULL,
	created FLOAT NOT NULL,
	expires FLOAT,
	revoked FLOAT,
	last_used FLOAT,
	revision INTEGER NOT NULL,
	PRIMARY KEY (id)
);
INSERT INTO "keys" VALUES('YBTGiH2MCh','ci','alice','["a", "\u00fc"]','bcrypt-sha256','$2b$05$ZLTPSZ.SAkXUFFj3oz22I.sibtggkn/tIIH3IT4wND15W7pwu4nqu',1790000000.0,NULL,NULL,1790000005.5,1);
INSERT INTO "keys" VALUES('aYffrjGBzd','gone','gone','[]','bcrypt-sha256','$2b$05$1D6012YjaBDA4KKBq9o4gO7boUCYIpNge3Iw0lBGMd0iTwxIWAts2',1790000000.0,NULL,1790000000.0,NULL,3);
INSERT INTO "keys" VALUES('Fd8AakdH16','until','until','[]','bcrypt-sha256','$2b$05$4mem8VI3LbdfNw6X21eLo.NLb7qa2P.DXvajnTMPydS1gRdhRK54W',1790000000.0,1790000060.0,NULL,NULL,4);
INSERT INTO "keys" VALUES('YiZcjuPeEE','turned','turned','[]','bcrypt-sha256','$2b$05$vPAuwcAMAH6Ib3Hl7lQB2OfhMHExuPyU2Dqsg95Lsvo2ceXhIIG1e',1790000000.0,NULL,1790000000.0,NULL,6);
INSERT INTO "keys" VALUES('cJTkVPiSmW','turned','turned','[]','bcrypt-sha256','$2b$05$PqvW/7t3Mp5K.KVWqM3f/O6h4Nj/P..IKVV5QxSBNe1DrJu80MsSO',1790000000.0,NULL,NULL,NULL,6);
CREATE TABLE llmauth_schema (
	version INTEGER NOT NULL,
	PRIMARY KEY (version)
);
INSERT INTO "llmauth_schema" VALUES(1);
CREATE TABLE revision (
	id INTEGER NOT NULL,
	value INTEGER NOT NULL,
	PRIMARY KEY (id)
);
INSERT INTO "revision" VALUES(1,6);
CREATE UNIQUE INDEX living_names ON keys (name) WHERE revoked IS NULL;
CREATE INDEX ix_keys_revision ON keys (revision);
COMMIT;
