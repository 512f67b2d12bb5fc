-- The payment's whole life: closing, reviews by two persons, refunds. Captures and disputes have their tables
-- before anything writes them, so that their objects and the sums they move are fixed with the rest.

-- Somebody wants the payment closed: the reason of the later close, or that the order is to be reversed.
ALTER TABLE payments ADD COLUMN closing TEXT
  CHECK (closing = 'merchant' OR closing = 'expired' OR closing = 'cancel');
-- First of two persons in a review, JSON.
ALTER TABLE payments ADD COLUMN proposal TEXT;

-- What the payer is handed when only the channel's answer holds it, canonical JSON.
ALTER TABLE attempts ADD COLUMN next_action TEXT;
-- The one timer of the attempt that counts. Follows from no event.
ALTER TABLE attempts ADD COLUMN due BIGINT;

-- Money given back. The channel's refund number is the text form of the id, in every try the same.
CREATE TABLE refunds (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  payment BIGINT NOT NULL, attempt BIGINT NOT NULL, merchant_refund_id TEXT NOT NULL,
  request BYTEA NOT NULL,                      -- 16 bytes, digest of the accepted body (idempotency)
  state TEXT NOT NULL CHECK (state = 'succeeded' OR state = 'created' OR state = 'pending' OR state = 'unknown'
    OR state = 'failed' OR state = 'abnormal' OR state = 'cancelled'),
  amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 100000000000000), currency TEXT NOT NULL,
  reason TEXT, code TEXT,                      -- the merchant's words, the channel's last word
  decline_code TEXT,                           -- why it failed, in our words
  channel_refund_no TEXT, evidence BIGINT,     -- the channel's number, the call that proved the last move
  version BIGINT NOT NULL, updated_at BIGINT NOT NULL, succeeded_at BIGINT,
  due BIGINT,                                  -- the one timer that counts
  CHECK (state <> 'succeeded' OR (evidence IS NOT NULL AND succeeded_at IS NOT NULL)),
  CHECK (state <> 'failed' OR evidence IS NOT NULL), PRIMARY KEY (merchant, id)
);
-- serves: the natural key of a create, GET by merchant_refund_id
CREATE UNIQUE INDEX refunds_merchant_no ON refunds (merchant, merchant_refund_id);
-- serves: refunds of a payment, which of them may be sent
CREATE INDEX refunds_payment ON refunds (payment);
-- serves: lists, newest first (the rowid follows the column, on PostgreSQL the key serves)
CREATE INDEX refunds_list ON refunds (merchant); -- sqlite

-- Money taken of an authorised payment. captured_amount is their sum, the rest is released.
CREATE TABLE captures (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  payment BIGINT NOT NULL, attempt BIGINT NOT NULL, merchant_capture_id TEXT NOT NULL,
  request BYTEA NOT NULL,
  state TEXT NOT NULL CHECK (state = 'created' OR state = 'pending' OR state = 'unknown' OR state = 'succeeded'
    OR state = 'failed'),
  amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 100000000000000), currency TEXT NOT NULL,
  final BIGINT NOT NULL CHECK (final = 0 OR final = 1), code TEXT, evidence BIGINT,
  version BIGINT NOT NULL, updated_at BIGINT NOT NULL, due BIGINT,
  CHECK ((state <> 'succeeded' AND state <> 'failed') OR evidence IS NOT NULL), PRIMARY KEY (merchant, id)
);
-- serves: the natural key of a create
CREATE UNIQUE INDEX captures_merchant_no ON captures (merchant, merchant_capture_id);
-- serves: captures of a payment
CREATE INDEX captures_payment ON captures (payment);

-- A payer's objection at the channel. Never changes the payment's state.
CREATE TABLE disputes (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  payment BIGINT NOT NULL, attempt BIGINT NOT NULL, account BIGINT NOT NULL, channel_dispute_no TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state = 'open' OR state = 'under_review' OR state = 'won' OR state = 'lost'
    OR state = 'withdrawn'),
  amount BIGINT NOT NULL CHECK (amount > 0 AND amount <= 100000000000000), currency TEXT NOT NULL,
  reason TEXT, respond_by BIGINT, evidence BIGINT NOT NULL,
  version BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: one dispute a number of the channel
CREATE UNIQUE INDEX disputes_channel_no ON disputes (account, channel_dispute_no);
-- serves: disputes of a payment
CREATE INDEX disputes_payment ON disputes (payment);
