-- What passed last of the scripts that lie in folders, of each merchant, of the operator's jobs under 0: it goes on where a
-- folder is broken when an engine starts.

CREATE TABLE scripts_kept (
  merchant BIGINT NOT NULL,
  hash TEXT NOT NULL,                          -- SHA-256 over paths and texts
  files BYTEA NOT NULL,                        -- JSON: texts by path
  PRIMARY KEY (merchant)
);
