-- The tables of the first stage. PostgreSQL text, rewritten by the loader for SQLite (id becomes the rowid).
-- Lean rows: ids are int64 that rise with time, merchants and accounts are small integers, times are ms since
-- 1970 UTC, what is walked from a payment is a pointer. Every index names the query it serves.

-- Tenants. id is the small integer that all other tables call merchant.
CREATE TABLE merchants (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  slug TEXT NOT NULL, name TEXT NOT NULL,
  mode TEXT NOT NULL CHECK (mode = 'live' OR mode = 'test'),
  CHECK (merchant = id), PRIMARY KEY (merchant, id)
);
-- serves: a slug means one merchant for ever
CREATE UNIQUE INDEX merchants_slug ON merchants (slug);

-- Channel accounts. A slug names one account in the whole engine and never changes its meaning.
CREATE TABLE accounts (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  slug TEXT NOT NULL, channel TEXT NOT NULL,
  environment TEXT NOT NULL CHECK (environment = 'production' OR environment = 'sandbox'), PRIMARY KEY (merchant, id)
);
-- serves: a slug means one account for ever
CREATE UNIQUE INDEX accounts_slug ON accounts (slug);

-- API keys: the public part is the id, the secret part is kept as a keyed hash.
CREATE TABLE api_keys (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  hash BYTEA NOT NULL,
  mode TEXT NOT NULL CHECK (mode = 'live' OR mode = 'test'),
  scopes TEXT NOT NULL, note TEXT,
  expires_at BIGINT, revoked_at BIGINT, PRIMARY KEY (merchant, id)
);

-- Hot. One row a payment, head of its chain of events.
CREATE TABLE payments (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  merchant_order_id TEXT NOT NULL,
  request BYTEA NOT NULL,                      -- 16 bytes, digest of the accepted body (idempotency)
  state TEXT NOT NULL CHECK (state = 'pending' OR state = 'paid' OR state = 'created' OR state = 'authorized'
    OR state = 'closed' OR state = 'failed' OR state = 'review'),
  reason TEXT, late BIGINT NOT NULL DEFAULT 0,
  amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 100000000000000), currency TEXT NOT NULL,
  capture TEXT NOT NULL DEFAULT 'automatic', parallel TEXT NOT NULL DEFAULT 'none',
  authorized_amount BIGINT NOT NULL DEFAULT 0, captured_amount BIGINT NOT NULL DEFAULT 0,
  refund_reserved BIGINT NOT NULL DEFAULT 0,
  refunded_amount BIGINT NOT NULL DEFAULT 0,
  attempt BIGINT,                              -- newest attempt, older ones by attempts.prev
  detail_event BIGINT NOT NULL,                -- the event that holds subject, payer, metadata as they are now
  version BIGINT NOT NULL, last_event BIGINT NOT NULL, last_hash BYTEA NOT NULL,
  updated_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, paid_at BIGINT,
  CHECK (0 <= refunded_amount AND refunded_amount <= refund_reserved AND refund_reserved <= captured_amount),
  CHECK (state <> 'paid' OR captured_amount > 0), PRIMARY KEY (merchant, id)
);
-- serves: the natural key of a create, GET by merchant_order_id
CREATE UNIQUE INDEX payments_order ON payments (merchant, merchant_order_id);
-- serves: lists, newest first (the rowid follows the column, on PostgreSQL the key serves)
CREATE INDEX payments_list ON payments (merchant); -- sqlite

-- One order at one channel. Its order number there is the text form of its id.
CREATE TABLE attempts (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  payment BIGINT NOT NULL, prev BIGINT, account BIGINT NOT NULL, product TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'issued' OR state = 'succeeded' OR state = 'new' OR state = 'sent'
    OR state = 'waiting_payer' OR state = 'processing' OR state = 'unknown' OR state = 'authorized'
    OR state = 'declined' OR state = 'cancelled' OR state = 'expired'),
  amount BIGINT NOT NULL, currency TEXT NOT NULL,
  trade_no TEXT, evidence BIGINT,              -- the channel's number, the notification or call that proved it
  code TEXT,                                   -- the channel's last word
  expires_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
  CHECK ((state <> 'succeeded' AND state <> 'authorized') OR evidence IS NOT NULL), PRIMARY KEY (merchant, id)
);
-- serves: one order a trade number, GET by trade_no
CREATE UNIQUE INDEX attempts_trade ON attempts (account, trade_no) WHERE trade_no IS NOT NULL;

-- The source, append-only. Ids are stamped by the writer, so their order is the order of commits.
CREATE TABLE events (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  payment BIGINT, object BIGINT NOT NULL,      -- what changed (payment or attempt)
  version BIGINT NOT NULL, prev BIGINT, type TEXT NOT NULL, actor TEXT NOT NULL, at BIGINT NOT NULL,
  data TEXT NOT NULL,                          -- canonical JSON, enough to rebuild the rows
  hash BYTEA NOT NULL, PRIMARY KEY (merchant, id) -- SHA-256 over the hash of prev and what stands above
);

-- Inbound messages of authenticated senders with their verdict, append-only.
CREATE TABLE notifications (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  account BIGINT NOT NULL, payment BIGINT, attempt BIGINT,
  verdict TEXT NOT NULL CHECK (verdict = 'pass' OR verdict = 'refused' OR verdict = 'error'),
  failed_check TEXT, effect TEXT NOT NULL,
  first BIGINT,                                -- a repeat, the notification whose bytes these are, raw is then NULL
  key_id BIGINT, source TEXT NOT NULL, at BIGINT NOT NULL, checks TEXT,
  -- SHA-256 of the bytes, the bytes sealed, NULL after retention
  digest BYTEA NOT NULL, raw BYTEA, PRIMARY KEY (merchant, id)
);
-- serves: the first of a repeat, GET ?payment=
CREATE INDEX notifications_payment ON notifications (payment) WHERE payment IS NOT NULL;

-- Due work. id is the due time and a stamp, so what is due is the head of the table.
CREATE TABLE timers (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  -- never cancelled, when it fires the object says whether it matters
  kind TEXT NOT NULL, object BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
CREATE INDEX timers_due ON timers (id); -- postgres

-- Keys of the Idempotency-Key header, only when it was sent. Old rows go by id range.
CREATE TABLE idempotency (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  digest BYTEA NOT NULL,                       -- 16 bytes of SHA-256 over merchant, operation, key
  object BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: a twin finds the object
CREATE UNIQUE INDEX idempotency_key ON idempotency (digest);

-- Every call to a channel, a row before the bytes leave, then its answer. class NULL, on its way.
CREATE TABLE calls (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  object BIGINT NOT NULL, op TEXT NOT NULL, account BIGINT NOT NULL,
  class TEXT, http_status BIGINT, code TEXT, trace_no TEXT, ms BIGINT,
  -- SHA-256 of the answer, both sealed
  digest BYTEA, request BYTEA, answer BYTEA, PRIMARY KEY (merchant, id)
);
-- serves: calls of an attempt
CREATE INDEX calls_object ON calls (object);

-- One a second for each merchant with new events, outside the payment's unit.
CREATE TABLE seals (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  number BIGINT NOT NULL,                      -- 1, 2, 3 without gap
  events BYTEA NOT NULL, count BIGINT NOT NULL, -- ids of the sealed events, delta-coded
  digest BYTEA NOT NULL,                       -- SHA-256 over id and hash of each
  -- HMAC over merchant, number, mac before, count, digest
  mac BYTEA NOT NULL, key_id BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: GET /events walks a merchant's seals by number
CREATE UNIQUE INDEX seals_number ON seals (merchant, number);

-- Positions of the background work, read at start.
CREATE TABLE settings (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  name TEXT NOT NULL, value BYTEA NOT NULL, PRIMARY KEY (merchant, id)
);
CREATE UNIQUE INDEX settings_name ON settings (merchant, name);
