"""What this instance of the function has done since its start, for the page at GET /.

Instances come and go, so these are no statistics of the service; those are in the log. The rule: only requests to score
are counted, and each once, from its RequestLog.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from serving.request_log import RequestLog

LAST_ERRORS = 10


@dataclass
class Instance:
    """Counters; `refused` are requests answered with 400, `failed` those with another error."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    requests: int = 0
    rows: int = 0
    null_rows: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    last_errors: deque[Mapping[str, object]] = field(default_factory=lambda: deque(maxlen=LAST_ERRORS))

    def count(self, entry: RequestLog) -> None:
        """Count an answered request; one that only looks is none."""
        if entry.method == "GET":
            return
        self.requests += 1
        self.seconds += entry.total
        if not entry.error:
            self.rows += entry.rows or 0
            self.null_rows += entry.null_rows or 0
            return
        self.refused += entry.status == 400
        self.failed += entry.status != 400
        self.last_errors.appendleft(
            {
                "time": entry.began.isoformat(timespec="seconds"),
                "status": entry.status,
                "function": entry.function,
                "requestId": entry.request_id,
                "message": entry.message(),
            }
        )

    @property
    def uptime(self) -> timedelta:
        return timedelta(seconds=int((datetime.now(UTC) - self.started).total_seconds()))

    def facts(self) -> dict[str, object]:
        """Return all of it as JSON-ready values."""
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
