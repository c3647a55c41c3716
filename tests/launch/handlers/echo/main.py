"""A remote function for tests: replies with a property of its arguments or of its environment."""

import json
import os

import functions_framework

# The `reply` of the user-defined context -> the reply to a call.
REPLIES = {
    "sum": lambda call: sum(value for value in call if value is not None),
    "first": lambda call: call[0],
    "count": len,
    "greeting": lambda _: os.environ["GREETING"],
    "model": lambda _: os.environ["MODEL_URI"],
}


@functions_framework.http
def predict(request):
    if request.method == "GET":
        return "ready"
    body = request.get_json()
    context = body.get("userDefinedContext", {})
    reply = REPLIES[context.get("reply", "count")]
    return json.dumps({"replies": [reply(call) for call in body["calls"]]})
