"""Hugging Face accelerate, its own loop: a tiny random model on the CPU, until told to end."""

import time

import torch
from accelerate import Accelerator
from waiting import tell, told_to_end

accelerator = Accelerator(cpu=True)
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 8)), batch_size=4)
model, optimizer, data = accelerator.prepare(model, optimizer, data)
tell(accelerator.process_index, accelerator.num_processes)
while not told_to_end():
    for (batch,) in data:
        accelerator.backward(model(batch).square().mean())
        optimizer.step()
        optimizer.zero_grad()
    time.sleep(0.05)
accelerator.wait_for_everyone()
accelerator.end_training()
