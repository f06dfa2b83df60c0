-- 20251128000000_add_v0_project_tracking (PostgreSQL 13 or newer)
--
-- Lets design_mockups say which v0 chat a prototype is and how far it got, so that a product's prototype can be
-- found and reused instead of being made again.
--
-- Safe to run twice, inside or outside another tool's transaction, on an empty database, on a design_mockups that
-- is already there, and on one that has some of this already. It is one block: all of it applies, or nothing.
-- What is already there keeps its types, its constraints and its values, and is not locked.
--
-- A large table: build the three indexes beforehand with CREATE INDEX CONCURRENTLY, each outside of a transaction, so
-- that nobody waits while they are built. `protokeep adopt --check` prints all statements in that form, and
-- `protokeep migrate` executes them so.

DO $migration$
DECLARE
    tool_lock_timeout constant text := current_setting('lock_timeout');
    status_has_default boolean;
    missing_columns    integer;
BEGIN
    -- Rather fail and be run again than queue in front of everybody who uses the table. A limit that the tool
    -- set is kept.
    IF tool_lock_timeout = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);
    END IF;

    -- One prototype that a builder made, or is making, for a product. Only an empty database gets it from here.
    IF to_regclass('design_mockups') IS NULL THEN
        CREATE TABLE IF NOT EXISTS design_mockups (
            id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            product_id    text NOT NULL,           -- the caller's own id of the product
            user_id       text NOT NULL,           -- who asked for it
            provider      text NOT NULL,           -- the builder: 'v0'
            prompt        text,                    -- what was asked for, in the user's words
            image_url     text,                    -- a picture of it, large
            thumbnail_url text,                    -- a picture of it, small
            metadata      jsonb,                   -- whatever else the owner keeps
            created_at    timestamptz NOT NULL DEFAULT now(),
            updated_at    timestamptz NOT NULL DEFAULT now()
        );
    END IF;

    -- Rows that are already there: NULL for the new fields, 'pending' for the status. A column that is there already
    -- keeps what it holds: its NULLs read as 'pending', and writing them would be somebody else's update of every row.
    SELECT 4 - count(*) INTO missing_columns
      FROM pg_attribute
     WHERE attrelid = to_regclass('design_mockups') AND NOT attisdropped
       AND attname IN ('v0_chat_id', 'v0_project_id', 'project_status', 'project_url');
    IF missing_columns > 0 THEN
        ALTER TABLE design_mockups
            ADD COLUMN IF NOT EXISTS v0_chat_id     text,                    -- v0's chat; its status is asked for by this
            ADD COLUMN IF NOT EXISTS v0_project_id  text,                    -- v0's project, where it is not the chat
            ADD COLUMN IF NOT EXISTS project_status text DEFAULT 'pending',  -- how far it got; the CHECK lists the words
            ADD COLUMN IF NOT EXISTS project_url    text;                    -- what to open: demo, web or chat address
    END IF;

    -- A project_status from an earlier, half-applied attempt may lack its default.
    SELECT atthasdef INTO STRICT status_has_default
      FROM pg_attribute
     WHERE attrelid = to_regclass('design_mockups') AND attname = 'project_status' AND NOT attisdropped;
    IF NOT status_has_default THEN
        ALTER TABLE design_mockups ALTER COLUMN project_status SET DEFAULT 'pending';
    END IF;

    -- pending: accepted, not yet seen working.  in_progress: the builder works on it.  completed: it can be opened.
    -- failed: the builder said so.  timeout: automatic polling ended; a later look may still settle it.
    IF NOT EXISTS (
        SELECT FROM pg_constraint
         WHERE conrelid = to_regclass('design_mockups') AND conname = 'design_mockups_project_status_check'
    ) THEN
        -- NOT VALID leaves older rows with other words alone and holds new ones to the five.
        ALTER TABLE design_mockups ADD CONSTRAINT design_mockups_project_status_check
            CHECK (project_status IN ('pending', 'in_progress', 'completed', 'failed', 'timeout')) NOT VALID;
        IF NOT EXISTS (
            SELECT FROM design_mockups
             WHERE project_status NOT IN ('pending', 'in_progress', 'completed', 'failed', 'timeout')
        ) THEN
            ALTER TABLE design_mockups VALIDATE CONSTRAINT design_mockups_project_status_check;
        END IF;
    END IF;

    -- Not CONCURRENTLY: that cannot run inside a transaction. IF NOT EXISTS alone would lock the table all the same.
    IF NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = to_regclass('design_mockups')
                      AND c.relname = 'idx_design_mockups_product_status') THEN
        CREATE INDEX IF NOT EXISTS idx_design_mockups_product_status ON design_mockups (product_id, project_status);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = to_regclass('design_mockups')
                      AND c.relname = 'idx_design_mockups_v0_chat_id') THEN
        CREATE INDEX IF NOT EXISTS idx_design_mockups_v0_chat_id ON design_mockups (v0_chat_id);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = to_regclass('design_mockups')
                      AND c.relname = 'idx_design_mockups_user_product') THEN
        CREATE INDEX IF NOT EXISTS idx_design_mockups_user_product ON design_mockups (user_id, product_id);
    END IF;

    PERFORM set_config('lock_timeout', tool_lock_timeout, true);
END
$migration$;
