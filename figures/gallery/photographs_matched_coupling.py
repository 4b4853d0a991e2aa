"""On photographs too Adam with L2 leaves more filters dead than weight decay at equal training loss, and SGD hardly any.

As `matched_coupling` on digits: BasicNet (width 1/4), 6,000 steps on 20,000 images of a JPEG-coded copy of CIFAR-10 (quality 75;
not comparable with published numbers) at 16 × 16 pixels. A curve is a rule and a coupling, a point a strength: means over seeds,
bands their whole range. (a) Dead share against training loss. (b) The same against Λ, the sum of η·λ_eff/D over the steps: by
how many e-folds the decay alone shrinks a scale. (c) Test error against dead share.
"""

from figures.gallery.matched_coupling import draw as draw
from mechanisms.records.loading import Need

NEEDS = (
    Need("full_scale", "matched_coupling", ("preset=short",)),
    Need("full_scale", "matched_coupling", ("preset=short",), table="curve"),
)
