-- Merchants' scripts as they were pushed, and which of them ran when. Nothing here is ever changed or removed:
-- what decided about a payment can be read years later.

CREATE TABLE script_versions (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  hash TEXT NOT NULL,                          -- SHA-256 over paths and texts, hexadecimal
  base BIGINT,                                 -- the version that its author began with
  author TEXT NOT NULL, actor TEXT NOT NULL,   -- who says to have written it, whose credential brought it
  message TEXT NOT NULL,
  -- texts by path, canonical JSON
  files BYTEA NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: the same texts again are the same version
CREATE UNIQUE INDEX script_versions_hash ON script_versions (merchant, hash);
-- serves: lists, newest first (the rowid follows the column, on PostgreSQL the key serves)
CREATE INDEX script_versions_list ON script_versions (merchant); -- sqlite

-- The newest of a merchant says what runs.
CREATE TABLE script_activations (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  version BIGINT,                              -- NULL: the files of the folder
  restored BIGINT,                             -- of a rollback: the activation whose version runs again, 0: none
  actor TEXT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: the newest, and those before one
CREATE INDEX script_activations_list ON script_activations (merchant); -- sqlite
