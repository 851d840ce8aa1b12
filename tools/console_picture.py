"""Take the picture of the emulator's console in docs/images/console.png, while `pulumi up` runs."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from imagebuilder_emulator.emulator import Emulator
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tools.browser import chromium
from tools.workspace import ROOT, Workspace

PICTURE = ROOT / "docs" / "images" / "console.png"
ARN = "arn:aws:imagebuilder:us-east-1:123456789012:image/{}/1"
REGIONS = ("us-east-1", "eu-west-1", "us-west-2")
SEED: dict[str, Any] = {
    "roles": ["ImageLifecycle"],
    "images": [
        {
            "arn": ARN.format("api/2.0.1"),
            "type": "DOCKER",
            "containers": [{"region": region} for region in REGIONS[:2]],
        },
        {"arn": ARN.format("batch/1.4.0"), "amis": [{"region": region, "snapshots": 2} for region in REGIONS[:2]]},
        {"arn": ARN.format("batch/1.5.0"), "amis": [{"region": region, "snapshots": 2} for region in REGIONS[:2]]},
        {
            "arn": ARN.format("web/1.0.0"),
            "amis": [{"region": "us-east-1", "snapshots": 2}, {"region": "eu-west-1", "public": True}, {}],
        },
        {"arn": ARN.format("web/1.1.0"), "amis": [{"region": region} for region in REGIONS]},
        {
            "arn": ARN.format("web/1.2.0"),
            "amis": [
                {
                    "region": "us-east-1",
                    "used_by": {
                        "auto_scaling_groups": ["web"],
                        "launch_templates": ["web"],
                        "parameters": ["/golden/web"],
                    },
                },
                {"region": "eu-west-1", "used_by": {"launch_templates": ["web-eu"]}},
                {"region": "us-west-2"},
            ],
        },
    ],
}
PROGRAM = f"""
    from pulumi_imagebuilder import ResourceStateUpdate

    AMIS = {{"execution_role": "ImageLifecycle", "include_resources": {{"amis": True}}}}
    ALL = {{"execution_role": "ImageLifecycle", "include_resources": {{"amis": True, "snapshots": True}}}}
    ResourceStateUpdate("web-1.0", resource_arn="{ARN.format("web/1.0.0")}", state="DELETED",
                        exclusion_rules={{"amis": {{"is_public": True}}}}, **ALL)
    ResourceStateUpdate("web-1.1", resource_arn="{ARN.format("web/1.1.0")}", state="DEPRECATED", **AMIS)
    ResourceStateUpdate("web-1.2", resource_arn="{ARN.format("web/1.2.0")}", state="DEPRECATED",
                        update_at="2035-01-31T00:00:00Z", **AMIS)
    ResourceStateUpdate("batch-1.4", resource_arn="{ARN.format("batch/1.4.0")}", state="DISABLED", **AMIS)
"""


def main() -> int:
    """Take the picture; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "fleet")
        project.mkdir()
        (project / "Pulumi.yaml").write_text("name: fleet\nruntime: python\n", encoding="utf-8")
        (project / "__main__.py").write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
        with Emulator(SEED, execution_time="12s") as emulator, chromium(1480, 1010, scale=1.25) as window:
            window.get(f"{emulator.url}/console")
            workspace = Workspace(project, Path(folder, "stack"), emulator.url, {})
            with workspace.start("up", "--yes", "--skip-preview", "--non-interactive") as up:
                some_done = "#executions .item:has(.steps .IN_PROGRESS) .SUCCESS"
                WebDriverWait(window, 120).until(lambda page: len(page.find_elements(By.CSS_SELECTOR, some_done)) > 3)
                PICTURE.parent.mkdir(parents=True, exist_ok=True)
                window.save_screenshot(str(PICTURE))
                output, _ = up.communicate()
    print(output)
    print(PICTURE.relative_to(ROOT))
    return up.returncode


if __name__ == "__main__":
    sys.exit(main())
