-- Versions of merchants' scripts, and which of them runs.

-- Nothing when there are `most` already, or one of the same texts.
-- name: script.insert
-- rows: 1 else twin
-- bytes: files
INSERT INTO script_versions (merchant, id, hash, base, author, actor, message, files)
SELECT :merchant, :version, :hash, :base, :author, :actor, :message, :files
WHERE (SELECT COUNT(*) FROM script_versions WHERE merchant = :merchant) < :most
ON CONFLICT (merchant, hash) DO NOTHING;

-- name: script.get
-- read
SELECT * FROM script_versions WHERE merchant = :merchant AND id = :version;

-- name: script.by_hash
-- read
SELECT * FROM script_versions WHERE merchant = :merchant AND hash = :hash;

-- name: script.list
-- read list
SELECT id, merchant, hash, base, author, actor, message FROM script_versions
WHERE merchant = :merchant AND id < :before ORDER BY id DESC LIMIT :n;

-- What runs.
-- name: script.active
-- read
SELECT id, version, restored, actor FROM script_activations
WHERE merchant = :merchant ORDER BY id DESC LIMIT 1;

-- What ran before an activation.
-- name: script.active_before
-- read
SELECT id, version, restored, actor FROM script_activations
WHERE merchant = :merchant AND id < :activation ORDER BY id DESC LIMIT 1;

-- Only on what its author has seen running.
-- name: script.activate
-- rows: 1 else moved
INSERT INTO script_activations (merchant, id, version, restored, actor)
SELECT :merchant, :activation, :version, :restored, :actor
WHERE COALESCE((SELECT MAX(id) FROM script_activations WHERE merchant = :merchant), 0) = :activation_was;

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

-- What passed last of a folder.
-- name: script.kept_hash
-- read
SELECT hash FROM scripts_kept WHERE merchant = :merchant;

-- name: script.kept
-- read
SELECT files FROM scripts_kept WHERE merchant = :merchant;

-- name: script.keep
-- rows: 1
-- bytes: files
INSERT INTO scripts_kept (merchant, hash, files) VALUES (:merchant, :hash, :files)
ON CONFLICT (merchant) DO UPDATE SET hash = :hash, files = :files;

-- name: script.keep_none
-- rows: any
DELETE FROM scripts_kept WHERE merchant = :merchant;

-- The same of the operator's jobs.
-- name: job.kept_hash
-- read
-- operator
SELECT hash FROM scripts_kept WHERE merchant = 0;

-- name: job.kept
-- read
-- operator
SELECT files FROM scripts_kept WHERE merchant = 0;

-- name: job.keep
-- rows: 1
-- operator
-- bytes: files
INSERT INTO scripts_kept (merchant, hash, files) VALUES (0, :hash, :files)
ON CONFLICT (merchant) DO UPDATE SET hash = :hash, files = :files;

-- name: job.keep_none
-- rows: any
-- operator
DELETE FROM scripts_kept WHERE merchant = 0;
