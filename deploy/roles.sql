-- As the server's administrator, before the first start; given again it changes nothing:
--   psql -v ON_ERROR_STOP=1 -v password='…' -v reader_password='…' -f deploy/roles.sql
-- The service may neither make databases nor roles, and nobody else may enter its databases.

SELECT format('CREATE ROLE pipeline LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', :'password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pipeline') \gexec
-- What each service takes when it connects to the ledger; `resources/ledger/roles.py` says what each may do.
SELECT format('CREATE ROLE %I NOLOGIN', wanted)
FROM unnest(ARRAY['pipeline_nights', 'pipeline_desk', 'pipeline_dispatcher', 'pipeline_auditor']) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) \gexec
GRANT pipeline_nights, pipeline_desk, pipeline_dispatcher, pipeline_auditor TO pipeline;
-- For people and tools that look at the ledger and change nothing; passwords' hashes and sessions are not theirs.
SELECT format(
  'CREATE ROLE pipeline_reader LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', :'reader_password'
)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pipeline_reader') \gexec
GRANT pipeline_auditor TO pipeline_reader;

SELECT format('CREATE DATABASE %I OWNER pipeline TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C'' LC_CTYPE ''C''', wanted)
FROM unnest(ARRAY['pipeline_dagster', 'pipeline_mlflow', 'pipeline_ledger']) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = wanted) \gexec

REVOKE ALL ON DATABASE pipeline_dagster, pipeline_mlflow, pipeline_ledger FROM PUBLIC;
GRANT CONNECT ON DATABASE pipeline_ledger TO pipeline_reader;
