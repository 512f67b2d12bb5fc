-- guard.sql: what compiled statements need of a PostgreSQL database; run once, before any migration.

CREATE OR REPLACE FUNCTION tael_guard(name text, wanted bigint, counted bigint) RETURNS boolean AS $$
BEGIN
  IF counted <> wanted THEN
    RAISE EXCEPTION '%', name USING ERRCODE = 'TL001';
  END IF;
  RETURN true;
END
$$ LANGUAGE plpgsql VOLATILE;
