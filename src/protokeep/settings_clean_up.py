"""The settings of what is deleted: how long it can be taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings


class CleanUpSettings(BaseSettings):
    """Part of `Settings`."""

    #: How many days a deleted prototype waits in the bin before its chat goes; 0: it is deleted at once.
    bin_days: Annotated[float, Field(ge=0, le=365)] = 7.0

    @property
    def bin_time(self) -> timedelta:
        """How long a deleted prototype waits in the bin."""
        return timedelta(days=self.bin_days)
