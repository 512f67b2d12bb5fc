-- Orders that have no trade yet, money on its way back, the merchants' balances, notifications that a test had
-- sent badly, and what magic amounts have already done.

-- reserved: given back or on its way back; refunded: given back. Both fen.
ALTER TABLE trades ADD COLUMN reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0 AND reserved <= total);
ALTER TABLE trades ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= reserved);

-- spoil: what is wrong with the first delivery; copies: how many at once; held: 1 waits for a later one.
ALTER TABLE deliveries ADD COLUMN spoil TEXT;
ALTER TABLE deliveries ADD COLUMN copies BIGINT NOT NULL DEFAULT 1 CHECK (copies >= 1 AND copies <= 16);
ALTER TABLE deliveries ADD COLUMN held BIGINT NOT NULL DEFAULT 0 CHECK (held = 0 OR held = 1);

-- A precreated order: no trade until somebody scans its code. content: what a repeat has to say again, JSON.
CREATE TABLE orders (
  app_id TEXT NOT NULL, out_trade_no TEXT NOT NULL,
  token TEXT NOT NULL,                         -- address of the code
  content TEXT NOT NULL,
  total BIGINT NOT NULL CHECK (total > 0 AND total <= 10000000000),
  subject TEXT NOT NULL, body TEXT, passback_params TEXT, notify_url TEXT,
  created_at BIGINT NOT NULL, code_until BIGINT NOT NULL,
  PRIMARY KEY (app_id, out_trade_no)
);
-- serves: the code
CREATE UNIQUE INDEX orders_token ON orders (token);
-- serves: the levers, which name the order alone
CREATE INDEX orders_order ON orders (out_trade_no);

-- Money given back, or on its way while ends_at lies ahead. kind: what the merchant called; a cancel has no number.
CREATE TABLE refunds (
  app_id TEXT NOT NULL, out_trade_no TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind = 'refund' OR kind = 'cancel'),
  out_request_no TEXT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0), reason TEXT,
  state TEXT NOT NULL CHECK (state = 'in_process' OR state = 'done'),
  ends_at BIGINT, fails BIGINT NOT NULL CHECK (fails = 0 OR fails = 1),
  moved_at BIGINT, shown_at BIGINT NOT NULL,   -- refund query says nothing of it before
  CHECK ((state = 'done' AND moved_at IS NOT NULL) OR (state = 'in_process' AND ends_at IS NOT NULL)),
  PRIMARY KEY (app_id, out_trade_no, kind, out_request_no)
);
-- serves: refunds whose time has come
CREATE INDEX refunds_ending ON refunds (ends_at) WHERE state = 'in_process';

-- What a merchant has at Alipay, fen. NULL: always enough.
CREATE TABLE balances (
  app_id TEXT NOT NULL, balance BIGINT CHECK (balance >= 0), topped_up_at BIGINT NOT NULL,
  PRIMARY KEY (app_id)
);

-- How often a magic amount has had its effect on one object.
CREATE TABLE effects (
  app_id TEXT NOT NULL, name TEXT NOT NULL, object TEXT NOT NULL,
  times BIGINT NOT NULL, first_at BIGINT NOT NULL,
  PRIMARY KEY (app_id, name, object)
);
