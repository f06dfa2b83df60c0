"""The schema of a database as text, so that two moments of it can be compared."""

from __future__ import annotations

import asyncpg

from owner_schemas import rows

_POSTGRESQL = r"""
SELECT 'relation ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || coalesce(c.relacl::text, '')
       || c.relrowsecurity::text AS line
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('t', 'i', 'c')
UNION ALL
SELECT 'column ' || a.attrelid::regclass || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || ' ' || a.attnotnull::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 'n'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger ' || tgrelid::regclass || ' ' || pg_get_triggerdef(t.oid)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
UNION ALL
SELECT 'internal triggers ' || tgrelid::regclass || ' ' || count(*)
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = 'public'::regnamespace AND t.tgisinternal GROUP BY tgrelid
UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'type ' || oid::regtype FROM pg_type
 WHERE typnamespace = 'public'::regnamespace AND typtype NOT IN ('b', 'c')
UNION ALL SELECT 'policy ' || polrelid::regclass || ' ' || polname FROM pg_policy
ORDER BY 1
"""


async def schema_of(url: str) -> list[str]:
    """Every relation, column, constraint, index, trigger, function, type and policy, a line each."""
    if url.startswith("sqlite"):
        query = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS line FROM sqlite_master ORDER BY 1"
        return [row["line"] for row in await rows(url, f"{query}") if "sqlite_sequence" not in row["line"]]
    connection = await asyncpg.connect(url)
    try:
        return [row["line"] for row in await connection.fetch(_POSTGRESQL)]
    finally:
        await connection.close()
