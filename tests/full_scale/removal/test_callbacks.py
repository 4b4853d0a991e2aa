"""Cuts in trainings that Lightning and transformers run; skipped where these are not installed."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from full_scale.removal.during_training.callbacks import lightning_callback, transformers_callback
from mechanisms.validation import UserError
from tests.full_scale.removal.structures import Chain
from tests.full_scale.removal.test_during_training import IMAGES, LABELS, dying, kill


@pytest.mark.filterwarnings("ignore")
def test_lightning(tmp_path):
    lightning = pytest.importorskip("pytorch_lightning", reason="no extra of this package: pip install pytorch-lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Chain()
            kill(self.model.first, [0, 1, 2])
            self.moved = dying(self.model)

        def training_step(self, batch, number):
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.moved, lr=1e-3)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    lines = []
    callback = lightning_callback("model", every=2, say=lines.append)
    module, loader = Module(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(IMAGES, LABELS), 2)
    trainer = lightning.Trainer(
        max_epochs=2,
        accumulate_grad_batches=2,
        callbacks=[callback],
        accelerator="cpu",
        default_root_dir=tmp_path,
        **dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
    )
    trainer.fit(module, loader)
    assert trainer.global_step == 4
    assert [cut.step for cut in callback.shrinker.cuts] == [2]
    assert module.model.first[0].out_channels == 5
    assert len(lines) == 1


@pytest.mark.filterwarnings("ignore")
def test_transformers(tmp_path):
    package = pytest.importorskip("transformers", reason="no extra of this package: pip install transformers[torch]")
    pytest.importorskip("accelerate", reason="the Trainer of transformers needs it: pip install transformers[torch]")
    config = package.ResNetConfig(
        num_channels=3, embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=5
    )
    model = package.ResNetForImageClassification(config)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.requires_grad_(False)
        with torch.no_grad():
            norm.weight[:2], norm.bias[:2] = 0, -1.0
    before = sum(parameter.numel() for parameter in model.parameters())
    callback = transformers_callback(IMAGES, every=2, say=lambda line: None)
    data = [{"pixel_values": image, "labels": label} for image, label in zip(IMAGES, LABELS, strict=True)]
    arguments = package.TrainingArguments(
        str(tmp_path),
        max_steps=4,
        per_device_train_batch_size=4,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    package.Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()
    (cut,) = callback.shrinker.cuts
    assert cut.step == 2
    assert cut.parameters[0] == before > cut.parameters[1]


def test_a_package_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UserError, match="transformers is not installed: pip install transformers"):
        transformers_callback(IMAGES, every=1)
