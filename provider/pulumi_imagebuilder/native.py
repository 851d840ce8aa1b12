"""The resources and functions of this package on the native provider: cancelled at once, imported, with own providers.

The engine runs the provider as the plugin ``pulumi-resource-imagebuilder``, which this package installs. Arguments and
outputs are those of the classes and functions of the same names in :mod:`pulumi_imagebuilder`.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime.config import get_config
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from . import resources
from .names import keeps_keys, to_camel_case, with_snake_case
from .resources import AmiExclusionRulesArgs, ExclusionRulesArgs, IncludeResourcesArgs, LastLaunchedArgs
from .resources.inputs import ImageBuilderResource, to_wire_value
from .resources.listings import ImageBuildVersion, ImageReferences, attributes_of, invoke_listing, to_age

__all__ = [
    "AmiExclusionRulesArgs",
    "ExclusionRulesArgs",
    "FleetStateUpdate",
    "ImageBuildVersion",
    "ImageCleanup",
    "ImageReferences",
    "IncludeResourcesArgs",
    "LastLaunchedArgs",
    "Provider",
    "ResourceStateUpdate",
    "get_image_build_versions",
    "get_image_build_versions_output",
    "get_image_references",
    "get_image_references_output",
]

_PACKAGE = "imagebuilder"
_PLUGIN = "pulumi-resource-imagebuilder"

Role = Mapping[str, Any]
"""A role to assume: ``role_arn``, and what else pulumi-aws takes beside it."""


class NativeResource(ImageBuilderResource):
    """The base of the native resources: declares them by the names of the package's schema."""

    _native_type = "Resource"

    def __init__(
        self,
        provider: pulumi.dynamic.ResourceProvider,
        resource_name: str,
        arguments: Mapping[str, Any],
        outputs: Iterable[str],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        """Declare the resource.

        Args:
            provider: Not used: the plugin carries it out.
            resource_name: The Pulumi name of this resource.
            arguments: Its arguments by name.
            outputs: The names of outputs that are no arguments.
            opts: Options of any Pulumi resource.

        Raises:
            pulumi.RunError: There is an explicit provider of another package.
        """
        opts = opts or pulumi.ResourceOptions()
        if opts.provider is not None and opts.provider.package != _PACKAGE:
            raise pulumi.RunError(
                f'{type(self).__name__} "{resource_name}": provider "{opts.provider.pulumi_resource_name}" is one of '
                f"package {opts.provider.package}; use one of pulumi_imagebuilder.native.Provider, or leave it out"
            )
        _look_for_plugin()
        names = [*outputs, *arguments]
        inputs = {name: _with_camel_case(name, to_wire_value(value)) for name, value in arguments.items()}
        properties = {to_camel_case(name): inputs.get(name) for name in names}
        token = f"{_PACKAGE}:index:{self._native_type}"
        pulumi.CustomResource.__init__(self, token, resource_name, properties, _with_camel_case_options(opts))
        if self._provider is None:
            _look_for_configuration(region_matters=False)
        for name in names:
            output = self.__dict__.pop(to_camel_case(name))
            self.__dict__[name] = output.apply(functools.partial(_with_snake_case, name))


class ResourceStateUpdate(resources.ResourceStateUpdate, NativeResource):
    """:class:`pulumi_imagebuilder.ResourceStateUpdate` on the native provider.

    It can be imported by the image's ARN.
    """

    _native_type = "ResourceStateUpdate"


class FleetStateUpdate(resources.FleetStateUpdate, NativeResource):
    """:class:`pulumi_imagebuilder.FleetStateUpdate` on the native provider.

    What is done is recorded also where some images fail.
    """

    _native_type = "FleetStateUpdate"


class ImageCleanup(resources.ImageCleanup, NativeResource):
    """:class:`pulumi_imagebuilder.ImageCleanup` on the native provider.

    Destroying it can be cancelled at once.
    """

    _native_type = "ImageCleanup"


class Provider(pulumi.ProviderResource):
    """Credentials, region and guards for resources that are given it, as several accounts in one program need."""

    def __init__(
        self,
        resource_name: str,
        *,
        access_key: pulumi.Input[str] | None = None,
        allowed_account_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        assume_role: pulumi.Input[Role] | None = None,
        assume_role_with_web_identity: pulumi.Input[Role] | None = None,
        assume_roles: pulumi.Input[Sequence[pulumi.Input[Role]]] | None = None,
        custom_ca_bundle: pulumi.Input[str] | None = None,
        ec2_metadata_service_endpoint: pulumi.Input[str] | None = None,
        ec2_metadata_service_endpoint_mode: pulumi.Input[str] | None = None,
        endpoints: pulumi.Input[Sequence[pulumi.Input[Mapping[str, pulumi.Input[str]]]]] | None = None,
        forbidden_account_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        http_proxy: pulumi.Input[str] | None = None,
        https_proxy: pulumi.Input[str] | None = None,
        insecure: pulumi.Input[bool] | None = None,
        no_proxy: pulumi.Input[str] | None = None,
        profile: pulumi.Input[str] | None = None,
        region: pulumi.Input[str] | None = None,
        secret_key: pulumi.Input[str] | None = None,
        shared_config_files: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        shared_credentials_files: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        skip_metadata_api_check: pulumi.Input[bool] | None = None,
        sts_region: pulumi.Input[str] | None = None,
        token: pulumi.Input[str] | None = None,
        use_dualstack_endpoint: pulumi.Input[bool] | None = None,
        use_fips_endpoint: pulumi.Input[bool] | None = None,
        user_agents: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a provider; its arguments are those of pulumi-aws's provider that concern calls of Image Builder.

        What is left out falls to boto3's own chain and environment. Keys, token and roles are kept as secrets.

        Args:
            resource_name: The Pulumi name of this provider.
            access_key: Access key; with ``secret_key``.
            allowed_account_ids: The only accounts that may be called.
            assume_role: A role to assume: ``role_arn``, ``external_id``, ``session_name``, ``duration``, ….
            assume_role_with_web_identity: The same with ``web_identity_token`` or ``web_identity_token_file``.
            assume_roles: Roles to assume, one with the credentials of the one before it.
            custom_ca_bundle: File of certificates that are trusted.
            ec2_metadata_service_endpoint: Address of the instance metadata.
            ec2_metadata_service_endpoint_mode: ``IPv4`` or ``IPv6``.
            endpoints: URLs in the place of AWS's, by service.
            forbidden_account_ids: Accounts that must not be called.
            http_proxy: URL of the proxy for HTTP.
            https_proxy: URL of the proxy for HTTPS.
            insecure: Whether any certificate is trusted.
            no_proxy: Hosts that are called without a proxy, with commas between them.
            profile: Profile of the AWS configuration.
            region: Where an image that is given by its name is; an ARN has its own.
            secret_key: Secret key.
            shared_config_files: File of the AWS configuration; one at most.
            shared_credentials_files: File of credentials; one at most.
            skip_metadata_api_check: Whether instance metadata are not asked for credentials.
            sts_region: Where STS is called.
            token: Session token.
            use_dualstack_endpoint: Whether dual-stack endpoints are called.
            use_fips_endpoint: Whether FIPS endpoints are called.
            user_agents: What is added to the user agent of each call.
            opts: Options of any Pulumi resource.
        """
        arguments = {name: value for name, value in locals().items() if name not in _NOT_OF_A_PROVIDER}
        _look_for_plugin()
        super().__init__(
            _PACKAGE,
            resource_name,
            {to_camel_case(name): _provider_input(name, value) for name, value in arguments.items()},
            opts,
        )


_NOT_OF_A_PROVIDER = ("self", "resource_name", "opts", "__class__")
_SECRET_ARGUMENTS = ("access_key", "secret_key", "token", "assume_role_with_web_identity")
_ROLE_ARGUMENTS = ("assume_role", "assume_role_with_web_identity", "assume_roles")


def _provider_input(name: str, value: Any) -> Any:
    """Return what the engine takes as input of a provider: text, JSON for what is none."""
    if value is None:
        return None

    def to_text(known: Any) -> str:
        if name in _ROLE_ARGUMENTS:
            known = [_role(each) for each in known] if isinstance(known, list) else _role(known)
        return known if isinstance(known, str) else json.dumps(known)

    text = pulumi.Output.from_input(value).apply(to_text)
    return pulumi.Output.secret(text) if name in _SECRET_ARGUMENTS else text


def _role(role: Any) -> Any:
    # Not what is inside of it: the names of tags are the user's.
    return {to_camel_case(name): value for name, value in role.items()} if isinstance(role, Mapping) else role


def get_image_build_versions(
    image: str,
    *,
    states: Sequence[str] | None = None,
    older_than: str | timedelta | None = None,
    skip_newest: int = 0,
    deprecated_for: str | timedelta | None = None,
    unused: bool = False,
    region: str | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> list[ImageBuildVersion]:
    """Return the builds of an image, as :func:`pulumi_imagebuilder.get_image_build_versions` does with its arguments.

    Args:
        image: as there.
        states: as there.
        older_than: as there.
        skip_newest: as there.
        deprecated_for: as there.
        unused: as there.
        region: as there; by default that of the provider.
        opts: options of any Pulumi function, as the provider to ask. Default: that of ``imagebuilder:*``.

    Raises:
        pulumi.RunError: as there.
    """
    arguments = {name: value for name, value in locals().items() if name != "opts"}
    found = _ask("getImageBuildVersions", arguments, "imageBuildVersions", opts)
    return [ImageBuildVersion(**attributes_of(ImageBuildVersion, build)) for build in found]


def get_image_build_versions_output(
    image: pulumi.Input[str],
    *,
    states: pulumi.Input[Sequence[pulumi.Input[str]] | None] = None,
    older_than: pulumi.Input[str | timedelta | None] = None,
    skip_newest: pulumi.Input[int] = 0,
    deprecated_for: pulumi.Input[str | timedelta | None] = None,
    unused: pulumi.Input[bool] = False,
    region: pulumi.Input[str | None] = None,
    opts: pulumi.InvokeOptions | None = None,
) -> pulumi.Output[list[ImageBuildVersion]]:
    """:func:`get_image_build_versions` for inputs: asks once they are known."""
    # Pulumi takes an object that is no value of its own apart.
    arguments = {name: to_age(value) for name, value in locals().items() if name != "opts"}
    return pulumi.Output.from_input(arguments).apply(lambda known: get_image_build_versions(**known, opts=opts))


def get_image_references(
    resource_arns: Sequence[str], *, opts: pulumi.InvokeOptions | None = None
) -> list[ImageReferences]:
    """Return what still uses the AMIs of images, as :func:`pulumi_imagebuilder.get_image_references` does.

    Args:
        resource_arns: as there.
        opts: options of any Pulumi function, as the provider to ask. Default: that of ``imagebuilder:*``.

    Raises:
        pulumi.RunError: as there.
    """
    found = _ask("getImageReferences", {"resource_arns": resource_arns}, "imageReferences", opts)
    return [ImageReferences(**attributes_of(ImageReferences, references)) for references in found]


def get_image_references_output(
    resource_arns: pulumi.Input[Sequence[pulumi.Input[str]]], *, opts: pulumi.InvokeOptions | None = None
) -> pulumi.Output[list[ImageReferences]]:
    """:func:`get_image_references` for inputs: asks once they are known."""
    arguments: pulumi.Input[dict[str, Any]] = {"resource_arns": resource_arns}
    return pulumi.Output.from_input(arguments).apply(lambda known: get_image_references(**known, opts=opts))


def _ask(
    function: str, arguments: Mapping[str, Any], result: str, opts: pulumi.InvokeOptions | None
) -> list[dict[str, Any]]:
    _look_for_plugin()
    parent = opts.parent if opts else None
    if not (opts and opts.provider) and not (parent and parent.get_provider(f"{_PACKAGE}:index:{function}")):
        image = arguments.get("image")
        by_name = isinstance(image, str) and not image.startswith("arn:") and not arguments.get("region")
        _look_for_configuration(region_matters=by_name)
    try:
        return invoke_listing(function, arguments, result, opts)
    except Exception as error:
        if _is_mocked():
            raise
        # Pulumi has no class of its own for it, and would print a traceback of its SDK.
        raise pulumi.RunError(str(error)) from None


# --- names -----------------------------------------------------------------------------------------------------------


def _with_camel_case(name: str, value: Any) -> Any:
    """Return the value of a property with the names inside of it in camelCase; Outputs stay outputs."""
    if isinstance(value, pulumi.Output):
        return value.apply(lambda known: _with_camel_case(name, known))
    if keeps_keys(name, value):
        return value
    if isinstance(value, Mapping):
        return {to_camel_case(key): _with_camel_case(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_camel_case(name, item) for item in value]
    return value


def _with_snake_case(name: str, value: Any) -> Any:
    return with_snake_case({name: value})[name]


def _with_camel_case_options(opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    """Return the options with the properties that they name as the engine knows them."""

    def renamed(paths: Sequence[str] | None) -> list[str] | None:
        return [to_camel_case(path) for path in paths] if paths else None

    return pulumi.ResourceOptions.merge(
        pulumi.ResourceOptions(
            ignore_changes=renamed(opts.ignore_changes),
            replace_on_changes=renamed(opts.replace_on_changes),
            additional_secret_outputs=renamed(opts.additional_secret_outputs),
        ),
        _without_names(opts),
    )


def _without_names(opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    copied = opts._copy()
    copied.ignore_changes = copied.replace_on_changes = copied.additional_secret_outputs = None
    return copied


# --- the plugin ------------------------------------------------------------------------------------------------------


def _is_mocked() -> bool:
    return isinstance(get_monitor(), MockMonitor)


@functools.cache
def _look_for_plugin() -> None:
    """Warn once, with what to do, where the engine will probably not find the plugin."""
    if _is_mocked():
        return
    # Older language hosts do not say where the project is, but run the program there.
    root = Path(pulumi.get_root_directory() or Path.cwd())
    if advice := advise_on_plugin(root, os.environ, Path(sys.executable).parent):
        pulumi.log.warn(advice)


def advise_on_plugin(
    root: Path, environment: Mapping[str, str], scripts: Path, which: Callable[..., str | None] = shutil.which
) -> str | None:
    """Return what to write into Pulumi.yaml, if the engine will not find the plugin; None if it will.

    The engine looks on its own PATH. Where Pulumi.yaml names a virtual environment or a toolchain, the language host
    has put the environment's scripts before it for the program alone.

    Args:
        root: the folder of Pulumi.yaml.
        environment: the program's environment.
        scripts: the folder of the program's Python.
        which: finds a program on a path.
    """
    try:
        project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    runtime = project.get("runtime")
    options = (runtime.get("options") if isinstance(runtime, Mapping) else None) or {}
    listed = (project.get("plugins") or {}).get("providers") or []
    if any(each.get("name") == _PACKAGE for each in listed) or _PACKAGE in (project.get("packages") or {}):
        return None
    path = environment.get("PATH", "").split(os.pathsep)
    if ("virtualenv" in options or "toolchain" in options) and str(scripts) in path:
        path.remove(str(scripts))
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if which(_PLUGIN, path=os.pathsep.join(path)) or any((home / "plugins").glob(f"resource-{_PACKAGE}-*")):
        return None
    folder = os.path.relpath(scripts, root) if scripts.is_relative_to(root) else scripts
    return (
        f"{_PLUGIN} is not on the PATH of `pulumi`; write into Pulumi.yaml: "
        f"plugins: {{providers: [{{name: {_PACKAGE}, path: {folder}}}]}}"
    )


# --- the configuration -----------------------------------------------------------------------------------------------


def _look_for_configuration(*, region_matters: bool) -> None:
    """Warn once, where the stack's configuration is another provider's alone."""
    if not _is_mocked() and (advice := advise_on_configuration(get_config, region_matters=region_matters)):
        _warn_once(advice)


@functools.cache
def _warn_once(text: str) -> None:
    pulumi.log.warn(text)


def advise_on_configuration(configured: Callable[[str], Any], *, region_matters: bool) -> str | None:
    """Return what to do where the stack configures `aws:*` and not this provider; None where it does, or neither.

    The dynamic provider reads `aws:*`: a stack that moves from it would call with other credentials unnoticed.

    Args:
        configured: returns the value of a key of the stack's configuration, or None.
        region_matters: whether the region of a call does not follow from an ARN.
    """
    keys = [to_camel_case(name) for name in inspect.signature(Provider).parameters]
    if any(configured(f"{_PACKAGE}:{key}") is not None for key in keys):
        return None
    unread = [key for key in keys if configured(f"aws:{key}") is not None]
    if not unread or (unread == ["region"] and not region_matters):
        return None
    return (
        f"the native provider does not read {', '.join(f'aws:{key}' for key in unread)}, and calls with boto3's own "
        f"credentials and region; `pulumi config set {_PACKAGE}:{unread[0]} …`, as for every key of aws:* that is to "
        "hold here too, or give a Provider"
    )
