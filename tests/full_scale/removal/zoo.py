"""Networks of torchvision, and the U-Net it lacks, with random weights and statistics, some of their features dead."""

import sys

import torch
from torch import nn

from full_scale.models.unet import UNet

NAMES = (
    *("vgg16_bn", "resnet18", "resnet50", "wide_resnet50_2", "densenet121", "googlenet", "inception_v3"),
    *("mobilenet_v2", "mobilenet_v3_large", "mnasnet1_0", "efficientnet_b0", "regnet_x_400mf", "regnet_y_400mf"),
    *("resnext50_32x4d", "shufflenet_v2_x1_0", "convnext_tiny", "unet"),
)
SUBSET = ("resnet18", "densenet121", "googlenet", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "convnext_tiny")
PIXELS = {"inception_v3": 139}
SHIFTS = {"-1": -1.0, "0": 0.0, "+0.5": 0.5, "random": None}
TIMM = (
    *("resnet10t", "resnetv2_50", "seresnext26d_32x4d", "skresnet18", "resnest14d", "eca_resnet33ts", "res2net50_14w_8s"),
    *(
        "mobilenetv4_conv_small",
        "tf_efficientnet_lite0",
        "efficientnet_es",
        "mixnet_s",
        "lcnet_050",
        "fbnetc_100",
        "semnasnet_075",
    ),
    *("hardcorenas_a", "tinynet_e", "ghostnet_100", "repghostnet_050", "mobileone_s0", "repvgg_a0", "rexnet_100", "dla34"),
    *("hrnet_w18_small", "cspresnet50", "cs3darknet_s", "darknet53", "selecsls42", "ese_vovnet19b_dw", "xception41", "dpn48b"),
    *("inception_v4", "gernet_s", "regnetz_005", "nf_regnet_b0", "convmixer_768_32", "convnext_atto", "edgenext_xx_small"),
    *("mobilevit_xxs", "levit_128s", "fastvit_t8", "efficientformer_l1", "starnet_s1", "poolformer_s12", "resmlp_12_224"),
    *("vit_tiny_patch16_224", "crossvit_9_240", "gmlp_ti16_224", "swin_tiny_patch4_window7_224", "tiny_vit_5m_224"),
)
"""A sample of timm's families; on these removal must be exact or refuse by name."""

SHARES = (0.1, 0.3, 0.6, 1.0)
LIBRARIES = []


def torchvision_models():
    """The module torchvision.models, also beside a torch wheel without its compiled operators."""
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        LIBRARIES.append(library)
        import torchvision
    return torchvision.models


@torch.no_grad()
def randomize(network, share, shift, seed=0):
    """Gives each BatchNorm random statistics, and a share of its scales the value 0 with this shift (random if None).

    Shares of 1 are for every third BatchNorm only: a network that is dead altogether computes a constant.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for number, part in enumerate(norms):
        count = part.num_features
        part.running_mean.copy_(0.1 * torch.randn(count, generator=generator))
        part.running_var.copy_(0.5 + torch.rand(count, generator=generator))
        if not part.affine:
            continue
        part.weight.copy_(0.5 + torch.rand(count, generator=generator))
        part.bias.copy_(0.1 * torch.randn(count, generator=generator))
        dead = torch.rand(count, generator=generator) < (0.3 if share == 1.0 and number % 3 else share)
        part.weight[dead] = 0
        shifts = torch.randn(count, generator=generator) if shift is None else torch.full((count,), shift)
        part.bias[dead] = shifts[dead]
    return network


def zoo_network(name, share, shift, seed=0):
    """A network by name, and the input it is judged on."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "unet":
            network = UNet().architecture((3, 64, 64), 10)
        else:
            network = getattr(torchvision_models(), name)(weights=None, **options)
        pixels = PIXELS.get(name, 64)
        return randomize(network, share, shift, seed), torch.randn(1, 3, pixels, pixels)


def timm_network(name, share, shift, seed=0):
    """A network of timm by name, and the input it is judged on."""
    torchvision_models()
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = timm.create_model(name, pretrained=False)
        pixels = network.default_cfg["input_size"][-1] if network.default_cfg.get("fixed_input_size") else 96
        return randomize(network, share, shift, seed), torch.randn(1, 3, pixels, pixels)
