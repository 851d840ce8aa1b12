"""Validate declarations by the service's model, and by the rules that the model does not express.

:func:`validate` reports every mistake that can be known before a call, :func:`diff` compares two declarations by their
meaning, and :func:`request` makes the parameters of the call. All three are pure; the service's model is read, once,
from the botocore that is installed. Importing this package loads no botocore.

>>> for failure in validate(Kind.SINGLE, {"resource_arn": UNKNOWN, "state": "DEPRECATE"}).failures:
...     print(f"{failure.property}: {failure.reason}")
state: "DEPRECATE" is not valid; expected one of AVAILABLE, DELETED, DEPRECATED, DISABLED (did you mean "DEPRECATED"?)
"""

from .arns import ImageArn
from .diff import InputDiff, diff
from .failures import Failure
from .request import request
from .schema import Kind
from .validator import Validated, validate
from .values import UNKNOWN, unserializable

__all__ = [
    "UNKNOWN",
    "Failure",
    "ImageArn",
    "InputDiff",
    "Kind",
    "Validated",
    "diff",
    "request",
    "unserializable",
    "validate",
]
