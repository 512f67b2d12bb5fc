-- The operator's own scripts have versions as merchants' have: under merchant 0, by their part of scripts/. A merchant's
-- have no part.

ALTER TABLE script_versions ADD COLUMN part TEXT NOT NULL DEFAULT '';
ALTER TABLE script_activations ADD COLUMN part TEXT NOT NULL DEFAULT '';

DROP INDEX script_versions_hash;
-- serves: the same texts again are the same version
CREATE UNIQUE INDEX script_versions_hash ON script_versions (merchant, part, hash);
DROP INDEX script_versions_list; -- sqlite
-- serves: lists, newest first
CREATE INDEX script_versions_list ON script_versions (merchant, part, id);
DROP INDEX script_activations_list; -- sqlite
-- serves: the newest, and those before one
CREATE INDEX script_activations_list ON script_activations (merchant, part, id);
