-- Counters of rules. They stand in the unit of what they count, behind the statement that decides, so that they move
-- exactly when it does.

-- A sum of money stops far below what an integer holds: no payment is ever refused for having been counted.
-- name: counter.add
-- rows: 1
-- bytes: subject
INSERT INTO counters (merchant, id, subject, span, bucket, currency, attempts, paid, failed, refunds, amount)
VALUES (:merchant, :id, :subject, :span, :bucket, :currency, :attempts, :paid, :failed, :refunds, :amount)
ON CONFLICT (merchant, subject, span, bucket, currency) DO UPDATE SET
  attempts = counters.attempts + excluded.attempts, paid = counters.paid + excluded.paid,
  failed = counters.failed + excluded.failed, refunds = counters.refunds + excluded.refunds,
  amount = CASE WHEN counters.amount > 100000000000000000 THEN counters.amount
    ELSE counters.amount + excluded.amount END;

-- One place of a day's number, and its part of the day's amount: only while there is room. What is first on its day
-- has been compared with the limit before.
-- name: counter.take
-- rows: 1 else day_limit
-- bytes: subject
INSERT INTO counters (merchant, id, subject, span, bucket, currency, attempts, paid, failed, refunds, amount)
VALUES (:merchant, :id, :subject, :span, :bucket, :currency, :attempts, 0, 0, 0, :amount)
ON CONFLICT (merchant, subject, span, bucket, currency) DO UPDATE SET
  attempts = counters.attempts + excluded.attempts, amount = counters.amount + excluded.amount
WHERE counters.attempts + excluded.attempts <= :most AND counters.amount + excluded.amount <= :most_amount;

-- What was not paid after all gives its place back. The day's row may be gone.
-- name: counter.give
-- rows: any
-- bytes: subject
UPDATE counters SET attempts = attempts - :attempts, amount = amount - :amount
WHERE merchant = :merchant AND subject = :subject AND span = :span AND bucket = :bucket AND currency = :currency;

-- All that a create is told of the past, in one read. A piece counts while it began less than twelve of its kind ago;
-- one that begins later than now was written before the clock went back.
-- name: counter.read
-- read
-- bytes: whole today day ip payer device
SELECT 'merchant' AS subject, span, CAST(SUM(attempts) AS BIGINT) AS attempts, CAST(SUM(paid) AS BIGINT) AS paid,
  CAST(SUM(failed) AS BIGINT) AS failed, CAST(SUM(refunds) AS BIGINT) AS refunds,
  CAST(SUM(CASE WHEN currency = :currency THEN amount ELSE 0 END) AS BIGINT) AS amount
FROM counters WHERE merchant = :merchant AND subject = :whole
  AND bucket > :now - span * 12 AND bucket < :now + span * 12 GROUP BY span
UNION ALL
SELECT 'today', span, CAST(SUM(attempts) AS BIGINT), 0, 0, 0, 0
FROM counters WHERE merchant = :merchant AND subject = :today GROUP BY span
UNION ALL
SELECT 'day', span, CAST(SUM(attempts) AS BIGINT), 0, 0, 0,
  CAST(SUM(CASE WHEN currency = :currency THEN amount ELSE 0 END) AS BIGINT)
FROM counters WHERE merchant = :merchant AND subject = :day GROUP BY span
UNION ALL
SELECT 'ip', span, CAST(SUM(attempts) AS BIGINT), CAST(SUM(paid) AS BIGINT), CAST(SUM(failed) AS BIGINT),
  CAST(SUM(refunds) AS BIGINT), CAST(SUM(CASE WHEN currency = :currency THEN amount ELSE 0 END) AS BIGINT)
FROM counters WHERE merchant = :merchant AND subject = :ip
  AND bucket > :now - span * 12 AND bucket < :now + span * 12 GROUP BY span
UNION ALL
SELECT 'payer', span, CAST(SUM(attempts) AS BIGINT), CAST(SUM(paid) AS BIGINT), CAST(SUM(failed) AS BIGINT),
  CAST(SUM(refunds) AS BIGINT), CAST(SUM(CASE WHEN currency = :currency THEN amount ELSE 0 END) AS BIGINT)
FROM counters WHERE merchant = :merchant AND subject = :payer
  AND bucket > :now - span * 12 AND bucket < :now + span * 12 GROUP BY span
UNION ALL
SELECT 'device', span, CAST(SUM(attempts) AS BIGINT), CAST(SUM(paid) AS BIGINT), CAST(SUM(failed) AS BIGINT),
  CAST(SUM(refunds) AS BIGINT), CAST(SUM(CASE WHEN currency = :currency THEN amount ELSE 0 END) AS BIGINT)
FROM counters WHERE merchant = :merchant AND subject = :device
  AND bucket > :now - span * 12 AND bucket < :now + span * 12 GROUP BY span;

-- name: counter.oldest
-- read
-- operator
SELECT id FROM counters ORDER BY id LIMIT 1;

-- Where n rows end that go in one unit.
-- name: counter.step
-- read list
-- operator
SELECT id FROM counters WHERE id >= :from_id AND id < :to_id ORDER BY id LIMIT 1 OFFSET :n;

-- name: counter.forget
-- rows: any
-- operator
DELETE FROM counters WHERE id >= :from_id AND id < :to_id AND span = :span;
