-- Notifications of the simulated Alipay and their deliveries. There is one operator and no merchant scope here.

-- name: delivery.insert
-- rows: 1 operator
INSERT INTO deliveries (notify_id, app_id, out_trade_no, url, fields, state, attempts, due_at, spoil, copies, held)
VALUES (:notify_id, :app_id, :out_trade_no, :url, :fields, 'waiting', 0, :due_at, :spoil, :copies, :held);

-- name: delivery.note
-- rows: 1 operator
UPDATE deliveries SET state = :state, attempts = :attempts, due_at = :due_at, last_answer = :last_answer, held = 0
WHERE notify_id = :notify_id;

-- name: delivery.release
-- rows: any operator
UPDATE deliveries SET held = 0, due_at = :now
WHERE app_id = :app_id AND state = 'waiting' AND held = 1 AND notify_id <> :notify_id;

-- name: delivery.get
-- read operator
SELECT * FROM deliveries WHERE notify_id = :notify_id;

-- name: deliveries.next
-- read operator
SELECT * FROM deliveries WHERE state = 'waiting' ORDER BY due_at, notify_id LIMIT 200;

-- name: deliveries.count
-- read operator
SELECT COUNT(*) AS waiting FROM deliveries WHERE state = 'waiting';

-- name: deliveries.of_order
-- read list operator
SELECT * FROM deliveries WHERE out_trade_no = :out_trade_no ORDER BY due_at, notify_id LIMIT 200;
