from __future__ import annotations

import pytest

from pipeline_project.domain.core.variables import Use, holds_password, in_label_order, nameable, not_nameable


@pytest.mark.parametrize(
    ("name", "in_texts", "as_secret"),
    [
        ("PIPELINE_HOME", True, True),
        ("PIPELINE_SOURCE_ANY", True, True),
        ("LISTED", True, True),
        ("PIPELINE_SHOP_SECRET", False, True),
        ("PIPELINE_SECRET_SHOP", False, True),
        ("PIPELINE_POSTGRES_URL", False, False),
        ("PIPELINE_OIDC_CLIENT_SECRET", False, False),
        ("PIPELINE_HOOK_SECRET_RETURNS", False, False),
        ("AWS_SECRET_ACCESS_KEY", False, False),
        ("pipeline_home", False, False),
        ("LISTE", False, False),
        ("", False, False),
    ],
)
def test_a_secret_is_named_where_one_is_meant_and_never_put_into_a_text(
    name: str, in_texts: bool, as_secret: bool
) -> None:
    listed = {"LISTED"}
    assert (nameable(name, listed), nameable(name, listed, Use.SECRET)) == (in_texts, as_secret)


def test_the_message_says_what_to_set() -> None:
    assert "rename it to PIPELINE_SOURCE_..." in not_nameable("X") and "PIPELINE_SPEC_VARIABLES" in not_nameable("X")
    assert "rename it to PIPELINE_SECRET_..." in not_nameable("X", Use.SECRET)


def test_names_in_defaults_are_named_too() -> None:
    assert list(in_label_order("${A:-${B:-c}/${D}}/e/${F}")) == ["A", "B", "D", "F"]
    assert list(in_label_order("$A {B} $${C")) == ["C"]


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("postgresql://ann:secret@db/claims", True),
        ("https://:token@shop.example/", True),
        ("postgresql://db/claims?user=ann&password=secret", True),
        ("/data/a:b@c", False),
        ("https://shop.example/a:b@c", False),
        ("https://ann@shop.example/", False),
        ("/data/claims", False),
    ],
)
def test_an_address_with_a_password(value: str, holds: bool) -> None:
    assert holds_password(value) is holds
