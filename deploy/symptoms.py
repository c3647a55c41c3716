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
)


def known_advice(reason: str) -> str:
    """Return what to do about a failure that is known, or an empty text."""
    return next((advice for pattern, advice in SYMPTOMS if re.search(pattern, reason)), "")
