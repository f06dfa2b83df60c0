"""Lets pydantic-settings take secrets out of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from protokeep.secret_files import secret_file_of


class SecretFiles(PydanticBaseSettingsSource):
    """The files that the environment and `.env` name for settings that hold a secret."""

    def __init__(
        self, settings_cls: type[BaseSettings], secrets: Mapping[str, str], *sources: PydanticBaseSettingsSource
    ) -> None:
        """`secrets`: the settings that hold a secret, by field. `sources`: where their files are named; a later source
        comes before an earlier one.
        """
        super().__init__(settings_cls)
        self._secrets = secrets
        self._environment: dict[str, str | None] = {}
        for source in sources:
            if isinstance(source, EnvSettingsSource):
                self._environment |= {name.upper(): value for name, value in source.env_vars.items()}

    def __call__(self) -> Mapping[str, Any]:  # type: ignore[override]
        # A field with an alias goes by that.
        keys = {
            name if setting.startswith("PROTOKEEP_") else setting: setting for name, setting in self._secrets.items()
        }
        found = {key: secret_file_of(setting, self._environment) for key, setting in keys.items()}
        return {key: file for key, file in found.items() if file is not None}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """The base class asks for it, and calls it from nowhere."""
        raise NotImplementedError
