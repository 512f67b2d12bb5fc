-- What merchants and operators change on a payment themselves: metadata, another attempt, the decision of a
-- review. The statement that decides stands first in its unit.

-- name: payment.annotate
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET detail_event = :seq_event, version = version + 1, last_event = :seq_event, last_hash = :hash,
  updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was;

-- The payer may go another way: the new attempt becomes the newest.
-- name: payment.another
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET attempt = :attempt, version = version + 1, last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'pending' AND closing IS NULL
  AND attempt = :prev_attempt;

-- The first of two persons has spoken.
-- name: payment.propose
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET proposal = :proposal, version = version + 1, last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'review';

-- A person has decided that the money which the channel took is this payment's.
-- name: payment.decide_paid
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = 'paid', reason = NULL, proposal = NULL, closing = NULL, captured_amount = :captured_amount,
  paid_at = :paid_at, version = version + 1, last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'review';

-- A person has decided that nothing was paid.
-- name: payment.decide_unpaid
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = :state, reason = 'manual', proposal = NULL, closing = NULL,
  closed_at = :closed_at, version = version + 1, last_event = :seq_event,
  last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'review' AND captured_amount = 0
  AND (:state = 'closed' OR :state = 'failed');

-- A person lets go what a rule has held back before any order: its first order is in the same unit.
-- name: payment.let_go
-- rows: 1 else reread
-- bytes: hash
UPDATE payments SET state = 'pending', reason = NULL, proposal = NULL, attempt = :attempt, version = version + 1,
  last_event = :seq_event, last_hash = :hash, updated_at = :now
WHERE merchant = :merchant AND id = :payment AND version = :version_was AND state = 'review' AND reason = 'risk'
  AND attempt IS NULL;

-- The order behind it: its amount may be another than was asked for, which is what the person has accepted. What
-- is known of it needs no timer any more.
-- name: attempt.accept
-- rows: 1 else reread
UPDATE attempts SET state = 'succeeded', amount = :amount, trade_no = :trade_no, evidence = :evidence, code = :code,
  updated_at = :now, due = NULL
WHERE merchant = :merchant AND id = :attempt AND payment = :payment AND state <> 'new' AND state <> 'succeeded'
  AND (trade_no = :trade_no OR trade_no IS NULL);
