"""What a view asks of the settings of a panel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...wire import Message


@dataclass(frozen=True, kw_only=True)
class ShowSettings(Message):
    """Which settings and presets are there? Answered by ``settings``."""

    type = "show_settings"


@dataclass(frozen=True, kw_only=True)
class Configure(Message):
    """Set these traits, or none where one of them cannot be. Answered by ``configured``."""

    type = "configure"
    options: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ApplyPreset(Message):
    """Set what the preset ``name`` sets. Answered by ``settings``, as the next three are."""

    type = "apply_preset"
    name: str


@dataclass(frozen=True, kw_only=True)
class SavePreset(Message):
    """Keep the present settings under ``name``."""

    type = "save_preset"
    name: str


@dataclass(frozen=True, kw_only=True)
class DeletePreset(Message):
    """Delete the saved preset ``name``."""

    type = "delete_preset"
    name: str


@dataclass(frozen=True, kw_only=True)
class ImportPreset(Message):
    """Save and apply the preset that is in a ``file`` of this name, with this ``text``."""

    type = "import_preset"
    file: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ExportPreset(Message):
    """Give the present settings as the text of a file. Answered by ``preset_file``."""

    type = "export_preset"


@dataclass(frozen=True, kw_only=True)
class SettingsShown(Message):
    """The presets that are there, each with its traits; and to who asked, all settings as ``described.py`` has them."""

    type = "settings"
    presets: list[dict[str, Any]]
    groups: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Configured(Message):
    """What ``configure`` asked for is set."""

    type = "configured"


@dataclass(frozen=True, kw_only=True)
class PresetFile(Message):
    """The text of a preset's file."""

    type = "preset_file"
    text: str
