"""Kinds of action as a shop has them, for tests."""

from __future__ import annotations

from pipeline_project.domain.delivery.planned_actions import ActionKind, ActionTerms

KINDS = (
    ActionKind("hold", "shop", payload=("order",), undo="release_hold"),
    ActionKind("release_hold", "shop", payload=("order",)),
    ActionKind("restock", "warehouse", payload=("item", "quantity"), undo="unstock"),
    ActionKind("unstock", "warehouse", payload=("item", "quantity")),
    ActionKind("notice", "shop", payload=("order",)),
    ActionKind("refund", "shop", money="price * quantity", payload=("order",), final=True),
    ActionKind("rejection", "shop", money=0, final=True),
)


def terms(workflow: str = "claims", live: bool = True, spend_cap: float | None = None) -> ActionTerms:
    """hold → restock → notice → refund for `refund_and_restock`; one denial for `reject`."""
    return ActionTerms(
        workflow=workflow,
        tenant="default",
        live=live,
        spend_cap=spend_cap,
        currency="EUR",
        kinds={kind.name: kind for kind in KINDS},
        by_option={
            "refund_and_restock": ("hold", "restock", "notice", "refund"),
            "hold_only": ("hold", "restock"),
            "reject": ("rejection",),
        },
    )


FIELDS = {"order": "O-1", "item": "I-1", "quantity": 2, "price": 10.005}
