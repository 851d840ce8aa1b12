"""The ways to change N images that are measured: Pulumi programs, and a loop in the shell."""

from __future__ import annotations

NO_OP = """
    from pulumi.dynamic import CreateResult, Resource, ResourceProvider

    class Nothing(ResourceProvider):
        def create(self, props):
            return CreateResult("nothing", props)

    class NoOp(Resource):
        def __init__(self, name):
            super().__init__(Nothing(), name, {})

    NoOp("nothing")
"""
"""One dynamic resource that does nothing: what `pulumi up` costs by itself."""

FLEET = """
    from pulumi_imagebuilder import FleetStateUpdate

    FleetStateUpdate("images", resource_arns={arns}, state="DEPRECATED",
                     execution_role="ImageLifecycle", include_resources={{"amis": True}})
"""

DISABLED = """
    from pulumi_imagebuilder import FleetStateUpdate

    FleetStateUpdate("images", resource_arns={arns}, state="DISABLED", in_use="refuse",
                     execution_role="ImageLifecycle", include_resources={{"amis": True}})
"""
"""A fleet that looks for what uses its AMIs before it disables them."""

SINGLES = """
    from pulumi_imagebuilder import ResourceStateUpdate

    for number, arn in enumerate({arns}):
        ResourceStateUpdate(f"image-{{number}}", resource_arn=arn, state="DEPRECATED",
                            execution_role="ImageLifecycle", include_resources={{"amis": True}})
"""

CLEANUP = """
    from pulumi_imagebuilder import ImageCleanup

    for number, arn in enumerate({arns}):
        ImageCleanup(f"image-{{number}}", resource_arn=arn, execution_role="ImageLifecycle")
"""
"""Resources that do nothing until they are destroyed."""

NAIVE = """
    from pulumi.dynamic import CreateResult, Resource, ResourceProvider

    class Deprecated(ResourceProvider):
        def create(self, props):
            import time
            import uuid

            import boto3

            client = boto3.client("imagebuilder", region_name="us-east-1")
            execution = client.start_resource_state_update(
                resourceArn=props["arn"], state={{"status": "DEPRECATED"}}, executionRole="ImageLifecycle",
                includeResources={{"amis": True}}, clientToken=str(uuid.uuid4()),
            )["lifecycleExecutionId"]
            while True:
                time.sleep(5)
                found = client.get_lifecycle_execution(lifecycleExecutionId=execution)
                if found["lifecycleExecution"]["state"]["status"] not in ("PENDING", "IN_PROGRESS"):
                    return CreateResult(props["arn"], props)

    class Image(Resource):
        def __init__(self, name, arn):
            super().__init__(Deprecated(), name, {{"arn": arn}})

    for number, arn in enumerate({arns}):
        Image(f"image-{{number}}", arn)
"""
"""What a dynamic provider looks like that is written in an afternoon: it waits in `create`."""

SHELL = r"""
    export ARN="$1"
    id=$(aws imagebuilder start-resource-state-update --resource-arn "$ARN" --state status=DEPRECATED \
        --execution-role ImageLifecycle --include-resources amis=true \
        --query lifecycleExecutionId --output text) || exit 1
    while sleep 5; do
        status=$(aws imagebuilder get-lifecycle-execution --lifecycle-execution-id "$id" \
            --query lifecycleExecution.state.status --output text) || exit 1
        case $status in PENDING|IN_PROGRESS) ;; *) exit 0 ;; esac
    done
"""
"""One image by the AWS CLI: start, then ask every five seconds. `xargs` runs eight of these at a time."""


def on_native(program: str) -> str:
    """Return a program with its resources on the native provider."""
    return program.replace("from pulumi_imagebuilder import", "from pulumi_imagebuilder.native import")
