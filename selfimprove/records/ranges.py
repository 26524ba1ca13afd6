"""Numbers in range: what a record may hold. Checked where records are read from files."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from annotated_types import Ge, Le
from pydantic.types import AllowInfNan

Share: TypeAlias = Annotated[float, Ge(0), Le(1), AllowInfNan(False)]
"""From 0 to 1."""
Finite: TypeAlias = Annotated[float, AllowInfNan(False)]
Amount: TypeAlias = Annotated[float, Ge(0), AllowInfNan(False)]
"""Not negative: seconds, tokens, costs."""
Count: TypeAlias = Annotated[int, Ge(0)]
Positive: TypeAlias = Annotated[int, Ge(1)]
