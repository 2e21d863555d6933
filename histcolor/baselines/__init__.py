"""Methods that the paper is compared with (Table 2): each idea on this project's U-Net, not its authors' code.

``TRAINED`` are classes with the call of :class:`histcolor.Colorizer`; ``histcolor train --method`` and
``experiments.toml`` name them, and ``load``, which is :func:`histcolor.load`, reads their checkpoints, too, from here.
``UNTRAINED``, in :mod:`histcolor.baselines.classical`, are functions.
"""

from histcolor.baselines.automatic import Automatic, Iizuka2016
from histcolor.baselines.classified import Classifier, Larsson2016, Zhang2016
from histcolor.baselines.hints import Xiao2019, Zhang2017
from histcolor.checkpoint import METHODS, load

TRAINED = {kind.method: kind for kind in (Automatic, Iizuka2016, Zhang2016, Larsson2016, Zhang2017, Xiao2019)}
METHODS |= TRAINED

__all__ = ["TRAINED", "Classifier", "load"]
