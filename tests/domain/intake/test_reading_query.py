"""A source's query is one SELECT that only reads, however it is written."""

from __future__ import annotations

import pytest

from pipeline_project.domain.intake.query import query_problem

READS = [
    "SELECT a FROM t WHERE at >= :start AND at < :end",
    "SELECT a FROM t WHERE at >= :start AND at < :end ; -- the night's\n",
    "-- from the shop\n/* all of it */ select 'it''s; fine', \"a;b\", $$;$$, $x$ ' $x$ FROM t WHERE at >= :start",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "(SELECT 1) UNION (SELECT 2)",
    "VALUES (:start, :end)",
    "SELECT updated, \"update\", deleted_at, replace(a, 'x', 'y'), to_char(at, 'HH24:MI:SS'), at::date FROM t",
    "SELECT lo_, edit, setval FROM t",
]
REFUSED = {
    "COPY t TO PROGRAM 'id'": "must be a SELECT",
    "DO $$ BEGIN END $$": "must be a SELECT",
    "CALL p()": "must be a SELECT",
    "EXPLAIN ANALYZE DELETE FROM t": "must be a SELECT",
    "PRAGMA journal_mode": "must be a SELECT",
    "ATTACH 'x' AS y": "must be a SELECT",
    "-- SELECT\nSET ROLE postgres": "must be a SELECT",
    "": "must be a SELECT",
    "SELECT 1; COPY t TO PROGRAM 'id'": "one statement",
    "SELECT 1;;SELECT 2": "one statement",
    "SELECT 1 /* ; */; /* */ SELECT 2": "one statement",
    "WITH gone AS (DELETE FROM t RETURNING 1) SELECT * FROM gone": "DELETE changes",
    "SELECT a INTO u FROM t": "INTO changes",
    "SELECT a FROM t FOR UPDATE": "UPDATE changes",
    "SELECT pg_sleep (9)": "pg_sleep is no function",
    "SELECT pg_catalog.pg_Terminate_Backend/**/(1)": "pg_terminate_backend is no function",
    "SELECT \"pg_read_file\"('/etc/passwd')": "pg_read_file is no function",
    "SELECT lo_export(1, '/tmp/x')": "lo_export is no function",
    "SELECT * FROM dblink_exec('x', 'y')": "dblink_exec is no function",
    "SELECT set_config('role', 'postgres', false)": "set_config is no function",
    "SELECT setval('s', 1)": "setval is no function",
    "SELECT query_to_xml('DELETE FROM t', true, true, '')": "query_to_xml is no function",
    "SELECT load_extension('x')": "load_extension is no function",
    'SELECT U&"\\0070g_sleep"(9)': "write the characters themselves",
    # what one reader takes for the inside of quotes must be the inside for every reader
    "SELECT ':start ; COPY t TO PROGRAM $a$id$a$; '": "parameter inside quotes",
    "SELECT 1 -- :end": "parameter inside quotes",
    "SELECT $$ :start $$": "parameter inside quotes",
    "SELECT E'a\\' ; COPY t TO PROGRAM $a$id$a$ ; --'": "E'...'",
    "SELECT e'a'\n'b\\' , ' ; COPY t TO PROGRAM $a$id$a$ ; --'": "E'...'",
    "SELECT $\u00a0$ ' $\u00a0$ ; COPY t TO PROGRAM $a$id$a$ ; SELECT '": "one statement",
    "SELECT 1 ORDER BY 1 USING ` ; COPY t TO PROGRAM 'id' ; SELECT 1 ORDER BY 1 USING `": "a `",
    "SELECT 1 /* /* */ ; COPY t TO PROGRAM 'id' -- */": "holds another",
    "SELECT 1 /* ": "never ends",
    "SELECT 'a": "never ends",
    "SELECT 1\0": "NUL",
}


@pytest.mark.parametrize("query", READS)
def test_a_query_that_only_reads_is_taken(query: str) -> None:
    assert query_problem(query) is None


@pytest.mark.parametrize("query", REFUSED)
def test_a_query_that_could_do_more_is_refused(query: str) -> None:
    assert REFUSED[query] in (query_problem(query) or "taken")
