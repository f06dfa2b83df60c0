"""The settings of the catalogue. `Settings` has them all; its module is as long as a module may be."""

from __future__ import annotations

from typing import Literal

from pydantic_settings import BaseSettings


class CatalogueSettings(BaseSettings):
    """How requests are answered that may have meant another product."""

    #: A new product whose id reads like another one's: `take` makes its prototype and says so; `ask` refuses programs
    #: until they say that it is another product (`product_is_new`).
    unclear_product: Literal["take", "ask"] = "take"
