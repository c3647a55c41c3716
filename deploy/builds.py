"""The log of a failed build, which says what the function's own log never does, such as which package pip refused."""

import re

from deploy.gcloud import Commands

# Cloud Functions ends its error with the address of the build's page.
BUILD = r"cloud-build/builds;region=(?P<region>[a-z0-9-]+)/(?P<id>[0-9a-f-]{36})"
LINES = 20  # of the log's end


def build_advice(commands: Commands, reason: str, function: str, region: str) -> tuple[str, str]:
    """Return the last lines of the log of the build that an error names, indented, and what to do next."""
    named = re.search(BUILD, reason)
    if not named:
        place = f"--region={region} --project={commands.project}"
        log = f"gcloud functions logs read {function} --gen2 {place}"
        return "", f"See the builds, gcloud builds list {place}, and the function's log: {log}."
    command = ["gcloud", "builds", "log", named["id"], f"--region={named['region']}", f"--project={commands.project}"]
    shown = commands.run(command)
    # gcloud puts a line of dashes, with or without a title, before and after the log.
    lines = [line for line in shown.out.splitlines() if line.strip(" -") and not line.startswith("-----")]
    log = "".join(f"\n    {line}" for line in (lines[-LINES:] if shown.ok else ()))
    return log, f"Read the build's whole log: {' '.join(command)}."
