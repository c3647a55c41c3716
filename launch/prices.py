"""What Cloud Run charges, for the estimates of `python -m local logs`, its SQL view and the benchmarks.

List prices in USD of a region of tier 1 (us-central1, europe-west1, ...) with request-based billing, beyond the free
tier: an instance is paid for while it answers at least one request, and by the request.
Source: https://cloud.google.com/run/pricing, as read in November 2026. Change them here and in sql/requests_by_job.sql;
a test compares the two.
"""

VCPU_SECOND = 0.000024
GIB_SECOND = 0.0000025
REQUEST = 0.0000004


def usd(instance_seconds: float, requests: int, vcpus: float, gibs: float) -> float:
    """Return what instances of this size cost for the seconds in which they answered, and the requests."""
    return instance_seconds * (vcpus * VCPU_SECOND + gibs * GIB_SECOND) + requests * REQUEST
