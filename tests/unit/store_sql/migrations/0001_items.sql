-- What the tests of the store work on: things with an amount, and notes about them.

CREATE TABLE items (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  name TEXT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount >= 0),
  data BYTEA,                                   -- 'bytes; not text'
  PRIMARY KEY (merchant, id)
);
CREATE UNIQUE INDEX items_name ON items (merchant, name);
CREATE INDEX items_list ON items (merchant);    -- sqlite (the key serves on PostgreSQL)
CREATE INDEX items_amount ON items (amount);    -- postgres

CREATE TABLE notes (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  item BIGINT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (merchant, id)
);
