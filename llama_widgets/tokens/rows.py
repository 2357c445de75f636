"""Lists of what there is to say of tokens, which are tables too."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from ..chat.exporting import table

T = TypeVar("T")


class Rows(list[T]):
    """A list of dataclasses that can be a table."""

    columns: ClassVar[dict[str, type]]
    """What the table has, and of which type."""

    def to_dataframe(self, library: str | None = None) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return a table with a row for each.

        Parameters
        ----------
        library : "pandas" or "polars", optional
            What makes it; by default pandas, or polars where pandas is not installed.

        Raises
        ------
        ParameterError
            If neither is installed.
        """
        return table([{name: getattr(each, name) for name in self.columns} for each in self], self.columns, library)
