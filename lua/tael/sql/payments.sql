-- Payments, attempts and their events. The statement that decides stands first in a unit: when its guard fails
-- nothing has been written. No IN (list) and no clock: see the head of the schema.

-- name: idempotency.insert
-- rows: 1 else twin
-- bytes: key_digest
INSERT INTO idempotency (merchant, id, digest, object) VALUES (:merchant, :seq_idempotency, :key_digest, :object)
ON CONFLICT (digest) DO NOTHING;

-- name: payment.insert
-- rows: 1 else twin
-- bytes: request hash counted
INSERT INTO payments (merchant, id, merchant_order_id, request, state, reason, amount, currency, capture, parallel,
  attempt, detail_event, version, last_event, last_hash, updated_at, expires_at, counted)
VALUES (:merchant, :payment, :merchant_order_id, :request, :state, :reason, :amount, :currency, :capture, :parallel, :attempt,
  :seq_event, 1, :seq_event, :hash, :now, :expires_at, :counted)
ON CONFLICT (merchant, merchant_order_id) DO NOTHING;

-- name: attempt.insert
-- rows: 1
INSERT INTO attempts (merchant, id, payment, prev, account, product, state, amount, currency, expires_at, updated_at, due)
VALUES (:merchant, :attempt, :payment, :prev_attempt, :account, :product, :attempt_state, :amount, :currency, :expires_at,
  :now, :due);

-- name: event.insert
-- rows: 1
-- bytes: hash
INSERT INTO events (merchant, id, payment, object, version, prev, type, actor, at, data, hash)
VALUES (:merchant, :seq_event, :payment, :object, :version, :prev_event, :type, :actor, :now, :data, :hash);

-- Paid: in time, or late after a local close. Nothing leaves paid, review is left only by a person.
-- name: payment.pay
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = 'paid', reason = NULL, closing = NULL, late = CASE WHEN state = 'pending' THEN 0 ELSE 1 END,
  captured_amount = :amount, version = version + 1, last_event = :seq_event, last_hash = :hash, updated_at = :now,
  paid_at = :paid_at
WHERE merchant = :merchant AND id = :payment AND version = :version_was
  AND (state = 'pending' OR state = 'closed' OR state = 'failed') AND amount = :amount AND currency = :currency;

-- Money that came a second time and does not go back by itself: it was received, and may be given back.
-- name: payment.surplus
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET captured_amount = captured_amount + :amount, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'paid' AND currency = :currency;

-- name: payment.review
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = 'review', reason = :reason, closing = NULL, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was
  AND (state = 'pending' OR state = 'created' OR state = 'authorized' OR state = 'closed' OR state = 'failed');

-- name: payment.close
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = 'closed', reason = :reason, closing = NULL, closed_at = :now, version = version + 1,
  last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND (state = 'pending' OR state = 'created');

-- name: payment.fail
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = 'failed', reason = :reason, closing = NULL, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'pending';

-- Somebody wants it closed: nobody is sent to the channel any more, and the reason of the later close is fixed.
-- name: payment.closing
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET closing = :closing, version = version + 1, last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND (state = 'pending' OR state = 'created')
  AND (closing IS NULL OR (closing <> 'cancel' AND :closing = 'cancel'));

-- An attempt moves, the payment stays: only its chain grows.
-- name: payment.note
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET version = version + 1, last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was;

-- name: attempt.succeed
-- rows: 1 else reread
UPDATE attempts SET state = 'succeeded', trade_no = :trade_no, evidence = :evidence, code = :code, updated_at = :now,
  due = NULL
WHERE merchant = :merchant AND id = :attempt AND payment = :payment AND account = :account
  AND state <> 'new' AND state <> 'succeeded' AND amount = :amount AND currency = :currency
  AND (trade_no = :trade_no OR trade_no IS NULL);

-- Every other move of an attempt, by the table of the states. An issued order becomes unknown only when the
-- channel says a word that nobody knows. due 0: no timer counts any more; none: the one that counted still does.
-- name: attempt.move
-- rows: 1 else reread
UPDATE attempts SET state = :attempt_state, trade_no = COALESCE(:trade_no, trade_no), evidence = :evidence, code = :code,
  next_action = COALESCE(:next_action, next_action), updated_at = :now, due = NULLIF(COALESCE(:due, due), 0)
WHERE merchant = :merchant AND id = :attempt AND payment = :payment AND account = :account
  AND state = :attempt_state_was AND CAST(:evidence AS BIGINT) > 0
  AND ((:attempt_state = 'waiting_payer' AND (state = 'issued' OR state = 'sent' OR state = 'unknown'))
    OR (:attempt_state = 'processing' AND (state = 'sent' OR state = 'unknown'))
    OR (:attempt_state = 'declined' AND (state = 'sent' OR state = 'unknown'))
    OR (:attempt_state = 'cancelled' AND (state = 'sent' OR state = 'waiting_payer' OR state = 'processing'
      OR state = 'unknown'))
    OR (:attempt_state = 'expired' AND (state = 'issued' OR state = 'sent' OR state = 'waiting_payer'
      OR state = 'unknown'))
    OR (:attempt_state = 'unknown' AND (state = 'issued' OR state = 'sent' OR state = 'waiting_payer'
      OR state = 'processing')));

-- The next look at an order, by whoever had the one that counted.
-- name: attempt.due
-- rows: 1 else reread
UPDATE attempts SET due = :due WHERE merchant = :merchant AND id = :attempt AND COALESCE(due, 0) = :due_was;

-- A reversal leaves for the channel: only while the order is as it was read, by whoever had its timer. What
-- settles an order that is being reversed holds the same timer, so that one of the two reads again.
-- name: attempt.reverse
-- rows: 1 else reread
UPDATE attempts SET due = :due WHERE merchant = :merchant AND id = :attempt AND state = :attempt_state_was
  AND COALESCE(due, 0) = :due_was;

-- name: idempotency.get
-- read
-- bytes: key_digest
SELECT object FROM idempotency WHERE merchant = :merchant AND digest = :key_digest;

-- Where n rows end that go in one unit.
-- name: idempotency.step
-- read list
-- operator
SELECT id FROM idempotency WHERE id >= :from_id AND id < :to_id ORDER BY id LIMIT 1 OFFSET :n;

-- name: idempotency.forget
-- rows: any
-- operator
DELETE FROM idempotency WHERE id >= :from_id AND id < :to_id;

-- name: payment.get
-- read
SELECT * FROM payments WHERE merchant = :merchant AND id = :payment;

-- A payment with its newest attempt and the event that holds its details: all that it is shown by.
-- name: payment.whole
-- read
SELECT p.*, a.prev AS a_prev, a.account AS a_account, a.product AS a_product, a.state AS a_state, a.amount AS a_amount,
  a.currency AS a_currency, a.trade_no AS a_trade_no, a.evidence AS a_evidence, a.code AS a_code,
  a.expires_at AS a_expires_at, a.updated_at AS a_updated_at, a.next_action AS a_next_action, a.due AS a_due,
  e.data AS data
FROM payments p LEFT JOIN attempts a ON a.merchant = p.merchant AND a.id = p.attempt
  LEFT JOIN events e ON e.merchant = p.merchant AND e.id = p.detail_event
WHERE p.merchant = :merchant AND p.id = :payment;

-- name: payment.find
-- read
-- operator
SELECT merchant FROM payments WHERE id = :payment;

-- name: payment.by_order
-- read
SELECT * FROM payments WHERE merchant = :merchant AND merchant_order_id = :merchant_order_id;

-- Where a piece of the list ends that is looked through for a filter.
-- name: payment.piece
-- read list
SELECT MIN(id) AS low, CAST(COUNT(*) AS BIGINT) AS seen FROM (SELECT id FROM payments
WHERE merchant = :merchant AND id < :before AND id >= :since ORDER BY id DESC LIMIT :n) AS piece;

-- name: payment.list
-- read list
SELECT * FROM payments WHERE merchant = :merchant AND id < :before AND id >= :since AND (state = :state OR :state IS NULL)
ORDER BY id DESC LIMIT :n;

-- name: payment.list_channel
-- read list
SELECT p.* FROM payments p JOIN attempts a ON a.merchant = p.merchant AND a.id = p.attempt
  JOIN accounts c ON c.merchant = a.merchant AND c.id = a.account
WHERE p.merchant = :merchant AND p.id < :before AND p.id >= :since AND (p.state = :state OR :state IS NULL)
  AND c.channel = :channel
ORDER BY p.id DESC LIMIT :n;

-- name: payment.page
-- read list
-- operator
SELECT * FROM payments WHERE id > :after ORDER BY id LIMIT :n;

-- name: attempt.get
-- read
SELECT * FROM attempts WHERE merchant = :merchant AND id = :attempt;

-- An attempt and, as its member "of", the payment: what every settlement reads.
-- name: attempt.with_payment
-- read
SELECT a.*, p.merchant AS "of.merchant", p.id AS "of.id", p.merchant_order_id AS "of.merchant_order_id",
  p.request AS "of.request", p.state AS "of.state", p.reason AS "of.reason", p.late AS "of.late",
  p.amount AS "of.amount", p.currency AS "of.currency", p.capture AS "of.capture", p.parallel AS "of.parallel",
  p.authorized_amount AS "of.authorized_amount", p.captured_amount AS "of.captured_amount",
  p.refund_reserved AS "of.refund_reserved", p.refunded_amount AS "of.refunded_amount", p.attempt AS "of.attempt",
  p.detail_event AS "of.detail_event", p.version AS "of.version", p.last_event AS "of.last_event",
  p.last_hash AS "of.last_hash", p.updated_at AS "of.updated_at", p.expires_at AS "of.expires_at",
  p.paid_at AS "of.paid_at", p.closed_at AS "of.closed_at", p.closing AS "of.closing", p.proposal AS "of.proposal",
  p.counted AS "of.counted"
FROM attempts a JOIN payments p ON p.merchant = a.merchant AND p.id = a.payment
WHERE a.merchant = :merchant AND a.id = :attempt;

-- name: attempt.find
-- read
-- operator
SELECT * FROM attempts WHERE id = :attempt;

-- name: attempt.by_trade
-- read
SELECT * FROM attempts WHERE merchant = :merchant AND account = :account AND trade_no = :trade_no;

-- name: attempt.page
-- read list
-- operator
SELECT merchant, id, payment FROM attempts WHERE id > :after ORDER BY id LIMIT :n;

-- name: event.get
-- read
SELECT * FROM events WHERE merchant = :merchant AND id = :event;

-- name: event.tail
-- read list
SELECT id FROM events WHERE merchant = :merchant AND id > :after ORDER BY id LIMIT :n;

-- name: event.tail_back
-- read list
SELECT id FROM events WHERE merchant = :merchant AND id > :after AND id < :before ORDER BY id DESC LIMIT :n;

-- name: event.hashes
-- read list
-- operator
SELECT merchant, id, hash FROM events WHERE id > :after ORDER BY id LIMIT :n;

-- name: event.page
-- read list
-- operator
SELECT merchant, id, payment, version, hash FROM events WHERE id > :after ORDER BY id LIMIT :n;
