"""What a valid request is: from the service's model, and from the rules that the model does not say.

:func:`check` names every mistake that can be known before a call, :func:`changes` tells what differs in meaning
between two declarations, and :func:`request` makes the parameters of the call. All three are pure; the service's model
is read, once, from the botocore that is installed. Importing this package loads no botocore.

>>> for failure in check(Kind.SINGLE, {"resource_arn": UNKNOWN, "state": "DEPRECATE"}).failures:
...     print(f"{failure.property}: {failure.reason}")
state: "DEPRECATE" is not valid; expected one of AVAILABLE, DELETED, DEPRECATED, DISABLED (did you mean "DEPRECATED"?)
"""

from .arns import ImageArn
from .checking import Checked, check
from .findings import Failure
from .kinds import Kind
from .meaning import Changes, changes
from .requests import request
from .values import UNKNOWN, foreign

__all__ = ["UNKNOWN", "Changes", "Checked", "Failure", "ImageArn", "Kind", "changes", "check", "foreign", "request"]
