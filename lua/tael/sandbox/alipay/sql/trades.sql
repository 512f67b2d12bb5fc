-- Trades and deliveries of the simulated Alipay. There is one operator and no merchant scope here.

-- name: trade.open
-- rows: any operator
INSERT INTO trades (app_id, out_trade_no, trade_no, token, status, total, subject, body, passback_params, notify_url,
  return_url, created_at, expires_at)
VALUES (:app_id, :out_trade_no, :trade_no, :token, 'WAIT_BUYER_PAY', :total, :subject, :body, :passback_params,
  :notify_url, :return_url, :now, :expires_at)
ON CONFLICT (app_id, out_trade_no) DO NOTHING;

-- name: trade.pay
-- rows: 1 else not_payable operator
UPDATE trades SET status = 'TRADE_SUCCESS', paid_at = :now
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND status = 'WAIT_BUYER_PAY' AND expires_at > :now;

-- name: trade.close
-- rows: any operator
UPDATE trades SET status = 'TRADE_CLOSED', closed_at = :now
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND status = 'WAIT_BUYER_PAY';

-- name: trade.finish
-- rows: any operator
UPDATE trades SET status = 'TRADE_FINISHED'
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND status = 'TRADE_SUCCESS' AND reserved = refunded;

-- name: trade.get
-- read operator
SELECT * FROM trades WHERE app_id = :app_id AND out_trade_no = :out_trade_no;

-- name: trade.by_trade_no
-- read operator
SELECT * FROM trades WHERE app_id = :app_id AND trade_no = :trade_no;

-- name: trade.by_token
-- read operator
SELECT * FROM trades WHERE token = :token;

-- name: trade.by_order
-- read operator
SELECT * FROM trades WHERE out_trade_no = :out_trade_no ORDER BY app_id LIMIT 2;

-- name: trades.newest
-- read list operator
SELECT * FROM trades ORDER BY created_at DESC, trade_no DESC LIMIT 200;

-- name: money.sum
-- read list operator
SELECT COUNT(*) AS trades, CAST(COALESCE(SUM(total), 0) AS BIGINT) AS total,
  CAST(COALESCE(SUM(refunded), 0) AS BIGINT) AS refunded
FROM trades WHERE paid_at IS NOT NULL;

-- name: bill.trades
-- read list operator
SELECT * FROM trades WHERE trade_no > :after ORDER BY trade_no LIMIT 500;

-- name: money.list
-- read list operator
SELECT * FROM trades WHERE paid_at IS NOT NULL ORDER BY paid_at DESC, trade_no DESC LIMIT 1000;
