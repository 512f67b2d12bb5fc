-- Inbound messages and calls to channels: what proves a move.

-- name: notification.insert
-- rows: 1
-- bytes: raw_digest raw
INSERT INTO notifications (merchant, id, account, payment, attempt, verdict, failed_check, effect, first, key_id, source, at,
  checks, digest, raw)
VALUES (:merchant, :notification, :account, :notified_payment, :notified_attempt, :verdict, :failed_check, :effect, :first,
  :key_id, :source, :now, :checks, :raw_digest, :raw);

-- The same bytes once more for the same payment: the row that keeps them.
-- name: notification.first
-- read
-- bytes: raw_digest
SELECT id FROM notifications WHERE merchant = :merchant AND payment = :payment AND digest = :raw_digest AND first IS NULL
ORDER BY id LIMIT 1;

-- name: notification.get
-- read
SELECT * FROM notifications WHERE merchant = :merchant AND id = :notification;

-- name: notification.find
-- read
-- operator
SELECT * FROM notifications WHERE id = :notification;

-- name: notification.repeats
-- read
SELECT id FROM notifications WHERE merchant = :merchant AND payment = :payment AND first = :first ORDER BY id LIMIT 100;

-- Where a piece ends that is looked through for a list: of all merchants, for no index has them by merchant.
-- name: notification.piece
-- read list
-- operator
SELECT MIN(id) AS low, CAST(COUNT(*) AS BIGINT) AS seen FROM (SELECT id FROM notifications
WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :n) AS piece;

-- name: notification.list
-- read list
SELECT n.* FROM notifications n WHERE n.merchant = :merchant AND n.id < :before AND n.id >= :since
  AND (n.verdict = :verdict OR :verdict IS NULL) AND (n.effect = :effect OR :effect IS NULL)
  AND (EXISTS (SELECT 1 FROM accounts a WHERE a.merchant = n.merchant AND a.id = n.account AND a.channel = :channel)
    OR :channel IS NULL)
ORDER BY n.id DESC LIMIT :n;

-- name: notification.list_payment
-- read list
SELECT n.* FROM notifications n WHERE n.merchant = :merchant AND n.payment = :payment AND n.id < :before AND n.id >= :since
  AND (n.verdict = :verdict OR :verdict IS NULL) AND (n.effect = :effect OR :effect IS NULL)
  AND (EXISTS (SELECT 1 FROM accounts a WHERE a.merchant = n.merchant AND a.id = n.account AND a.channel = :channel)
    OR :channel IS NULL)
ORDER BY n.id DESC LIMIT :n;

-- Of messages and calls.
-- Where n rows end that go in one unit.
-- name: notification.step
-- read list
-- operator
SELECT id FROM notifications WHERE id >= :from_id AND id < :to_id ORDER BY id LIMIT 1 OFFSET :n;

-- name: notification.forget
-- rows: any
-- operator
UPDATE notifications SET raw = NULL WHERE id >= :from_id AND id < :to_id AND raw IS NOT NULL;

-- name: call.insert
-- rows: 1
-- bytes: request
INSERT INTO calls (merchant, id, object, op, account, request)
VALUES (:merchant, :call, :object, :op, :account, :request);

-- name: call.finish
-- rows: 1 else finished
-- bytes: answer_digest answer
UPDATE calls SET class = :class, http_status = :http_status, code = :code, trace_no = :trace_no, ms = :ms,
  digest = :answer_digest, answer = :answer
WHERE merchant = :merchant AND id = :call AND class IS NULL;

-- name: call.get
-- read
SELECT * FROM calls WHERE merchant = :merchant AND id = :call;

-- name: call.of_object
-- read
SELECT id, op, class, http_status, code, trace_no, ms FROM calls WHERE merchant = :merchant AND object = :object
ORDER BY id LIMIT 200;

-- name: call.last
-- read
SELECT id, op, class, account FROM calls WHERE merchant = :merchant AND object = :object AND (op = :op OR :op IS NULL)
ORDER BY id DESC LIMIT 1;

-- name: call.step
-- read list
-- operator
SELECT id FROM calls WHERE id >= :from_id AND id < :to_id ORDER BY id LIMIT 1 OFFSET :n;

-- name: call.forget
-- rows: any
-- operator
UPDATE calls SET request = NULL, answer = NULL WHERE id >= :from_id AND id < :to_id AND request IS NOT NULL;
