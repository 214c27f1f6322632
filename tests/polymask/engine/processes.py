"""What tests in several processes share."""

import pytest
import torch

from dataset_tools.parallel import all_cores

NOT_GIVEN = {"num_gpus": None, "num_machines": None, "machine_rank": None, "dist_url": None}

two_processes = pytest.mark.skipif(
    all_cores() < 2 or torch.cuda.is_available(), reason='needs two cores, and no GPU (CUDA_VISIBLE_DEVICES="")'
)
