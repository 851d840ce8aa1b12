"""The native provider, for an engine that runs it from this folder (`PulumiPlugin.yaml`)."""

from pulumi_imagebuilder.plugin.__main__ import main

main()
