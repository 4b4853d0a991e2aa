"""What kills filters, by intervention, on digits: smaller ones beside larger ones, weak mean forces, decay of incoming weights.

BasicNet (width 1/4), β2 = 0.99, 1,200 steps on scikit-learn's digits; points are means over seeds, bars their 95 % intervals.
(a) Half of the filters (or all) made smaller or larger at the start, in a network that computes the same function. (b) The
same under other laws, as the difference within each network. (c) The loss gradient of half of the filters passes in 10 or 30
% of the steps, plain or with its mean restored. Under SGD with the mean restored training fails (test error 91 and 55 %), so
that those two points say nothing of filters. (d) Only some parameters of every other layer are decayed: scales and shifts
(γ), outgoing, incoming weights; the norms of the incoming weights are free or held.
"""

from figures.panels.interventions import draw as draw
from figures.panels.interventions import needs

NEEDS = needs((), 5)
