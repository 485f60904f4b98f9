"""Names and words as a spec writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

#: Lower-case words joined by underscores: safe in asset keys, paths, database names and URLs.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
FreeText = Annotated[str, StringConstraints(min_length=1)]
