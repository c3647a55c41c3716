"""The counters of this instance, for the page at GET /."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from serving.errors import CLIENT_ERRORS
from serving.telemetry import RequestLog

MAX_LAST_ERRORS = 10


@dataclass
class InstanceStats:
    """What this instance has done since it started, for the page at GET /.

    Instances come and go, so the statistics of the service are in the log. Every POST counts once; `refused` are the
    requests whose sender was wrong, `failed` those with any other error.
    """

    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    requests: int = 0
    rows: int = 0
    null_rows: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    last_errors: deque[Mapping[str, object]] = field(default_factory=lambda: deque(maxlen=MAX_LAST_ERRORS))

    def count(self, log: RequestLog) -> None:
        """Count an answered request; GET requests don't count."""
        if log.method == "GET":
            return
        self.requests += 1
        self.seconds += log.total
        if not log.error:
            self.rows += log.rows or 0
            self.null_rows += log.null_rows or 0
            return
        self.refused += log.status in CLIENT_ERRORS
        self.failed += log.status not in CLIENT_ERRORS
        self.last_errors.appendleft(
            {
                "time": log.began.isoformat(timespec="seconds"),
                "status": log.status,
                "function": log.function,
                "requestId": log.request_id,
                "message": log.message,
            }
        )

    @property
    def uptime(self) -> timedelta:
        return timedelta(seconds=int((datetime.now(timezone.utc) - self.started).total_seconds()))

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-ready values."""
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "uptimeSeconds": self.uptime.total_seconds(),
            "requests": self.requests,
            "rows": self.rows,
            "nullRows": self.null_rows,
            "refused": self.refused,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "lastErrors": list(self.last_errors),
        }
