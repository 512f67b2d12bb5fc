-- What the versions of an owner's scripts take together, so that nobody has to look at all of them to keep one more.

CREATE TABLE script_room (
  merchant BIGINT NOT NULL, part TEXT NOT NULL,
  versions BIGINT NOT NULL, bytes BIGINT NOT NULL, PRIMARY KEY (merchant, part)
);

INSERT INTO script_room (merchant, part, versions, bytes)
SELECT merchant, part, COUNT(*), SUM(length(files)) FROM script_versions GROUP BY merchant, part;
