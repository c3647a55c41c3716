"""The command `mlflow-bigquery`: deploy.sh without a clone, with deploy.sh's options."""

import sys

from mlflow_bigquery.source import run


def main() -> None:
    """Run deploy.sh's program with the arguments of this one, and exit with its status."""
    sys.exit(run("deploy", *sys.argv[1:], captured=False).returncode)


if __name__ == "__main__":
    main()
