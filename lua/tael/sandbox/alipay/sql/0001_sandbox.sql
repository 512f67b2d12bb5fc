-- What the simulated Alipay knows. It survives a restart, as Alipay's memory survives ours.

-- One trade, made when the payer opens the order. total: fen. Times: ms since 1970 UTC.
CREATE TABLE trades (
  app_id TEXT NOT NULL, out_trade_no TEXT NOT NULL,
  trade_no TEXT NOT NULL,
  token TEXT NOT NULL,                         -- address of the payer's page
  status TEXT NOT NULL CHECK (status = 'WAIT_BUYER_PAY' OR status = 'TRADE_SUCCESS' OR status = 'TRADE_FINISHED'
    OR status = 'TRADE_CLOSED'),
  total BIGINT NOT NULL CHECK (total > 0 AND total <= 10000000000),
  subject TEXT NOT NULL, body TEXT, passback_params TEXT,
  notify_url TEXT, return_url TEXT,
  created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, paid_at BIGINT, closed_at BIGINT,
  CHECK ((status <> 'TRADE_SUCCESS' AND status <> 'TRADE_FINISHED') OR paid_at IS NOT NULL),
  PRIMARY KEY (app_id, out_trade_no)
);
-- serves: query by trade_no
CREATE UNIQUE INDEX trades_trade_no ON trades (trade_no);
-- serves: the payer's page
CREATE UNIQUE INDEX trades_token ON trades (token);
-- serves: the levers, which name the order alone
CREATE INDEX trades_order ON trades (out_trade_no);
-- serves: the list of what was really paid
CREATE INDEX trades_paid ON trades (paid_at) WHERE paid_at IS NOT NULL;

-- One notification and its deliveries so far. fields: JSON of what every delivery repeats.
CREATE TABLE deliveries (
  notify_id TEXT NOT NULL,
  app_id TEXT NOT NULL, out_trade_no TEXT NOT NULL,
  url TEXT NOT NULL, fields TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'waiting' OR state = 'delivered' OR state = 'given_up'),
  attempts BIGINT NOT NULL, due_at BIGINT NOT NULL, last_answer TEXT,
  PRIMARY KEY (notify_id)
);
-- serves: what is still to be sent after a restart
CREATE INDEX deliveries_waiting ON deliveries (due_at) WHERE state = 'waiting';
-- serves: the deliveries of one order
CREATE INDEX deliveries_order ON deliveries (out_trade_no);
