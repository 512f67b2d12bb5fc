-- Merchants, accounts, API keys, due work, seals and positions.

-- name: merchant.put
-- rows: 1
-- operator
INSERT INTO merchants (merchant, id, slug, name, mode) VALUES (:number, :number, :slug, :name, :mode)
ON CONFLICT (slug) DO UPDATE SET name = excluded.name;

-- name: merchant.all
-- read list
-- operator
SELECT id, slug, name, mode FROM merchants WHERE id > :after ORDER BY id LIMIT :n;

-- name: account.put
-- rows: any
-- operator
INSERT INTO accounts (merchant, id, slug, channel, environment) VALUES (:owner, :number, :slug, :channel, :environment)
ON CONFLICT (slug) DO NOTHING;

-- name: account.all
-- read list
-- operator
SELECT merchant, id, slug, channel, environment FROM accounts WHERE id > :after ORDER BY id LIMIT :n;

-- name: key.insert
-- rows: 1
-- bytes: key_hash
INSERT INTO api_keys (merchant, id, hash, mode, scopes, note, expires_at)
VALUES (:merchant, :key, :key_hash, :mode, :scopes, :note, :expires_at);

-- name: key.revoke
-- rows: 1 else missing
UPDATE api_keys SET revoked_at = :now WHERE merchant = :merchant AND id = :key AND revoked_at IS NULL;

-- name: key.list
-- read list
SELECT id, merchant, mode, scopes, note, expires_at, revoked_at FROM api_keys
WHERE merchant = :merchant AND id < :before ORDER BY id DESC LIMIT :n;

-- The key itself says whose it is: the one read that comes before a merchant is known.
-- name: key.find
-- read
-- operator
SELECT * FROM api_keys WHERE id = :key;

-- name: timer.insert
-- rows: 1 else stamp
INSERT INTO timers (merchant, id, kind, object) VALUES (:merchant, :due_id, :kind, :object)
ON CONFLICT DO NOTHING;

-- What is due after a place in the table, with the timer that counts for its object and the account whose channel
-- will be asked.
-- name: timer.due
-- read list
-- operator
SELECT t.id, t.merchant, t.kind, t.object, a.state, COALESCE(a.due, r.due) AS due,
  COALESCE(a.account, b.account) AS account
FROM timers t LEFT JOIN attempts a ON t.kind = 'attempt' AND a.merchant = t.merchant AND a.id = t.object
  LEFT JOIN refunds r ON t.kind = 'refund' AND r.merchant = t.merchant AND r.id = t.object
  LEFT JOIN attempts b ON b.merchant = r.merchant AND b.id = r.attempt
WHERE t.id > :after AND t.id < :due_id ORDER BY t.id LIMIT :n;

-- name: timer.drop
-- rows: any
-- operator
DELETE FROM timers WHERE merchant = :merchant AND id = :fired_id;

-- name: seal.insert
-- rows: 1 else other_sealer
-- operator
-- bytes: events digest mac
INSERT INTO seals (merchant, id, number, events, count, digest, mac, key_id)
VALUES (:merchant, :id, :number, :events, :count, :digest, :mac, :key_id)
ON CONFLICT (merchant, number) DO NOTHING;

-- name: seal.last
-- read
SELECT * FROM seals WHERE merchant = :merchant ORDER BY number DESC LIMIT 1;

-- name: seal.by_number
-- read
SELECT * FROM seals WHERE merchant = :merchant AND number = :number;

-- The first seal that can hold an event: a seal's id is above the ids that it seals. SQLite would walk all seals of the
-- merchant by number; the plus keeps it on the rowid, where the right one is near.
-- name: seal.after_event
-- read
SELECT * FROM seals
WHERE merchant = :merchant AND id > :event -- postgres
WHERE +merchant = :merchant AND id > :event -- sqlite
ORDER BY id LIMIT 1;

-- name: setting.get
-- read
-- operator
SELECT value FROM settings WHERE merchant = 0 AND name = :name;

-- name: setting.put
-- rows: 1
-- operator
-- bytes: value
INSERT INTO settings (merchant, id, name, value) VALUES (0, :seq_setting, :name, :value)
ON CONFLICT (merchant, name) DO UPDATE SET value = excluded.value;
