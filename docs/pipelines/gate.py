"""Fail where a preview warns of what `pulumi up` would refuse.

pulumi preview --json | python gate.py
"""

import json
import sys

failed = False
for diagnostic in json.load(sys.stdin).get("diagnostics") or []:
    print(diagnostic["message"].strip())
    ours = "imagebuilder:" in diagnostic.get("urn", "")
    severity = diagnostic["severity"]
    failed |= severity == "error" or (ours and severity == "warning")
sys.exit(failed)
