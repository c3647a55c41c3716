"""When a request must have been answered: shortly before the platform gives it up without an answer."""

from dataclasses import dataclass

from serving.errors import BadRequest, OutOfTime, ServingError, quantity
from serving.telemetry import Timer

MARGIN = 0.1  # of the platform's limit
MAX_MARGIN = 5.0  # seconds


@dataclass(frozen=True)
class Deadline:
    """The platform's limit for a request in seconds, CLOUD_RUN_TIMEOUT_SECONDS; None is no limit."""

    limit: float | None = None

    def left(self, timer: Timer) -> float | None:
        """Return the seconds until a request must have been answered; None is any time."""
        if self.limit is None:
            return None
        return self.limit - min(self.limit * MARGIN, MAX_MARGIN) - timer.elapsed

    def loading(self, timer: Timer) -> OutOfTime:
        """Return the error of a request that spent its time waiting for the model."""
        return OutOfTime(
            f"The model is still loading after {timer.elapsed:.1f} seconds; loading continues. Retry later."
        )

    def waiting(self, rows: int, timer: Timer) -> OutOfTime:
        """Return the error of a request that spent its time waiting for its turn."""
        return OutOfTime(
            f"This instance is busy: its predictions left no time for the {quantity(rows, 'row')} of this request "
            f"within {timer.elapsed:.1f} seconds. Retry later, or allow more instances."
        )

    def predicting(self, rows: int, seconds: float, alone: bool) -> ServingError:
        """Return the error of a request whose prediction has been going on for so many seconds.

        A retry would take as long again, unless the prediction began late, or was for other requests too.
        """
        if alone and seconds > (self.limit or 0.0) / 2:
            return BadRequest(
                f"The model needs more than {seconds:.1f} seconds for the {quantity(rows, 'row')} of this request, "
                f"which may take {self.limit:.0f}: deploy with a smaller --max-batching-rows or a longer --timeout."
            )
        return OutOfTime(
            f"The model began late to predict the {quantity(rows, 'row')} of this request, or together with other "
            f"requests, and did not finish within the {self.limit:.0f} seconds that a request may take. Retry later."
        )
