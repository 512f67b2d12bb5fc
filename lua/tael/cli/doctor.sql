-- Statements of tael doctor alone, on SQLite.

-- name: doctor.integrity
-- read list
-- operator
SELECT integrity_check AS detail FROM pragma_integrity_check LIMIT 20;

-- name: doctor.merchant
-- read
-- operator
SELECT id FROM merchants WHERE slug = :slug;
