"""Pulumi's native side: a provider that the engine runs as a plugin, for programs in any language."""
