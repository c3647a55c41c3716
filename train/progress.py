"""The progress bar of a search: time left, pipelines evaluated, best score so far."""

from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class SearchBar(Progress):
    """A bar on stderr that advances with the clock; `show` updates its text."""

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
        """Advance the bar to the current time whenever it is drawn."""
        for task in self.tasks:
            if not task.finished:
                task.completed = min(task.elapsed or 0, task.total or 0)
        return list(super().get_renderables())

    def show(self, generation: int, pipelines: int, score: float) -> None:
        """Show the generation, the number of pipelines scored and the best score so far."""
        text = f"generation {generation} · {pipelines} pipelines · best {self.metric} {score:.4g}"
        self.update(self.search, description=text)

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_task(self.search)
        super().__exit__(error_type, error, trace)
