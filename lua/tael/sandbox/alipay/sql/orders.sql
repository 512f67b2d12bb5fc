-- Precreated orders of the simulated Alipay. There is one operator and no merchant scope here.

-- name: order.insert
-- rows: any operator
INSERT INTO orders (app_id, out_trade_no, token, content, total, subject, body, passback_params, notify_url, created_at,
  code_until)
VALUES (:app_id, :out_trade_no, :token, :content, :total, :subject, :body, :passback_params, :notify_url, :now,
  :code_until)
ON CONFLICT (app_id, out_trade_no) DO NOTHING;

-- name: order.renew
-- rows: any operator
UPDATE orders SET token = :token, code_until = :code_until
WHERE app_id = :app_id AND out_trade_no = :out_trade_no AND code_until <= :now;

-- name: order.get
-- read operator
SELECT * FROM orders WHERE app_id = :app_id AND out_trade_no = :out_trade_no;

-- name: order.by_token
-- read operator
SELECT * FROM orders WHERE token = :token;

-- name: order.by_number
-- read operator
SELECT * FROM orders WHERE out_trade_no = :out_trade_no ORDER BY app_id LIMIT 2;
