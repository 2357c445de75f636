"""What all widgets here share: their code, an outbox, checked messages, errors that are shown and never printed."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets
from ipywidgets import widget_serialization

from ..errors import ParameterError
from ..requests import error_event
from ..wire import Message, decode, known
from . import control
from .bundle import Bundle, built, shared
from .messages import FROM_VIEW, PartCode, Pong
from .publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .. import protocol as p
    from .messages import Part

logger = logging.getLogger(__name__)


class LlamaWidget(anywidget.AnyWidget):
    """A widget whose traits only the kernel writes and whose messages come as ``messages`` says.

    The constructor takes the names of traits and of ``_arguments``; anything else is refused, where traitlets would
    stay silent.
    """

    _arguments: ClassVar[frozenset[str]] = frozenset()
    _takes: ClassVar[dict[str, type[Message]]] = FROM_VIEW
    """What its views may send; a widget with messages of its own adds them."""
    _esm: str
    _css: str

    _bundle = traitlets.Instance(Bundle, allow_none=True, read_only=True).tag(sync=True, **widget_serialization)
    _widget = traitlets.Unicode(read_only=True).tag(sync=True)
    error = traitlets.Dict(default_value=None, allow_none=True, read_only=True, help="What went wrong last.").tag(
        sync=True
    )

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - checked by the traits themselves
        self._at_close: list[Callable[[], object]] = []
        for name in traits:
            if name.startswith("_") or name not in self.trait_names():
                msg = f"{type(self).__name__} has no option {name!r}."
                raise ParameterError(msg, known(name, sorted(self._options())))
        self._esm = built("loader.js" if self._bundle else "widgets.js")
        self._css = "" if self._bundle else built("widgets.css")
        self._publisher: Publisher | None = None  # until the comm is open, the state travels with its opening
        super().__init__(**traits)
        self._publisher = Publisher(self)
        self.on_msg(self._received)
        control.register(self)

    @traitlets.default("_bundle")
    def _find_bundle(self) -> Bundle | None:
        return shared()

    @traitlets.default("_widget")
    def _find_widget(self) -> str:
        """Return the name of the nearest class of ours: users may derive from them."""
        return next(each.__name__ for each in type(self).__mro__ if each.__module__.startswith(__package__))

    @classmethod
    def _options(cls) -> list[str]:
        foreign = set(anywidget.AnyWidget.class_trait_names())
        own = (name for name, trait in cls.class_traits().items() if name not in foreign and not trait.read_only)
        return sorted({*own, *cls._arguments, "layout"})

    def send_state(self, key: str | Iterable[str] | None = None) -> None:
        """Send traits' values, in order with all that this widget sends, from the one thread that does."""
        if self._publisher is None:
            super().send_state(key)
            return
        names = set(self.keys) if key is None else {key} if isinstance(key, str) else set(key)
        self._publisher.send_traits(names)

    def send_traits_now(self, names: set[str]) -> None:
        """Send these traits' values. Called by the publisher only."""
        super().send_state(names)

    def publish(self, message: Message) -> None:
        """Send a message to the views."""
        if self._publisher is not None:
            self._publisher.send(message)

    def publish_made(self, make: Callable[[], Message | None]) -> None:
        """Send what ``make`` returns when it is sent; once, however often it was asked for until then."""
        if self._publisher is not None:
            self._publisher.send_made(make)

    def handle(self, data: object) -> None:
        """Take a message of a view; called on whatever thread the kernel has for it, so it only starts things."""
        request_id = data.get("request_id") if isinstance(data, dict) else None
        try:
            message = decode(data, self._takes)
            handler = getattr(self, f"_on_{message.type}", None)
            if handler is None:
                msg = f"{type(self).__name__} does not take messages of type {message.type!r}."
                raise ParameterError(msg)
            handler(message)
        except Exception as error:  # noqa: BLE001 - shown in the widget; raised, it would be printed into some cell
            self.fail(error_event(request_id if isinstance(request_id, str) else "", error))
        if self._publisher is not None:
            self._publisher.flush()  # from this thread: Colab shows only what is sent while a message is handled

    def show(self, **values: object) -> None:
        """Set traits that only the kernel writes.

        A user's observer that fails is logged and stops nothing: an answer ends whatever those do who look on.
        """
        for name, value in values.items():
            try:
                self.set_trait(name, value)
            except (Exception, SystemExit):
                logger.exception("an observer of %s failed", name)

    def fail(self, event: p.Error) -> None:
        """Show an error until the next thing succeeds."""
        self.show(error={"code": event.code, "message": event.message, "hint": event.hint})
        self.publish(event)

    def close(self) -> None:
        """End the widget and all that it listens to."""
        # ipywidgets closes what is collected, even a widget whose constructor refused its arguments before this began.
        actions, self._at_close = getattr(self, "_at_close", []), []
        for action in actions:
            action()
        super().close()

    def _on_ping(self, message: Message) -> None:
        self.publish(Pong(request_id=message.request_id))

    def _on_part(self, message: Part) -> None:
        name = message.name
        self.publish(
            PartCode(request_id=message.request_id, name=name, code=built(f"{name}.js"), css=built(f"{name}.css"))
        )

    def _received(self, _widget: object, content: object, _buffers: object) -> None:
        self.handle(content)


class Coalesced:
    """Runs an action after each call, but never in two threads at once.

    Whoever calls while it runs leaves at once, and the thread that runs it does so once more. So the last run begins
    after the last call, and what it reads then is what stays; and no lock is held while it runs, so that it may do
    anything.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._lock = threading.Lock()
        self._wanted = False
        self._running = False

    def __call__(self) -> None:
        """Run the action, or see that it is run once more."""
        with self._lock:
            self._wanted = True
            if self._running:
                return
            self._running = True
        try:
            while self._claim():
                self._action()
        except BaseException:
            with self._lock:
                self._running = False
            raise

    def _claim(self) -> bool:
        with self._lock:
            self._running, self._wanted = self._wanted, False
            return self._running


def aside(action: Callable[[], object]) -> None:
    """Do something that may wait for a disk or a network, which a message handler must not."""

    def act() -> None:
        try:
            action()
        except Exception:  # raised, it would be printed into some cell
            logger.exception("something could not be looked at")

    threading.Thread(target=act, name="llama-widgets-library", daemon=True).start()
