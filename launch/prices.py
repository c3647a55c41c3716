"""Cloud Run's prices, for the cost estimates of `python -m local logs` and `python -m deploy.sizing`.

List prices in USD for a tier 1 region (us-central1, europe-west1, ...) with request-based billing, without the free
tier: an instance is billed while it handles at least one request, plus a fee per request.
Source: https://cloud.google.com/run/pricing, as of November 2026. sql/requests_by_job.sql repeats the numbers; change
both, a test compares them.
"""

VCPU_SECOND = 0.000024
GIB_SECOND = 0.0000025
REQUEST = 0.0000004


def usd(instance_seconds: float, requests: int, vcpus: float, gibs: float) -> float:
    """Return the cost of the seconds in which instances of this size handled requests, and of the requests, in USD."""
    return instance_seconds * (vcpus * VCPU_SECOND + gibs * GIB_SECOND) + requests * REQUEST
