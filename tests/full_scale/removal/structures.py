"""One small network for each structure that removal has to understand, with BatchNorms whose first features are dead."""

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


class Shared(nn.Module):
    """The same convolution twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(torch.relu(self.conv(x)))))


class Shuffled(nn.Module):
    """Channels in another order by a view that the pass does not follow."""

    def forward(self, x):
        return x.view(len(x), 2, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


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
    **{f"activation {cls.__name__}": (lambda cls=cls: Chain(activation=cls)) for cls in ACTIVATIONS},
}
"""Name → function that makes the network; something can be removed from each of them."""

LEFT_ALONE = {
    "shared": lambda: Chain(Shared()),
    "shuffled": lambda: Chain(Shuffled()),
    "hard-coded": lambda: Chain(HardCoded()),
    "group norm": lambda: Chain(nn.GroupNorm(2, 8)),
}
"""Networks with a part that removal must leave alone; the second block's features can go all the same."""


@torch.no_grad()
def with_dead(build, shift=0.5, dead=DEAD):
    """The network with random statistics, and the first features of each BatchNorm dead with this shift (random if None)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.5, 1.5)
                if part.affine:
                    part.weight.uniform_(0.5, 1.5)[:dead] = 0
                    part.bias.normal_(0, 0.3)
                    if shift is not None:
                        part.bias[:dead] = shift
    return network
