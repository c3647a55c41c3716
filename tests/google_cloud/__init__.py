"""A stand-in for the Google Cloud APIs that a deployment calls, on a loopback port and without an account.

It keeps state, records every request and fails where a test tells it to. The function's source is unpacked and run as
it was uploaded, its SQL runs on bqlocal, and its objects are in `local.storage`. Grants are enforced where the function
depends on them, on the bucket and for the invoker, so a deployment that omits one does not pass.
"""
