"""Lightning, two processes on the CPU by its own subprocess launcher, until told to end."""

import lightning
import torch
from waiting import tell, told_to_end


class Tiny(lightning.LightningModule):
    """One linear layer."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 1)

    def on_train_start(self):
        tell(self.global_rank, self.trainer.world_size)

    def training_step(self, batch, _):
        return self.layer(batch[0]).square().mean()

    def on_train_batch_end(self, *_):
        self.trainer.should_stop = told_to_end()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


if __name__ == "__main__":
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 8)), batch_size=4)
    trainer = lightning.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Tiny(), data)
