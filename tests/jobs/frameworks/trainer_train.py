"""Hugging Face transformers' Trainer: a random GPT-2 of two layers on the CPU, until told to end."""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from waiting import tell, told_to_end


class UntilTold(TrainerCallback):
    """Ends the training when it is told to."""

    def on_train_begin(self, args, state, control, **_):
        tell(args.process_index, args.world_size)

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = told_to_end()
        return control


class Texts(torch.utils.data.Dataset):
    """Random tokens."""

    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        tokens = torch.randint(0, 64, (16,))
        return {"input_ids": tokens, "labels": tokens}


model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=32, vocab_size=64, n_positions=32))
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder, use_cpu=True, max_steps=1_000_000, per_device_train_batch_size=2, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_num_workers=1,
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=Texts(), callbacks=[UntilTold()]).train()
