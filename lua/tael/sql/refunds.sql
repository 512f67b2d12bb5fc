-- Refunds and the money of the payment that they hold. What is reserved never exceeds what was captured: the
-- update of the payment decides, and a CHECK stands behind it. `due` is the one timer that counts, and the lease
-- of whoever talks to the channel: a unit that finds another one there was overtaken.
-- Two indexes fit where a payment is named, and SQLite would walk all refunds of the merchant: the plus keeps it on
-- those of the payment.

-- The unit's event is the head of the payment's chain.
-- name: payment.reserve
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET refund_reserved = refund_reserved + :amount, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'paid' AND currency = :currency
  AND refund_reserved + :amount <= captured_amount;

-- The same as second event of a unit: what was paid late goes back at once.
-- name: payment.reserve_late
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET refund_reserved = refund_reserved + :amount, version = version + 1, last_event = :seq_refund_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'paid' AND currency = :currency
  AND refund_reserved + :amount <= captured_amount;

-- Money that came a second time: captured and reserved at once, so that nothing else may use it.
-- name: payment.reserve_surplus
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET captured_amount = captured_amount + :amount, refund_reserved = refund_reserved + :amount,
  version = version + 1, last_event = :seq_refund_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'paid' AND currency = :currency;

-- The money has gone back.
-- name: payment.refunded
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET refunded_amount = refunded_amount + :amount, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was
  AND refunded_amount + :amount <= refund_reserved;

-- The refund came to nothing: its money may be given back by another.
-- name: payment.release
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET refund_reserved = refund_reserved - :amount, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was
  AND refund_reserved - :amount >= refunded_amount;

-- name: refund.insert
-- rows: 1 else twin
-- bytes: request
INSERT INTO refunds (merchant, id, payment, attempt, merchant_refund_id, request, state, amount, currency, reason, version,
  updated_at, due)
VALUES (:merchant, :refund, :payment, :attempt, :merchant_refund_id, :request, 'created', :amount, :currency, :reason, 1,
  :now, :due)
ON CONFLICT (merchant, merchant_refund_id) DO NOTHING;

-- The second event of a unit comes behind its first one, whose number the writer stamps too.
-- name: event.append
-- rows: 1
-- bytes: hash
INSERT INTO events (merchant, id, payment, object, version, prev, type, actor, at, data, hash)
VALUES (:merchant, :seq_refund_event, :payment, :object, :version, :seq_event, :type, :actor, :now, :data, :hash);

-- The request leaves once this is durable. One at a time for each payment, since a channel answers with the sum
-- of what it gave back: what is on its way, or may be, goes first.
-- name: refund.send
-- rows: 1 else reread
UPDATE refunds SET state = 'pending', code = NULL, decline_code = NULL, version = version + 1, updated_at = :now,
  due = :due
WHERE merchant = :merchant AND id = :refund AND payment = :payment AND version = :refund_version
  AND COALESCE(due, 0) = :due_was AND (state = 'created' OR state = 'abnormal')
  AND NOT EXISTS (SELECT 1 FROM refunds o WHERE +o.merchant = :merchant AND o.payment = :payment AND o.id <> :refund
    AND (o.state = 'pending' OR o.state = 'unknown'));

-- Every other move, by the table of the states. What settles a refund has evidence; only silence needs none.
-- name: refund.move
-- rows: 1 else reread
UPDATE refunds SET state = :refund_state, code = :code, decline_code = :decline_code,
  channel_refund_no = COALESCE(:channel_refund_no, channel_refund_no), evidence = COALESCE(:evidence, evidence),
  succeeded_at = :succeeded_at, version = version + 1, updated_at = :now, due = :due
WHERE merchant = :merchant AND id = :refund AND payment = :payment AND version = :refund_version AND amount = :amount
  AND COALESCE(due, 0) = :due_was AND state = :refund_state_was
  AND ((:refund_state = 'unknown' AND state = 'pending')
    OR (CAST(:evidence AS BIGINT) > 0
      AND ((:refund_state = 'pending' AND state = 'unknown')
        OR ((:refund_state = 'succeeded' OR :refund_state = 'failed' OR :refund_state = 'abnormal')
          AND (state = 'pending' OR state = 'unknown'))
        OR ((:refund_state = 'succeeded' OR :refund_state = 'failed') AND state = 'abnormal'))));

-- Who has the lease passes it on: to the next look, or to itself while it asks.
-- name: refund.due
-- rows: 1 else reread
UPDATE refunds SET due = :due
WHERE merchant = :merchant AND id = :refund AND COALESCE(due, 0) = :due_was
  AND (state = 'created' OR state = 'pending' OR state = 'unknown' OR state = 'abnormal');

-- Requests of it that may have reached the channel, newest first. One without a class was cut short by a crash.
-- name: refund.requests
-- read
SELECT id, class FROM calls WHERE merchant = :merchant AND object = :refund AND op = 'refund'
  AND (class IS NULL OR class <> 'not_sent')
ORDER BY id DESC LIMIT 100;

-- name: refund.get
-- read
SELECT * FROM refunds WHERE merchant = :merchant AND id = :refund;

-- name: refund.by_merchant_no
-- read
SELECT * FROM refunds WHERE merchant = :merchant AND merchant_refund_id = :merchant_refund_id;

-- name: refund.of_payment
-- read list
SELECT * FROM refunds WHERE +merchant = :merchant AND payment = :payment AND id > :after ORDER BY id LIMIT :n;

-- The one under way; without one the oldest that waits.
-- name: refund.in_turn
-- read
SELECT * FROM refunds WHERE +merchant = :merchant AND payment = :payment
  AND (state = 'created' OR state = 'pending' OR state = 'unknown')
ORDER BY CASE WHEN state = 'created' THEN 1 ELSE 0 END, id LIMIT 1;

-- What one order has given back, and what it may still have to.
-- name: refund.sums
-- read
SELECT CAST(COALESCE(SUM(CASE WHEN state = 'succeeded' THEN amount ELSE 0 END), 0) AS BIGINT) AS succeeded,
  CAST(COALESCE(SUM(CASE WHEN state = 'failed' OR state = 'cancelled' THEN 0 ELSE amount END), 0) AS BIGINT) AS reserved,
  CAST(COALESCE(SUM(CASE WHEN state = 'failed' OR state = 'cancelled' THEN 0 ELSE 1 END), 0) AS BIGINT) AS n
FROM refunds WHERE +merchant = :merchant AND payment = :payment AND attempt = :attempt;

-- Where a piece of the list ends that is looked through for a filter.
-- name: refund.piece
-- read list
SELECT MIN(id) AS low, CAST(COUNT(*) AS BIGINT) AS seen FROM (SELECT id FROM refunds
WHERE merchant = :merchant AND id < :before AND id >= :since ORDER BY id DESC LIMIT :n) AS piece;

-- name: refund.list
-- read list
SELECT * FROM refunds WHERE merchant = :merchant AND id < :before AND id >= :since AND (state = :state OR :state IS NULL)
ORDER BY id DESC LIMIT :n;

-- name: refund.list_payment
-- read list
SELECT * FROM refunds WHERE +merchant = :merchant AND payment = :payment AND id < :before AND id >= :since
  AND (state = :state OR :state IS NULL)
ORDER BY id DESC LIMIT :n;

-- name: refund.page
-- read list
-- operator
SELECT merchant, id, payment FROM refunds WHERE id > :after ORDER BY id LIMIT :n;
