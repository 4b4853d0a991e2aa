"""Small random networks of everything that removal covers, with random dead features."""

import math
import random

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.SiLU,
    nn.Hardswish,
    nn.GELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.ELU,
    nn.Mish,
    nn.Hardsigmoid,
    nn.Softplus,
)


class Frozen(nn.Module):
    """BatchNorm with fixed statistics as plain arithmetic."""

    def __init__(self, channels):
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x):
        scale = self.weight[None, :, None, None] * (self.running_var.unsqueeze(1)[..., None] + 1e-5).rsqrt()
        return x * scale + (self.bias[:, None, None] - self.running_mean[:, None, None] * scale)


class Tokens(nn.Module):
    """A perceptron on the channels of each position, after LayerNorm or RMSNorm."""

    def __init__(self, channels, hidden, norm, activation):
        super().__init__()
        self.norm, self.activation = norm, activation
        self.up, self.down = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x):
        return x + self.down(self.activation(self.up(self.norm(x.permute(0, 2, 3, 1))))).permute(0, 3, 1, 2)


SHIFTS = (-1.0, 0.0, 0.5, None)
NORMS = nn.BatchNorm1d | nn.BatchNorm2d | Frozen
SHARES = (0.0, 0.1, 0.3, 0.6, 1.0)


class RandomNetwork(nn.Module):
    """Steps of (function of the earlier tensors, numbers of these); `outputs` are the numbers of what is put out."""

    def __init__(self, seed, steps=14):
        super().__init__()
        self.random = random.Random(seed)
        self.parts = nn.ModuleList()
        self.program = []
        self.tensors = [(3, 12)]  # channels, pixels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.block(0)
            for _ in range(steps):
                self.random.choice(self.STEPS)(self)
            for source in (len(self.tensors) - 1, self.any()):
                self.head(source)
            self.drop_unused()
            kill(self, self.random)

    def any(self):
        return self.random.randrange(max(1, len(self.tensors) - 4), len(self.tensors))

    def add(self, function, inputs, channels, pixels):
        self.program.append((function, inputs))
        self.tensors.append((channels, pixels))
        return len(self.tensors) - 1

    def module(self, part, source, channels, pixels):
        self.parts.append(part)
        return self.add(len(self.parts) - 1, (source,), channels, pixels)

    def convolution(self, source, outputs=None, groups=1, kernel=None, stride=None):
        channels, pixels = self.tensors[source]
        outputs = outputs or self.random.choice((4, 6, 8))
        kernel = kernel or self.random.choice((1, 1, 3, 3, 5))
        dilation = self.random.choice((1, 1, 2)) if kernel == 3 else 1
        reach = dilation * (kernel - 1)
        padding = self.random.choice((0, reach // 2, reach // 2)) if pixels > reach + 2 else reach // 2
        stride = stride or self.random.choice((1, 1, 2))
        mode = self.random.choice(("zeros", "zeros", "zeros", "reflect", "replicate")) if padding < pixels else "zeros"
        part = nn.Conv2d(
            channels,
            outputs,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            bias=self.random.random() < 0.5,
            padding_mode=mode,
        )
        return self.module(part, source, outputs, (pixels + 2 * padding - reach - 1) // stride + 1)

    def norm(self, source):
        channels, pixels = self.tensors[source]
        affine = self.random.random() < 0.9
        kinds = [lambda: nn.BatchNorm2d(channels, affine=affine)] * 6 + [lambda: Frozen(channels)]
        if pixels > 1:
            kinds += [
                lambda: nn.BatchNorm2d(channels, track_running_stats=False),
                lambda: nn.GroupNorm(1 if channels % 2 else self.random.choice((1, 2, channels // 2)), channels),
            ]
        return self.module(self.random.choice(kinds)(), source, channels, pixels)

    def activation(self, source):
        channels, pixels = self.tensors[source]
        part = nn.PReLU(channels) if self.random.random() < 0.1 else self.random.choice(ACTIVATIONS)()
        return self.module(part, source, channels, pixels)

    def block(self, source, outputs=None, **options):
        source = self.convolution(source, outputs, **options)
        if self.random.random() < 0.8:
            source = self.norm(source)
        return self.activation(source) if self.random.random() < 0.9 else source

    def plain(self):
        self.block(self.any())

    def preactivated(self):
        self.convolution(self.activation(self.norm(self.any())))

    def grouped(self):
        source = self.any()
        channels, _ = self.tensors[source]
        groups = channels if channels % 2 or self.random.random() < 0.6 else 2
        source = self.convolution(source, channels * self.random.choice((1, 1, 2)), groups=groups)
        self.activation(self.norm(source))

    def residual(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        inner = self.block(source, kernel=1, stride=1)
        outer = self.module(nn.Conv2d(self.tensors[inner][0], channels, 3, padding=1), inner, channels, self.tensors[inner][1])
        outer = self.norm(outer)
        if self.tensors[outer][1] == pixels:
            self.activation(self.add(torch.add, (source, outer), channels, pixels))

    def gated(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        pooled = self.add(lambda x: x.mean((2, 3), keepdim=True), (source,), channels, 1)
        inner = self.activation(self.module(nn.Conv2d(channels, 4, 1), pooled, 4, 1))
        gate = self.module(nn.Conv2d(4, channels, 1), inner, channels, 1)
        gate = self.module(self.random.choice((nn.Sigmoid, nn.Hardsigmoid))(), gate, channels, 1)
        self.add(torch.mul, (source, gate), channels, pixels)

    def joined(self):
        source = self.any()
        pixels = self.tensors[source][1]
        others = [number for number, (_, size) in enumerate(self.tensors) if size == pixels and number > 0]
        chosen = [source, *self.random.choices(others, k=self.random.choice((1, 1, 2)))]
        channels = sum(self.tensors[number][0] for number in chosen)
        if channels <= 32:
            self.add(lambda *parts: torch.cat(parts, 1), tuple(chosen), channels, pixels)

    def pooled(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        if pixels < 4:
            return
        kind = self.random.randrange(4)
        parts = (
            nn.MaxPool2d(3, 2, 1),
            nn.AvgPool2d(3, 2, 1, count_include_pad=True),
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            nn.AvgPool2d(2, 2, ceil_mode=True),
        )
        self.module(parts[kind], source, channels, (pixels + 1) // 2)

    def enlarged(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        if pixels > 8:
            return
        if self.random.random() < 0.5:
            mode = self.random.choice(("nearest", "bilinear"))
            self.module(nn.Upsample(scale_factor=2, mode=mode), source, channels, 2 * pixels)
        else:
            groups = self.random.choice((1, 1, 2)) if channels % 2 == 0 else 1
            self.activation(self.norm(self.module(nn.ConvTranspose2d(channels, 6, 2, 2, groups=groups), source, 6, 2 * pixels)))

    def bordered(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        width = self.random.choice((1, 2))
        padded = self.add(lambda x: F.pad(x, (width,) * 4), (source,), channels, pixels + 2 * width)
        self.module(nn.Conv2d(channels, 6, 1 + 2 * width, bias=False), padded, 6, pixels)

    def scaled(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        factor = self.random.choice((0.5, 2.0, -1.0))
        functions = (lambda x: x * factor, lambda x: x + factor, lambda x: factor - x)
        self.add(self.random.choice(functions), (source,), channels, pixels)

    def cut(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        if channels % 2 == 0:
            self.add(lambda x: x.chunk(2, 1)[1], (source,), channels // 2, pixels)

    def crossed(self):
        """Halves, of which one goes through more, as in a cross stage."""
        source = self.block(self.any(), 2 * self.random.choice((2, 3, 4)), kernel=1, stride=1)
        half, pixels = self.tensors[source][0] // 2, self.tensors[source][1]
        one = self.add(
            self.random.choice((lambda x: x.chunk(2, 1)[0], lambda x: x[:, : x.shape[1] // 2])), (source,), half, pixels
        )
        other = self.add(lambda x: x.chunk(2, 1)[1], (source,), half, pixels)
        inner = self.block(other, half, kernel=1, stride=1)
        if self.tensors[inner][1] == pixels:
            joined = self.add(lambda *parts: torch.cat(parts, 1), (one, other, inner), 3 * half, pixels)
            self.convolution(joined, kernel=1)

    def shuffled(self):
        """Four channels to one of twice the sides, or back."""
        source = self.any()
        channels, pixels = self.tensors[source]
        if pixels <= 6:
            source = self.block(source, 4 * self.random.choice((2, 3)), kernel=1, stride=1)
            channels, pixels = self.tensors[source]
            self.module(nn.PixelShuffle(2), source, channels // 4, 2 * pixels)
        elif pixels % 2 == 0 and channels <= 8:
            self.module(nn.PixelUnshuffle(2), source, 4 * channels, pixels // 2)

    def mixed(self):
        """One channel of each half in turn."""
        source = self.any()
        channels, pixels = self.tensors[source]
        functions = (
            lambda x: F.channel_shuffle(x, 2),
            lambda x: x.view(len(x), 2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
        )
        if channels % 2 == 0:
            self.add(self.random.choice(functions), (source,), channels, pixels)

    def chosen(self):
        """Numbers chosen, moved or compared in each channel alone."""
        source = self.any()
        channels, pixels = self.tensors[source]
        functions = (
            lambda x: torch.maximum(x, 0.3 - x),
            lambda x: torch.where(x > 0.2, x, 2 * x),
            lambda x: torch.stack([x, 2 * x], 1).amin(1),
            lambda x: x * x.sum((2, 3), keepdim=True) / 50,
            lambda x: x.flip((1, 3)).roll(1, 2),
            lambda x: x / (1 + x.norm(dim=(2, 3), keepdim=True)),
            lambda x: F.softshrink(x, 0.2) / (1 + x.std((2, 3), correction=0, keepdim=True)),
            lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-math.inf), 3, 1),
            lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), value=0.5), 3, 1),
        )
        self.add(self.random.choice(functions), (source,), channels, pixels)

    def tokens(self):
        source = self.any()
        channels, pixels = self.tensors[source]
        norm = self.random.choice((nn.LayerNorm, nn.RMSNorm))(channels)
        part = Tokens(channels, self.random.choice((6, 10)), norm, self.random.choice(ACTIVATIONS)())
        self.module(part, source, channels, pixels)

    def reused(self):
        """A part once more, on another tensor of the size that it is made for."""
        source, number = self.any(), self.random.randrange(1, len(self.tensors))
        function, inputs = self.program[number - 1]
        if isinstance(function, int) and self.tensors[inputs[0]] == self.tensors[source]:
            self.add(function, (source,), *self.tensors[number])

    STEPS = (
        *(plain, plain, plain, plain, plain, preactivated, grouped, residual, residual),
        *(gated, joined, joined, pooled, enlarged, bordered, scaled, cut),
        *(crossed, shuffled, mixed, chosen),
        *(tokens, reused, reused, reused),
    )

    def head(self, source):
        channels, pixels = self.tensors[source]
        if self.random.random() < 0.5:
            size = min(2, pixels)
            source = self.module(nn.AdaptiveAvgPool2d(size), source, channels, size)
            features = channels * size * size
        else:
            source, features = self.add(lambda x: x.mean((2, 3)), (source,), channels, 1), channels
        source = self.add(lambda x: x.flatten(1), (source,), features, 1)
        if self.random.random() < 0.5:
            source = self.module(nn.BatchNorm1d(features), source, features, 1)
        source = self.module(nn.Linear(features, 10, bias=self.random.random() < 0.7), source, 10, 1)
        self.outputs = (*getattr(self, "outputs", ()), self.module(nn.Linear(10, 4), self.activation_of(source), 4, 1))

    def activation_of(self, source):
        return self.module(nn.ReLU(), source, self.tensors[source][0], 1)

    def drop_unused(self):
        used = set(self.outputs)
        for number in range(len(self.program), 0, -1):
            if number in used:
                used.update(self.program[number - 1][1])
        self.used = [number in used for number in range(1, len(self.program) + 1)]

    def forward(self, x):
        found = [x]
        for (function, inputs), used in zip(self.program, self.used, strict=True):
            function = self.parts[function] if isinstance(function, int) else function
            found.append(function(*(found[number] for number in inputs)) if used else None)
        return tuple(found[number] for number in self.outputs)


@torch.no_grad()
def kill(network, chance, shares=SHARES, shifts=SHIFTS):
    """Gives each BatchNorm random statistics and a random share of scales 0; sometimes weights of a convolution too."""
    for part in network.modules():
        if isinstance(part, nn.GroupNorm):
            dead = (torch.rand(part.num_groups) < chance.choice(shares)).repeat_interleave(len(part.weight) // part.num_groups)
            part.weight.uniform_(0.5, 1.5).masked_fill_(dead, 0)
            part.bias.normal_(0, 0.3).masked_fill_(dead, chance.choice(shifts) or 0.25)
        if isinstance(part, NORMS) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
        if isinstance(part, NORMS) and part.weight is not None:
            dead, shift = torch.rand(len(part.weight)) < chance.choice(shares), chance.choice(shifts)
            part.weight.uniform_(0.5, 1.5).masked_fill_(dead, 0)
            part.bias.normal_(0, 0.3)
            if shift is not None:
                part.bias.masked_fill_(dead, shift)
        elif isinstance(part, nn.Conv2d | nn.Linear) and chance.random() < 0.2:
            dead = torch.rand(len(part.weight)) < chance.choice(shares)
            part.weight[dead] = 0
