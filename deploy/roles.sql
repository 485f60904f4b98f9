-- Once, as the server's administrator, before the first start:
--   psql -v ON_ERROR_STOP=1 -v password='…' -v reader_password='…' -f deploy/roles.sql
-- The service may neither make databases nor roles, and nobody else may enter its databases.

CREATE ROLE pipeline LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
-- What each service takes when it connects to the ledger; `resources/ledger/roles.py` says what each may do.
CREATE ROLE pipeline_nights NOLOGIN;
CREATE ROLE pipeline_desk NOLOGIN;
CREATE ROLE pipeline_dispatcher NOLOGIN;
CREATE ROLE pipeline_auditor NOLOGIN;
GRANT pipeline_nights, pipeline_desk, pipeline_dispatcher, pipeline_auditor TO pipeline;
-- For people and tools that look at the ledger and change nothing; passwords' hashes and sessions are not theirs.
CREATE ROLE pipeline_reader LOGIN PASSWORD :'reader_password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
GRANT pipeline_auditor TO pipeline_reader;

CREATE DATABASE pipeline_dagster OWNER pipeline TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE pipeline_mlflow OWNER pipeline TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE pipeline_ledger OWNER pipeline TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';

REVOKE ALL ON DATABASE pipeline_dagster, pipeline_mlflow, pipeline_ledger FROM PUBLIC;
GRANT CONNECT ON DATABASE pipeline_ledger TO pipeline_reader;
