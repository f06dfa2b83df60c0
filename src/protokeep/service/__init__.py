"""The use cases. HTTP, page, CLI and jobs translate their input, call the keeper, and translate its answer."""

from protokeep.service.keeper import Ensured, Keeper
from protokeep.service.requests import NewPrototype

__all__ = ["Ensured", "Keeper", "NewPrototype"]
