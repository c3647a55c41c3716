"""Known failures of Google Cloud, by what its error says: what causes each, and what to do.

A new one is a row here, one in the table of docs/deploying.md, and one in tests/deploy/test_symptoms.py.
"""

import re

# A part of the error, and the advice in place of the step's own.
SYMPTOMS = (
    (
        r"allowedPolicyMemberDomains|permitted customer|not in permitted organization",
        "Domain-restricted sharing (constraints/iam.allowedPolicyMemberDomains) allows grants to accounts of certain "
        "organizations only: ask an organization policy administrator to allow this account's organization, or to "
        "lift the constraint in this project until the grant is made.",
    ),
    (
        r"[Cc]ontainer [Hh]ealthcheck failed|failed to start and listen on the port",
        "The function's process did not start. Its log says why: mostly too little --memory for the model, a bucket "
        "that its account may not read yet, or a registry that it cannot reach.",
    ),
    (
        r"found incompatible dependencies",
        "pip found packages that exclude each other. deploy.sh resolves them together beforehand, so this is a package "
        "that declares something else for Google's platform: pass other versions with --requirements.",
    ),
    (
        r"DO NOT MATCH THE HASHES|--require-hashes mode",
        "pip checks hashes as soon as one requirement has one. deploy.sh deploys them for all packages or for none: "
        "list either in the model's requirements, or pass others with --requirements.",
    ),
    (
        r"[Mm]emory limit of .* exceeded|[Mm]emory limit exceeded|[Oo]ut of memory",
        "The instance ran out of memory: choose more --memory, or let --advise measure how much the model takes.",
    ),
    (
        r"Received response code 400 from endpoint",
        "The function answered that it cannot score a row; the text behind the code says why, and for which row. "
        "If the columns changed, run deploy.sh again, which registers the SQL functions for the new ones.",
    ),
    (
        r"missing permission on the build service account",
        "Give the account that builds the role on the project: gcloud projects add-iam-policy-binding PROJECT "
        "--member=serviceAccount:ACCOUNT --role=roles/cloudbuild.builds.builder; 'gcloud builds "
        "get-default-service-account' prints the ACCOUNT unless --build-service-account names it.",
    ),
)


def known_advice(reason: str) -> str:
    """Return what to do about a failure that is known, or an empty text."""
    return next((advice for pattern, advice in SYMPTOMS if re.search(pattern, reason)), "")
