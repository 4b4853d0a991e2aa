"""One small network for each structure that removal has to understand, with BatchNorms whose first features are dead."""

import types

import torch
from torch import nn

DEAD = 3
"""Features of each BatchNorm that are dead in `with_dead`."""


def block(inputs, outputs, kernel=3, activation=nn.ReLU, **options):
    options = {"padding": kernel // 2, "bias": False, **options}
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, **options), nn.BatchNorm2d(outputs), activation())


class Chain(nn.Module):
    """Two blocks and a classifier; `body` stands between the blocks."""

    def __init__(self, body=None, pooled=True, **options):
        super().__init__()
        self.first, self.body = block(3, 8, **options), body or nn.Identity()
        self.second = block(8, 8, **options)
        self.pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Linear(8 if pooled else 32, 5)

    def forward(self, x):
        return self.classifier(self.pool(self.second(self.body(self.first(x)))).flatten(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.norm = block(8, 8), nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))

    def forward(self, x):
        return torch.relu(x + self.norm(self.inner(x)))


class Preactivated(nn.Module):
    """A dense layer: BatchNorm, ReLU, convolution, and the result beside the input."""

    def __init__(self):
        super().__init__()
        self.norm, self.conv, self.mix = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3, padding=1, bias=False), block(12, 8, 1)

    def forward(self, x):
        return self.mix(torch.cat([x, self.conv(torch.relu(self.norm(x)))], 1))


class Gated(nn.Module):
    """Squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x):
        gate = self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class Added(Chain):
    """Sums by the module that networks to be quantized later use, in real numbers."""

    def __init__(self):
        super().__init__()
        self.sum = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x):
        y = self.first(x)
        return self.classifier(self.pool(self.sum.add_relu(y, self.second(y))).flatten(1))


class Shared(nn.Module):
    """The same convolution twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(torch.relu(self.conv(x)))))


class HardCoded(nn.Module):
    """A view whose sizes stand in the code."""

    def forward(self, x):
        return x.view(-1, 8, x.shape[2] * x.shape[3]).view(-1, 8, x.shape[2], x.shape[3])


class Perceptron(nn.Module):
    """Linear layers alone, with BatchNorm."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(300, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, x):
        return self.layers(nn.functional.adaptive_avg_pool2d(x, 10))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.deep = block(3, 8), nn.Sequential(nn.MaxPool2d(2), block(8, 8))
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 8, 2, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.last, self.out = block(16, 8), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        down = self.down(x)
        return self.out(self.last(torch.cat([down, self.up(self.deep(down))], 1)))


class MixedAxes(nn.Module):
    """Linear maps along positions with BatchNorm of these, and BatchNorm of the channels right after one."""

    def __init__(self):
        super().__init__()
        self.first, self.spread, self.norm = block(3, 8), nn.Linear(16, 8, bias=False), nn.BatchNorm1d(8)
        self.back, self.outer, self.classifier = nn.Linear(8, 16, bias=False), nn.BatchNorm1d(8), nn.Linear(128, 5)

    def forward(self, x):
        x = self.spread(nn.functional.adaptive_avg_pool2d(self.first(x), 4).flatten(2))
        x = self.back(torch.relu(self.norm(x.transpose(1, 2))).transpose(1, 2))
        return self.classifier(torch.relu(self.outer(x)).flatten(1))


class Borrowed(nn.Module):
    """The weight of a linear module is used, but not the module."""

    def __init__(self):
        super().__init__()
        self.chain, self.inner = Chain(), nn.Linear(8, 8, bias=False)
        self.chain.classifier, self.classifier = nn.Identity(), nn.Linear(8, 5)

    def forward(self, x):
        return self.classifier(torch.relu(nn.functional.linear(self.chain(x), self.inner.weight)))


class Sequence(nn.Module):
    """One dimension, with a change of resolution."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(3, 8, 5, padding=2, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2)),
            *(nn.Conv1d(8, 8, 3, padding=1, groups=8), nn.BatchNorm1d(8), nn.GELU(), nn.AvgPool1d(3, 1, 1)),
            *(nn.Upsample(scale_factor=2, mode="linear"), nn.Conv1d(8, 6, 3, padding=1), nn.AdaptiveAvgPool1d(2)),
            *(nn.Flatten(), nn.Linear(12, 5)),
        )

    def forward(self, x):
        return self.layers(x.flatten(2))


class Twice(nn.Module):
    """The same channels twice, once turned around."""

    def __init__(self):
        super().__init__()
        self.mix = block(16, 8)

    def forward(self, x):
        return self.mix(torch.cat([x, 1 - x], dim=-3))


class Volume(nn.Module):
    """Three dimensions."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv3d(3, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.ReLU()),
            *(nn.Upsample(scale_factor=2, mode="trilinear"), nn.Conv3d(8, 8, (2, 3, 3)), nn.BatchNorm3d(8), nn.SiLU()),
            *(nn.AvgPool3d((1, 3, 3), 1, (0, 1, 1)), nn.Conv3d(8, 6, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 5)),
        )

    def forward(self, x):
        return self.layers(x.unsqueeze(2))


class Places(nn.Module):
    """Flattened maps with borders, side by side, one of them twice."""

    def __init__(self):
        super().__init__()
        self.first, self.other, self.classifier = block(3, 8), block(3, 8), nn.Linear(8 * (16 + 36 + 16), 5)

    def forward(self, x):
        pooled = (nn.functional.adaptive_avg_pool2d(part(x), size) for part, size in ((self.first, 4), (self.other, 6)))
        a, b = (nn.functional.avg_pool2d(part, 3, 1, 1).flatten(1) for part in pooled)
        return self.classifier(torch.cat([a, b, a], 1))


class Offset(nn.Module):
    """Computes with the number of channels, where it does not show: behind a ReLU that only large inputs open."""

    def forward(self, x):
        return x + torch.relu(x - 1e6 * x.shape[1])


class Branched(nn.Module):
    """Does something else for few channels, where it does not show."""

    def forward(self, x):
        return x + torch.relu(x - 1e6) if x.shape[1] < 8 else x


class Columns(nn.Module):
    """Reads columns whose numbers depend on the number of channels, where it does not show."""

    def __init__(self, beyond):
        super().__init__()
        self.beyond = beyond

    def forward(self, x):
        columns = x[..., : 2 * x.shape[1]] if self.beyond else x[..., x.shape[1] // 4 : x.shape[1] // 4 + 1]
        return x + torch.relu(columns.amax(3, keepdim=True) - 1e6)


class Wide(nn.Module):
    """Does something else for images that are wider than it has channels, which the example is not."""

    def forward(self, x):
        return x + torch.relu(x - 1e6) if x.shape[3] > 8 * x.shape[1] else x


class Padded(nn.Module):
    """Pads by a remainder that depends on the number of channels at other sizes than the example's."""

    def forward(self, x):
        padded = nn.functional.pad(x, (0, x.shape[3] // 12 % x.shape[1], 0, 0), mode="replicate")
        return x + padded.mean(3, keepdim=True)


class Unbiased(nn.Conv2d):
    """A convolution that never reads its bias."""

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight, stride=self.stride)


class UnbiasedLinear(nn.Linear):
    """A linear map that never reads its bias."""

    def forward(self, x):
        return x @ self.weight.T if self.training else nn.functional.linear(x, self.weight)


def with_own_forward(part):
    """The module with another function in the place of its forward, which reads no bias."""
    part.forward = types.MethodType(Unbiased.forward if isinstance(part, nn.Conv2d) else UnbiasedLinear.forward, part)
    return part


class Hidden(nn.Module):
    """A map that reads all channels beside another one, behind a ReLU that only large inputs open."""

    def __init__(self, part, threshold=1e6):
        super().__init__()
        self.part, self.beside, self.threshold = part, nn.Conv2d(8, 8, 1), threshold

    def forward(self, x):
        found = self.part(x.movedim(1, -1)).movedim(-1, 1) if isinstance(self.part, nn.Linear) else self.part(x)
        return self.beside(x) + torch.relu(found - self.threshold)


def depthwise(**options):
    return nn.Sequential(block(8, 8, groups=8, **options), nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8))


ACTIVATIONS = (nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.LeakyReLU, nn.PReLU, nn.Sigmoid)

STRUCTURES = {
    "chain": Chain,
    "flattened": lambda: Chain(pooled=False),
    "valid convolution": lambda: Chain(kernel=3, padding=0),
    "convolution bias": lambda: Chain(bias=True),
    "residual": lambda: Chain(Residual()),
    "pre-activation": lambda: Chain(Preactivated()),
    "squeeze-excite": lambda: Chain(Gated()),
    "depthwise, linear bottleneck": lambda: Chain(depthwise(activation=nn.ReLU6)),
    "grouped": lambda: Chain(block(8, 8, groups=4)),
    "transposed": lambda: Chain(nn.Sequential(nn.ConvTranspose2d(8, 8, 3, 2, 1, 1), nn.BatchNorm2d(8), nn.ReLU())),
    "one-by-one without norm": lambda: Chain(nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.ReLU())),
    "one-by-one, pooled, norm": lambda: Chain(
        nn.Sequential(nn.Conv2d(8, 8, 1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.ReLU())
    ),
    "average pool, border counted": lambda: Chain(nn.AvgPool2d(3, 1, 1)),
    "average pool, border counted, then one-by-one": lambda: Chain(nn.AvgPool2d(3, 1, 1), kernel=1),
    "average pool, border not counted": lambda: Chain(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "maximum pool": lambda: Chain(nn.MaxPool2d(3, 2, 1)),
    "enlarged": lambda: Chain(nn.Upsample(scale_factor=2, mode="bilinear")),
    "reflected border": lambda: Chain(padding_mode="reflect"),
    "zero border by hand": lambda: Chain(nn.ZeroPad2d((1, 2, 0, 1)), padding=0),
    "norm without affine": lambda: Chain(nn.BatchNorm2d(8, affine=False)),
    "dilated, strided": lambda: Chain(block(8, 8, dilation=2, padding=2, stride=2)),
    "perceptron": Perceptron,
    "U-Net": UNet,
    "norm on another axis": MixedAxes,
    "weight without its module": Borrowed,
    "one dimension": Sequence,
    "three dimensions": Volume,
    "flattened side by side": Places,
    "joined to itself": lambda: Chain(Twice()),
    **{f"activation {cls.__name__}": (lambda cls=cls: Chain(activation=cls)) for cls in ACTIVATIONS},
}
"""Name → function that makes the network; something can be removed from each of them."""

LEFT_ALONE = {
    "shared": lambda: Chain(Shared()),
    "hard-coded": lambda: Chain(HardCoded()),
    "group norm": lambda: Chain(nn.GroupNorm(2, 8)),
}
"""Networks with a part that removal must leave alone; the second block's features can go all the same."""

WIDTH_IN_CODE = {
    **{cls.__name__: (lambda cls=cls: Chain(cls())) for cls in (Offset, Branched, Wide, Padded)},
    "all columns at this size": lambda: Chain(Columns(beyond=True)),
    "some columns": lambda: Chain(Columns(beyond=False)),
    "convolution without its bias": lambda: Chain(Hidden(Unbiased(8, 8, 1, bias=False))),
    "linear map without its bias": lambda: Chain(Hidden(UnbiasedLinear(8, 8, bias=False))),
    "convolution with another forward": lambda: Chain(Hidden(with_own_forward(nn.Conv2d(8, 8, 1, bias=False)))),
    "linear map with another forward": lambda: Chain(Hidden(with_own_forward(nn.Linear(8, 8, bias=False)))),
}
"""Networks whose code does something else with fewer channels, which random inputs do not show; the first block must stay."""


@torch.no_grad()
def with_dead(build, shift=0.5, dead=DEAD):
    """The network with random statistics, and the first features of each BatchNorm dead with this shift (random if None)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build()
        for part in network.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                if part.track_running_stats:
                    part.running_mean.normal_(0, 0.2)
                    part.running_var.uniform_(0.5, 1.5)
                if part.affine:
                    part.weight.uniform_(0.5, 1.5)[:dead] = 0
                    part.bias.normal_(0, 0.3)
                    if shift is not None:
                        part.bias[:dead] = shift
    return network
