-- name: check.integrity
-- read operator
SELECT integrity_check AS word FROM pragma_integrity_check();
