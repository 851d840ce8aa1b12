"""Start, adopt, await, cancel and describe state updates. Knows boto3, knows no Pulumi."""
