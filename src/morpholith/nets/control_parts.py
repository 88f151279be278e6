"""The three networks of latent diffusion under a ControlNet, built, loaded and named through `diffusers`.

An autoencoder takes micrographs to latents, the base (a U-Net) learns what noise was added to latents without being
told of any condition, and the ControlNet, a copy of the base's encoder, steers the frozen base by maps of the
conditions (Rombach et al. 2022; Zhang, Rao & Agrawala 2023; Ho, Jain & Abbeel 2020).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ..errors import InputError

NOISE = {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


@dataclass(frozen=True)
class ControlConfig:
    """Sizes of the networks and of their training.

    Attributes
    ----------
    patch, autoencoder_patch : int
        Edges of the squares cut from the images, in pixels, for the diffusion and for the autoencoder.
    batch : int
        Patches a step, over all processes together.
    latent_channels : int
    autoencoder_channels : tuple of int
        Of each level; n levels make latents 2**(n - 1) times smaller than the image.
    autoencoder_layers : int
    channels : tuple of int
        Of each level of the base.
    attention : tuple of bool
        Which levels of the base attend.
    heads, layers, token_width, groups : int
        Of the base. `groups` divides every number of channels.
    learning_rates : (autoencoder, base, control)
    prior : float
        Weight of the Kullback-Leibler term of the autoencoder per latent value, beside the mean absolute error.
    average : float
        Decay of the moving average of the weights that is kept.
    """

    patch: int = 128
    autoencoder_patch: int = 64
    batch: int = 8
    latent_channels: int = 4
    autoencoder_channels: tuple[int, ...] = (16, 32, 64)
    autoencoder_layers: int = 1
    channels: tuple[int, ...] = (48, 96, 144)
    attention: tuple[bool, ...] = (False, False, True)
    heads: int = 4
    layers: int = 1
    token_width: int = 32
    groups: int = 8
    learning_rates: tuple[float, float, float] = (2e-3, 1e-3, 1e-3)
    prior: float = 3e-4
    average: float = 0.995

    def __post_init__(self) -> None:
        """Check the sizes; lists, as JSON gives them, become tuples."""
        for name in ("autoencoder_channels", "channels", "attention", "learning_rates"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.attention) != len(self.channels):
            raise InputError(
                f"the base has {len(self.channels)} levels but `attention` says yes or no for {len(self.attention)}; "
                "give one for each level."
            )
        odd = [c for c in (*self.autoencoder_channels, *self.channels) if c % self.groups]
        if odd:
            raise InputError(f"numbers of channels are multiples of `groups` ({self.groups}), got {odd[0]}.")

    def to_json(self) -> dict[str, Any]:
        """Return what `ControlConfig(**...)` takes."""
        return asdict(self)


@dataclass(frozen=True)
class ControlNets:
    """The three trained networks and what they were made from.

    Attributes
    ----------
    autoencoder, base, control : AutoencoderKL, UNet2DConditionModel, ControlNetModel
    schedule : dict
        Of the noise, as diffusers' schedulers take it.
    config : ControlConfig
    width, views : int
        Numbers in a condition's code, and magnifications.
    base_name, base_sha256 : str or None
        The folder or hub id that autoencoder and base came from; None where they were trained here.
    curves : dict of str to list of float
        Loss of every step of each phase.
    """

    autoencoder: Any
    base: Any
    control: Any
    schedule: dict[str, Any]
    config: ControlConfig
    width: int
    views: int
    base_name: str | None = None
    base_sha256: str | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)


def library() -> Any:
    """Return `diffusers`.

    Raises
    ------
    InputError
        It, or accelerate, is not installed.
    """
    try:
        import accelerate  # noqa: F401 - the training needs it, and it is better to be told at the start
        import diffusers
    except ImportError:
        raise InputError(
            "the ControlNet back end needs diffusers and accelerate: pip install 'morpholith[diffusers]'."
        ) from None
    return diffusers


def new_autoencoder(config: ControlConfig) -> torch.nn.Module:
    """Return an untrained autoencoder of grey images; it does not attend, so that any size of image goes in."""
    n = len(config.autoencoder_channels)
    return library().AutoencoderKL(
        in_channels=1,
        out_channels=1,
        latent_channels=config.latent_channels,
        block_out_channels=config.autoencoder_channels,
        layers_per_block=config.autoencoder_layers,
        norm_num_groups=config.groups,
        down_block_types=("DownEncoderBlock2D",) * n,
        up_block_types=("UpDecoderBlock2D",) * n,
        mid_block_add_attention=False,
        sample_size=config.autoencoder_patch,
    )


def new_base(config: ControlConfig) -> torch.nn.Module:
    """Return an untrained U-Net over latents."""
    attends = config.attention
    return library().UNet2DConditionModel(
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        block_out_channels=config.channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
        layers_per_block=config.layers,
        cross_attention_dim=config.token_width,
        attention_head_dim=config.heads,
        norm_num_groups=config.groups,
    )


def new_control(autoencoder: Any, base: Any, width: int) -> torch.nn.Module:
    """Return a ControlNet that begins as a copy of the base's encoder and adds nothing yet.

    Its maps come at the size of the image, `width` channels of them, and are brought to the latents' by as many
    halvings as the autoencoder makes.
    """
    halvings = len(autoencoder.config.block_out_channels) - 1
    widths = (16, 32, 64, 128, 256)[: halvings + 1]
    return library().ControlNetModel.from_unet(
        base, conditioning_channels=width, conditioning_embedding_out_channels=widths
    )


def tokens(base: Any, n: int, like: torch.Tensor) -> torch.Tensor:
    """Return the text that the base is given for `n` images: none, as one token of zeros."""
    return like.new_zeros((n, 1, base.config.cross_attention_dim))


def stride(autoencoder: Any, base: Any) -> int:
    """Return what the sides of an image must be multiples of, in pixels."""
    return reduction(autoencoder) * 2 ** (len(base.config.block_out_channels) - 1)


def reduction(autoencoder: Any) -> int:
    """Return how many times smaller latents are than the image."""
    return 2 ** (len(autoencoder.config.block_out_channels) - 1)


def encode(autoencoder: Any, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return scaled latents of (n, 1, h, w) images in -1..1, drawn from the posterior with the noise given."""
    posterior = autoencoder.encode(images.expand(-1, autoencoder.config.in_channels, -1, -1)).latent_dist
    latents = posterior.mean.float() + posterior.std.float() * noise
    return (latents - (autoencoder.config.shift_factor or 0.0)) * autoencoder.config.scaling_factor


def decode(autoencoder: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return (n, 1, h, w) images, about -1..1, of scaled latents."""
    whole = latents / autoencoder.config.scaling_factor + (autoencoder.config.shift_factor or 0.0)
    return autoencoder.decode(whole).sample.float().mean(1, keepdim=True)


def described(network: Any) -> dict[str, Any]:
    """Return the configuration of a network, as JSON can write it."""
    return {k: v for k, v in dict(network.config).items() if not k.startswith("_")}
