"""What the settings drawer of a panel asks of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..chat import presets
from ..errors import LlamaWidgetsError, ParameterError
from ..requests import error_event
from .base import LlamaWidget, aside
from .described import groups_of
from .messages.settings import Configured, PresetFile, SettingsShown
from .traits import SETTINGS, TRAITS, AnswerTraits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..wire import Message
    from .messages.settings import (
        ApplyPreset,
        Configure,
        DeletePreset,
        ExportPreset,
        ImportPreset,
        SavePreset,
        ShowSettings,
    )


class Drawer(AnswerTraits, presets.Presets, LlamaWidget):
    """Takes settings from the views, and tells them which there are.

    What is refused is told to the view that asked, which shows it beside the field: it is no state of the panel.
    """

    def preset(self) -> dict[str, Any]:
        """Return the present settings as ``save_preset`` would save them."""
        return presets.settings_of(self._chat)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what a page sets by itself: the views do not, but ``jslink`` does."""
        try:
            self._checked({name: sync_data[name] for name in sync_data.keys() & set(SETTINGS)})
        except ParameterError as error:
            self.fail(error_event("", error))
            self.send_state(set(sync_data) & set(self.keys))
            return
        super().set_state(sync_data)

    def _on_show_settings(self, message: ShowSettings) -> None:
        self._aside(message, lambda: None, groups=groups_of(self._chat.classroom))

    def _on_configure(self, message: Configure) -> None:
        try:
            self._set(message.options)
        except LlamaWidgetsError as error:
            self.publish(error_event(message.request_id, error))
        else:
            self.publish(Configured(request_id=message.request_id))

    def _set(self, options: Mapping[str, Any]) -> None:
        """Do as ``configure`` does, but let no observer of the user's stand in the way."""
        values = self._checked(options)
        if objects := values.keys() - set(self.keys):
            msg = f"{min(objects)!r} can be set from Python only."
            raise ParameterError(msg)
        self.show(**values)

    def _on_apply_preset(self, message: ApplyPreset) -> None:
        self._aside(message, lambda: self._set(presets.read(message.name)))

    def _on_save_preset(self, message: SavePreset) -> None:
        self._aside(message, lambda: self.save_preset(message.name))

    def _on_delete_preset(self, message: DeletePreset) -> None:
        self._aside(message, lambda: self.delete_preset(message.name))

    def _on_import_preset(self, message: ImportPreset) -> None:
        def take() -> None:
            values = presets.parse(message.text, message.file)
            presets.add(message.file.removesuffix(".json"), values)
            self._set(values)

        self._aside(message, take)

    def _on_export_preset(self, message: ExportPreset) -> None:
        self.publish(PresetFile(request_id=message.request_id, text=presets.to_text(self.preset())))

    def _aside(self, message: Message, act: Callable[[], object], **shown: Any) -> None:  # noqa: ANN401
        """Do what may wait for the disk, and tell the views which presets there are then."""

        def answer() -> None:
            try:
                act()
                found = presets.presets()
            except Exception as error:  # noqa: BLE001 - shown in the drawer
                self.publish(error_event(message.request_id, error))
                return
            always = presets.built_in()
            listed = [
                {
                    "name": name,
                    "built_in": name in always,
                    "settings": {TRAITS.get(option, option): value for option, value in values.items()},
                }
                for name, values in found.items()
            ]
            self.publish(SettingsShown(request_id=message.request_id, presets=listed, **shown))

        aside(answer)
