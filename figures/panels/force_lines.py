"""Mean push of the loss and mean pull of the regularizer over time, averaged over neighbouring records."""

from __future__ import annotations

import numpy as np
import pandas as pd


def averaged_forces(rows: pd.DataFrame, moments: int) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Steps, push of the loss away from zero, pull of the regularizer toward it: means over log-spaced intervals of steps.

    Both are in units of the scale per step, for scales above zero; a force of the other sign is NaN.
    """
    edges = np.geomspace(rows["step"].min(), rows["step"].max() + 1, moments + 1)
    by_moment = rows.assign(moment=np.digitize(rows["step"], edges)).groupby("moment")
    push, pull = by_moment["loss_force"].mean(), -by_moment["reg_force"].mean()
    return by_moment["step"].mean(), push.where(push > 0), pull.where(pull > 0)
