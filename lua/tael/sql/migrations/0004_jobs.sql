-- The operator's jobs: which slot of each was begun last, by whoever takes it first.

CREATE TABLE job_slots (
  merchant BIGINT NOT NULL, id BIGINT NOT NULL,
  name TEXT NOT NULL,
  slot BIGINT NOT NULL,                        -- ms since 1970 UTC, by the schedule
  state TEXT NOT NULL CHECK (state = 'running' OR state = 'done' OR state = 'failed'),
  -- running: until then nobody else begins it
  lease BIGINT NOT NULL, PRIMARY KEY (merchant, id)
);
-- serves: the slot of a job
CREATE UNIQUE INDEX job_slots_name ON job_slots (merchant, name);
