"""What tests of several networks do."""

import numpy as np
import torch
from torch.nn import functional


def learns_by_heart(model: torch.nn.Module, examples: torch.Tensor, learning_rate: float) -> bool:
    """Whether all of four classes in turn are told apart, without dropout, within 200 steps."""
    classes = torch.from_numpy(np.arange(len(examples)) % 4)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for step in range(200):
        optimiser.zero_grad()
        functional.cross_entropy(model.train()(examples), classes).backward()
        optimiser.step()
        if step % 10 == 9:
            with torch.no_grad():
                if torch.equal(model.eval()(examples).argmax(dim=1), classes):
                    return True
    return False
