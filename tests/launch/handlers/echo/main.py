"""A remote function for the tests: it does what its context asks for, and repeats what it was sent."""

import json
import os

import functions_framework

# What a reply is made of: the function's context says which.
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
