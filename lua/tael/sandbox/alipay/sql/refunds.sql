-- Money on its way back, balances, effects of magic amounts. There is one operator and no merchant scope here.

-- name: refund.get
-- read operator
SELECT * FROM refunds
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND kind = :kind AND out_request_no = :out_request_no;

-- name: refund.insert
-- rows: 1 operator
INSERT INTO refunds (app_id, out_trade_no, kind, out_request_no, amount, reason, state, ends_at, fails, moved_at, shown_at)
VALUES (:app_id, :out_trade_no, :kind, :out_request_no, :amount, :reason, :state, :ends_at, :fails, :moved_at,
  :shown_at);

-- name: refund.done
-- rows: 1 else settled operator
UPDATE refunds SET state = 'done', moved_at = :now
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND kind = :kind AND out_request_no = :out_request_no
  AND state = 'in_process';

-- name: refund.fail
-- rows: 1 else settled operator
DELETE FROM refunds
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND kind = :kind AND out_request_no = :out_request_no
  AND state = 'in_process';

-- name: refund.ending
-- read operator
SELECT * FROM refunds WHERE state = 'in_process' ORDER BY ends_at, out_trade_no, out_request_no LIMIT 1;

-- name: refunds.of_trade
-- read operator
SELECT * FROM refunds WHERE app_id = :app_id AND out_trade_no = :out_trade_no ORDER BY kind, out_request_no LIMIT 1000;

-- name: trade.reserve
-- rows: 1 else not_refundable operator
UPDATE trades SET reserved = reserved + :amount
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND status = 'TRADE_SUCCESS' AND reserved + :amount <= total;

-- name: trade.release
-- rows: 1 else not_reserved operator
UPDATE trades SET reserved = reserved - :amount
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND reserved - :amount >= refunded;

-- before: what was given back when the notification and the answer were made.
-- name: trade.give_back
-- rows: 1 else changed operator
UPDATE trades SET refunded = refunded + :amount
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND refunded = :before AND refunded + :amount <= reserved;

-- name: trade.close_returned
-- rows: any operator
UPDATE trades SET status = 'TRADE_CLOSED', closed_at = :now
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND refunded = total
  AND (status = 'TRADE_SUCCESS' OR status = 'TRADE_FINISHED');

-- name: balance.open
-- rows: any operator
INSERT INTO balances (app_id, topped_up_at) VALUES (:app_id, 0) ON CONFLICT (app_id) DO NOTHING;

-- name: balance.get
-- read operator
SELECT * FROM balances WHERE app_id = :app_id;

-- name: balance.take
-- rows: 1 else balance_too_low operator
UPDATE balances SET balance = balance - :amount
WHERE app_id = :app_id AND (balance IS NULL OR balance >= :amount);

-- name: balance.add
-- rows: 1 operator
UPDATE balances SET balance = balance + :amount WHERE app_id = :app_id;

-- name: balance.top_up
-- rows: 1 operator
UPDATE balances SET balance = balance + :amount, topped_up_at = :now WHERE app_id = :app_id;

-- name: balance.set
-- rows: 1 operator
UPDATE balances SET balance = :balance, topped_up_at = :now WHERE app_id = :app_id;

-- name: effect.get
-- read operator
SELECT * FROM effects WHERE app_id = :app_id AND name = :name AND object = :object;

-- name: effect.note
-- rows: 1 operator
INSERT INTO effects (app_id, name, object, times, first_at) VALUES (:app_id, :name, :object, 1, :now)
ON CONFLICT (app_id, name, object) DO UPDATE SET times = effects.times + 1;
