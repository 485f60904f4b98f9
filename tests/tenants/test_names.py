"""What tenants may be called, and that no two things of two tenants get one name."""

from __future__ import annotations

import itertools

import pytest

from pipeline_project import tenant_definitions
from pipeline_project.domain.core.errors import SettingInvalid
from pipeline_project.domain.core.tenants import checked_name, in_dagster, tenant_and_workflow
from pipeline_project.domain.core.variables import Use, nameable, not_nameable
from resources.ledger.roles import ROLES
from resources.postgres.databases import HOUSE, is_own, role_of, tenant_of
from resources.postgres.tenants import owner_role, service_roles, tenant_databases

REFUSED = (
    "Acme", "ACME", "public", "pg_x", "pgbouncer", "postgres", "house", "../x", "a/b", "a b", "a_b", "a-b", "a.b", "",
    "a" * 31, "a" * 64, "ä", "аcme", "1a", "a\n", 'a"; DROP ROLE x', "a'", "%s", "__init__", "workflows",
)  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_databases_folders_or_addresses_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(SettingInvalid, match=r"no name for a tenant; write|cannot be called"):
        checked_name(name)


def test_no_tenant_is_called_like_what_the_module_of_tenants_has_itself() -> None:
    for name in vars(tenant_definitions):
        with pytest.raises(SettingInvalid):
            checked_name(name)


@pytest.mark.parametrize("name", ["a", "acme", "x2", "a" * 30])
def test_other_names_are_taken(name: str) -> None:
    assert checked_name(name) == name
    # what PostgreSQL cuts off would be shared with another one
    assert max(map(len, (*service_roles(name), *tenant_databases(name)))) <= 63


def test_what_is_called_after_a_tenant_can_be_taken_apart_again() -> None:
    tenants, workflows = ("", "a", "ab", "abc"), ("a", "b", "a__b", "b__a", "tenants", "x" * 48)
    shown = {in_dagster(workflow, tenant): (tenant, workflow) for tenant in tenants for workflow in workflows}
    assert len(shown) == len(tenants) * len(workflows)
    assert {name: tenant_and_workflow(name) for name in shown} == shown


def test_roles_and_databases_of_two_tenants_and_of_the_house_are_all_different() -> None:
    tenants = ("a", "nights", "desk", "auditor", "x2")
    named = [*ROLES, *HOUSE]
    for tenant in tenants:
        named += [owner_role(tenant), *service_roles(tenant), *tenant_databases(tenant)]
    assert len({*named}) == len(named)
    assert [role_of(role, "a") for role in ROLES] == [*service_roles("a")]
    assert [role_of(role, "") for role in ROLES] == [*ROLES]
    for tenant, database in itertools.product(tenants, (0, 1)):
        name = tenant_databases(tenant)[database]
        assert tenant_of(f"postgresql://h/{name}") == tenant and is_own(name)
    assert not is_own("pipeline_claims") and tenant_of("postgresql://h/claims") == ""


@pytest.mark.parametrize(
    ("name", "text", "secret"),
    [
        ("PIPELINE_SOURCE_ACME_ERP", True, True),
        ("PIPELINE_SECRET_ACME_SHOP", False, True),
        ("PIPELINE_HOME", True, True),
        ("PIPELINE_SOURCE_ERP", False, False),
        ("PIPELINE_SOURCE_ACME2_ERP", False, False),
        ("PIPELINE_SECRET_BETA_SHOP", False, False),
        ("PIPELINE_SHOP_SECRET", False, False),
        ("PIPELINE_REAL_DATA", False, False),
        ("LISTED", False, False),
    ],
)
def test_a_tenants_spec_names_the_variables_that_carry_its_name(name: str, text: bool, secret: bool) -> None:
    given = {"listed": ("LISTED",), "tenant": "acme"}
    assert (nameable(name, use=Use.TEXT, **given), nameable(name, use=Use.SECRET, **given)) == (text, secret)  # type: ignore[arg-type]
    assert "rename it to PIPELINE_SECRET_ACME_..." in not_nameable(name, Use.SECRET, "acme")
