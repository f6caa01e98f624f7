"""What ``Session.show`` returns: slices in a notebook, on which clicks make masks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.core.errors import DependencyError
from bedside.session.slices import Slices

if TYPE_CHECKING:
    from bedside.session.session import Session

PAGE = Path(__file__).with_name("widget.js")
"""What runs in the browser."""


def show(session: Session) -> Any:
    """Return a widget that shows a session.

    Raises:
        DependencyError: anywidget is not installed.
    """
    return _widget_class()(session)


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise DependencyError(
            "a session in a notebook",
            expected="anywidget",
            got="not installed",
            fix="pip install 'bedside[notebook]'",
        ) from error

    class SessionWidget(anywidget.AnyWidget):  # type: ignore[misc]
        """A slice with its objects; clicks, undo and objects go to the session.

        Attributes:
            session: What is shown. Changed elsewhere, ``refresh`` shows it as it is.
        """

        _esm = PAGE
        view = traitlets.Dict().tag(sync=True)
        picture = traitlets.Bytes().tag(sync=True)
        seen = traitlets.Bytes().tag(sync=True)
        objects = traitlets.List().tag(sync=True)
        said = traitlets.Unicode().tag(sync=True)

        def __init__(self, session: Session) -> None:
            super().__init__()
            self.session, self._slices = session, Slices(session)
            self.on_msg(self._asked)
            self.refresh()

        def refresh(self) -> None:
            """Show the session as it is now."""
            slices = self._slices
            picture = slices.picture()
            # All at once: a slice with the objects of another would be shown in between.
            with self.hold_sync():
                self.picture, self.seen = picture.tobytes(), slices.objects_seen().tobytes()
                self.objects, self.view = slices.objects(), slices.view()

        def _asked(self, _: Any, content: Any, __: Any) -> None:
            """Do what the browser asks for; an error is one line below the picture."""
            self.said = self._slices.ask(content)
            self.refresh()

    return SessionWidget
