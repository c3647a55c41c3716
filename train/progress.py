"""The bar that a person watches during a search: how far it is, what was tried, how good it is so far."""

from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class SearchBar(Progress):
    """A bar that runs with the clock; `found` tells it what the search has got."""

    def __init__(self, minutes: float, metric: str) -> None:
        super().__init__(
            TextColumn("Searching"),
            BarColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self.metric = metric
        self.search = self.add_task("first pipelines", total=minutes * 60)

    def get_renderables(self) -> list[RenderableType]:
        """Move the bar with the clock each time that it is drawn."""
        for task in self.tasks:
            if not task.finished:
                task.completed = min(task.elapsed or 0, task.total or 0)
        return list(super().get_renderables())

    def found(self, generation: int, pipelines: int, score: float) -> None:
        """Show the generation, the number of pipelines scored and the best score so far."""
        text = f"generation {generation} · {pipelines} pipelines · best {self.metric} {score:.4g}"
        self.update(self.search, description=text)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_task(self.search)
        super().__exit__(kind, value, trace)
