"""Real parts for the tests of `local/`: an endpoint that records, BigQuery, and GoogleSQL as the oracle."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.bigquery import BigQuery
from tests.googlesql import to_json_string


class Endpoint:
    """A remote function over real HTTP: it keeps every request and answers what it is told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, str]] = self.counting
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet per reply: two would wait for each other

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(body)
                status, text = endpoint.answer(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @staticmethod
    def counting(body: dict[str, Any]) -> tuple[int, str]:
        """Reply the number of arguments."""
        return 200, json.dumps({"replies": [len(call) for call in body["calls"]]})

    @staticmethod
    def echoing(body: dict[str, Any]) -> tuple[int, str]:
        """Reply the first argument."""
        return 200, json.dumps({"replies": [call[0] for call in body["calls"]]})

    @property
    def calls(self) -> list[list[Any]]:
        """Every call of every request, in order of arrival."""
        return [call for request in self.requests for call in request["calls"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint that replies the number of arguments until told otherwise."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    """An empty BigQuery that does not wait between retries."""
    with BigQuery(retry_delay=0.0) as bigquery:
        yield bigquery


@pytest.fixture(scope="module")
def calculator() -> Iterator[BigQuery]:
    """A BigQuery for expressions alone: it holds nothing that tests could share."""
    with BigQuery() as bigquery:
        yield bigquery


@pytest.fixture
def create(bigquery: BigQuery, endpoint: Endpoint) -> Callable[..., None]:
    """Create a remote function: `create("ds.f(a INT64)", "INT64", "max_batching_rows = 2")`."""

    def create(signature: str, returns: str = "INT64", options: str = "") -> None:
        bigquery.sql(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns} "
            f"REMOTE WITH CONNECTION `local.us.c` "
            f"OPTIONS (endpoint = '{endpoint.url}'{', ' * bool(options)}{options})"
        )

    return create


@pytest.fixture(scope="session")
def googlesql() -> Callable[[str], str]:
    """GoogleSQL's own implementation: an expression to its TO_JSON_STRING, or an exception."""
    return to_json_string
