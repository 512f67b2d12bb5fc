-- Small state of merchants' scripts. Each change begins with the next version and the number of keys after it.

-- name: script_state.get
-- read
SELECT value, version FROM script_state WHERE merchant = :merchant AND name = :name;

-- The first change of a merchant makes its first key.
-- name: script_state.next
-- rows: 1 else full
INSERT INTO script_state_counts (merchant, keys, last) VALUES (:merchant, 1, 1)
ON CONFLICT (merchant) DO UPDATE SET keys = script_state_counts.keys + :more, last = script_state_counts.last + 1
WHERE script_state_counts.keys + :more <= :most;

-- name: script_state.insert
-- rows: 1 else conflict
INSERT INTO script_state (merchant, id, name, value, version, updated_at)
SELECT :merchant, :id, :name, :value, last, :now FROM script_state_counts WHERE merchant = :merchant
ON CONFLICT (merchant, name) DO NOTHING RETURNING version;

-- name: script_state.update
-- rows: 1 else conflict
UPDATE script_state SET value = :value, updated_at = :now,
  version = (SELECT last FROM script_state_counts WHERE merchant = :merchant)
WHERE merchant = :merchant AND name = :name AND version = :version_was RETURNING version;

-- name: script_state.delete
-- rows: 1 else conflict
DELETE FROM script_state WHERE merchant = :merchant AND name = :name AND version = :version_was;
