-- A later step: rows that are there already are kept.

ALTER TABLE items ADD COLUMN late BIGINT NOT NULL DEFAULT 0;

CREATE TABLE counters (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  value BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
