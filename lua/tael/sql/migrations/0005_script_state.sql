-- Small state of merchants' scripts: a JSON text by name, compared and set by version.

CREATE TABLE script_state (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  name TEXT NOT NULL, value TEXT NOT NULL,
  version BIGINT NOT NULL,                     -- of all changes of the merchant: none comes again
  updated_at BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: a key
CREATE UNIQUE INDEX script_state_name ON script_state (merchant, name);

-- How many keys a merchant has, so that nobody has to count them, and the version given last.
CREATE TABLE script_state_counts (
  merchant BIGINT NOT NULL, keys BIGINT NOT NULL CHECK (keys >= 0), last BIGINT NOT NULL, PRIMARY KEY (merchant)
);
