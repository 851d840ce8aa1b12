"""Start, adopt, await, cancel and describe state updates. Imports no Pulumi."""
