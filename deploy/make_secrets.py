"""Makes the passwords of an installation by compose once, each in the volume of who needs it.

    python deploy/make_secrets.py /run/pipeline /run/pipeline-database /run/pipeline-store

Nothing is printed. The server's and the store's files are readable to all in their containers, whose users have other
numbers than the house's; nobody else is given those volumes.
"""

import json
import secrets
import sys
from pathlib import Path

HOST, ACCESS_KEY = "database:5432", "pipeline"
#: Written last: where it is, all of them are.
LAST = "postgres_url"


def make(own: Path, database: Path, store: Path) -> bool:
    """Makes all of them, or none where they were made before; whether it made them."""
    if (own / LAST).exists():
        return False
    superuser, service, reader, store_key = (secrets.token_urlsafe(32) for _ in range(4))
    for name, password in (("superuser", superuser), ("service", service), ("reader", reader)):
        _write(database / name, password, 0o444)
    identity = {
        "name": ACCESS_KEY,
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": store_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    _write(store / "s3.json", json.dumps({"identities": [identity]}), 0o444)
    _write(own / "store_access_key", ACCESS_KEY, 0o400)
    _write(own / "store_secret_key", store_key, 0o400)
    _write(own / "dagster_url", _url(service, "pipeline_dagster", "postgresql+psycopg2"), 0o400)
    _write(own / LAST, _url(service, "pipeline_ledger"), 0o400)
    return True


def _url(password: str, database: str, scheme: str = "postgresql") -> str:
    return f"{scheme}://pipeline:{password}@{HOST}/{database}"


def _write(path: Path, content: str, mode: int) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(content, encoding="utf-8")
    unfinished.chmod(mode)
    unfinished.replace(path)


if __name__ == "__main__":
    make(*(Path(folder) for folder in sys.argv[1:]))
