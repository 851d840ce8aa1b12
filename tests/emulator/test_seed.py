"""A seed's mistakes are told in one line with their place."""

from __future__ import annotations

import re
from typing import Any

import pytest
from imagebuilder_emulator.emulator import Emulator
from imagebuilder_emulator.seed import SeedError

WEB = "arn:aws:imagebuilder:us-east-1:123456789012:image/web/1.0.0/1"


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ({"pictures": []}, "the seed has an unknown key 'pictures'; known are images, roles"),
        ({"images": {"arn": WEB}}, f"images must be a list, got {{'arn': '{WEB}'}}"),
        ({"images": [{"arn": "web"}]}, "images[0].arn: 'web' is not the ARN of an image build version"),
        ({"images": [{"arn": WEB}, {"arn": WEB}]}, f"images[1].arn: {WEB} is there twice"),
        ({"images": [{"arn": WEB, "type": "ISO"}]}, "images[0].type: 'ISO' is not one of AMI, DOCKER"),
        ({"images": [{"arn": WEB, "amis": ["a"]}]}, "images[0].amis[0] must be an object, got 'a'"),
        (
            {"images": [{"arn": WEB, "amis": [{"region": "mars-1"}]}]},
            "images[0].amis[0].region: 'mars-1' is not a Region of AWS",
        ),
        (
            {"images": [{"arn": WEB, "type": "DOCKER", "containers": [{"region": "mars-1"}]}]},
            "images[0].containers[0].region: 'mars-1' is not a Region of AWS",
        ),
        (
            {"images": [{"arn": WEB, "amis": [{"account": 5}]}]},
            "images[0].amis[0].account: 5 is not an account of twelve digits, in quotes",
        ),
        (
            {"images": [{"arn": WEB, "amis": [{"snapshots": 0}]}]},
            "images[0].amis[0].snapshots: 0 is not a number from 1 to 25",
        ),
        (
            {"images": [{"arn": WEB, "amis": [{"last_launched": "soon"}]}]},
            "images[0].amis[0].last_launched: 'soon' is not a time such as 2026-01-31T00:00:00Z",
        ),
        ({"images": [{"arn": WEB, "tags": ["a"]}]}, "images[0].tags must be an object, got ['a']"),
        ({"roles": ["a b"]}, "roles: 'a b' is neither the name nor the ARN of a role"),
    ],
)
def test_mistakes(seed: dict[str, Any], message: str) -> None:
    """Before anything is served."""
    with pytest.raises(SeedError, match=f"^{re.escape(message)}$"):
        Emulator(seed)
