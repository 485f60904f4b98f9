"""Keys behind a URL: the same for every host, and nobody's who reads the store."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline_project.domain.core.errors import AuditBroken, FileMissing, KeysUnusable, SettingInvalid
from resources.files import files_at
from resources.keys.action_secrets import signing_secret
from resources.keys.checkpoint_key import pem_of, signing_key
from resources.keys.key_files import SECRET, KeyFiles, keys_at
from resources.keys.masters import Masters
from resources.ledger.inbound.sealing import key_file
from tests.s3_server import S3Server


@pytest.fixture
def place(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(SECRET, base64.b64encode(bytes(range(32))).decode())
    return f"{s3.bucket()}/keys"


@pytest.fixture(params=["folder", "store"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyFiles:
    return keys_at(tmp_path / "keys" if request.param == "folder" else request.getfixturevalue("place"))


def test_a_key_is_made_once_whoever_asks(keys: KeyFiles) -> None:
    assert not keys.has("a.key") and keys.names("*.key") == []
    with ThreadPoolExecutor(8) as hosts:
        made = set(hosts.map(lambda number: keys.made_once("a.key", lambda: b"%d" % number), range(8)))
    assert made == {keys.read("a.key")} and keys.has("a.key")
    keys.made_once("b.secret", lambda: b"b")
    assert keys.names("*.key") == ["a.key"] and keys.where("a.key") == f"{keys.place}/a.key"
    keys.destroy("a.key")
    keys.destroy("a.key")
    with pytest.raises(FileMissing):
        keys.read("a.key")
    keys.set_aside("b.secret")
    assert not keys.has("b.secret")


def test_the_store_holds_no_key(place: str) -> None:
    keys_at(place).made_once("a.key", lambda: b"the key itself")
    lies_there = files_at(place).read("a.key")
    assert b"the key itself" not in lies_there and base64.b64encode(b"the key itself") not in lies_there
    assert "00010203" not in repr(keys_at(place)) and "\\x00\\x01" not in repr(keys_at(place))


def test_a_wrapped_key_is_whole_and_stands_where_it_belongs(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, files = keys_at(place), files_at(place)
    keys.made_once("a.key", lambda: b"a")
    whole = files.read("a.key")
    for name, content in (("b.key", whole), ("a.key", whole[:-9] + b"AAAAAAA=\n"), ("a.key", b"plain"), ("a.key", b"")):
        files.write(name, content)
        with pytest.raises(KeysUnusable, match=f"{name} was not wrapped by this {SECRET}"):
            keys.read(name)
    files.write("a.key", whole)
    assert keys.read("a.key") == b"a"
    monkeypatch.setenv(SECRET, base64.b64encode(bytes(32)).decode())
    with pytest.raises(KeysUnusable, match="set the secret that it was wrapped by"):
        keys_at(place).read("a.key")


@pytest.mark.parametrize("secret", ["", "hunter2", "!!", base64.b64encode(b"short").decode()])
def test_without_a_secret_keys_lie_behind_no_url(place: str, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv(SECRET, secret)
    with pytest.raises(SettingInvalid, match="set it to 32 random bytes in base64") as told:
        keys_at(place)
    assert "hunter2" not in str(told.value)


def test_every_kind_of_key_lies_there(place: str) -> None:
    masters = Masters(place)
    number, master = masters.newest(may_make=True)
    assert (number, masters.numbers(), masters.key(1)) == (1, [1], master)
    assert masters.next() == 2 and masters.numbers() == [1, 2]
    masters.destroy(1)
    assert masters.numbers() == [2] and len(masters.names(may_make=True)) == 32
    with pytest.raises(KeysUnusable, match=r"there is no subject-master-1\.key in s3://"):
        masters.key(1)
    assert pem_of(signing_key(place).public_key()) == pem_of(signing_key(place).public_key())
    assert signing_secret(place, {}, "SHOP", made_here=True) == signing_secret(place, {}, "SHOP", made_here=True)
    assert key_file(place) == key_file(place)
    keys_at(place).destroy("audit_ed25519.pem")
    keys_at(place).made_once("audit_ed25519.pem", lambda: b"none")
    with pytest.raises(AuditBroken, match=r"s3://.*/keys/audit_ed25519\.pem is no Ed25519 key"):
        signing_key(place)
