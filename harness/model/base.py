"""The base class of all parts of a profile: immutable, unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# A JSON value in a profile or payload.
Value = Any

Seconds = Annotated[float, Field(ge=0, description="seconds")]
Quality = Annotated[int, Field(ge=0, le=2, description="MQTT quality of service")]


class ProfilePart(BaseModel):
    """Base of every part of a profile."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
