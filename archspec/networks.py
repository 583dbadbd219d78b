"""A stage as a networkx graph that shows itself in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import networkx

if TYPE_CHECKING:
    from archspec.notebook import View


class StageGraph(networkx.MultiDiGraph):  # type: ignore[misc]
    """A networkx.MultiDiGraph with the `view` that it is shown as."""

    view: View | None = None

    def _repr_html_(self) -> str | None:
        return None if self.view is None else self.view._repr_html_()
