"""A stand-in for the Google Cloud APIs that a deployment calls, on a loopback port and without an account.

It keeps state, records every request and fails where a test tells it to. The function's source is unpacked and run as
it was uploaded, its SQL runs on `local.bigquery`, its objects lie in `local.storage`. The rule: rights are enforced
where the product depends on them (the bucket, the invoker), so that a deployment that forgets one does not pass.
"""
