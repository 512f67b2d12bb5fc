-- When a payment was closed, whatever is noted on it later. NULL with those that were closed before there was this column:
-- of these the last change is known.

ALTER TABLE payments ADD COLUMN closed_at BIGINT;
