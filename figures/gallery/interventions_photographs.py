"""What kills filters, by intervention, on photographs: the same experiments as on digits, in a smaller grid.

BasicNet (width 1/4), β2 = 0.99, 1,000 steps on 5,000 images of a JPEG-coded copy of CIFAR-10 (quality 75; not comparable with
published numbers) at 16 × 16 pixels; points are means over seeds, bars their 95 % intervals. (a) Half of the filters (or all)
made smaller or larger at the start, in a network that computes the same function. (b) The same under other laws, as the
difference within each network. (c) The loss gradient of half of the filters passes in 10 or 30 % of the steps, plain or with
its mean restored. (d) Only some parameters of every other layer are decayed: scales and shifts (γ), outgoing, incoming
weights; the norms of the incoming weights are free or held.
"""

from figures.panels.interventions import draw as draw
from figures.panels.interventions import needs

NEEDS = needs(("preset=short",), 3)
