"""Where a checkout keeps its things, read once from `PIPELINE_` variables and handed to whoever needs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline_project.domain.core.compute import AUTO_ADDRESS, IN_PROCESS, ComputeEngine, ComputeTerms, is_address
from pipeline_project.domain.core.devices import CHOICES, CPU, is_device
from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.domain.core.locations import SCHEMES, below, is_url
from pipeline_project.domain.core.store_terms import StoreTerms
from pipeline_project.domain.core.tenants import FOLDER, checked_name

#: The checkout: where workspace.yaml and dagster.yaml lie.
ROOT = Path(__file__).resolve().parents[1]
#: Places below `files_url`, by setting, with what they are called there.
_PLACES = {
    "lake_url": "lake",
    "models": "models",
    "reports": "reports",
    "repairs": "repairs",
    "checkpoints": "checkpoints",
}
_SPELLINGS = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}


@dataclass(frozen=True)
class Settings:
    """What the surroundings decide; everything a workflow decides stands in its spec.

    Attributes:
        home: the only folder the project writes to, absolute (`PIPELINE_HOME`).
        files_url: a folder or an object store's URL, below which lies what several hosts share and no other setting
            names: lake, models, reports, repairs, checkpoints (`PIPELINE_FILES_URL`); the home unless set.
        postgres_url: the user's own server, or None for the embedded one (`PIPELINE_POSTGRES_URL`).
        lake_url: a local path or an object store's URL (`PIPELINE_LAKE_URL`).
        models: the folder or URL with the files of model versions (`PIPELINE_MODELS`).
        reports: the folder or URL with the pages of nights and replays (`PIPELINE_REPORTS`).
        repairs: the folder or URL with rows given back (`PIPELINE_REPAIRS`).
        workflow_folders: more folders with workflow specs (`PIPELINE_WORKFLOWS`, separated as in PATH).
        device: where encoders and models compute: "auto", "cpu", "cuda" or "cuda:1" (`PIPELINE_DEVICE`).
        compute: what does the heavy work, and where the Ray cluster is (`PIPELINE_COMPUTE`, `PIPELINE_RAY_ADDRESS`).
        sample_folder: where the sample cases lie (`PIPELINE_SAMPLE`).
        real_data: the folder with the public tables, or None (`PIPELINE_REAL_DATA`).
        reports_url: where people reach the night reports, without a slash at the end (`PIPELINE_REPORTS_URL`).
        desk_url: where people reach the review desk, without a slash at the end (`PIPELINE_DESK_URL`).
        keys: the folder with the keys that seal, sign and name, or the URL where they lie wrapped by the secret in
            `PIPELINE_KEYS_SECRET` (`PIPELINE_KEYS`); back them up apart from the rest.
        checkpoints: the folder or URL for the chain's signed checkpoints (`PIPELINE_CHECKPOINTS`), best elsewhere.
        dagster_yaml: the file that configures Dagster's instance of this home (`PIPELINE_DAGSTER_YAML`).
        hosts: more names under which Dagster, MLflow and the reports may be opened (`PIPELINE_HOSTS`).
        spec_variables: more variables that a spec may name (`PIPELINE_SPEC_VARIABLES`).
        keep: how long the stores keep what nothing names any more (`PIPELINE_KEEP`).
        require_sign_in: whether those pages ask for the desk's sign-in (`PIPELINE_REQUIRE_SIGN_IN`); None leaves it to
            where they are reached: not on this machine alone.
        tenants: the folder with a folder of specs for each tenant, or None (`PIPELINE_TENANTS`).
        tenant: the one that this process works for (`PIPELINE_TENANT`); "" for the house itself.
        house: the settings of the house, where these are a tenant's: server, Dagster and everybody's processes are its.
        reads: folders and URLs outside its own that a tenant's specs may name.
    """

    home: Path
    postgres_url: str | None = field(default=None, repr=False)
    files_url: str = ""
    lake_url: str = ""
    models: str = ""
    reports: str = ""
    repairs: str = ""
    workflow_folders: tuple[Path, ...] = ()
    device: str = CPU
    compute: ComputeTerms = IN_PROCESS
    sample_folder: Path = Path()
    real_data: Path | None = None
    reports_url: str = "http://127.0.0.1:3002"
    desk_url: str = "http://127.0.0.1:3004"
    keys: Path | str = Path()
    checkpoints: str = ""
    dagster_yaml: Path = ROOT / "dagster.yaml"
    hosts: tuple[str, ...] = ()
    spec_variables: tuple[str, ...] = ()
    require_sign_in: bool | None = None
    keep: StoreTerms = field(default_factory=StoreTerms)
    tenants: Path | None = None
    tenant: str = ""
    house: Settings | None = field(default=None, repr=False)
    reads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_device(self.device):
            raise SettingInvalid(f"PIPELINE_DEVICE is {self.device!r}; set it to {CHOICES}")
        if not self.files_url:
            object.__setattr__(self, "files_url", str(self.home))
        for name, default in _PLACES.items():
            if not getattr(self, name):
                object.__setattr__(self, name, below(self.files_url, default))
        for name in ("sample_folder", "keys"):
            if getattr(self, name) == Path():
                object.__setattr__(self, name, self.home / name.removesuffix("_folder"))

    @property
    def engines_folder(self) -> Path:
        """Where encoders keep exported graphs and what comparisons of engines came to; it may go at any time."""
        return self.home / "engines"

    @property
    def house_home(self) -> Path:
        """Where the embedded server, Dagster's instance and the services' output lie, which tenants share."""
        return self.house.home if self.house else self.home

    @property
    def workspaces(self) -> tuple[Path, ...]:
        """What Dagster's servers load: the checkout's workspace, and the one of the tenants where there are any."""
        own = self.house_home / "dagster" / "tenants.workspace.yaml"
        return (ROOT / "workspace.yaml", *([own] if self.tenants else []))

    def of_tenant(self, name: str) -> Settings:
        """The settings of one tenant of this house: whatever is written lies apart from that of all others.

        Raises:
            SettingInvalid: there is no such tenant, or a place of the house leaves no room beside it.
        """
        from pipeline_project.tenants import desk_and_reports, tenant_names, terms_of

        names = tenant_names(self.tenants)
        if self.tenants is None or checked_name(name) not in names:
            there = f"there are {', '.join(names)}" if names else "there are none"
            raise SettingInvalid(
                f"there is no tenant {name} in PIPELINE_TENANTS ({self.tenants or 'not set'}); {there}. "
                f"`pipeline tenants add {name}` makes one"
            )
        if self.tenants in (self.home, self.home / FOLDER):
            raise SettingInvalid(
                f"PIPELINE_TENANTS names {self.tenants}, where the house keeps what tenants write; name another folder"
            )
        files_url = below(self.files_url, FOLDER, name)
        desk_url, reports_url = desk_and_reports(self.tenants, name)

        def apart(place: str) -> str:
            usual = _PLACES[place]
            return _apart(getattr(self, place), below(self.files_url, usual), below(files_url, usual), name)

        home = self.home / FOLDER / name
        default_checkpoints = self.checkpoints == below(self.files_url, _PLACES["checkpoints"])
        default_keys = self.keys == self.home / "keys"
        keys = below(str(self.keys), FOLDER, name)
        return replace(
            self,
            home=home,
            files_url=files_url,
            lake_url=apart("lake_url"),
            models=apart("models"),
            reports=apart("reports"),
            repairs=apart("repairs"),
            # within the house's, which alone is mounted; the house reads its own by name there and lists nothing
            checkpoints=apart("checkpoints") if default_checkpoints else below(self.checkpoints, FOLDER, name),
            keys=home / "keys" if default_keys else keys if is_url(keys) else Path(keys),
            sample_folder=home / "sample" if self.sample_folder == self.home / "sample" else self.sample_folder,
            workflow_folders=(self.tenants / name,),
            spec_variables=(),
            desk_url=desk_url,
            reports_url=reports_url,
            tenant=name,
            house=self,
            reads=terms_of(self.tenants, name).reads,
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in an environment; an empty variable counts as unset, a relative path starts here.

        Raises:
            SettingInvalid: a variable holds something it may not, or names a tenant that is not there.
        """
        house = cls._of_house(environ)
        tenant = environ.get("PIPELINE_TENANT")
        return house.of_tenant(tenant) if tenant else house

    @classmethod
    def _of_house(cls, environ: Mapping[str, str]) -> Settings:
        real_data = environ.get("PIPELINE_REAL_DATA")

        def folder(name: str) -> Path:
            return _absolute(environ[name]) if environ.get(name) else Path()

        files_url = _place(environ, "PIPELINE_FILES_URL")
        if is_url(files_url) and not environ.get("PIPELINE_KEYS"):
            raise SettingInvalid(
                "PIPELINE_FILES_URL is shared by hosts and PIPELINE_KEYS is not set, so each would seal and sign with "
                "keys of its own; set PIPELINE_KEYS to where every host has the same ones"
            )
        keys = _place(environ, "PIPELINE_KEYS")
        return cls(
            home=_absolute(environ.get("PIPELINE_HOME") or ".pipeline"),
            postgres_url=environ.get("PIPELINE_POSTGRES_URL") or None,
            files_url=files_url,
            lake_url=_lake(environ.get("PIPELINE_LAKE_URL") or ""),
            models=_place(environ, "PIPELINE_MODELS"),
            reports=_place(environ, "PIPELINE_REPORTS"),
            repairs=_place(environ, "PIPELINE_REPAIRS"),
            workflow_folders=tuple(
                _absolute(folder) for folder in environ.get("PIPELINE_WORKFLOWS", "").split(os.pathsep) if folder
            ),
            device=environ.get("PIPELINE_DEVICE") or CPU,
            compute=_compute(environ),
            sample_folder=folder("PIPELINE_SAMPLE"),
            keys=keys if is_url(keys) else Path(keys),
            checkpoints=_place(environ, "PIPELINE_CHECKPOINTS"),
            dagster_yaml=_absolute(environ.get("PIPELINE_DAGSTER_YAML") or str(cls.dagster_yaml)),
            real_data=_absolute(real_data) if real_data else None,
            reports_url=(environ.get("PIPELINE_REPORTS_URL") or cls.reports_url).rstrip("/"),
            desk_url=(environ.get("PIPELINE_DESK_URL") or cls.desk_url).rstrip("/"),
            hosts=_names(environ, "PIPELINE_HOSTS"),
            spec_variables=_names(environ, "PIPELINE_SPEC_VARIABLES"),
            require_sign_in=_yes_or_no(environ, "PIPELINE_REQUIRE_SIGN_IN"),
            keep=StoreTerms.of(_names(environ, "PIPELINE_KEEP"), "PIPELINE_KEEP"),
            tenants=_absolute(environ["PIPELINE_TENANTS"]) if environ.get("PIPELINE_TENANTS") else None,
        )

    def to_environ(self) -> dict[str, str]:
        """The variables that give another process, in whatever folder it starts, the same settings."""
        if self.house is not None:
            return {**self.house.to_environ(), "PIPELINE_TENANT": self.tenant}
        values = {
            "PIPELINE_HOME": str(self.home),
            "PIPELINE_POSTGRES_URL": self.postgres_url,
            "PIPELINE_FILES_URL": self.files_url,
            "PIPELINE_LAKE_URL": self.lake_url,
            "PIPELINE_MODELS": self.models,
            "PIPELINE_REPORTS": self.reports,
            "PIPELINE_REPAIRS": self.repairs,
            "PIPELINE_WORKFLOWS": os.pathsep.join(str(folder) for folder in self.workflow_folders),
            "PIPELINE_DEVICE": self.device,
            "PIPELINE_COMPUTE": self.compute.engine,
            "PIPELINE_RAY_ADDRESS": self.compute.address,
            "PIPELINE_SAMPLE": str(self.sample_folder),
            "PIPELINE_REAL_DATA": str(self.real_data) if self.real_data else None,
            "PIPELINE_REPORTS_URL": self.reports_url,
            "PIPELINE_DESK_URL": self.desk_url,
            "PIPELINE_KEYS": str(self.keys),
            "PIPELINE_CHECKPOINTS": self.checkpoints,
            "PIPELINE_DAGSTER_YAML": str(self.dagster_yaml),
            "PIPELINE_HOSTS": ",".join(self.hosts),
            "PIPELINE_SPEC_VARIABLES": ",".join(self.spec_variables),
            "PIPELINE_REQUIRE_SIGN_IN": None if self.require_sign_in is None else str(int(self.require_sign_in)),
            "PIPELINE_KEEP": str(self.keep),
            "PIPELINE_TENANTS": str(self.tenants) if self.tenants else None,
            "PIPELINE_TENANT": self.tenant,
        }
        return {name: value for name, value in values.items() if value}


def _apart(place: str, usual: str, own: str, tenant: str) -> str:
    """Where a tenant has what the house has at a place: below its own folder, or beside a place of another name."""
    if place == usual:
        return own
    if is_url(place) and "/" not in place.partition("://")[2]:
        raise SettingInvalid(
            f"a place of the house is all of {place}, which leaves none beside it for tenants; name a prefix in it"
        )
    return below(f"{place}.{FOLDER}", tenant)


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()


def _lake(url: str) -> str:
    return url if not url or "://" in url else str(_absolute(url))


def _place(environ: Mapping[str, str], variable: str) -> str:
    """A folder, absolute, or an object store's URL without a slash at the end; nothing where it is unset."""
    text = environ.get(variable) or ""
    if is_url(text):
        return text.rstrip("/")
    if "://" in text:
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        # never the value: whatever stands there may have been meant for another variable
        raise SettingInvalid(f"{variable} is no folder and no URL that files can lie behind; write one of {schemes}")
    return str(_absolute(text)) if text else ""


def _compute(environ: Mapping[str, str]) -> ComputeTerms:
    engine = environ.get("PIPELINE_COMPUTE") or ComputeEngine.PROCESS
    if engine not in list(ComputeEngine):
        raise SettingInvalid(f"PIPELINE_COMPUTE is {engine!r}; set it to {' or '.join(ComputeEngine)}")
    address = environ.get("PIPELINE_RAY_ADDRESS") or AUTO_ADDRESS
    if not is_address(address):
        raise SettingInvalid("PIPELINE_RAY_ADDRESS names no cluster; set it to auto, local or host:port of its head")
    return ComputeTerms(ComputeEngine(engine), address)


def _names(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in environ.get(variable, "").split(",") if name.strip())


def _yes_or_no(environ: Mapping[str, str], variable: str) -> bool | None:
    answer = environ.get(variable, "").strip().lower()
    if answer and answer not in _SPELLINGS:
        # never the value: whatever stands there may have been meant for another variable
        raise SettingInvalid(f"{variable} is neither yes nor no; set it to 1 or 0")
    return _SPELLINGS.get(answer)
