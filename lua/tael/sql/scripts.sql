-- Versions of scripts, and which of them runs: a merchant's, with no part; the operator's, of merchant 0, by part.

-- One more version of so many bytes, while there are fewer than `most` of fewer than `room`.
-- name: script.room
-- rows: 1 else full
-- operator
INSERT INTO script_room (merchant, part, versions, bytes) VALUES (:merchant, :part, 1, :size)
ON CONFLICT (merchant, part) DO UPDATE SET versions = script_room.versions + 1, bytes = script_room.bytes + :size
WHERE script_room.versions < :most AND script_room.bytes < :room;

-- Nothing when there is one of the same texts.
-- name: script.insert
-- rows: 1 else twin
-- operator
-- bytes: files
INSERT INTO script_versions (merchant, part, id, hash, base, author, actor, message, files)
VALUES (:merchant, :part, :version, :hash, :base, :author, :actor, :message, :files)
ON CONFLICT (merchant, part, hash) DO NOTHING;

-- name: script.get
-- read
-- operator
SELECT * FROM script_versions WHERE merchant = :merchant AND part = :part AND id = :version;

-- name: script.by_hash
-- read
-- operator
SELECT * FROM script_versions WHERE merchant = :merchant AND part = :part AND hash = :hash;

-- name: script.list
-- read list
-- operator
SELECT id, merchant, hash, base, author, actor, message FROM script_versions
WHERE merchant = :merchant AND part = :part AND id < :before ORDER BY id DESC LIMIT :n;

-- What runs.
-- name: script.active
-- read
-- operator
SELECT id, version, restored, actor FROM script_activations
WHERE merchant = :merchant AND part = :part ORDER BY id DESC LIMIT 1;

-- What ran before an activation.
-- name: script.active_before
-- read
-- operator
SELECT id, version, restored, actor FROM script_activations
WHERE merchant = :merchant AND part = :part AND id < :activation ORDER BY id DESC LIMIT 1;

-- Only on what its author has seen running.
-- name: script.activate
-- rows: 1 else moved
-- operator
INSERT INTO script_activations (merchant, part, id, version, restored, actor)
SELECT :merchant, :part, :activation, :version, :restored, :actor
WHERE COALESCE((SELECT MAX(id) FROM script_activations WHERE merchant = :merchant AND part = :part), 0)
  = :activation_was;

-- name: job.get
-- read
-- operator
SELECT slot, state, lease FROM job_slots WHERE merchant = 0 AND name = :name;

-- A job that was never seen begins with the slots after this one.
-- name: job.first
-- rows: any
-- operator
INSERT INTO job_slots (merchant, id, name, slot, state, lease) VALUES (0, :seq_job, :name, :slot, 'done', 0)
ON CONFLICT (merchant, name) DO NOTHING;

-- A newer slot, or one that somebody began and did not end in time.
-- name: job.claim
-- rows: 1 else taken
-- operator
UPDATE job_slots SET slot = :slot, state = 'running', lease = :lease
WHERE merchant = 0 AND name = :name
  AND ((slot < :slot AND (state <> 'running' OR lease < :now)) OR (slot = :slot AND state = 'running' AND lease < :now));

-- What a clock that was far ahead has left counts no longer.
-- name: job.astray
-- rows: 1 else taken
-- operator
UPDATE job_slots SET slot = :slot, lease = 0
WHERE merchant = 0 AND name = :name AND slot = :slot_was AND lease = :lease_was;

-- Whoever has it keeps it for another while.
-- name: job.renew
-- rows: 1 else taken
-- operator
UPDATE job_slots SET lease = :lease WHERE merchant = 0 AND name = :name AND slot = :slot AND state = 'running';

-- name: job.end
-- rows: any
-- operator
UPDATE job_slots SET state = :state WHERE merchant = 0 AND name = :name AND slot = :slot AND state = 'running';

-- name: job.all
-- read list
-- operator
SELECT name, slot, state, lease FROM job_slots WHERE merchant = 0 ORDER BY id DESC LIMIT :n;

-- The same slot once more.
-- name: job.again
-- rows: 1 else taken
-- operator
UPDATE job_slots SET state = 'running', lease = :lease
WHERE merchant = 0 AND name = :name AND slot = :slot AND (state <> 'running' OR lease < :now);

-- What passed last of a folder: a merchant's, or under 0 the operator's jobs.
-- name: script.kept_hash
-- read
-- operator
SELECT hash FROM scripts_kept WHERE merchant = :merchant;

-- name: script.kept
-- read
-- operator
SELECT files FROM scripts_kept WHERE merchant = :merchant;

-- name: script.keep
-- rows: 1
-- operator
-- bytes: files
INSERT INTO scripts_kept (merchant, hash, files) VALUES (:merchant, :hash, :files)
ON CONFLICT (merchant) DO UPDATE SET hash = :hash, files = :files;

-- name: script.keep_none
-- rows: any
-- operator
DELETE FROM scripts_kept WHERE merchant = :merchant;
