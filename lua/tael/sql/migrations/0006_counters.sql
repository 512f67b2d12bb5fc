-- What merchants' rules know of the past: sums of one subject in one piece of time. Rows that are too old to count go by
-- id range. No rule that names no counter makes one.

CREATE TABLE counters (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  subject BYTEA NOT NULL,                      -- the merchant, a keyed hash of an address, a payer, a device, or a day
  span BIGINT NOT NULL, bucket BIGINT NOT NULL, -- how long the piece is and when it begins, ms
  currency TEXT NOT NULL,
  attempts BIGINT NOT NULL, paid BIGINT NOT NULL, failed BIGINT NOT NULL, refunds BIGINT NOT NULL,
  -- minor units
  amount BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: adding to a piece, all pieces of a subject
CREATE UNIQUE INDEX counters_subject ON counters (merchant, subject, span, bucket, currency);

-- serves: what is too old (on SQLite the rowid does)
CREATE INDEX counters_age ON counters (id); -- postgres

-- Which counters a payment's moves are added to, fixed when it was made (kernel/counters.lua). NULL: none. Follows from
-- no event.
ALTER TABLE payments ADD COLUMN counted BYTEA;
