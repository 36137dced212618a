"""compile.transformer and compile.train: a whole model's forward, and a whole training step, compiled against eager.

Compute-bound models: that nothing is gained is no fault, so the speed-up goes by the model's own name and not by
"reference". For training, gradients are held against float64, and that backward ran compiled is read from the autograd
graph. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import copy

import torchdoctor_control as control
import torchdoctor_detector as detector
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_regions as regions
import torchdoctor_step_models as models
import torchdoctor_witness as witness

BUDGET_S = 4.0
BLOCKS = 4
LEARNING_RATE = 1e-4
"""With AdamW, 1e-3 makes the loss of the GPU's wide model rise from the first step on."""


def run(request):
    """The probe; the parameter `model` is "transformer" or "train"."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    measure.leave_cores(torch, where)
    control.need_backend(where)
    witness.tell_surroundings(torch, where)
    side = _Training if request.params["model"] == "train" else _Forward
    witness.clear(torch)
    subject = side(torch, where)
    kit.progress("compiling %s" % subject.title)
    with regions.Watch(torch) as watch:
        exam = detector.Exam(torch, where, "reference", watch, subject.counting)
        if not exam.run(subject.compiled, (subject.callable,)):
            return
    subject.compare()
    kit.progress("timing %s, eager and compiled in turns" % subject.title)
    with measure.alone(where):
        pairs = measure.paired(where, exam.wait, subject.eager, subject.compiled, BUDGET_S)
    measure.tell_speedup(pairs, subject.label, "compiled")


class _Forward:
    """Inference through a transformer."""

    label = "transformer"

    def __init__(self, torch, where):
        self.torch, self.dtype = torch, models.dtype_of(torch, where)
        self.module = models.transformer(torch, where, BLOCKS, self.dtype).eval()
        self.x = models.batch(torch, where, self.dtype, 1)
        self.other = models.batch(torch, where, self.dtype, 2)
        self.counting = witness.Counting(torch, "default")
        self.callable = torch.compile(self.module, backend=self.counting)
        self.title = "a transformer of %d blocks, %s, %s" % (BLOCKS, tuple(self.x.shape), self.dtype)

    def eager(self):
        with self.torch.no_grad():
            return self.module(self.x)

    def compiled(self):
        with self.torch.no_grad():
            return self.callable(self.x)

    def compare(self):
        """The answers to other numbers, eager and compiled, against float64 on the first sequence."""
        with self.torch.no_grad():
            exact = copy.deepcopy(self.module).double().cpu()(self.other[:1].double().cpu())
            eager, out = self.module(self.other), self.callable(self.other)
        kit.fact(self.label + ".finite", bool(self.torch.isfinite(out).all()), "compiled output on new input")
        _tell_error("error_eager_64", eager, exact, self.label)
        _tell_error("error_compiled_64", out, exact, self.label)


class _Training:
    """Forward, loss, backward and optimizer step; each side has a model and an optimizer of its own."""

    label = "train"

    def __init__(self, torch, where):
        self.torch, self.where = torch, where
        blocks = 1 if where.type == "cpu" else BLOCKS
        self.module = models.transformer(torch, where, blocks, torch.float32).train()
        self.twin = copy.deepcopy(self.module)
        self.x = models.batch(torch, where, torch.float32, 1)
        self.counting = witness.Counting(torch, "default")
        self.callable = torch.compile(self.twin, backend=self.counting)
        make = torch.optim.AdamW
        self.optimizers = [make(m.parameters(), lr=LEARNING_RATE) for m in (self.module, self.twin)]
        self.losses = {"eager": [], "compiled": []}
        self.title = "a training step of %d transformer blocks, %s" % (blocks, tuple(self.x.shape))

    def eager(self):
        return self._step(self.module, self.optimizers[0])

    def compiled(self):
        return self._step(self.callable, self.optimizers[1])

    def _step(self, call, optimizer):
        optimizer.zero_grad(set_to_none=True)
        loss = call(self.x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    def compare(self):
        """One backward of both from the same weights, against float64; then losses over some steps."""
        self.twin.load_state_dict(self.module.state_dict())
        exact = copy.deepcopy(self.module).double().cpu()
        rows = self.x[:1]
        exact(rows.double().cpu()).square().mean().backward()
        truth = _gradient(exact)
        for name, call, module in (("eager", self.module, self.module), ("compiled", self.callable, self.twin)):
            module.zero_grad(set_to_none=True)
            out = call(self.x)
            if name == "compiled":
                kit.fact("train.backward", "CompiledFunction" in _functions(out.grad_fn), _functions(out.grad_fn)[:300])
            out[:1].square().mean().backward()
            missing = [key for key, p in module.named_parameters() if p.grad is None]
            kit.fact("train.%s.without_gradient" % name, ", ".join(missing[:5]), "parameters whose .grad is None")
            if not missing:
                _tell_error("error_%s_64" % name, _gradient(module), truth, self.label, whole=True)
        self._tell_losses()

    def _tell_losses(self):
        """Both trained on from the same weights: the last losses, and how far they are apart."""
        self.twin.load_state_dict(self.module.state_dict())
        make = type(self.optimizers[0])
        self.optimizers = [make(m.parameters(), lr=LEARNING_RATE) for m in (self.module, self.twin)]
        eager, compiled = [[step().item() for _ in range(10)] for step in (self.eager, self.compiled)]
        kit.figure("loss_first", compiled[0], "loss", model=self.label)
        kit.figure("loss_last", compiled[-1], "loss", model=self.label)
        kit.figure("loss_difference", abs(compiled[-1] - eager[-1]) / max(abs(eager[-1]), 1e-12), "relative", n=10)


def _gradient(module):
    import torch

    return torch.cat([p.grad.detach().double().cpu().flatten() for p in module.parameters()])


def _functions(function, most=4):
    """Names of an output's autograd functions, from the result backwards."""
    names = []
    while function is not None and len(names) < most:
        names.append(type(function).__name__)
        function = next((f for f, _ in function.next_functions if f is not None), None)
    return " < ".join(names)


def _tell_error(name, out, exact, label, whole=False):
    rows = out if whole else out[: len(exact)]
    kit.figure(name, measure.relative_error(rows, exact), "relative", model=label)
